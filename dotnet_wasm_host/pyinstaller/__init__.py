"""What PyInstaller has to know of this package; it asks by an entry point.

The artifacts are data, wasmtime's library is loaded by its path, and its version is asked for
where nothing imports it.
"""

from __future__ import annotations

from pathlib import Path

__all__ = ["hook_folders"]


def hook_folders() -> list[str]:
    """Where the hooks are, for PyInstaller's entry point ``hook-dirs``."""
    return [str(Path(__file__).parent)]
