from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest
import wasmtime
from hypothesis import given
from hypothesis import strategies as st

from dotnet_wasm_host.wasm import PAGE
from dotnet_wasm_host.wasm.binary import (
    PREAMBLE,
    ExternKind,
    FunctionType,
    MalformedModule,
    MemoryLimits,
    Reader,
    ValueType,
    sleb128,
    uleb128,
)
from dotnet_wasm_host.wasm.module import (
    DataSegment,
    Export,
    Global,
    Import,
    Module,
    SectionId,
    memory_module,
)

if TYPE_CHECKING:
    from runtime_artifacts.pipeline.upstream import RuntimeFiles

I32, I64, F32, F64 = ValueType.I32, ValueType.I64, ValueType.F32, ValueType.F64

SAMPLE = bytes(
    wasmtime.wat2wasm("""
    (module
      (import "env" "log" (func (param i32 i64)))
      (import "env" "limit" (global i32))
      (import "env" "table" (table 1 2 funcref))
      (memory (export "memory") 1 4)
      (global (mut i32) (i32.const -5))
      (global i32 (i32.const 7))
      (func (export "one") (result i32) i32.const 1)
      (func (export "twice") (param f32) (result f32) local.get 0 local.get 0 f32.add)
      (data (i32.const 16) "hello")
      (data (i32.const 32) ""))
    """)
)


def read_everything(data: bytes) -> None:
    module = Module.parse(data)
    module.types()
    module.imports()
    module.function_type_indices()
    module.memories()
    module.globals()
    module.exports()
    module.bodies()
    module.data_segments()


def type_of(module: Module, kind: ExternKind) -> object:
    return next(item.type for item in module.imports() if item.kind is kind)


