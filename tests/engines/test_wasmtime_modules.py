"""Pairs of modules that cannot become an instance of wasmtime's."""

from __future__ import annotations

import gc
import os

import pytest

from dotnet_wasm_host.engines.wasmtime.engine import WasmtimeEngine
from tests.engines.kinds import assemble

MEMORY = '(module (memory (export "memory") 1))'
CODE = '(module (import "env" "memory" (memory 1)))'
LIMIT = 1 << 20


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ('(module (import "env" "table" (table 1 funcref)))', "unknown import"),
        ('(module (import "env" "memory" (memory 2)))', "incompatible import type"),
    ],
)
def test_a_module_that_imports_something_else(code: str, reason: str) -> None:
    engine = WasmtimeEngine()
    modules = engine.compile(assemble(code)), engine.compile(assemble(MEMORY))
    with pytest.raises(ValueError, match=f"cannot be instantiated: .*{reason}"):
        engine.instantiate(*modules, memory_limit=LIMIT)


def test_a_module_of_another_engine() -> None:
    engine, other = WasmtimeEngine(), WasmtimeEngine()
    code, memory = engine.compile(assemble(CODE)), other.compile(assemble(MEMORY))
    with pytest.raises(ValueError, match="from this engine"):
        engine.instantiate(code, memory, memory_limit=LIMIT)
    engine.instantiate(code, engine.compile(assemble(MEMORY)), memory_limit=LIMIT)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_an_instance_that_outlives_its_engine_is_still_told_of_forks() -> None:
    engine = WasmtimeEngine()
    modules = engine.compile(assemble(CODE)), engine.compile(assemble(MEMORY))
    instance = engine.instantiate(*modules, memory_limit=LIMIT)
    del engine, modules
    gc.collect()
    pid = os.fork()
    if pid == 0:
        os._exit(0 if instance.closed else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert not instance.closed
