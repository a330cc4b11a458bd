"""Packages: found in feeds that were named, chosen as NuGet does, checked, kept."""
