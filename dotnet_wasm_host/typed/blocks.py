"""Blocks of numbers: what has the buffer protocol goes in without a copy of each item."""

from __future__ import annotations

import struct
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["block_reader", "block_writer", "buffer_code"]

_LITTLE = sys.byteorder == "little"
#: Codes of :mod:`struct` by what they hold; their sizes are asked of ``struct``.
_KINDS = {**dict.fromkeys("bhilqn", "i"), **dict.fromkeys("BHILQN", "u"),
          **dict.fromkeys("efd", "f"), "?": "?"}  # fmt: skip


def _same(given: str, itemsize: int, wanted: str) -> bool:
    """Whether a buffer's items are what is wanted, under whichever name."""
    code = given[-1:]
    if len(given) > 2 or (len(given) == 2 and given[0] not in ("@=<" if _LITTLE else "@=>")):
        return False
    return _KINDS.get(code) == _KINDS[wanted] and itemsize == struct.calcsize("<" + wanted)


def buffer_code(given: str, itemsize: int) -> str:
    """The code of numbers that a buffer has, by its format; ``""`` if it has others."""
    return next((code for code in "?bBhHiIqQefd" if _same(given, itemsize, code)), "")


def block_writer(code: str) -> Callable[[Any], tuple[int, bytes | memoryview]]:
    """What makes of values their number, -1 for ``None``, and their bytes.

    TypeError for buffers of other items, struct.error for other values.
    """
    size = struct.calcsize("<" + code)
    pack = struct.pack
    # The usual name of the item type, where it has the usual bytes.
    plain = code if _LITTLE and struct.calcsize(code) == size else ""

    def block(values: Any) -> tuple[int, bytes | memoryview]:  # noqa: ANN401 - that is asked
        kind = type(values)
        if kind is list or kind is tuple:
            if code == "?" and not all(value is True or value is False for value in values):
                raise TypeError("not all are bools")
            return len(values), pack(f"<{len(values)}{code}", *values)
        if values is None:
            return -1, b""
        view = memoryview(values)
        if view.format == plain and view.ndim == 1 and view.contiguous:
            return view.nbytes // size, view
        if view.ndim != 1 or not _same(view.format, view.itemsize, code):
            raise TypeError("a buffer of something else")
        if not _LITTLE and size > 1:
            return len(view), pack(f"<{len(view)}{code}", *view)
        if not view.contiguous:
            return len(view), view.tobytes()
        return len(view), view.cast("B")

    return block


def block_reader(code: str, result: str) -> Callable[[bytes, int, int], Any]:
    """What makes a list, set or memoryview of so many numbers at an offset, which are there."""
    size = struct.calcsize("<" + code)
    unpack = struct.unpack_from

    def as_list(data: bytes, offset: int, count: int) -> Any:  # noqa: ANN401
        return list(unpack(f"<{count}{code}", data, offset))

    def as_set(data: bytes, offset: int, count: int) -> Any:  # noqa: ANN401
        return set(unpack(f"<{count}{code}", data, offset))

    def as_view(data: bytes, offset: int, count: int) -> Any:  # noqa: ANN401
        if not _LITTLE and size > 1:
            data, offset = struct.pack(f"{count}{code}", *as_list(data, offset, count)), 0
        return memoryview(data)[offset : offset + count * size].cast(code)  # type: ignore[call-overload]

    return {"list": as_list, "set": as_set, "memoryview": as_view}[result]
