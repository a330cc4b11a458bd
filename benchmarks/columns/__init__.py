"""A method over columns beside NumPy, Numba, DuckDB and pythonnet, and through Dask and Spark."""
