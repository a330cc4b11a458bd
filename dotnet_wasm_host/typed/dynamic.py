"""Values of the type ``object``: packed and read by what they are when the program runs.

The C# half is ``runtime_artifacts/guest/Typed/Values.cs``.
"""

from __future__ import annotations

import datetime as dt
import json
import struct
import uuid
from decimal import Decimal
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from dotnet_wasm_host.typed import scalars
from dotnet_wasm_host.typed.blocks import block_reader, buffer_code
from dotnet_wasm_host.typed.objects import CSharpObject
from dotnet_wasm_host.typed.shapes import MAX_DEPTH

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Append = Callable[[bytes], object]
    #: Takes bytes, offset, end, what is left of the budget, depth; gives a value and what is next.
    Read = Callable[[bytes, int, int, list[int], int], tuple[Any, int]]

__all__ = ["SCALARS", "make_object_packer", "make_object_reader"]


class _Tag(IntEnum):
    (
        NULL,
        BOOL,
        CHAR,
        SBYTE,
        BYTE,
        INT16,
        UINT16,
        INT32,
        UINT32,
        INT64,
        UINT64,
        SINGLE,
        DOUBLE,
        HALF,
        INT128,
        UINT128,
        TEXT,
        DECIMAL,
        GUID,
        DATETIME,
        DATETIMEOFFSET,
        DATEONLY,
        TIMEONLY,
        TIMESPAN,
        BIGINTEGER,
        BYTES,
        NUMBERS,
        LIST,
        MAP,
        SET,
        TUPLE,
        RECORD,
        ENUM,
        HANDLE,
        JSON,
    ) = range(35)


#: Bytes that a container, a place in it and a number take, about.
_CONTAINER, _PLACE, _NUMBER = 120, 48, 40
_INT32, _INT64, _UINT64 = struct.Struct("<Bi"), struct.Struct("<Bq"), struct.Struct("<BQ")
_DOUBLE, _COUNTED = struct.Struct("<Bd"), struct.Struct("<Bi")
_ENUM = struct.Struct("<Biq")


def _integer(value: int) -> bytes:
    if -(1 << 31) <= value < 1 << 31:
        return _INT32.pack(_Tag.INT32, value)
    if -(1 << 63) <= value < 1 << 63:
        return _INT64.pack(_Tag.INT64, value)
    if 0 <= value < 1 << 64:
        return _UINT64.pack(_Tag.UINT64, value)
    data = scalars.wide_bytes(value)
    return _COUNTED.pack(_Tag.BIGINTEGER, len(data)) + data


def _text(value: str) -> bytes:
    data = value.encode()
    return _COUNTED.pack(_Tag.TEXT, len(data)) + data


def _bytes(value: bytes | bytearray) -> bytes:
    return _COUNTED.pack(_Tag.BYTES, len(value)) + value


def _moment(value: dt.datetime) -> bytes:
    if value.tzinfo is None:
        return bytes([_Tag.DATETIME]) + scalars.datetime_bytes(value)
    return bytes([_Tag.DATETIMEOFFSET]) + scalars.moment_bytes(value)


#: What a value of a class of Python is, in bytes.
SCALARS: dict[type, Callable[[Any], bytes]] = {
    type(None): lambda _: b"\0",
    bool: lambda value: bytes([_Tag.BOOL, value]),
    int: _integer,
    float: lambda value: _DOUBLE.pack(_Tag.DOUBLE, value),
    str: _text,
    bytes: _bytes,
    bytearray: _bytes,
    Decimal: lambda value: bytes([_Tag.DECIMAL]) + scalars.decimal_bytes(value),
    uuid.UUID: lambda value: bytes([_Tag.GUID]) + value.bytes_le,
    dt.datetime: _moment,
    dt.date: lambda value: _INT32.pack(_Tag.DATEONLY, scalars.day_number(value)),
    dt.time: lambda value: _INT64.pack(_Tag.TIMEONLY, scalars.time_ticks(value)),
    dt.timedelta: lambda value: _INT64.pack(_Tag.TIMESPAN, scalars.ticks_of(value)),
}
#: Tags of numbers by their codes of :mod:`struct`.
_CODES = {
    "?": _Tag.BOOL, "b": _Tag.SBYTE, "B": _Tag.BYTE, "h": _Tag.INT16, "H": _Tag.UINT16,
    "i": _Tag.INT32, "I": _Tag.UINT32, "q": _Tag.INT64, "Q": _Tag.UINT64, "e": _Tag.HALF,
    "f": _Tag.SINGLE, "d": _Tag.DOUBLE,
}  # fmt: skip
_LISTS: dict[type, _Tag] = {list: _Tag.LIST, tuple: _Tag.LIST, set: _Tag.SET, frozenset: _Tag.SET}


