"""The bytes that cross between host and guest.

The other half is ``runtime_artifacts/guest/MinimalRuntime/Frame.cs``, ``ErrorRecord.cs`` and
``EntryPoints.cs``; the two change together. Everything is little-endian.
"""

from __future__ import annotations

import struct
from datetime import datetime, timedelta, timezone
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "COMPILED_RECORDS_SIZE",
    "COMPILED_ROOTS",
    "COMPILED_SLOTS",
    "CONTEXT",
    "FRAME",
    "FRAME_IN",
    "FRAME_SIZE",
    "NO_FUNCTION",
    "LoadReport",
    "MalformedRecord",
    "RecordReader",
    "RemoteException",
    "Status",
    "decode_error",
    "pack_fields",
    "unpack_results",
]

#: Handle, Input, InputLength, Status, Output, OutputLength.
FRAME = struct.Struct("<iIiiIi")
#: Call, Function, HostError: behind it. The guest writes the first two whenever it switches from
#: call to call, the third with every error.
CONTEXT = struct.Struct("<iii")
NO_FUNCTION = -1
FRAME_SIZE = FRAME.size + CONTEXT.size
#: The part the host writes.
FRAME_IN = struct.Struct("<iIi")
_I32 = struct.Struct("<i")
_I64 = struct.Struct("<q")
_F64 = struct.Struct("<d")
#: ``DateTime.Ticks`` counts 100 ns from here.
_TICKS_EPOCH = datetime(1, 1, 1, tzinfo=timezone.utc)
_LONGEST_CHAIN = 64


class Status(IntEnum):
    """How a call ended; ``Status`` of Frame.cs."""

    OK = 0
    HANDLER_THREW = 1
    NOT_LOADED = 2
    HANDLER_NOT_FOUND = 3
    LOAD_FAILED = 4
    PENDING = 5


class MalformedRecord(ValueError):
    """The guest's answer is not in the agreed form."""


def pack_fields(*fields: bytes | int) -> bytes:
    """Integers as 32 bits, byte strings behind their 32-bit length."""
    parts = []
    for item in fields:
        if isinstance(item, int):
            parts.append(_I32.pack(item))
        else:
            parts.append(_I32.pack(len(item)))
            parts.append(item)
    return b"".join(parts)


class RecordReader:
    """Reads what :func:`pack_fields` (or the guest) wrote; never past the end."""

    __slots__ = ("_data", "_pos")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._pos = 0

    def _take(self, count: int) -> bytes:
        end = self._pos + count
        if count < 0 or end > len(self._data):
            raise MalformedRecord(f"{count} bytes wanted at {self._pos} of {len(self._data)}")
        chunk = self._data[self._pos : end]
        self._pos = end
        return chunk

    @property
    def at_end(self) -> bool:
        """Whether everything was read."""
        return self._pos == len(self._data)

    def byte(self) -> int:
        """An unsigned byte."""
        return self._take(1)[0]

    def int32(self) -> int:
        """A signed 32-bit integer."""
        return int(_I32.unpack(self._take(4))[0])

    def int64(self) -> int:
        """A signed 64-bit integer."""
        return int(_I64.unpack(self._take(8))[0])

    def double(self) -> float:
        """An IEEE 754 double."""
        return float(_F64.unpack(self._take(8))[0])

    def bytes(self) -> bytes:
        """Bytes with their length, a 32-bit integer, before them."""
        return self._take(self.int32())

    def text(self) -> str:
        """UTF-8 with its length in bytes before it; malformed bytes become U+FFFD."""
        return self.bytes().decode(errors="replace")


def unpack_results(data: bytes) -> list[bytes]:
    """The results of ``EntryPoints.InvokeMany``."""
    reader = RecordReader(data)
    results = []
    while not reader.at_end:
        results.append(reader.bytes())
    return results


class RemoteException(NamedTuple):
    """A .NET exception as data."""

    type_name: str
    message: str
    stack_trace: str
    inner: RemoteException | None = None


def decode_error(record: bytes) -> RemoteException:
    """The exception chain of an ErrorRecord."""
    reader = RecordReader(record)
    count = reader.int32()
    if not 1 <= count <= _LONGEST_CHAIN:
        raise MalformedRecord(f"a chain of {count} exceptions")
    chain = [(reader.text(), reader.text(), reader.text()) for _ in range(count)]
    inner: RemoteException | None = None
    for type_name, message, stack_trace in reversed(chain):
        inner = RemoteException(type_name, message, stack_trace, inner)
    assert inner is not None
    return inner


class LoadReport(NamedTuple):
    """What the guest tells of a function it loaded."""

    handle: int
    handler_type: str
    assembly_name: str
    loaded_at: datetime
    is_async: bool

    @classmethod
    def decode(cls, handle: int, record: bytes) -> LoadReport:
        """Read ``FrameHandlers.Describe``."""
        reader = RecordReader(record)
        handler_type, assembly_name = reader.text(), reader.text()
        try:
            loaded_at = _TICKS_EPOCH + timedelta(microseconds=reader.int64() // 10)
        except OverflowError as error:
            raise MalformedRecord("loading time out of range") from error
        return cls(handle, handler_type, assembly_name, loaded_at, reader.int32() != 0)


def pack_load(
    name: bytes,
    handler_type: bytes,
    image: bytes,
    dependencies: Iterable[tuple[str, bytes]],
    symbols: Iterable[tuple[str, bytes]] = (),
) -> bytes:
    """Request of ``EntryPoints.Load``."""
    return pack_fields(name, handler_type, image, *_named(dependencies), *_named(symbols))


def pack_load_capability(
    name: bytes,
    image: bytes,
    dependencies: Iterable[tuple[str, bytes]],
    symbols: Iterable[tuple[str, bytes]] = (),
) -> bytes:
    """Request of ``EntryPoints.LoadCapability``."""
    return pack_fields(name, image, *_named(dependencies), *_named(symbols))


def _named(contents: Iterable[tuple[str, bytes]]) -> list[bytes | int]:
    """A count, then each name and content."""
    named = list(contents)
    return [len(named), *(part for name, content in named for part in (name.encode(), content))]


#: Bytes of guest memory, zeroed and aligned to 16, that compiled methods of an instance need for
#: records of frames that they gave up (:mod:`dotnet_wasm_host.jit.conventions`).
COMPILED_RECORDS_SIZE = 24 * 1024
#: From where on in there references stand: the collector knows that part as a root.
COMPILED_ROOTS = 17 * 1024
#: Slots of the function table for compiled methods of one instance; entry instructions count them
#: with 16 bits.
COMPILED_SLOTS = 16_384
