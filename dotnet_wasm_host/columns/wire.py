"""Rows on their way to a kernel, and its answer: the bytes of both."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from dotnet_wasm_host.errors import MarshallingError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dotnet_wasm_host.columns.types import ColumnType

__all__ = [
    "HAS_NULLS", "IS_AWARE", "IS_INDEXED", "NANOSECONDS", "Answer", "Column", "Part", "Result",
    "pack_rows", "read_answer",
]  # fmt: skip

#: Flags of a column; the same in the guest (``Columns/Cells.cs``).
HAS_NULLS, IS_INDEXED, NANOSECONDS, IS_AWARE = 1, 2, 4, 8
_PADDING = bytes(8)


@dataclass(slots=True)
class Part:
    """Some rows of a column.

    Attributes:
        count: values that follow: the rows, or the words of a dictionary.
        blocks: buffers: a byte for each row that is 1 where it is null, if there are nulls;
            indices, if it is indexed; values, or offsets (one more than values) and bytes.
        flags: which of these, and the unit of times.
    """

    count: int
    blocks: list[Any]
    flags: int = 0


class Column(Protocol):
    """A column that goes to C#."""

    def part(self, start: int, stop: int) -> Part:
        """Rows of it. MarshallingError, with the row, if one is not what C# takes."""


class Result(Protocol):
    """A column that comes back."""

    def add(self, start: int, answer: Answer) -> None:
        """The results of the rows from ``start`` on; in any order, each row once."""

    def finish(self) -> object:
        """The column."""


@dataclass(slots=True)
class Answer:
    """What a kernel has answered, checked.

    Attributes:
        rows: how many.
        values: the values; offsets for text and bytes.
        content: the bytes that offsets are of.
        nulls: a byte for each row, or nothing.
    """

    rows: int
    values: memoryview
    content: memoryview = field(default_factory=lambda: memoryview(b""))
    nulls: memoryview | None = None


def pack_rows(rows: int, parts: Iterable[Part]) -> bytes:
    """The payload of a call."""
    blocks: list[Any] = [struct.pack("<ii", rows, 0)]
    for part in parts:
        blocks.append(struct.pack("<ii", part.flags, part.count))
        for block in part.blocks:
            blocks.append(block)
            if missing := -memoryview(block).nbytes % 8:
                blocks.append(_PADDING[:missing])
    return b"".join(blocks)


def read_answer(data: bytes, rows: int, of: ColumnType) -> Answer:
    """Check an answer, which a guest may have written as it liked."""
    if len(data) < 8:
        raise _malformed("no head")
    flags, found = struct.unpack_from("<ii", data)
    if found != rows or flags not in {0, 1}:
        raise _malformed(f"{found} rows for {rows}")
    view = memoryview(data)[8:]
    nulls = None
    if flags:
        if len(view) < rows:
            raise _malformed("fewer bytes than rows")
        view, nulls = view[: len(view) - rows], view[len(view) - rows :]
    if not of.is_bytes:
        if len(view) != rows * of.layout.size:
            raise _malformed(f"{len(view)} bytes for {rows} values")
        return Answer(rows, view, nulls=nulls)
    heads = 4 * (rows + 1)
    if len(view) < heads:
        raise _malformed("fewer offsets than rows")
    first, last = struct.unpack_from("<i", view)[0], struct.unpack_from("<i", view, heads - 4)[0]
    if first != 0 or last != len(view) - heads:
        raise _malformed("offsets outside of their bytes")
    return Answer(rows, view[:heads], view[heads:], nulls)


def _malformed(why: str) -> MarshallingError:
    return MarshallingError(
        f"expected the answer of a column's kernel, found other bytes ({why}); "
        "install the package again"
    )
