"""Identity of an assembly, read from its ECMA-335 metadata.

Sources: ECMA-335 6th edition II.22 (tables), II.24 (physical layout), II.25.3.3 (CLI header).
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple, final

from dotnet_wasm_host.ecma335.binary import BinaryView, MalformedImage, align
from dotnet_wasm_host.ecma335.webcil import Image, parse_pe, parse_webcil

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["SCHEMA", "AssemblyIdentity", "Coded", "Heap", "Metadata", "Table", "identify"]

#: II.25.3.3: offset of the metadata's RVA and size in the CLI header.
CLI_METADATA = 8
#: II.24.2.1: metadata root.
ROOT_MAGIC = 0x424A5342
ROOT_VERSION_LENGTH = 12
ROOT_FIXED_SIZE = 16
#: II.24.2.2: longest stream name, with its NUL.
STREAM_NAME_SIZE = 32
#: II.24.2.6: heap sizes, then which tables are there, then their row counts.
TABLES_HEAP_SIZES = 6
TABLES_VALID = 8
TABLES_ROWS = 24


class Table(IntEnum):
    """II.22: table numbers."""

    MODULE = 0x00
    TYPE_REF = 0x01
    TYPE_DEF = 0x02
    FIELD = 0x04
    METHOD_DEF = 0x06
    PARAM = 0x08
    INTERFACE_IMPL = 0x09
    MEMBER_REF = 0x0A
    CONSTANT = 0x0B
    CUSTOM_ATTRIBUTE = 0x0C
    FIELD_MARSHAL = 0x0D
    DECL_SECURITY = 0x0E
    CLASS_LAYOUT = 0x0F
    FIELD_LAYOUT = 0x10
    STAND_ALONE_SIG = 0x11
    EVENT_MAP = 0x12
    EVENT = 0x14
    PROPERTY_MAP = 0x15
    PROPERTY = 0x17
    METHOD_SEMANTICS = 0x18
    METHOD_IMPL = 0x19
    MODULE_REF = 0x1A
    TYPE_SPEC = 0x1B
    IMPL_MAP = 0x1C
    FIELD_RVA = 0x1D
    ASSEMBLY = 0x20
    ASSEMBLY_PROCESSOR = 0x21
    ASSEMBLY_OS = 0x22
    ASSEMBLY_REF = 0x23
    ASSEMBLY_REF_PROCESSOR = 0x24
    ASSEMBLY_REF_OS = 0x25
    FILE = 0x26
    EXPORTED_TYPE = 0x27
    MANIFEST_RESOURCE = 0x28
    NESTED_CLASS = 0x29
    GENERIC_PARAM = 0x2A
    METHOD_SPEC = 0x2B
    GENERIC_PARAM_CONSTRAINT = 0x2C


class Heap(IntEnum):
    """II.24.2.6: bit of each heap in HeapSizes, set where its indices are 4 bytes wide."""

    STRINGS = 1
    GUID = 2
    BLOB = 4


class Coded(NamedTuple):
    """II.24.2.6: an index into one of several tables, its low bits saying which."""

    tables: tuple[Table, ...]
    tag_bits: int

    def split(self, value: int) -> tuple[Table, int]:
        """The table and row of a coded index. MalformedImage for a tag that means nothing."""
        tag = value & (1 << self.tag_bits) - 1
        if tag >= len(self.tables):
            raise MalformedImage(f"coded index with tag {tag}")
        return self.tables[tag], value >> self.tag_bits

    def join(self, table: Table, row: int) -> int:
        """The coded index of a row of ``table``."""
        return row << self.tag_bits | self.tables.index(table)


T = Table
TYPE_DEF_OR_REF = Coded((T.TYPE_DEF, T.TYPE_REF, T.TYPE_SPEC), 2)
HAS_CONSTANT = Coded((T.FIELD, T.PARAM, T.PROPERTY), 2)
HAS_CUSTOM_ATTRIBUTE = Coded(
    (
        *(T.METHOD_DEF, T.FIELD, T.TYPE_REF, T.TYPE_DEF, T.PARAM, T.INTERFACE_IMPL),
        *(T.MEMBER_REF, T.MODULE, T.DECL_SECURITY, T.PROPERTY, T.EVENT, T.STAND_ALONE_SIG),
        *(T.MODULE_REF, T.TYPE_SPEC, T.ASSEMBLY, T.ASSEMBLY_REF, T.FILE, T.EXPORTED_TYPE),
        *(T.MANIFEST_RESOURCE, T.GENERIC_PARAM, T.GENERIC_PARAM_CONSTRAINT, T.METHOD_SPEC),
    ),
    5,
)
HAS_FIELD_MARSHAL = Coded((T.FIELD, T.PARAM), 1)
HAS_DECL_SECURITY = Coded((T.TYPE_DEF, T.METHOD_DEF, T.ASSEMBLY), 2)
MEMBER_REF_PARENT = Coded((T.TYPE_DEF, T.TYPE_REF, T.MODULE_REF, T.METHOD_DEF, T.TYPE_SPEC), 3)
HAS_SEMANTICS = Coded((T.EVENT, T.PROPERTY), 1)
METHOD_DEF_OR_REF = Coded((T.METHOD_DEF, T.MEMBER_REF), 1)
MEMBER_FORWARDED = Coded((T.FIELD, T.METHOD_DEF), 1)
#: II.24.2.6: the first two tags and the last one mean nothing.
CUSTOM_ATTRIBUTE_TYPE = Coded((T.METHOD_DEF, T.METHOD_DEF, T.METHOD_DEF, T.MEMBER_REF), 3)
RESOLUTION_SCOPE = Coded((T.MODULE, T.MODULE_REF, T.ASSEMBLY_REF, T.TYPE_REF), 2)
IMPLEMENTATION = Coded((T.FILE, T.ASSEMBLY_REF, T.EXPORTED_TYPE), 2)
TYPE_OR_METHOD_DEF = Coded((T.TYPE_DEF, T.METHOD_DEF), 1)

#: A column is a number of bytes, an index into a heap or a table, or a coded index.
Column = int | Heap | Table | Coded
STRING, GUID, BLOB = Heap.STRINGS, Heap.GUID, Heap.BLOB

#: II.22.2-II.22.39: columns of the tables. Those of edit-and-continue are not among them.
SCHEMA: dict[Table, tuple[Column, ...]] = {
    T.MODULE: (2, STRING, GUID, GUID, GUID),
    T.TYPE_REF: (RESOLUTION_SCOPE, STRING, STRING),
    T.TYPE_DEF: (4, STRING, STRING, TYPE_DEF_OR_REF, T.FIELD, T.METHOD_DEF),
    T.FIELD: (2, STRING, BLOB),
    T.METHOD_DEF: (4, 2, 2, STRING, BLOB, T.PARAM),
    T.PARAM: (2, 2, STRING),
    T.INTERFACE_IMPL: (T.TYPE_DEF, TYPE_DEF_OR_REF),
    T.MEMBER_REF: (MEMBER_REF_PARENT, STRING, BLOB),
    T.CONSTANT: (2, HAS_CONSTANT, BLOB),
    T.CUSTOM_ATTRIBUTE: (HAS_CUSTOM_ATTRIBUTE, CUSTOM_ATTRIBUTE_TYPE, BLOB),
    T.FIELD_MARSHAL: (HAS_FIELD_MARSHAL, BLOB),
    T.DECL_SECURITY: (2, HAS_DECL_SECURITY, BLOB),
    T.CLASS_LAYOUT: (2, 4, T.TYPE_DEF),
    T.FIELD_LAYOUT: (4, T.FIELD),
    T.STAND_ALONE_SIG: (BLOB,),
    T.EVENT_MAP: (T.TYPE_DEF, T.EVENT),
    T.EVENT: (2, STRING, TYPE_DEF_OR_REF),
    T.PROPERTY_MAP: (T.TYPE_DEF, T.PROPERTY),
    T.PROPERTY: (2, STRING, BLOB),
    T.METHOD_SEMANTICS: (2, T.METHOD_DEF, HAS_SEMANTICS),
    T.METHOD_IMPL: (T.TYPE_DEF, METHOD_DEF_OR_REF, METHOD_DEF_OR_REF),
    T.MODULE_REF: (STRING,),
    T.TYPE_SPEC: (BLOB,),
    T.IMPL_MAP: (2, MEMBER_FORWARDED, STRING, T.MODULE_REF),
    T.FIELD_RVA: (4, T.FIELD),
    T.ASSEMBLY: (4, 2, 2, 2, 2, 4, BLOB, STRING, STRING),
    T.ASSEMBLY_PROCESSOR: (4,),
    T.ASSEMBLY_OS: (4, 4, 4),
    T.ASSEMBLY_REF: (2, 2, 2, 2, 4, BLOB, STRING, STRING, BLOB),
    T.ASSEMBLY_REF_PROCESSOR: (4, T.ASSEMBLY_REF),
    T.ASSEMBLY_REF_OS: (4, 4, 4, T.ASSEMBLY_REF),
    T.FILE: (4, STRING, BLOB),
    T.EXPORTED_TYPE: (4, 4, STRING, STRING, IMPLEMENTATION),
    T.MANIFEST_RESOURCE: (4, 4, STRING, IMPLEMENTATION),
    T.NESTED_CLASS: (T.TYPE_DEF, T.TYPE_DEF),
    T.GENERIC_PARAM: (2, 2, TYPE_OR_METHOD_DEF, STRING),
    T.METHOD_SPEC: (METHOD_DEF_OR_REF, BLOB),
    T.GENERIC_PARAM_CONSTRAINT: (T.GENERIC_PARAM, TYPE_DEF_OR_REF),
}


class AssemblyIdentity(NamedTuple):
    """Who an assembly is. ``str()`` is ``System.Linq 10.0.0.0``."""

    name: str
    version: str
    mvid: str

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


def identify(data: bytes) -> AssemblyIdentity:
    """Identity of an assembly given as raw webcil or as PE. MalformedImage for anything else."""
    image = parse_pe(data) if data[:2] == b"MZ" else parse_webcil(data)
    streams = _streams(_metadata(image))
    tables = _Tables(streams.get("#~", b""))
    module = tables.row(Table.MODULE)
    assembly = tables.row(Table.ASSEMBLY)
    name = BinaryView(streams.get("#Strings", b"")).zero_terminated(assembly[7])
    return AssemblyIdentity(
        name=name,
        version=".".join(map(str, assembly[1:5])),
        mvid=_guid(streams.get("#GUID", b""), module[2]),
    )


def _metadata(image: Image) -> bytes:
    rva, size = image.cli_header
    header = BinaryView(image.at(rva, size))
    return image.at(header.u32(CLI_METADATA), header.u32(CLI_METADATA + 4))


def _streams(metadata: bytes) -> dict[str, bytes]:
    """II.24.2.1-2: the metadata's streams by name."""
    view = BinaryView(metadata)
    if view.u32(0) != ROOT_MAGIC:
        raise MalformedImage("no metadata root")
    # Flags (2 bytes) and the number of streams follow the version text.
    offset = ROOT_FIXED_SIZE + align(view.u32(ROOT_VERSION_LENGTH), 4) + 4
    streams = {}
    for _ in range(view.u16(offset - 2)):
        start, size = view.u32(offset), view.u32(offset + 4)
        name = view.zero_terminated(offset + 8)
        if len(name) >= STREAM_NAME_SIZE:
            raise MalformedImage("stream name of more than 32 bytes")
        streams[name] = view.take(start, size)
        offset += 8 + align(len(name) + 1, 4)
    return streams


