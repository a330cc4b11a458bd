"""Methods of C# over columns: NumPy, pandas, Polars and Arrow data in, the same kind out."""
