"""Values and types of the WebAssembly binary format, and a reader of them.

Source of every number: WebAssembly core specification 2.0, sections 5.1 to 5.3.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
T = TypeVar("T")

__all__ = [
    "FUNCTION_TYPE",
    "PREAMBLE",
    "ExternKind",
    "FunctionType",
    "MalformedModule",
    "MemoryLimits",
    "Reader",
    "ValueType",
    "name",
    "sleb128",
    "uleb128",
    "vector",
]

#: 5.5.16: preamble, magic and version 1.
PREAMBLE = b"\0asm\x01\0\0\0"


#: 5.3.6: first byte of a function type.
FUNCTION_TYPE = 0x60


class ValueType(IntEnum):
    """5.3.1-5.3.4: value types."""

    EXTERNREF = 0x6F
    FUNCREF = 0x70
    V128 = 0x7B
    F64 = 0x7C
    F32 = 0x7D
    I64 = 0x7E
    I32 = 0x7F


class ExternKind(IntEnum):
    """5.5.5: import and export descriptors."""

    FUNCTION = 0
    TABLE = 1
    MEMORY = 2
    GLOBAL = 3


class MalformedModule(ValueError):
    """The bytes are not a module this reader understands."""


@dataclass(frozen=True, slots=True)
class FunctionType:
    """5.3.6: parameter and result types. ``str()`` is ``(i32 i64) -> (f64)``."""

    params: tuple[ValueType, ...] = ()
    results: tuple[ValueType, ...] = ()

    def __str__(self) -> str:
        params, results = (
            " ".join(value.name.lower() for value in side) for side in (self.params, self.results)
        )
        return f"({params}) -> ({results})"

    def encode(self) -> bytes:
        """The type's bytes."""
        return bytes([FUNCTION_TYPE]) + vector(bytes(self.params)) + vector(bytes(self.results))


@dataclass(frozen=True, slots=True)
class MemoryLimits:
    """5.3.7: size of a memory in pages; ``maximum`` is ``None`` where it declares none."""

    minimum: int
    maximum: int | None = None

    def encode(self) -> bytes:
        """The limits' bytes."""
        if self.maximum is None:
            return b"\0" + uleb128(self.minimum)
        return b"\1" + uleb128(self.minimum) + uleb128(self.maximum)


class Reader:
    """Cursor over a module or section; every read is bounds-checked."""

    __slots__ = ("data", "pos")

    def __init__(self, data: bytes, pos: int = 0) -> None:
        self.data: bytes = data
        self.pos: int = pos

    @property
    def at_end(self) -> bool:
        """Whether everything was read."""
        return self.pos >= len(self.data)

    def byte(self) -> int:
        """The next byte. MalformedModule at the end."""
        return self.take(1)[0]

    def take(self, count: int) -> bytes:
        """The next ``count`` bytes. MalformedModule if there are fewer."""
        end = self.pos + count
        if count < 0 or end > len(self.data):
            raise MalformedModule(f"{count} bytes wanted at offset {self.pos}, past the end")
        chunk = self.data[self.pos : end]
        self.pos = end
        return chunk

    def uleb128(self) -> int:
        """5.2.2: an unsigned 32-bit LEB128."""
        result = shift = 0
        while True:
            byte = self.byte()
            result |= (byte & 0x7F) << shift
            if not byte & 0x80:
                break
            shift += 7
            if shift > 28:
                raise MalformedModule(f"LEB128 too long at offset {self.pos}")
        if result >= 2**32:
            raise MalformedModule(f"LEB128 above 32 bits at offset {self.pos}")
        return result

    def sleb128(self) -> int:
        """5.2.2: a signed LEB128 of up to 64 bits."""
        result = shift = 0
        while True:
            byte = self.byte()
            result |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                break
            if shift > 63:
                raise MalformedModule(f"LEB128 too long at offset {self.pos}")
        if byte & 0x40:
            result -= 1 << shift
        return result

    def vector(self) -> bytes:
        """5.1.3: a length and that many bytes."""
        return self.take(self.uleb128())

    def items(self, read: Callable[[Reader], T]) -> list[T]:
        """5.1.3: a vector whose elements ``read`` takes from this reader."""
        return [read(self) for _ in range(self.uleb128())]

    def value_types(self) -> tuple[ValueType, ...]:
        """5.3.5: a result type."""
        try:
            return tuple(map(ValueType, self.vector()))
        except ValueError as error:
            raise MalformedModule(f"unknown value type at offset {self.pos}") from error

    def function_type(self) -> FunctionType:
        """5.3.6: a function type."""
        if self.byte() != FUNCTION_TYPE:
            raise MalformedModule(f"no function type at offset {self.pos}")
        return FunctionType(self.value_types(), self.value_types())

    def memory_limits(self) -> MemoryLimits:
        """5.3.7: limits of a 32-bit, unshared memory or of a table."""
        flag = self.byte()
        if flag > 1:
            raise MalformedModule(f"limits flag {flag:#x} at offset {self.pos}")
        minimum = self.uleb128()
        return MemoryLimits(minimum, self.uleb128() if flag else None)

    def extern_kind(self) -> ExternKind:
        """5.5.5: the kind of an import or export."""
        try:
            return ExternKind(self.byte())
        except ValueError as error:
            raise MalformedModule(f"unknown extern kind at offset {self.pos}") from error

    def name(self) -> str:
        """5.2.4: a UTF-8 name."""
        try:
            return self.vector().decode()
        except UnicodeDecodeError as error:
            raise MalformedModule(f"name is not UTF-8 at offset {self.pos}") from error


def uleb128(value: int) -> bytes:
    """Encode an unsigned integer (5.2.2)."""
    if value < 0:
        raise ValueError(f"{value} is negative")
    out = bytearray()
    while True:
        byte = value & 0x7F
        value >>= 7
        if not value:
            out.append(byte)
            return bytes(out)
        out.append(byte | 0x80)


def sleb128(value: int) -> bytes:
    """Encode a signed integer (5.2.2)."""
    out = bytearray()
    while True:
        byte = value & 0x7F
        value >>= 7
        if (value == 0 and not byte & 0x40) or (value == -1 and byte & 0x40):
            out.append(byte)
            return bytes(out)
        out.append(byte | 0x80)


def vector(data: bytes) -> bytes:
    """5.1.3: length-prefixed bytes."""
    return uleb128(len(data)) + data


def name(text: str) -> bytes:
    """5.2.4: length-prefixed UTF-8."""
    return vector(text.encode())