@given(st.integers(0, 2**32 - 1))
def test_unsigned_leb128_round_trip(value: int) -> None:
    encoded = uleb128(value)
    reader = Reader(encoded)
    assert reader.uleb128() == value
    assert reader.at_end
    assert len(encoded) == max(1, -(-value.bit_length() // 7))


@given(st.integers(-(2**63), 2**63 - 1))
def test_signed_leb128_round_trip(value: int) -> None:
    reader = Reader(sleb128(value))
    assert reader.sleb128() == value
    assert reader.at_end


@pytest.mark.parametrize(
    "encoded", [b"", b"\x80", b"\x80\x80\x80\x80\x10", b"\xff\xff\xff\xff\x7f", b"\x80" * 5 + b"\0"]
)
def test_bad_unsigned_leb128_is_refused(encoded: bytes) -> None:
    with pytest.raises(MalformedModule):
        Reader(encoded).uleb128()


@pytest.mark.parametrize("encoded", [b"", b"\xff", b"\x80" * 10 + b"\0"])
def test_bad_signed_leb128_is_refused(encoded: bytes) -> None:
    with pytest.raises(MalformedModule):
        Reader(encoded).sleb128()


def test_negative_numbers_have_no_unsigned_encoding() -> None:
    with pytest.raises(ValueError, match="negative"):
        uleb128(-1)


@given(st.lists(st.tuples(st.sampled_from(SectionId), st.binary(max_size=200))))
def test_sections_round_trip(sections: list[tuple[SectionId, bytes]]) -> None:
    module = Module([(int(i), body) for i, body in sections])
    assert Module.parse(module.emit()) == module


@given(st.binary(max_size=64))
def test_random_bytes_raise_nothing_else(data: bytes) -> None:
    for prefix in (b"", PREAMBLE):
        with contextlib.suppress(MalformedModule):
            read_everything(prefix + data)


@pytest.mark.parametrize("data", [b"", PREAMBLE[:7], b"MZ", PREAMBLE.replace(b"\x01", b"\x02")])
def test_what_is_no_module_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedModule, match="preamble"):
        Module.parse(data)


def test_truncated_modules_are_refused() -> None:
    sections = [len(Module(Module.parse(SAMPLE).sections[:n]).emit()) for n in range(12)]
    for length in range(len(PREAMBLE), len(SAMPLE)):
        # Cut between two sections, what is left is a shorter but well-formed module.
        if length not in sections:
            with pytest.raises(MalformedModule):
                read_everything(SAMPLE[:length])


@given(st.lists(st.tuples(st.integers(8, len(SAMPLE) - 1), st.integers(0, 255)), max_size=4))
def test_mutated_modules_raise_nothing_else(changes: list[tuple[int, int]]) -> None:
    mutated = bytearray(SAMPLE)
    for position, value in changes:
        mutated[position] = value
    with contextlib.suppress(MalformedModule):
        read_everything(bytes(mutated))


def test_everything_in_a_module_is_read() -> None:
    module = Module.parse(SAMPLE)
    types = module.types()
    assert [str(t) for t in types] == ["(i32 i64) -> ()", "() -> (i32)", "(f32) -> (f32)"]
    assert [(i.module, i.name, i.kind) for i in module.imports()] == [
        ("env", "log", ExternKind.FUNCTION),
        ("env", "limit", ExternKind.GLOBAL),
        ("env", "table", ExternKind.TABLE),
    ]
    assert type_of(module, ExternKind.FUNCTION) == 0
    assert module.function_type_indices() == [1, 2]
    assert module.memories() == [MemoryLimits(1, 4)]
    assert module.globals() == [Global(-5, mutable=True), Global(7, mutable=False)]
    assert module.exports() == [
        Export("memory", ExternKind.MEMORY, 0),
        Export("one", ExternKind.FUNCTION, 1),
        Export("twice", ExternKind.FUNCTION, 2),
    ]
    assert module.data_segments() == [DataSegment(16, b"hello"), DataSegment(32, b"")]


@pytest.mark.parametrize(
    ("section", "read"),
    [(SectionId.TYPE, Module.types), (SectionId.EXPORT, Module.exports)],
)
def test_bytes_after_a_vector_are_refused(section: SectionId, read: object) -> None:
    module = Module.parse(SAMPLE)
    index = next(n for n, (i, _) in enumerate(module.sections) if i == section)
    module.sections[index] = (section, module.sections[index][1] + b"\0")
    assert callable(read)
    with pytest.raises(MalformedModule, match="after its last element"):
        read(module)


def test_what_is_read_encodes_to_the_same_bytes() -> None:
    module = Module.parse(SAMPLE)
    rebuilt = Module.parse(SAMPLE)
    rebuilt.set_section(SectionId.TYPE, [t.encode() for t in module.types()])
    rebuilt.set_section(SectionId.IMPORT, [i.encode() for i in module.imports()])
    rebuilt.set_section(SectionId.MEMORY, [m.encode() for m in module.memories()])
    rebuilt.set_section(SectionId.EXPORT, [e.encode() for e in module.exports()])
    assert rebuilt.emit() == SAMPLE


def test_sections_are_inserted_where_the_format_wants_them() -> None:
    module = Module()
    module.set_section(SectionId.DATA, [b"\1\0"])
    module.set_section(SectionId.TYPE, [FunctionType().encode()])
    module.set_section(SectionId.DATA_COUNT, [])
    module.set_section(SectionId.MEMORY, [MemoryLimits(1).encode()])
    assert [i for i, _ in module.sections] == [SectionId.TYPE, SectionId.MEMORY, SectionId.DATA]
    module.set_section(SectionId.MEMORY, [])
    assert [i for i, _ in module.sections] == [SectionId.TYPE, SectionId.DATA]


def test_appended_function_runs_and_moves_no_other() -> None:
    module = Module.parse(SAMPLE)
    before = module.exports()
    # (i32 i32) -> (i32): local.get 0, local.get 1, i32.sub
    subtract = FunctionType((I32, I32), (I32,))
    index = module.append_function(subtract, b"\x20\x00\x20\x01\x6b")
    exports = [*before, Export("subtract", ExternKind.FUNCTION, index)]
    module.set_section(SectionId.EXPORT, [e.encode() for e in exports])

    engine = wasmtime.Engine()
    engine_store = wasmtime.Store(engine)
    linker = wasmtime.Linker(engine)
    compiled = wasmtime.Module(engine, module.emit())
    linker.define_unknown_imports_as_traps(compiled)
    _define_globals_and_tables(linker, engine_store)
    exported = linker.instantiate(engine_store, compiled).exports(engine_store)
    subtract_, one = exported["subtract"], exported["one"]
    assert isinstance(subtract_, wasmtime.Func)
    assert isinstance(one, wasmtime.Func)
    assert subtract_(engine_store, 50, 8) == 42
    assert one(engine_store) == 1


def _define_globals_and_tables(linker: wasmtime.Linker, store: wasmtime.Store) -> None:
    linker.allow_shadowing = True
    constant = wasmtime.GlobalType(wasmtime.ValType.i32(), mutable=False)
    linker.define(store, "env", "limit", wasmtime.Global(store, constant, wasmtime.Val.i32(1)))
    table = wasmtime.TableType(wasmtime.ValType.funcref(), wasmtime.Limits(1, 2))
    linker.define(store, "env", "table", wasmtime.Table(store, table, None))


def test_a_known_type_is_not_appended_twice() -> None:
    module = Module.parse(SAMPLE)
    assert module.append_type(FunctionType((), (I32,))) == 1
    assert module.append_type(FunctionType((I64, F32), (F64,))) == 3
    assert module.append_type(FunctionType((I64, F32), (F64,))) == 3


def test_functions_without_bodies_are_refused() -> None:
    module = Module.parse(SAMPLE)
    module.remove_sections(SectionId.CODE)
    with pytest.raises(MalformedModule, match="bodies"):
        module.append_function(FunctionType(), b"")


def test_memory_module_fills_its_memory() -> None:
    segments = [DataSegment(8, b"first"), DataSegment(PAGE - 4, b"last")]
    engine = wasmtime.Engine()
    engine_store = wasmtime.Store(engine)
    module = wasmtime.Module(engine, memory_module(segments, pages=1, max_pages=3))
    memory = wasmtime.Instance(engine_store, module, []).exports(engine_store)["memory"]
    assert isinstance(memory, wasmtime.Memory)
    assert memory.read(engine_store, 8, 13) == b"first"
    assert memory.read(engine_store, PAGE - 4, PAGE) == b"last"
    assert memory.type(engine_store).limits.max == 3


def test_passive_segments_are_told_from_active_ones(runtime_files: RuntimeFiles) -> None:
    wrapper = Module.parse(runtime_files.assemblies["mscorlib"])
    assert len(wrapper.passive_segments()) == 2
    with pytest.raises(MalformedModule, match="not active"):
        wrapper.data_segments()
    with pytest.raises(MalformedModule, match="not passive"):
        Module.parse(SAMPLE).passive_segments()


def test_the_native_module_round_trips(runtime_files: RuntimeFiles) -> None:
    module = Module.parse(runtime_files.native)
    assert module.emit() == runtime_files.native
    assert len(module.bodies()) == len(module.function_type_indices())
    assert isinstance(module.imports()[0], Import)
