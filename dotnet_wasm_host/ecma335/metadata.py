"""Identity of an assembly, read from its ECMA-335 metadata.

Sources: ECMA-335 6th edition II.22 (tables), II.24 (physical layout), II.25.3.3 (CLI header).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from dotnet_wasm_host.ecma335.binary import BinaryView, MalformedImage, align
from dotnet_wasm_host.ecma335.webcil import Image, parse_pe, parse_webcil

__all__ = ["AssemblyIdentity", "identify"]

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
    ASSEMBLY_REF = 0x23
    FILE = 0x26
    EXPORTED_TYPE = 0x27
    MANIFEST_RESOURCE = 0x28
    GENERIC_PARAM = 0x2A
    METHOD_SPEC = 0x2B
    GENERIC_PARAM_CONSTRAINT = 0x2C


class Heap(IntEnum):
    """II.24.2.6: bit of each heap in HeapSizes, set where its indices are 4 bytes wide."""

    STRINGS = 1
    GUID = 2
    BLOB = 4


@dataclass(frozen=True, slots=True)
class Coded:
    """II.24.2.6: an index into one of several tables, its low bits saying which."""

    tables: tuple[Table, ...]
    tag_bits: int


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
CUSTOM_ATTRIBUTE_TYPE = Coded((T.METHOD_DEF, T.MEMBER_REF), 3)
RESOLUTION_SCOPE = Coded((T.MODULE, T.MODULE_REF, T.ASSEMBLY_REF, T.TYPE_REF), 2)

#: A column is a number of bytes, an index into a heap or a table, or a coded index.
Column = int | Heap | Table | Coded
STRING, GUID, BLOB = Heap.STRINGS, Heap.GUID, Heap.BLOB

#: II.22.2-II.22.39: columns of the tables up to Assembly, whose rows tell where it starts.
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
}


@dataclass(frozen=True, slots=True)
class AssemblyIdentity:
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


class _Tables:
    """II.24.2.6: the ``#~`` stream."""

    def __init__(self, stream: bytes) -> None:
        self._view = BinaryView(stream)
        self._wide_heaps = self._view.unsigned(TABLES_HEAP_SIZES, 1)
        valid = self._view.unsigned(TABLES_VALID, 8)
        present = [number for number in range(64) if valid >> number & 1]
        self._rows = {
            number: self._view.u32(TABLES_ROWS + 4 * i) for i, number in enumerate(present)
        }
        self._start = TABLES_ROWS + 4 * len(present)

    def row(self, table: Table) -> list[int]:
        """The first row of ``table``."""
        if not self._rows.get(table):
            raise MalformedImage(f"no {table.name} table: this is not an assembly")
        offset = self._start
        for number in sorted(n for n in self._rows if n < table):
            if number not in SCHEMA:
                raise MalformedImage(f"metadata table {number:#x} is not known")
            offset += self._rows[number] * sum(map(self._width, SCHEMA[Table(number)]))
        values = []
        for column in SCHEMA[table]:
            width = self._width(column)
            values.append(self._view.unsigned(offset, width))
            offset += width
        return values

    def _width(self, column: Column) -> int:
        if isinstance(column, Heap):
            return 4 if self._wide_heaps & column else 2
        if isinstance(column, Table):
            return 2 if self._rows.get(column, 0) < 2**16 else 4
        if isinstance(column, Coded):
            most = max(self._rows.get(table, 0) for table in column.tables)
            return 2 if most < 2 ** (16 - column.tag_bits) else 4
        return column
