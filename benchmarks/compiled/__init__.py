"""Compiled methods beside interpreted ones, and beside calls that have nothing to do with them."""
