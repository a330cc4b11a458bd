from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest
import wasmtime

from dotnet_wasm_host.wasm.binary import MalformedModule
from dotnet_wasm_host.wasm.module import DataSegment, Module, SectionId
from runtime_artifacts.pipeline import native_cut
from runtime_artifacts.pipeline.code_module import EXPORTS, split

if TYPE_CHECKING:
    from dotnet_wasm_host.artifacts.store import ArtifactStore
    from runtime_artifacts.pipeline.upstream import RuntimeFiles

SYSTEM, ICU, COMPRESSION = "libSystem.Native", *native_cut.LIBRARIES[:2]
#: Where the test module keeps names, lists of imports, and the rows of the libraries.
NAMES, IMPORTS, ROWS = 1024, 2048, 4096
#: Entries of the function table: P/Invoke targets first, then what the libraries point at.
TARGETS = {ICU: {"GlobalOne": 2, "GlobalTwo": 3}, COMPRESSION: {"Deflate": 4}, SYSTEM: {"Read": 1}}


def text(*, extra: str = "", caller: str = "call $folded", rows: int = 1) -> str:
    """A module shaped like the native one: three libraries, linked one after the other."""
    names, imports = b"", b""
    table = b""
    for library, functions in TARGETS.items():
        start = IMPORTS + len(imports)
        for name, entry in functions.items():
            imports += struct.pack("<II", NAMES + len(names) + 1, entry)
            names += b"\0" + name.encode()
        table += struct.pack("<III", NAMES + len(names) + 1, start, len(functions))
        names += b"\0" + library.encode()
    exports = " ".join(f'(export "{name}")' for name in EXPORTS)
    return f"""
    (module
      (import "env" "other" (func (param i32)))
      (import "env" "abort" (func $abort))
      (memory 1 5)
      (global (mut i32) (i32.const 1000))
      (table 7 funcref)
      (elem (i32.const 1) $read $one $two $deflate $virtual $mono)
      (func $mono {exports} {caller})
      (func $read)
      (func $one (export "one") call $folded)
      (func $virtual)
      (func $two {extra} (call_indirect (i32.const 5)))
      (func $folded)
      (func $deflate)
      (data (i32.const {NAMES}) "{escape(names + bytes(1))}")
      (data (i32.const {IMPORTS}) "{escape(imports)}")
      (data (i32.const {ROWS}) "{escape(table * rows)}"))
    """


def escape(data: bytes) -> str:
    return "".join(f"\\{byte:02x}" for byte in data)


def wasm(source: str) -> bytes:
    return bytes(wasmtime.wat2wasm(source))


def read(native: bytes) -> dict[str, native_cut.NativeLibrary]:
    parts = native_cut._read(native)
    return native_cut.read_libraries(parts.memory, parts.table)


def test_libraries_are_found_by_their_tables() -> None:
    libraries = read(wasm(text()))
    assert {name: list(lib.functions) for name, lib in libraries.items()} == {
        name: list(functions) for name, functions in TARGETS.items()
    }
    assert libraries[ICU].functions == {"GlobalOne": 4, "GlobalTwo": 6}
    assert [lib.row for lib in libraries.values()] == [ROWS, ROWS + 12, ROWS + 24]


def test_only_entries_of_the_unused_library_are_stubbed() -> None:
    before = wasm(text())
    after = Module.parse(native_cut.cut(before))
    original = Module.parse(before).element_segments()[0].functions
    changed = after.element_segments()[0].functions
    read_, one, two, deflate, virtual, mono = original
    assert changed == (read_, 1, 1, deflate, 1, mono)
    assert {one, two, virtual} == {4, 5, 6}
    rows = [s for s in after.data_segments() if s.offset == ROWS]
    counts = [count for _, _, count in struct.iter_unpack("<III", rows[0].content)]
    assert counts == [0, 1, 1]


def test_nothing_else_changes() -> None:
    before, after = (Module.parse(m) for m in (wasm(text()), native_cut.cut(wasm(text()))))
    touched = {SectionId.ELEMENT, SectionId.DATA}
    assert [s for s in before.sections if s[0] not in touched] == [
        s for s in after.sections if s[0] not in touched
    ]
    assert len(b"".join(s.content for s in before.data_segments())) == len(
        b"".join(s.content for s in after.data_segments())
    )


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (text(caller="call $two"), "called from outside"),
        (text(extra='(export "malloc2")').replace('"malloc"', '"m"').replace("malloc2", "malloc"),
         "is exported"),
        (text(rows=2), "2 P/Invoke tables"),
        (text().replace('"abort"', '"quit"'), "does not import abort"),
        (text().replace("(elem (i32.const 1)", "(elem (i32.const 0) $read) (elem (i32.const 1)"),
         "2 element segments"),
        (text(caller="ref.func $mono drop"), "takes a reference"),
        (text().replace(escape(b"libSystem.Native"), escape(b"libSystem.Other1")),
         "does not name"),
        (text().replace("(elem (i32.const 1) $read", "(elem (i32.const 2) $read"), "is not one at"),
    ],
)  # fmt: skip
def test_other_shapes_are_refused(source: str, message: str) -> None:
    with pytest.raises(MalformedModule, match=message):
        native_cut.cut(wasm(source))


@pytest.mark.parametrize("unused", [SYSTEM, COMPRESSION])
def test_a_library_without_neighbours_on_both_sides_is_refused(unused: str) -> None:
    with pytest.raises(MalformedModule, match="do not lie between"):
        native_cut.cut(wasm(text()), [unused])


def test_the_native_modules_icu_is_cut(runtime_files: RuntimeFiles) -> None:
    parts = native_cut._read(runtime_files.native)
    libraries = native_cut.read_libraries(parts.memory, parts.table)
    assert {name: len(lib.functions) for name, lib in libraries.items()} == {
        "libSystem.Globalization.Native": 33,
        "libSystem.IO.Compression.Native": 8,
        "libSystem.Native": 98,
    }
    own = native_cut._own_functions(libraries, ICU)
    # Nearly all of the file's second half; the rest is Mono, zlib and the C library.
    assert len(own) > 4000
    cut = Module.parse(native_cut.cut(runtime_files.native))
    stub = [i.name for i in cut.imports()].index("abort")
    entries = cut.element_segments()[0].functions
    assert entries.count(stub) > 2000
    assert not set(entries) & set(own)
    assert sum(map(_difference, cut.data_segments(), Module.parse(runtime_files.native)
                   .data_segments())) == 1  # fmt: skip


def _difference(one: DataSegment, other: DataSegment) -> int:
    assert one.offset == other.offset
    return sum(a != b for a, b in zip(one.content, other.content, strict=True))


def test_the_shipped_code_module_is_the_small_one(
    runtime_files: RuntimeFiles, store: ArtifactStore
) -> None:
    shipped = Module.parse(store.read("dotnet.code.wasm"))
    whole = Module.parse(split(runtime_files.native).code)
    assert {e.name for e in shipped.exports()} == {e.name for e in whole.exports()}
    imported = {(i.module, i.name) for i in shipped.imports()}
    assert imported <= {(i.module, i.name) for i in whole.imports()}
    sizes = [store.manifest.files[f"dotnet.{half}.wasm"].size for half in ("code", "data")]
    assert sum(sizes) < 2_222_287
