"""The WebAssembly binary format, as far as this project reads and writes it.

Source of every number: WebAssembly core specification 2.0, chapter 5 (binary format).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, TypeVar

from dotnet_wasm_host.wasm import to_i32
from dotnet_wasm_host.wasm.binary import (
    PREAMBLE,
    ExternKind,
    FunctionType,
    MalformedModule,
    MemoryLimits,
    Reader,
    ValueType,
    name,
    sleb128,
    uleb128,
    vector,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

T = TypeVar("T")

__all__ = [
    "DataSegment",
    "ElementSegment",
    "Export",
    "Global",
    "Import",
    "Module",
    "SectionId",
    "memory_module",
]

#: 5.4: opcodes this module writes.
OP_END = 0x0B
OP_CALL_INDIRECT = 0x11
OP_LOCAL_GET = 0x20
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


#: 5.5.16: the order sections stand in; custom sections may stand anywhere.
SECTION_ORDER = (
    SectionId.TYPE,
    SectionId.IMPORT,
    SectionId.FUNCTION,
    SectionId.TABLE,
    SectionId.MEMORY,
    SectionId.GLOBAL,
    SectionId.EXPORT,
    SectionId.START,
    SectionId.ELEMENT,
    SectionId.DATA_COUNT,
    SectionId.CODE,
    SectionId.DATA,
)


@dataclass(frozen=True, slots=True)
class DataSegment:
    """5.5.14: an active segment of memory 0. ``content`` goes to ``offset``."""

    offset: int
    content: bytes

    def encode(self) -> bytes:
        """The segment's bytes."""
        offset = bytes([OP_I32_CONST]) + sleb128(to_i32(self.offset)) + bytes([OP_END])
        return b"\0" + offset + vector(self.content)

    def outside(self, start: int, end: int) -> Iterator[DataSegment]:
        """What is left of the segment without the addresses from ``start`` up to ``end``."""
        last = self.offset + len(self.content)
        if end <= self.offset or last <= start:
            yield self
            return
        if self.offset < start:
            yield DataSegment(self.offset, self.content[: start - self.offset])
        if end < last:
            yield DataSegment(end, self.content[end - self.offset :])


@dataclass(frozen=True, slots=True)
class ElementSegment:
    """5.5.12: an active segment of table 0. ``functions`` go to ``offset`` and after."""

    offset: int
    functions: tuple[int, ...]

    def encode(self) -> bytes:
        """The segment's bytes."""
        offset = bytes([OP_I32_CONST]) + sleb128(self.offset) + bytes([OP_END])
        functions = b"".join(map(uleb128, self.functions))
        return b"\0" + offset + uleb128(len(self.functions)) + functions


@dataclass(frozen=True, slots=True)
class Import:
    """5.5.5: an imported thing.

    ``type`` is the index of a function's type, a memory's limits, or a table's or global's
    type as it is encoded.
    """

    module: str
    name: str
    kind: ExternKind
    type: int | MemoryLimits | bytes

    def encode(self) -> bytes:
        """The import's bytes."""
        if isinstance(self.type, int):
            descriptor = uleb128(self.type)
        elif isinstance(self.type, MemoryLimits):
            descriptor = self.type.encode()
        else:
            descriptor = self.type
        return name(self.module) + name(self.name) + bytes([self.kind]) + descriptor


@dataclass(frozen=True, slots=True)
class Export:
    """5.5.10: something the module shows, by name and index."""

    name: str
    kind: ExternKind
    index: int

    def encode(self) -> bytes:
        """The export's bytes."""
        return name(self.name) + bytes([self.kind]) + uleb128(self.index)


