"""Typed calls beside pythonnet."""
