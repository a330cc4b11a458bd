"""The WebAssembly binary format, as far as this project reads and writes it.

Source of every number: WebAssembly core specification 2.0, chapter 5 (binary format).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = [
    "PAGE",
    "DataSegment",
    "ExternKind",
    "MalformedModule",
    "Module",
    "Reader",
    "SectionId",
    "memory_module",
    "sleb128",
    "uleb128",
]

#: 5.5.16: preamble, magic and version 1.
PREAMBLE = b"\0asm\x01\0\0\0"
#: 4.2.8: bytes in a page of linear memory.
PAGE = 65536
#: 5.4: opcodes this module writes.
OP_END = 0x0B
OP_I32_CONST = 0x41


class SectionId(IntEnum):
    """5.5.2: section ids."""

    CUSTOM = 0
    TYPE = 1
    IMPORT = 2
    FUNCTION = 3
    TABLE = 4
    MEMORY = 5
    GLOBAL = 6
    EXPORT = 7
    START = 8
    ELEMENT = 9
    CODE = 10
    DATA = 11
    DATA_COUNT = 12


class ExternKind(IntEnum):
    """5.5.5: import and export descriptors."""

    FUNCTION = 0
    TABLE = 1
    MEMORY = 2
    GLOBAL = 3


class MalformedModule(ValueError):
    """The bytes are not a module this reader understands."""


@dataclass(frozen=True, slots=True)
class DataSegment:
    """5.5.14: an active segment of memory 0. ``content`` goes to ``offset``."""

    offset: int
    content: bytes


class Reader:
    """Cursor over a module or section; every read is bounds-checked."""

    __slots__ = ("data", "pos")

    def __init__(self, data: bytes, pos: int = 0) -> None:
        self.data = data
        self.pos = pos

    @property
    def at_end(self) -> bool:
        return self.pos >= len(self.data)

    def byte(self) -> int:
        return self.take(1)[0]

    def take(self, count: int) -> bytes:
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

    def name(self) -> str:
        """5.2.4: a UTF-8 name."""
        try:
            return self.vector().decode()
        except UnicodeDecodeError as error:
            raise MalformedModule(f"name is not UTF-8 at offset {self.pos}") from error


def uleb128(value: int) -> bytes:
    """Encode an unsigned integer (5.2.2)."""
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


@dataclass(slots=True)
class Module:
    """A module as its sections, in file order, with bodies left undecoded."""

    sections: list[tuple[int, bytes]] = field(default_factory=list)

    @classmethod
    def parse(cls, data: bytes) -> Module:
        """Split a module into sections. MalformedModule if the frame is broken."""
        if data[:8] != PREAMBLE:
            raise MalformedModule("no WebAssembly 1.0 preamble")
        reader = Reader(data, len(PREAMBLE))
        sections = []
        while not reader.at_end:
            section_id = reader.byte()
            if section_id > SectionId.DATA_COUNT:
                raise MalformedModule(f"unknown section id {section_id}")
            sections.append((section_id, reader.vector()))
        return cls(sections)

    def emit(self) -> bytes:
        """The module's bytes."""
        return PREAMBLE + b"".join(bytes([i]) + vector(body) for i, body in self.sections)

    def section(self, section_id: SectionId) -> bytes:
        """Body of the first section with this id, ``b""`` if there is none."""
        return next((body for i, body in self.sections if i == section_id), b"")

    def data_segments(self) -> Iterator[DataSegment]:
        """The active segments of memory 0 with constant offsets (5.5.14)."""
        reader = Reader(self.section(SectionId.DATA))
        if reader.at_end:
            return
        for _ in range(reader.uleb128()):
            if reader.uleb128() != 0 or reader.byte() != OP_I32_CONST:
                raise MalformedModule("data segment is not active in memory 0")
            offset = reader.sleb128() & 0xFFFFFFFF
            if reader.byte() != OP_END:
                raise MalformedModule("data segment offset is not a constant")
            yield DataSegment(offset, reader.vector())


def memory_module(segments: Iterable[DataSegment], pages: int, max_pages: int) -> bytes:
    """A module that is only a memory, exported as ``memory`` and filled by ``segments``."""
    encoded = [
        b"\0" + bytes([OP_I32_CONST]) + sleb128(_as_i32(s.offset)) + bytes([OP_END])
        + vector(s.content)
        for s in segments
    ]
    limits = b"\x01" + uleb128(pages) + uleb128(max_pages)
    return Module(
        [
            (SectionId.MEMORY, uleb128(1) + limits),
            (SectionId.EXPORT, uleb128(1) + name("memory") + bytes([ExternKind.MEMORY]) + b"\0"),
            (SectionId.DATA, uleb128(len(encoded)) + b"".join(encoded)),
        ]
    ).emit()


def _as_i32(value: int) -> int:
    return value - 2**32 if value >= 2**31 else value
