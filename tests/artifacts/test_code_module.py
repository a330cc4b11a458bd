from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import wasmtime

from dotnet_wasm_host.wasm.binary import ExternKind, MalformedModule
from dotnet_wasm_host.wasm.module import Module, SectionId
from runtime_artifacts.pipeline.code_module import (
    CALL_VI,
    COMPILER_EXPORTS,
    EXPORTS,
    FUNCTION_TABLE,
    GLOBAL_PREFIX,
    split,
)

if TYPE_CHECKING:
    from runtime_artifacts.pipeline.code_module import SplitModule
    from runtime_artifacts.pipeline.upstream import RuntimeFiles

NAMES = " ".join(f'(export "{name}")' for name in (*EXPORTS, *COMPILER_EXPORTS))
#: The shape of a native module: entry 1 of its table adds its argument to global 1.
SMALL = f"""
    (module
      (memory 2 5)
      (global (mut i32) (i32.const 1000))
      (global (mut i32) (i32.const 0))
      (table (export "{FUNCTION_TABLE}") 2 funcref)
      (elem (i32.const 1) $add)
      (func $add (param i32) global.get 1 local.get 0 i32.add global.set 1)
      (func {NAMES} (export "unwanted"))
      (data (i32.const 70000) "data"))
    """


class Pair:
    """Both halves of a split module, instantiated together; imports do nothing."""

    def __init__(self, halves: SplitModule) -> None:
        engine = wasmtime.Engine()
        self.store = wasmtime.Store(engine)
        linker = wasmtime.Linker(engine)
        data = wasmtime.Instance(self.store, wasmtime.Module(engine, halves.data), [])
        memory = data.exports(self.store)["memory"]
        assert isinstance(memory, wasmtime.Memory)
        self.memory = memory
        linker.define(self.store, "env", "memory", memory)
        code = wasmtime.Module(engine, halves.code)
        for item in code.imports:
            if isinstance(item.type, wasmtime.FuncType):
                linker.define_func(item.module, str(item.name), item.type, lambda *_: 0)
        self.exports = linker.instantiate(self.store, code).exports(self.store)

    def call(self, name: str, *arguments: int) -> object:
        function = self.exports[name]
        assert isinstance(function, wasmtime.Func)
        return function(self.store, *arguments)

    def global_value(self, index: int) -> object:
        item = self.exports[f"{GLOBAL_PREFIX}{index}"]
        assert isinstance(item, wasmtime.Global)
        return item.value(self.store)


@pytest.fixture(scope="module")
def native_halves(runtime_files: RuntimeFiles) -> SplitModule:
    return split(runtime_files.native)


def small(text: str = SMALL) -> bytes:
    return bytes(wasmtime.wat2wasm(text))


def test_small_module_works_in_two_halves() -> None:
    pair = Pair(split(small()))
    assert pair.memory.read(pair.store, 70000, 70004) == b"data"
    assert pair.global_value(0) == 1000
    pair.call(CALL_VI, 1, 42)
    pair.call(CALL_VI, 1, 100)
    assert pair.global_value(1) == 142
    with pytest.raises(wasmtime.Trap):
        pair.call(CALL_VI, 0, 1)


def test_unwanted_exports_and_sections_are_gone() -> None:
    code = Module.parse(split(small()).code)
    names = {export.name for export in code.exports()}
    assert names == {*EXPORTS, *COMPILER_EXPORTS, FUNCTION_TABLE, CALL_VI, "global.0", "global.1"}
    dropped = {SectionId.MEMORY, SectionId.DATA, SectionId.DATA_COUNT, SectionId.CUSTOM}
    assert not dropped & {i for i, _ in code.sections}


def test_constant_globals_are_not_exported() -> None:
    text = SMALL.replace("(global (mut i32) (i32.const 1000))", "(global i32 (i32.const 9))")
    names = {export.name for export in Module.parse(split(small(text)).code).exports()}
    assert "global.0" not in names
    assert "global.1" in names


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (SMALL.replace("(memory 2 5)", '(import "env" "memory" (memory 2 5))'), "one memory"),
        (SMALL.replace('(export "malloc")', ""), "malloc"),
        (
            SMALL.replace("(memory 2 5)", '(import "env" "g" (global i32)) (memory 2 5)'),
            "imports globals",
        ),
    ],
)
def test_other_shapes_are_refused(text: str, message: str) -> None:
    with pytest.raises(MalformedModule, match=message):
        split(small(text))


def test_the_native_module_keeps_its_imports_and_functions(
    runtime_files: RuntimeFiles, native_halves: SplitModule
) -> None:
    before, after = Module.parse(runtime_files.native), Module.parse(native_halves.code)
    assert after.imports()[:-1] == before.imports()
    memory = after.imports()[-1]
    assert (memory.module, memory.name, memory.kind) == ("env", "memory", ExternKind.MEMORY)
    assert [memory.type] == before.memories()
    assert after.bodies()[:-1] == before.bodies()
    assert after.section(SectionId.ELEMENT) == before.section(SectionId.ELEMENT)
    data = Module.parse(native_halves.data)
    assert data.data_segments() == before.data_segments()
    assert data.memories() == before.memories()


def test_the_native_module_runs_in_two_halves(native_halves: SplitModule) -> None:
    pair = Pair(native_halves)
    assert pair.memory.size(pair.store) == 512
    assert pair.global_value(0) == pair.call("stackSave")
    pair.call("__wasm_call_ctors")
    block = pair.call("malloc", 100_000)
    assert isinstance(block, int)
    assert block > 0
    pair.call("free", block)
