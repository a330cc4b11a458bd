"""Standalone modules: how large, how soon, how fast."""
