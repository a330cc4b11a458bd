"""Where the interpreter keeps the ends of its stack (``ThreadContext`` in interp-internals.h)."""

from __future__ import annotations

import struct

__all__ = ["find_thread_context"]

#: ``INTERP_STACK_SIZE``.
_STACK_SIZE = 1 << 20
#: ``stack_start``, ``stack_end``, ``stack_real_end``, ``stack_pointer``.
_FIELDS = struct.Struct("<4I")
_POINTER = 12
#: Places that are looked at: a guest may have filled its memory with what is sought.
_MOST = 1 << 16


def find_thread_context(memory: bytes, first: int) -> int:
    """Address of the context; 0 unless exactly one is there.

    Args:
        memory: of a guest in which nothing runs.
        first: where the first frame has its slots: there the stack ends while nothing runs.
    """
    found: list[int] = []
    at, pattern = _POINTER, struct.pack("<I", first)
    for _ in range(_MOST):
        if (at := memory.find(pattern, at)) < 0:
            return found[0] if len(found) == 1 else 0
        place = at - _POINTER
        if place % 4 == 0:
            start, end, real_end, _ = _FIELDS.unpack_from(memory, place)
            if start <= first < end < real_end == start + _STACK_SIZE:
                found.append(place)
        at += 1
    return 0
