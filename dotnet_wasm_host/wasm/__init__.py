"""The WebAssembly binary format.

Sections and numbers are those of the WebAssembly core specification 2.0.
"""

from __future__ import annotations

__all__ = ["PAGE", "to_i32"]

#: 4.2.8: bytes in a page of linear memory.
PAGE = 65536


def to_i32(value: int) -> int:
    """The signed reading of 32 bits: 0..2**32-1 becomes -2**31..2**31-1."""
    return value - 2**32 if value >= 2**31 else value
