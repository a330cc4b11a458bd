"""The compiler reads what a guest can write: it answers with a valid module, whatever is there."""

from __future__ import annotations

import random
import time

import pytest
import wasmtime

import dotnet_wasm_host as dwh
from dotnet_wasm_host.artifacts.store import ArtifactStore
from dotnet_wasm_host.jit.compiler import compile_batch
from dotnet_wasm_host.jit.facts import load_facts
from dotnet_wasm_host.jit.interface import CompilerLimits
from dotnet_wasm_host.jit.translation import Taken
from dotnet_wasm_host.jit.view import MemoryCopy
from dotnet_wasm_host.runtime.compilation import Compilation
from tests.jit.differential import ask_early
from tests.jit.programs import write_bodies, write_program

ROUNDS = 60
LIMITS = CompilerLimits(batch_methods=24)


@pytest.fixture(scope="module")
def taken() -> Taken:
    """Methods of a program that ran, and of the base library."""
    with pytest.MonkeyPatch.context() as patch, dwh.Runtime(jit="auto") as runtime:
        patch.setattr(Compilation, "_begin", lambda _: None)
        ask_early(runtime)
        runtime.load_assembly("program", dwh.compile_csharp(write_program(write_bodies(100, 4))))
        for _ in range(5):
            runtime.invoke("program", timeout=60)
        compilation = runtime._compilation
        assert compilation is not None
        assert compilation._hot is not None
        found = compilation._hot.take()
    assert found is not None
    assert found.target.thread_context
    assert len(found.methods) >= 8
    return found


def test_mutated_methods_give_a_valid_module_or_rejections(taken: Taken) -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    draw, facts = random.Random(seed), load_facts(ArtifactStore.locate())
    o, engine = facts.offsets, wasmtime.Engine()
    memory = bytearray(taken.memory)

    def word(address: int) -> int:
        return int.from_bytes(memory[address : address + 4], "little")

    modules = 0
    for _ in range(ROUNDS):
        methods = draw.sample(list(taken.methods), 6)
        changed: dict[int, int] = {}
        for method in methods:
            code = word(method + o.interp_method_code)
            size = word(word(method + o.interp_method_jinfo) + o.jit_info_code_size)
            items = word(method + o.interp_method_data_items)
            for _ in range(draw.randint(0, 6)):
                start, count = draw.choice(
                    ((code, size), (code, size), (code, size), (method, 100), (items, 64))
                )
                address = start + draw.randrange(max(1, count))
                if address < len(memory):
                    changed.setdefault(address, memory[address])
                    memory[address] = draw.choice((0, 1, 2, 0x7F, 0xFF, draw.randrange(256)))
        started = time.thread_time()
        batch = compile_batch(facts, MemoryCopy(memory), taken.target, methods, LIMITS)
        assert time.thread_time() - started < 20
        if batch.wasm:
            wasmtime.Module.validate(engine, batch.wasm)
            modules += 1
        for address, content in changed.items():
            memory[address] = content
    assert modules > ROUNDS // 4, f"seed {seed}: nothing was compiled"
