"""Tables of ECMA-335 metadata: their numbers, their columns and how a row lies in a file.

Sources: ECMA-335 6th edition II.22 (tables), II.24.2.6 (the ``#~`` stream).
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

from dotnet_wasm_host.ecma335.binary import MalformedImage

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["SCHEMA", "Coded", "Column", "Heap", "Table", "row_layout"]


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
