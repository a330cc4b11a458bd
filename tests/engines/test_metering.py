"""Metered code does what the code does, and asks now and then whether to go on."""

from __future__ import annotations

from typing import Any

import pytest
import wasmtime

from dotnet_wasm_host.artifacts.store import ArtifactStore
from dotnet_wasm_host.engines.wasmer.metering import CHECK_IMPORT, meter
from dotnet_wasm_host.engines.wasmer.simd_lowering import lower_simd
from dotnet_wasm_host.engines.wasmtime.engine import WasmtimeEngine
from dotnet_wasm_host.wasm.binary import MalformedModule
from dotnet_wasm_host.wasm.editor import ModuleEditor
from tests.engines.kinds import assemble

PAGE = 65536
MEMORY = assemble('(module (memory (export "memory") 1))')
#: ``first`` is the function that makes room for the import, wherever it is referred to.
CODE = assemble("""
(module
  (import "env" "memory" (memory 1))
  (import "env" "host" (func $host (param i32) (result i32)))
  (type $binary (func (param i32 i32) (result i32)))
  (global $started (mut i32) (i32.const 0))
  (table 4 funcref)
  (elem (i32.const 1) $first $tree $twice)
  (func $first (export "first") (param i32 i32) (result i32)
    local.get 0 local.get 1 i32.sub)
  (func $start i32.const 5 global.set $started)
  (start $start)
  (func (export "started") (result i32) global.get $started)
  (func (export "direct") (param i32 i32) (result i32) local.get 0 local.get 1 call $first)
  (func (export "indirect") (param i32 i32 i32) (result i32)
    local.get 0 local.get 1 local.get 2 call_indirect (type $binary))
  (func (export "reference") (result i32) ref.func $first ref.is_null)
  (func $twice (param i32 i32) (result i32) local.get 0 call $host local.get 1 i32.add)
  (func (export "sum") (param i32) (result i32) (local $sum i32)
    (loop $next
      local.get $sum local.get 0 i32.add local.set $sum
      local.get 0 i32.const 1 i32.sub local.tee 0 br_if $next)
    local.get $sum)
  (func (export "choose") (param i32) (result i32)
    (block $c (block $b (block $a local.get 0 br_table $a $b $c)
      i32.const 10 return) i32.const 20 return) i32.const 30)
  (func (export "typed") (param i32) (result f64)
    f64.const 1.5 f64.const -2.5 local.get 0 select (result f64))
  (func (export "spin") (loop $again br $again))
  (func (export "table_spin") (param i32)
    (loop $again (block $out local.get 0 br_table $again $out)))
  (func $tree (export "tree") (param i32 i32) (result i32)
    local.get 0 i32.eqz if (result i32) i32.const 1 else
    local.get 0 i32.const 1 i32.sub i32.const 0 call $tree
    local.get 0 i32.const 1 i32.sub i32.const 0 i32.const 2 call_indirect (type $binary)
    i32.add end))
""")


class Enough(Exception):
    """The guest was not let go on."""


class Metered:
    """Metered code, which may pass so many checks."""

    def __init__(self, checks: int) -> None:
        engine = WasmtimeEngine()
        self.instance = engine.instantiate(
            engine.compile(meter(CODE)), engine.compile(MEMORY), memory_limit=PAGE
        )
        self.left = checks
        self.instance.attach(lambda: {CHECK_IMPORT: self.check, "host": lambda n: n * 2})

    def check(self) -> None:
        if not self.left:
            raise Enough
        self.left -= 1

    def __call__(self, name: str, *arguments: int) -> int:
        return self.instance.function(name)(*arguments)


@pytest.fixture(scope="module")
def metered() -> Metered:
    return Metered(checks=0)


@pytest.mark.parametrize(
    ("call", "result"),
    [
        (("first", 9, 2), 7),
        (("direct", 9, 2), 7),
        (("indirect", 9, 2, 1), 7),
        (("indirect", 4, 1, 3), 9),
        (("reference",), 0),
        (("started",), 5),
        (("sum", 1000), 500500),
        (("choose", 0), 10),
        (("choose", 1), 20),
        (("choose", 7), 30),
        (("tree", 10, 0), 1024),
    ],
)
def test_code_does_what_it_did(metered: Metered, call: tuple[Any, ...], result: int) -> None:
    name, *arguments = call
    assert metered(name, *arguments) == result


@pytest.mark.parametrize("call", [("spin",), ("table_spin", 0), ("tree", 40, 0)])
@pytest.mark.parametrize("checks", [0, 7])
def test_whatever_does_not_end_asks_whether_to_go_on(call: tuple[Any, ...], checks: int) -> None:
    metered = Metered(checks)
    name, *arguments = call
    with pytest.raises(Enough):
        metered(name, *arguments)
    assert metered.left == 0


def test_it_asks_in_proportion_to_the_work() -> None:
    metered = Metered(checks=1000)
    metered("sum", 2_000_000)
    assert 1000 - metered.left == 20


def test_only_one_function_changes_its_index() -> None:
    plain, changed = ModuleEditor(CODE), ModuleEditor(meter(CODE))
    # First, the imports; then the check in place of the first function, and the refilling.
    assert len(changed.bodies) == len(plain.bodies) + 1
    assert plain.bodies[0] == changed.bodies[-2]


def test_the_runtime_itself_stays_valid() -> None:
    code = ArtifactStore.locate().read("dotnet.code.wasm")
    engine = wasmtime.Engine()
    lowered = lower_simd(code)
    wasmtime.Module.validate(engine, lowered)
    wasmtime.Module.validate(engine, meter(lowered))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("(module (global i64 (i64.const 1)))", "not a constant i32"),
        (
            "(module (func) (table 1 funcref) (elem (i32.const 0) funcref (ref.null func)))",
            "not active in table 0",
        ),
    ],
)
def test_what_is_not_understood_is_refused(text: str, message: str) -> None:
    with pytest.raises(MalformedModule, match=message):
        meter(assemble(text))