def make_object_packer(  # noqa: C901 - likewise
    names: Mapping[str, Any],
    records: Mapping[type, tuple[int, str]],
    enums: Mapping[type, int],
    base: type[CSharpObject],
) -> Callable[[Any, Append, int], None]:
    """What appends the bytes of a value; TypeError for what .NET has no value for.

    Args:
        names: where the functions are that pack records.
        records: number and name of that function, by class.
        enums: numbers, by class.
        base: the module's class for objects of any class.
    """

    def pack(value: Any, a: Append, depth: int) -> None:  # noqa: ANN401, C901 - one for each kind
        kind = type(value)
        scalar = SCALARS.get(kind)
        if scalar is not None:
            a(scalar(value))
            return
        if depth > MAX_DEPTH:
            raise RecursionError
        if kind in _LISTS:
            a(_COUNTED.pack(_LISTS[kind], len(value)))
            for item in value:
                pack(item, a, depth + 1)
        elif kind is dict:
            a(_COUNTED.pack(_Tag.MAP, len(value)))
            for key, item in value.items():
                pack(key, a, depth + 1)
                pack(item, a, depth + 1)
        elif kind in records:
            number, name = records[kind]
            a(_COUNTED.pack(_Tag.RECORD, number))
            names[name](value, a, depth + 1)
        elif kind in enums:
            number = int(value)
            a(
                _ENUM.pack(
                    _Tag.ENUM, enums[kind], number if number < 1 << 63 else number - (1 << 64)
                )
            )
        elif isinstance(value, CSharpObject):
            if getattr(value, "dwh_table", None) is not base.dwh_table:
                raise TypeError
            a(_INT64.pack(_Tag.HANDLE, value.dwh_handle))
        else:
            _pack_buffer(value, a)

    return pack


def _pack_buffer(value: Any, a: Append) -> None:  # noqa: ANN401 - that is asked
    """Numbers one behind the other; TypeError for what is none."""
    view = memoryview(value)
    code = buffer_code(view.format, view.itemsize)
    if view.ndim != 1 or not code:
        raise TypeError
    if code == "B":
        a(_bytes(view.tobytes()))
    else:
        a(bytes([_Tag.NUMBERS]) + _COUNTED.pack(_CODES[code], len(view)) + view.tobytes())


_WHOLE: dict[int, tuple[struct.Struct, Callable[..., Any]]] = {
    tag: (struct.Struct("<" + code), convert)
    for tag, code, convert in (
        (_Tag.BOOL, "?", bool), (_Tag.CHAR, "H", chr), (_Tag.SBYTE, "b", int),
        (_Tag.BYTE, "B", int), (_Tag.INT16, "h", int), (_Tag.UINT16, "H", int),
        (_Tag.INT32, "i", int), (_Tag.UINT32, "I", int), (_Tag.INT64, "q", int),
        (_Tag.UINT64, "Q", int), (_Tag.SINGLE, "f", float), (_Tag.DOUBLE, "d", float),
        (_Tag.HALF, "e", float),
        (_Tag.INT128, "16s", lambda v: int.from_bytes(v, "little", signed=True)),
        (_Tag.UINT128, "16s", lambda v: int.from_bytes(v, "little")),
        (_Tag.DECIMAL, "16s", scalars.decimal_of),
        (_Tag.GUID, "16s", lambda v: uuid.UUID(bytes_le=v)),
        (_Tag.DATETIME, "9s", scalars.datetime_of), (_Tag.DATETIMEOFFSET, "10s", scalars.moment_of),
        (_Tag.DATEONLY, "i", scalars.day_of), (_Tag.TIMEONLY, "q", scalars.time_of),
        (_Tag.TIMESPAN, "q", scalars.duration_of),
    )
}  # fmt: skip
_COUNT = struct.Struct("<i").unpack_from
_BLOBS: dict[int, Callable[[bytes], Any]] = {
    _Tag.TEXT: bytes.decode,
    _Tag.BYTES: bytes,
    _Tag.BIGINTEGER: lambda v: int.from_bytes(v, "little", signed=True),
    _Tag.JSON: json.loads,
}
_BLOCKS: dict[int, tuple[int, Callable[[bytes, int, int], Any]]] = {
    tag: (struct.calcsize("<" + code), block_reader(code, "list")) for code, tag in _CODES.items()
}


