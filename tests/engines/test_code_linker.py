"""Linking further modules with an instance: what compiled methods come in by."""

from __future__ import annotations

import gc
import weakref
from typing import TYPE_CHECKING

import pytest

from dotnet_wasm_host.engines.wasmtime.code_linker import MAX_TABLE_ENTRIES
from dotnet_wasm_host.engines.wasmtime.engine import WasmtimeEngine
from dotnet_wasm_host.errors import GuestTrap, InvocationTimeout
from tests.engines.kinds import ENGINES, assemble

if TYPE_CHECKING:
    from dotnet_wasm_host.engines.base import CodeLinker, Instance

MEMORY = '(module (memory (export "memory") 1 8) (data (i32.const 0) "image"))'
CODE = """
(module
  (import "env" "memory" (memory 1 8))
  (type $thunk (func (param i32) (result i32)))
  (table (export "__indirect_function_table") 3 funcref)
  (elem (i32.const 1) $double)
  (func $double (export "double") (param i32) (result i32) local.get 0 i32.const 2 i32.mul)
  (func (export "number") (result f64) f64.const 1)
  (func (export "apply") (param i32 i32) (result i32)
    local.get 1 local.get 0 call_indirect (type $thunk)))
"""
#: Puts a function into entry ``{slot}`` that stores its argument and doubles it twice.
FURTHER = """
(module
  (import "env" "__indirect_function_table" (table 3 funcref))
  (import "env" "double" (func $double (param i32) (result i32)))
  (import "env" "memory" (memory 1))
  (elem (i32.const {slot}) $four)
  (func $four (param i32) (result i32)
    i32.const 64 local.get 0 i32.store  local.get 0 call $double call $double))
"""


@pytest.fixture(scope="module")
def engine() -> WasmtimeEngine:
    return WasmtimeEngine()


@pytest.fixture
def instance(engine: WasmtimeEngine) -> Instance:
    return start(engine)


def start(engine: WasmtimeEngine, code: str = CODE) -> Instance:
    modules = engine.compile(assemble(code)), engine.compile(assemble(MEMORY))
    return engine.instantiate(*modules, memory_limit=8 * 65536)


def linker(instance: Instance) -> CodeLinker:
    found = instance.code_linker
    assert found is not None
    return found


def test_a_linked_function_runs_on_the_instances_memory_and_functions(
    engine: WasmtimeEngine, instance: Instance
) -> None:
    link = linker(instance)
    assert link.table_size == 3
    assert link.grow_table(4) == 3
    assert link.table_size == 7
    link.link(engine.compile(assemble(FURTHER.format(slot=5))))
    apply = instance.function("apply")
    assert apply(5, 10) == 40
    assert bytes((10,)) == bytes(_byte(instance, 64))
    assert apply(1, 10) == 20
    with pytest.raises(GuestTrap):
        apply(4, 10)


def _byte(instance: Instance, address: int) -> bytes:
    import ctypes

    return ctypes.string_at(instance.memory.address + address, 1)


def test_linking_again_replaces_an_entry(engine: WasmtimeEngine, instance: Instance) -> None:
    linker(instance).link(engine.compile(assemble(FURTHER.format(slot=1))))
    assert instance.function("apply")(1, 10) == 40


def test_a_segment_outside_of_the_table_traps(engine: WasmtimeEngine, instance: Instance) -> None:
    with pytest.raises(GuestTrap, match="out of bounds"):
        linker(instance).link(engine.compile(assemble(FURTHER.format(slot=3))))
    assert instance.function("apply")(1, 10) == 20


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('(module (import "env" "absent" (func)))', "found 'absent'"),
        ('(module (import "wasi" "double" (func)))', "found wasi.double"),
        ('(module (import "env" "double" (func (param i64))))', "cannot be linked"),
        ('(module (import "env" "apply" (memory 1)))', "cannot be linked"),
    ],
)
def test_imports_that_the_instance_does_not_have(
    engine: WasmtimeEngine, instance: Instance, text: str, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        linker(instance).link(engine.compile(assemble(text)))


@pytest.mark.parametrize("entries", [-1, MAX_TABLE_ENTRIES, 2**64])
def test_a_table_that_would_be_too_large(instance: Instance, entries: int) -> None:
    with pytest.raises(ValueError, match="entries"):
        linker(instance).grow_table(entries)


def test_a_module_of_another_engine_is_refused(instance: Instance) -> None:
    with pytest.raises(TypeError, match="expected a module of wasmtime"):
        linker(instance).link(object())  # type: ignore[arg-type]


def test_no_table_no_linker(engine: WasmtimeEngine) -> None:
    code = '(module (import "env" "memory" (memory 1 8)))'
    assert start(engine, code).code_linker is None


@pytest.mark.parametrize("name", [name for name in ENGINES if name != "wasmtime"])
def test_engines_without_access_to_tables_say_so(name: str) -> None:
    engine = ENGINES[name]()
    modules = engine.compile(assemble(CODE)), engine.compile(assemble(MEMORY))
    assert engine.instantiate(*modules, memory_limit=8 * 65536).code_linker is None


def test_a_linked_instance_goes_with_its_last_reference(engine: WasmtimeEngine) -> None:
    instance = start(engine)
    linker(instance).link(engine.compile(assemble(FURTHER.format(slot=1))))
    gone = weakref.ref(instance)
    gc.disable()
    try:
        instance.close()
        del instance
        assert gone() is None
    finally:
        gc.enable()


def test_an_instance_that_was_linked_looks_up_when_it_is_called(engine: WasmtimeEngine) -> None:
    """Linking takes the look-up that a fresh instance starts with; nobody would wake it again."""
    spinning = """(func (export "spin") (local i64)
        (loop
          (local.set 0 (i64.add (local.get 0) (i64.const 1)))
          (br_if 0 (i64.lt_u (local.get 0) (i64.const 5000000000)))))"""
    instance = start(engine, CODE.rstrip().removesuffix(")") + spinning + ")")
    linker(instance).link(engine.compile(assemble(FURTHER.format(slot=1))))
    instance.set_deadline(0.1)
    with pytest.raises(InvocationTimeout):
        instance.function("spin")()
