"""Fetch the pinned upstream packages and turn them into ``runtime_artifacts/dist``."""
