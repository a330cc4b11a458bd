"""Rows with names for their columns, against the layout that files have."""

from __future__ import annotations

import struct

import pytest

from dotnet_wasm_host.artifacts.store import ArtifactStore
from dotnet_wasm_host.ecma335.binary import MalformedImage
from dotnet_wasm_host.ecma335.metadata import Metadata, identify
from dotnet_wasm_host.ecma335.rows import (
    TABLES,
    AssemblyRow,
    FieldRow,
    MethodDefRow,
    ModuleRow,
    TypeDefRow,
)
from dotnet_wasm_host.ecma335.tables import SCHEMA, Table


@pytest.fixture(scope="module")
def linq() -> bytes:
    return ArtifactStore.locate().read("framework/System.Linq.webcil")


def test_every_class_has_the_columns_of_its_table() -> None:
    for row_class, table in TABLES.items():
        assert len(row_class._fields) == len(SCHEMA[table]), table  # type: ignore[attr-defined]
    # Two tables of the same meaning would be a slip of the pen.
    assert len(set(TABLES.values())) == len(TABLES)


def test_columns_that_are_row_numbers_and_names_point_where_they_say(linq: bytes) -> None:
    metadata = Metadata(linq)
    names = {metadata.string(row.name) for row in metadata.rows(TypeDefRow)}
    assert {"<Module>", "Enumerable", "Lookup`2"} <= names
    # Lists of members end where the next type's begin (II.22.37).
    last = metadata.rows(TypeDefRow)[-1]
    assert 1 <= last.field_list <= metadata.count(Table.FIELD) + 1
    assert 1 <= last.method_list <= metadata.count(Table.METHOD_DEF) + 1
    assert "Select" in {metadata.string(row.name) for row in metadata.rows(MethodDefRow)}
    own = metadata.row(AssemblyRow, 1)
    identity = identify(linq)
    assert metadata.string(own.name) == identity.name == "System.Linq"
    assert f"{own.major}.{own.minor}.{own.build}.{own.revision}" == identity.version
    assert metadata.string(metadata.row(ModuleRow, 1).name) == "System.Linq.dll"


def test_named_and_plain_rows_are_the_same(linq: bytes) -> None:
    metadata = Metadata(linq)
    for row_class, table in TABLES.items():
        named: list[tuple[int, ...]] = metadata.rows(row_class)
        assert named == metadata.rows(table)
        assert all(type(row) is row_class for row in named)
        assert len(named) == metadata.count(table)
        assert list(metadata.numbers(table)) == list(range(1, len(named) + 1))


def test_a_row_that_is_not_there_is_named(linq: bytes) -> None:
    metadata = Metadata(linq)
    for number in (0, -1, metadata.count(Table.FIELD) + 1):
        with pytest.raises(MalformedImage, match=f"FieldRow has .* rows, not {number}"):
            metadata.row(FieldRow, number)


def test_a_count_that_lies_is_found_before_anything_of_that_size_is_made(linq: bytes) -> None:
    metadata = Metadata(linq)
    count = metadata.count(Table.FIELD)
    stream = linq.index(struct.pack("<3I", *(metadata.count(t) for t in _first_tables(metadata))))
    position = stream + 4 * _first_tables(metadata, 64).index(Table.FIELD)
    assert struct.unpack_from("<I", linq, position) == (count,)
    lying = linq[:position] + struct.pack("<I", 2**32 - 1) + linq[position + 4 :]
    with pytest.raises(MalformedImage):
        Metadata(lying).count(Table.FIELD)


def _first_tables(metadata: Metadata, count: int = 3) -> list[Table]:
    return [table for table in sorted(SCHEMA) if metadata.count(table)][:count]
