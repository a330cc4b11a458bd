"""Packages of NuGet."""