def make_object_reader(  # noqa: C901 - one branch for each kind
    names: Mapping[str, Any],
    records: Sequence[str],
    enums: Sequence[Callable[[int], Any]],
    read_handle: Callable[[int], Any],
    many: Callable[[], None],
) -> Read:
    """What reads a value. ValueError, struct.error or IndexError for what is none.

    Args:
        names: where the functions are that read records.
        records: names of these, by number.
        enums: what makes a value of a number, by the number of the enum.
        read_handle: makes an object of a handle.
        many: raises when the budget is spent.
    """

    def read(d: bytes, p: int, e: int, c: list[int], depth: int) -> tuple[Any, int]:  # noqa: PLR0911
        tag = d[p]
        p += 1
        if tag in _WHOLE:
            layout, convert = _WHOLE[tag]
            return convert(*layout.unpack_from(d, p)), p + layout.size
        if tag == _Tag.NULL:
            return None, p
        if depth > MAX_DEPTH:
            raise ValueError("values too deep")
        if tag == _Tag.HANDLE:
            return read_handle(*_HANDLE(d, p)), p + 8
        if tag == _Tag.NUMBERS:
            size, block = _BLOCKS[d[p]]
            count, p = _counted(d, p + 1, e, size)
            charge(c, count * _NUMBER)
            return block(d, p, count), p + count * size
        (count,) = _COUNT(d, p)
        if tag in _BLOBS:
            count, p = _counted(d, p, e, 1)
            return _BLOBS[tag](d[p : p + count]), p + count
        if tag == _Tag.RECORD:
            made: tuple[Any, int] = names[records[count]](d, p + 4, e, c, depth + 1)
            return made
        if tag == _Tag.ENUM:
            return enums[count](*_HANDLE(d, p + 4)), p + 12
        width = 2 if tag == _Tag.MAP else 1
        count, p = _counted(d, p, e, width)
        charge(c, _CONTAINER + count * width * _PLACE)
        items = []
        for _ in range(count * width):
            item, p = read(d, p, e, c, depth + 1)
            items.append(item)
        return _container(tag, items), p

    def charge(c: list[int], weight: int) -> None:
        c[0] -= weight
        if c[0] < 0:
            many()

    return read


_HANDLE = struct.Struct("<q").unpack_from


def _container(tag: int, items: list[Any]) -> Any:  # noqa: ANN401 - of four kinds
    if tag == _Tag.LIST:
        return items
    if tag == _Tag.MAP:
        return dict(zip(items[::2], items[1::2], strict=True))
    if tag == _Tag.SET:
        return set(items)
    if tag == _Tag.TUPLE:
        return tuple(items)
    raise ValueError(f"it has a value of an unknown type {tag}")


def _counted(d: bytes, p: int, e: int, size: int) -> tuple[int, int]:
    """A count that comes before values of at least so many bytes each."""
    (count,) = _COUNT(d, p)
    p += 4
    if not 0 <= count <= (e - p) // size:
        raise ValueError(f"it says that more follows than its {e} bytes")
    return count, p
