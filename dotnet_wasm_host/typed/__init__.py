"""Typed calls: methods of C# as Python functions."""