@dataclass(frozen=True, slots=True)
class Global:
    """5.5.9: a global the module defines, with a constant i32 value."""

    value: int
    mutable: bool

    def encode(self) -> bytes:
        """The global's bytes."""
        head = bytes([ValueType.I32, self.mutable, OP_I32_CONST])
        return head + sleb128(to_i32(self.value)) + bytes([OP_END])


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

    def set_section(self, section_id: SectionId, items: Sequence[bytes]) -> None:
        """Make the section a vector of ``items``, in its place (5.5.16); none removes it."""
        if not items:
            self.remove_sections(section_id)
            return
        entry = (int(section_id), uleb128(len(items)) + b"".join(items))
        ids = [i for i, _ in self.sections]
        if section_id in ids:
            self.sections[ids.index(section_id)] = entry
        else:
            earlier = SECTION_ORDER[: SECTION_ORDER.index(section_id)]
            place = max((n + 1 for n, i in enumerate(ids) if i in earlier), default=0)
            self.sections.insert(place, entry)

    def replace_section(self, section_id: SectionId, body: bytes) -> None:
        """Give the section with this id another body."""
        self.sections = [(i, body if i == section_id else b) for i, b in self.sections]

    def remove_sections(self, *section_ids: SectionId) -> None:
        """Drop every section with one of these ids."""
        self.sections = [(i, body) for i, body in self.sections if i not in section_ids]

    def types(self) -> list[FunctionType]:
        """The type section (5.5.4)."""
        return self._items(SectionId.TYPE, Reader.function_type)

    def imports(self) -> list[Import]:
        """The import section (5.5.5)."""
        return self._items(SectionId.IMPORT, _read_import)

    def function_type_indices(self) -> list[int]:
        """The function section: the type of each function with a body (5.5.6)."""
        return self._items(SectionId.FUNCTION, Reader.uleb128)

    def memories(self) -> list[MemoryLimits]:
        """The memory section (5.5.8)."""
        return self._items(SectionId.MEMORY, Reader.memory_limits)

    def globals(self) -> list[Global]:
        """The global section (5.5.9), where every global is an i32 with a constant value."""
        return self._items(SectionId.GLOBAL, _read_global)

    def exports(self) -> list[Export]:
        """The export section (5.5.10)."""
        return self._items(SectionId.EXPORT, _read_export)

    def bodies(self) -> list[bytes]:
        """The code section: each function's locals and instructions (5.5.13)."""
        return self._items(SectionId.CODE, Reader.vector)

    def append_type(self, function_type: FunctionType) -> int:
        """Index of ``function_type``, which is appended where the module lacks it."""
        types = self.types()
        if function_type not in types:
            types.append(function_type)
            self.set_section(SectionId.TYPE, [t.encode() for t in types])
        return types.index(function_type)

    def append_function(self, function_type: FunctionType, instructions: bytes) -> int:
        """Append a function without locals; its index. Other indices stay as they are.

        ``instructions`` end before the closing ``end``.
        """
        type_index = self.append_type(function_type)
        type_indices = [*self.function_type_indices(), type_index]
        bodies = [*self.bodies(), b"\0" + instructions + bytes([OP_END])]
        if len(type_indices) != len(bodies):
            raise MalformedModule(f"{len(type_indices)} functions but {len(bodies)} bodies")
        imported = sum(i.kind is ExternKind.FUNCTION for i in self.imports())
        self.set_section(SectionId.FUNCTION, [uleb128(i) for i in type_indices])
        self.set_section(SectionId.CODE, [vector(body) for body in bodies])
        return imported + len(bodies) - 1

    def element_segments(self) -> list[ElementSegment]:
        """The element section, where all segments are active in table 0 (5.5.12)."""
        return self._items(SectionId.ELEMENT, _read_active_elements)

    def data_segments(self) -> list[DataSegment]:
        """The data section, where all segments are active in memory 0 (5.5.14)."""
        return self._items(SectionId.DATA, _read_active_segment)

    def passive_segments(self) -> list[bytes]:
        """The data section, where all segments are passive (5.5.14)."""
        return self._items(SectionId.DATA, _read_passive_segment)

    def _items(self, section_id: SectionId, read: Callable[[Reader], T]) -> list[T]:
        body = self.section(section_id)
        if not body:
            return []
        reader = Reader(body)
        items = reader.items(read)
        if not reader.at_end:
            raise MalformedModule(f"{section_id.name} section has bytes after its last element")
        return items


def memory_module(segments: Iterable[DataSegment], pages: int, max_pages: int) -> bytes:
    """A module that is only a memory, exported as ``memory`` and filled by ``segments``."""
    encoded = [segment.encode() for segment in segments]
    module = Module()
    module.set_section(SectionId.MEMORY, [MemoryLimits(pages, max_pages).encode()])
    module.set_section(SectionId.EXPORT, [Export("memory", ExternKind.MEMORY, 0).encode()])
    module.set_section(SectionId.DATA, encoded)
    return module.emit()


def _read_import(reader: Reader) -> Import:
    module, name_, kind = reader.name(), reader.name(), reader.extern_kind()
    if kind is ExternKind.FUNCTION:
        return Import(module, name_, kind, reader.uleb128())
    if kind is ExternKind.MEMORY:
        return Import(module, name_, kind, reader.memory_limits())
    if kind is ExternKind.TABLE:  # 5.3.9: element type, limits
        return Import(module, name_, kind, reader.take(1) + reader.memory_limits().encode())
    return Import(module, name_, kind, reader.take(2))  # 5.3.10: value type, mutability


def _read_global(reader: Reader) -> Global:
    value_type, mutable, opcode = reader.byte(), reader.byte(), reader.byte()
    if value_type != ValueType.I32 or opcode != OP_I32_CONST or mutable > 1:
        raise MalformedModule("global is not a constant i32")
    value = reader.sleb128()
    if reader.byte() != OP_END:
        raise MalformedModule("global's value is not a constant")
    return Global(value, bool(mutable))


def _read_export(reader: Reader) -> Export:
    return Export(reader.name(), reader.extern_kind(), reader.uleb128())


def _read_active_elements(reader: Reader) -> ElementSegment:
    offset = _read_offset(reader, "element segment is not active in table 0")
    return ElementSegment(offset, tuple(reader.items(Reader.uleb128)))


def _read_active_segment(reader: Reader) -> DataSegment:
    offset = _read_offset(reader, "data segment is not active in memory 0")
    return DataSegment(offset, reader.vector())


def _read_offset(reader: Reader, otherwise: str) -> int:
    if reader.uleb128() != 0 or reader.byte() != OP_I32_CONST:
        raise MalformedModule(otherwise)
    offset = reader.sleb128() & 0xFFFFFFFF
    if reader.byte() != OP_END:
        raise MalformedModule("segment offset is not a constant")
    return offset


def _read_passive_segment(reader: Reader) -> bytes:
    if reader.uleb128() != 1:
        raise MalformedModule("data segment is not passive")
    return reader.vector()
