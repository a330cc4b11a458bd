"""Arrays of several dimensions: lists of lists in Python, or buffers of numbers."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from dotnet_wasm_host.typed.blocks import block_writer, buffer_code

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["flatten", "grid_writer", "nest", "read_lengths"]

_NULL = struct.pack("<i", -1)
#: Bytes that a list takes, about.
_LIST = 64


def flatten(value: Any, rank: int) -> tuple[bytes, list[Any]]:  # noqa: ANN401 - that is asked
    """Lengths as bytes, and the items one behind the other.

    Raises:
        TypeError: it is no list of lists, so many deep.
        ValueError: lists beside each other have other lengths.
    """
    if value is None:
        return _NULL, []
    level, lengths = [value], []
    for _ in range(rank):
        if not all(type(one) is list or type(one) is tuple for one in level):
            raise TypeError("no list of lists")
        found = {len(one) for one in level}
        if len(found) > 1:
            raise ValueError("lists of several lengths")
        lengths.append(found.pop() if found else 0)
        level = [item for one in level for item in one]
    return struct.pack(f"<{rank}i", *lengths), level


def grid_writer(code: str, rank: int) -> Callable[[Any], tuple[bytes, bytes | memoryview]]:
    """What makes of numbers their lengths and bytes.

    TypeError for what is neither a list of lists nor a buffer of these numbers, ValueError for
    lists of several lengths, struct.error for other values.
    """
    write = block_writer(code)

    def grid(value: Any) -> tuple[bytes, bytes | memoryview]:  # noqa: ANN401 - that is asked
        if value is None or type(value) is list or type(value) is tuple:
            head, items = flatten(value, rank)
            return head, write(items)[1]
        view = memoryview(value)
        if view.ndim != rank or buffer_code(view.format, view.itemsize) != code:
            raise TypeError("a buffer of something else")
        head = struct.pack(f"<{rank}i", *(view.shape or ()))
        plain = view.c_contiguous and view.nbytes and view.format == code
        return head, view.cast("B") if plain else view.tobytes()

    return grid


def read_lengths(
    d: bytes, p: int, e: int, rank: int, least: int, c: list[int], weight: int,
    many: Callable[[], None],
) -> tuple[tuple[int, ...] | None, int, int]:  # fmt: skip
    """Lengths that lie at an offset, the number of items, and the offset behind.

    Args:
        d: the bytes.
        p: offset.
        e: where they end.
        rank: how many lengths there are.
        least: bytes that an item takes at least.
        c: what is left of the budget.
        weight: what an item takes of that.
        many: raises when nothing is left.

    Raises:
        ValueError: there are fewer bytes.
    """
    (first,) = struct.unpack_from("<i", d, p)
    if first < 0:
        return None, 0, p + 4
    lengths = struct.unpack_from(f"<{rank}i", d, p)
    p += 4 * rank
    count, lists = 1, 0
    for length in lengths:
        if length < 0:
            raise ValueError("it has a length below 0")
        lists += count
        count *= length
    if count > (e - p) // least:
        raise ValueError(f"it says that more follows than its {e} bytes")
    c[0] -= lists * _LIST + count * weight
    if c[0] < 0:
        many()
    return lengths, count, p


def nest(items: list[Any], lengths: tuple[int, ...]) -> list[Any]:
    """Lists of lists, of the items one behind the other."""
    for dimension in range(len(lengths) - 1, 0, -1):
        width = lengths[dimension]
        count = 1
        for length in lengths[:dimension]:
            count *= length
        items = [items[n * width : (n + 1) * width] for n in range(count)]
    return items