def _guid(heap: bytes, index: int) -> str:
    """II.24.2.5: GUIDs are counted from 1. Their first three parts are little-endian numbers."""
    data = BinaryView(heap).take((index - 1) * 16, 16)
    parts = (data[3::-1], data[5:3:-1], data[7:5:-1], data[8:10], data[10:])
    return "-".join(part.hex() for part in parts)


@final
class Metadata:
    """The metadata of an assembly: rows of its tables and content of its heaps.

    Row numbers count from 1 as in ECMA-335; rows are tuples of their columns' numbers.
    """

    def __init__(self, data: bytes) -> None:
        self.image = parse_pe(data) if data[:2] == b"MZ" else parse_webcil(data)
        streams = _streams(_metadata(self.image))
        self._tables = _Tables(streams.get("#~", b""))
        self._strings = BinaryView(streams.get("#Strings", b""))
        self._names: dict[int, str] = {}
        self._rows: dict[Table, list[tuple[int, ...]]] = {}
        self._blobs = streams.get("#Blob", b"")
        self._user_strings = streams.get("#US", b"")
        self.guids = streams.get("#GUID", b"")

    def rows(self, table: Table) -> list[tuple[int, ...]]:
        """All rows of a table, the first at index 0."""
        rows = self._rows.get(table)
        if rows is None:
            rows = self._rows[table] = self._tables.rows(table)
        return rows

    def row_size(self, table: Table) -> int:
        """Bytes that a row of ``table`` takes."""
        return self._tables.row_size(table)

    def row(self, table: Table, number: int) -> tuple[int, ...]:
        """A row by its number."""
        rows = self.rows(table)
        if not 0 < number <= len(rows):
            raise MalformedImage(f"{table.name} has {len(rows)} rows, not {number}")
        return rows[number - 1]

    def string(self, index: int) -> str:
        """A text of ``#Strings``."""
        name = self._names.get(index)
        if name is None:
            name = self._names[index] = self._strings.zero_terminated(index)
        return name

    def blob(self, index: int) -> bytes:
        """A blob of ``#Blob``."""
        return _sized(self._blobs, index) if index else b""

    def user_string(self, index: int) -> bytes:
        """A literal of ``#US`` (II.24.2.4): UTF-16 and one byte that says what is in it."""
        return _sized(self._user_strings, index)


