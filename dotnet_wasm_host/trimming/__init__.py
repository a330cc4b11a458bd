"""Trimming: the part of the base library that a set of roots reaches, and nothing else."""
