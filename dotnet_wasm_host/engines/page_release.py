"""Giving pages of memory back to the kernel in portions, so that nobody waits for long."""

from __future__ import annotations

import ctypes
import sys

__all__ = ["release_pages"]

#: Bytes that are given back at a time: some 0.2 ms.
PORTION = 4 << 20
#: Less than this is given back at once by whoever unmaps it.
LEAST = 64 << 20
_MADV_DONTNEED = 4


def release_pages(address: int, size: int) -> None:
    """Give back the pages of a private mapping that is about to be unmapped.

    ``munmap`` of 512 MB that were written to holds the process' lock of mappings for some 30 ms, in
    which no other thread of the process can map anything. ``MADV_DONTNEED`` (madvise(2)) lets
    others through after each portion. What is read there afterwards is what was mapped.

    Args:
        address: of the mapping, a multiple of the page size.
        size: bytes; less than :data:`LEAST` does nothing.
    """
    if size < LEAST or sys.platform != "linux":
        return
    madvise = ctypes.CDLL(None).madvise
    madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    for start in range(0, size, PORTION):
        madvise(address + start, min(PORTION, size - start), _MADV_DONTNEED)
