"""A portable PDB is found inside of an assembly or beside it, and hostile ones are refused."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

import pytest

import dotnet_wasm_host as dwh
from dotnet_wasm_host.assembly import Library, identify
from dotnet_wasm_host.ecma335.debug_directory import LARGEST_PDB, embedded_pdb, is_pdb_of
from dotnet_wasm_host.ecma335.webcil import from_pe

if TYPE_CHECKING:
    from pathlib import Path

SOURCE = "public static class C { public static int F(int n) => n + 1; }"


@pytest.fixture(scope="module")
def assembly() -> bytes:
    return dwh.compile_csharp(SOURCE, assembly_name="C").data


def deflate(content: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(content) + compressor.flush()


def without_embedded(assembly: bytes) -> bytes:
    """The same with an entry of another type in place of the embedded PDB's."""
    # Versions 0x0100 and 0x0100 stand before the type of that entry.
    entry = struct.pack("<HHI", 0x100, 0x100, 17)
    assert assembly.count(entry) == 1
    return assembly.replace(entry, struct.pack("<HHI", 0x100, 0x100, 99))


def with_embedded(assembly: bytes, size: int, content: bytes) -> bytes:
    """The same with something else in place of the embedded PDB."""
    start = assembly.index(b"MPDB")
    return assembly[:start] + b"MPDB" + struct.pack("<I", size) + content + bytes(64)


def test_an_embedded_pdb_is_found(assembly: bytes) -> None:
    pdb = embedded_pdb(assembly)
    assert pdb is not None
    assert pdb.startswith(b"BSJB")
    assert embedded_pdb(from_pe(assembly)) == pdb
    assert is_pdb_of(pdb, assembly)
    assert embedded_pdb(dwh.compile_csharp(SOURCE, pdb=False).data) is None


def test_a_pdb_beside_an_assembly_belongs_to_it_or_is_left_alone(
    assembly: bytes, tmp_path: Path
) -> None:
    bare = without_embedded(assembly)
    pdb = embedded_pdb(assembly)
    assert pdb is not None
    assert embedded_pdb(bare) is None
    library = Library(bare, str(tmp_path / "C.dll"))
    assert library.symbols() is None
    other = embedded_pdb(dwh.compile_csharp(SOURCE + " // other").data)
    assert other is not None
    for content, found in ((pdb, pdb), (other, None), (b"", None), (b"MZ" + bytes(99), None)):
        (tmp_path / "C.pdb").write_bytes(content)
        assert library.symbols() == found
    assert Library(bare).symbols() is None


@pytest.mark.parametrize(
    ("size", "content"),
    [
        (LARGEST_PDB + 1, deflate(bytes(100))),
        (0xFFFFFFFF, deflate(bytes(100))),
        (99, deflate(bytes(1 << 24))),  # a bomb that says it is small
        (LARGEST_PDB, deflate(bytes(100))),
        (100, b"\xff" * 100),
        (0, b""),
    ],
)
def test_what_was_made_to_harm_is_no_pdb(assembly: bytes, size: int, content: bytes) -> None:
    assert embedded_pdb(with_embedded(assembly, size, content)) in (None, b"")


def test_no_damage_is_an_error(assembly: bytes) -> None:
    name = identify(assembly)
    start = assembly.index(b"RSDS") - 200
    for position in range(start, len(assembly), 3):
        for value in (0x00, 0x7F, 0xFF):
            damaged = assembly[:position] + bytes([value]) + assembly[position + 1 :]
            pdb = embedded_pdb(damaged)
            assert pdb is None or len(pdb) <= LARGEST_PDB
            assert is_pdb_of(damaged[position:], damaged) is False
    assert identify(assembly) == name
