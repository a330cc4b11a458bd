"""Trimming: the part of the base library that a set of roots reaches, and nothing else.

Everything is in :func:`trim`; how it works and what it keeps is in ``docs/trimming.md``.
"""

from dotnet_wasm_host.trimming.trimmer import (
    BASE_FEATURES,
    TrimmedAssembly,
    TrimmedSet,
    TrimOptions,
    TrimReport,
    trim,
)

__all__ = [
    "BASE_FEATURES",
    "TrimOptions",
    "TrimReport",
    "TrimmedAssembly",
    "TrimmedSet",
    "trim",
]
