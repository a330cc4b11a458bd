"""Where the interpreter keeps the ends of its stack (``ThreadContext`` in interp-internals.h)."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ContextSearch"]

#: ``INTERP_STACK_SIZE``.
_STACK_SIZE = 1 << 20
#: ``stack_start``, ``stack_end``, ``stack_real_end``, ``stack_pointer``.
_FIELDS = struct.Struct("<4I")
_POINTER = 12
#: Places that are looked at: a guest may have filled its memory with what is sought.
_MOST = 1 << 16
#: Bytes that are looked through at a time, a fraction of a millisecond.
_PORTION = 256 << 10


@final
class ContextSearch:
    """Looks through a guest's memory, a portion at a time, while nothing runs in it.

    Args:
        first: where the first frame has its slots: there the stack ends while nothing runs.

    Attributes:
        first: the same.
        done: whether all of it was looked through.
    """

    __slots__ = ("_at", "_found", "_left", "_pattern", "done", "first")

    def __init__(self, first: int) -> None:
        self.first: int = first
        self.done: bool = False
        self._pattern = struct.pack("<I", first)
        self._at = 0
        self._left = _MOST
        self._found: list[int] = []

    def look(self, read: Callable[[int, int], bytes], size: int) -> int:
        """Look through the next portion; answers how many bytes that were.

        Args:
            read: copies so many bytes from an address on.
            size: of the memory, which may have grown.
        """
        start = self._at
        # Structures at the end of a portion are looked at with the next.
        end = min(start + _PORTION, size)
        portion = read(start, end - start)
        at = _POINTER
        while (at := portion.find(self._pattern, at)) >= 0:
            self._left -= 1
            if self._left < 0:
                break
            if (start + at) % 4 == 0 and self._is_context(portion, at - _POINTER):
                self._found.append(start + at - _POINTER)
            at += 1
        self._at = end - _FIELDS.size + 1
        self.done = end >= size or self._left < 0
        return end - start

    def found(self, read: Callable[[int, int], bytes]) -> int:
        """Address of the context; 0 unless exactly one is there."""
        places = [p for p in self._found if self._is_context(read(p, _FIELDS.size), 0)]
        return places[0] if len(places) == 1 and self._left >= 0 else 0

    def _is_context(self, content: bytes, at: int) -> bool:
        start, end, real_end, pointer = _FIELDS.unpack_from(content, at)
        inside = start <= self.first < end < real_end == start + _STACK_SIZE
        return bool(inside and pointer == self.first)
