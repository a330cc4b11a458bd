from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import wasmtime
from hypothesis import given, settings
from hypothesis import strategies as st

from dotnet_wasm_host.wasm.binary import ExternKind, MalformedModule
from dotnet_wasm_host.wasm.module import Export, Module, SectionId
from runtime_artifacts.pipeline import block_copy

if TYPE_CHECKING:
    from runtime_artifacts.pipeline.upstream import RuntimeFiles

#: A part of linear memory that nothing else uses before the runtime starts.
START = 20 << 20
LENGTH = 4096
PATTERN = bytes(i * 7 % 251 for i in range(LENGTH))


class CopyingModule:
    """The native module with its block copy exported."""

    def __init__(self, native: bytes, index: int) -> None:
        module = Module.parse(native)
        export = Export("copy", ExternKind.FUNCTION, index + len(module.imports()))
        exports = [item.encode() for item in [*module.exports(), export]]
        module.set_section(SectionId.EXPORT, exports)
        config = wasmtime.Config()
        config.strategy = "cranelift"
        config.cranelift_opt_level = "none"
        engine = wasmtime.Engine(config)
        self.store = wasmtime.Store(engine)
        linker = wasmtime.Linker(engine)
        compiled = wasmtime.Module(engine, module.emit())
        for item in compiled.imports:
            if isinstance(item.type, wasmtime.FuncType):
                linker.define_func(item.module, str(item.name), item.type, lambda *_: 0)
        exported = linker.instantiate(self.store, compiled).exports(self.store)
        copy, memory = exported["copy"], exported["memory"]
        assert isinstance(copy, wasmtime.Func)
        assert isinstance(memory, wasmtime.Memory)
        self.function, self.memory = copy, memory

    def copy(self, to: int, source: int, length: int) -> bytes:
        self.memory.write(self.store, PATTERN, START)
        self.function(self.store, START + to, START + source, length)
        return bytes(self.memory.read(self.store, START, START + LENGTH))


@pytest.fixture(scope="module")
def both(runtime_files: RuntimeFiles) -> tuple[CopyingModule, CopyingModule]:
    native = runtime_files.native
    index = block_copy.find(Module.parse(native))
    return (
        CopyingModule(native, index),
        CopyingModule(block_copy.use_memory_copy(native), index),
    )


words = st.integers(0, LENGTH // 2 // 4 - 1).map(lambda n: n * 4)


@settings(deadline=None)
@given(to=words, source=words, length=st.integers(0, LENGTH // 2))
def test_memory_copy_does_what_the_function_did(
    both: tuple[CopyingModule, CopyingModule], to: int, source: int, length: int
) -> None:
    theirs, ours = both
    expected = bytearray(PATTERN)
    expected[to : to + length] = PATTERN[source : source + length]
    assert theirs.copy(to, source, length) == expected
    assert ours.copy(to, source, length) == expected


def test_only_that_function_changes(runtime_files: RuntimeFiles) -> None:
    before = Module.parse(runtime_files.native)
    after = Module.parse(block_copy.use_memory_copy(runtime_files.native))
    changed = [
        (i, new)
        for i, (old, new) in enumerate(zip(before.bodies(), after.bodies(), strict=True))
        if old != new
    ]
    assert changed == [(block_copy.find(before), block_copy.COPY_BODY)]
    others = [(i, body) for i, body in before.sections if i != SectionId.CODE]
    assert others == [(i, body) for i, body in after.sections if i != SectionId.CODE]


def test_an_unknown_function_is_refused() -> None:
    other = wasmtime.wat2wasm("(module (func (param i32 i32 i32)))")
    with pytest.raises(MalformedModule, match="mono_gc_memmove_aligned"):
        block_copy.use_memory_copy(bytes(other))