def _sized(heap: bytes, index: int) -> bytes:
    """Bytes behind a compressed length (II.24.2.4)."""
    length, start = read_compressed(heap, index)
    return BinaryView(heap).take(start, length)


def read_compressed(data: bytes, offset: int) -> tuple[int, int]:
    """An unsigned number of II.23.2, and the offset behind it."""
    view = BinaryView(data)
    first = view.unsigned(offset, 1)
    if first < 0x80:
        return first, offset + 1
    if first < 0xC0:
        return int.from_bytes(view.take(offset, 2), "big") & 0x3FFF, offset + 2
    return int.from_bytes(view.take(offset, 4), "big") & 0x1FFFFFFF, offset + 4


class _Tables:
    """II.24.2.6: the ``#~`` stream."""

    def __init__(self, stream: bytes) -> None:
        self._view = BinaryView(stream)
        self._wide_heaps = self._view.unsigned(TABLES_HEAP_SIZES, 1)
        valid = self._view.unsigned(TABLES_VALID, 8)
        present = [number for number in range(64) if valid >> number & 1]
        self._counts = {
            number: self._view.u32(TABLES_ROWS + 4 * i) for i, number in enumerate(present)
        }
        self._start = TABLES_ROWS + 4 * len(present)

    def row(self, table: Table) -> tuple[int, ...]:
        """The first row of ``table``."""
        if not self._counts.get(table):
            raise MalformedImage(f"no {table.name} table: this is not an assembly")
        return self._view.unpack(self._layout(table), self._offset(table))

    def rows(self, table: Table) -> list[tuple[int, ...]]:
        """All rows of ``table``."""
        count = self._counts.get(table, 0)
        layout = self._layout(table)
        content = self._view.take(self._offset(table), count * layout.size) if count else b""
        return list(layout.iter_unpack(content))

    def row_size(self, table: Table) -> int:
        """Bytes of a row of ``table``."""
        return self._layout(table).size

    def _offset(self, table: Table) -> int:
        offset = self._start
        for number in sorted(n for n in self._counts if n < table):
            if number not in SCHEMA:
                raise MalformedImage(f"metadata table {number:#x} is not known")
            offset += self._counts[number] * self._layout(Table(number)).size
        return offset

    def _layout(self, table: Table) -> struct.Struct:
        return row_layout(table, self._counts, self._wide_heaps)


def row_layout(table: Table, counts: Mapping[int, int], wide_heaps: int) -> struct.Struct:
    """How a row lies in a stream whose tables have so many rows (II.24.2.6)."""
    codes = {2: "H", 4: "I"}
    widths = (_width(column, counts, wide_heaps) for column in SCHEMA[table])
    return struct.Struct("<" + "".join(codes[width] for width in widths))


def _width(column: Column, counts: Mapping[int, int], wide_heaps: int) -> int:
    if isinstance(column, Heap):
        return 4 if wide_heaps & column else 2
    if isinstance(column, Table):
        return 2 if counts.get(column, 0) < 2**16 else 4
    if isinstance(column, Coded):
        most = max(counts.get(table, 0) for table in column.tables)
        return 2 if most < 2 ** (16 - column.tag_bits) else 4
    return column
