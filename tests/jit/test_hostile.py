"""The compiler reads what a guest can write: it answers with a valid module, whatever is there."""

from __future__ import annotations

import random
import struct
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import wasmtime

import dotnet_wasm_host as dwh
from dotnet_wasm_host.artifacts.store import ArtifactStore
from dotnet_wasm_host.jit.compiler import compile_batch
from dotnet_wasm_host.jit.facts import load_facts
from dotnet_wasm_host.jit.interface import CompilerLimits, LinkTarget
from dotnet_wasm_host.jit.translation import Taken
from dotnet_wasm_host.jit.view import MemoryCopy
from dotnet_wasm_host.runtime import compilation
from dotnet_wasm_host.runtime.compilation import Compilation
from tests.jit.differential import ask_early
from tests.jit.programs import write_bodies, write_program

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from dotnet_wasm_host.jit.interface import CompiledBatch, MintFacts

ROUNDS = 60
LIMITS = CompilerLimits(batch_methods=24, batch_work=4_000_000)
#: Random memory: where methods are in it, and how far apart.
SIZE, METHODS, STRIDE = 1 << 18, 0x1000, 0x1800
#: Lines of Python that the compiler may execute for a step of its work, and without any.
LINES_A_STEP, LINES_BEFORE = 20, 20_000


@pytest.fixture(scope="module")
def taken() -> Taken:
    """Methods of a program that ran, and of the base library."""
    with pytest.MonkeyPatch.context() as patch, dwh.Runtime(jit="auto") as runtime:
        patch.setattr(Compilation, "_begin", lambda _: None)
        ask_early(runtime)
        runtime.load_assembly("program", dwh.compile_csharp(write_program(write_bodies(100, 4))))
        for _ in range(5):
            runtime.invoke("program", timeout=60)
        compiling = runtime._compilation
        assert compiling is not None
        assert compiling._hot is not None
        found = compiling._hot.take()
        assert found is not None
        content = runtime.memory.read(0, runtime.memory.size)
        found = replace(found, memory=MemoryCopy(content))  # type: ignore[arg-type]
    assert found.target.thread_context
    assert len(found.methods) >= 8
    return found


def test_mutated_methods_give_a_valid_module_or_rejections(taken: Taken) -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    draw, facts = random.Random(seed), load_facts(ArtifactStore.locate())
    o, engine = facts.offsets, wasmtime.Engine()
    memory = bytearray(taken.memory.read(0, taken.memory.size))

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
        batch = compile_batch(facts, MemoryCopy(memory), taken.target, methods, LIMITS)
        assert batch.statistics.work <= LIMITS.batch_work + LIMITS.method_work
        if batch.wasm:
            wasmtime.Module.validate(engine, batch.wasm)
            modules += 1
        for address, content in changed.items():
            memory[address] = content
    assert modules > ROUNDS // 4, f"seed {seed}: nothing was compiled"


def random_memory(draw: random.Random, facts: MintFacts, count: int) -> tuple[bytes, list[int]]:
    """Memory that is full of pointers into itself, and methods of any instructions in it."""
    o, opcodes = facts.offsets, facts.opcodes
    words = (draw.randrange(SIZE) & draw.choice((~0, ~3, ~7)) for _ in range(SIZE // 4))
    memory = bytearray(struct.pack(f"<{SIZE // 4}I", *words))
    prepare = next(n for n, op in enumerate(opcodes) if op.name == "tier_prepare_jiterpreter")
    likely = [n for n, op in enumerate(opcodes) if op.name in draw.choice(FAVOURITES)]
    methods = [METHODS + STRIDE * n for n in range(count)]
    for method in methods:
        units = [prepare, 0, 0, 0]
        wanted = draw.choice((8, 60, 400, 1200))
        while len(units) < wanted:
            number = draw.choice(likely) if draw.random() < 0.7 else draw.randrange(len(opcodes))
            length = opcodes[number].length or 4 + 2 * (targets := draw.randrange(9))
            operands = [draw.choice((0, 8, 16, 24, draw.randrange(40) - 20 & 0xFFFF,
                        draw.randrange(1 << 16))) for _ in range(length - 1)]  # fmt: skip
            if not opcodes[number].length:
                operands[1:3] = [targets, 0]
                operands[3:] = [
                    draw.randrange(30) if n % 2 else 0 for n in range(1, 1 + 2 * targets)
                ]
            units += [number, *operands]
        code = method + 0x200
        memory[code : code + 2 * len(units)] = struct.pack(f"<{len(units)}H", *units)
        jinfo = method + 0x100
        for at, value in (
            (method + o.interp_method_code, code), (method + o.interp_method_jinfo, jinfo),
            (method + o.interp_method_data_items, draw.randrange(SIZE)),
            (jinfo + o.jit_info_code_start, code), (jinfo + o.jit_info_code_size, 2 * len(units)),
        ):  # fmt: skip
            memory[at : at + 4] = struct.pack("<I", value)
    items = METHODS + STRIDE * count
    for at in range(items, items + 4 * count, 4):
        memory[at : at + 4] = struct.pack("<I", draw.choice(methods))
    return bytes(memory), methods


#: Opcodes that much else depends on: jumps, handlers, calls, blocks of memory.
FAVOURITES = (
    {"br.s", "brfalse.i4.s", "blt.i4.s", "switch", "beq.i4.s", "tier_prepare_jiterpreter"},
    {"call_handler.s", "endfinally", "br.s", "ret"},
    {"call", "callvirt.fast", "ret", "ret.vt", "mov.8.4"},
    {"initlocals", "mov.vt", "mov.8.4", "ldloca.s", "add.i4", "ldc.i4.s", "blt.i4.s", "ret"},
)


def compile_counted(
    facts: MintFacts, memory: bytes, methods: list[int], limits: CompilerLimits
) -> tuple[CompiledBatch, int]:
    """A batch, and how many lines of Python were executed for it."""
    lines = 0

    def count(_frame: FrameType, event: str, _argument: object) -> Callable[..., Any]:
        nonlocal lines
        lines += event == "line"
        return count

    target, before = LinkTarget(8000, 0x400, 0x800), sys.gettrace()
    sys.settrace(count)
    try:
        batch = compile_batch(facts, MemoryCopy(memory), target, methods, limits)
    finally:
        sys.settrace(before)
    return batch, lines


def test_random_memory_costs_no_more_than_it_is_charged_for() -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    draw, facts = random.Random(seed), load_facts(ArtifactStore.locate())
    engine, limits = wasmtime.Engine(), CompilerLimits(method_work=40_000, batch_work=200_000)
    modules, ratios = 0, []
    for _ in range(ROUNDS // 2):
        memory, methods = random_memory(draw, facts, 8)
        batch, lines = compile_counted(facts, memory, methods, limits)
        work = batch.statistics.work
        assert lines <= LINES_BEFORE + LINES_A_STEP * work, f"{lines} lines for {work} steps"
        if batch.wasm:
            wasmtime.Module.validate(engine, batch.wasm)
            modules += 1
        ratios.append(lines / work)
    print(f"{modules} modules, at most {max(ratios):.0f} lines for a step")
    assert modules > 3


def test_nothing_is_compiled_past_the_budget_of_a_call() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Compilation, "_begin", lambda _: None)
        patch.setattr(compilation, "_BATCH", 4)
        program = dwh.compile_csharp(write_program(write_bodies(100, 4)))
        # Enough for the steps of some methods; a byte of their code costs 1,024 more.
        limits = dwh.Limits(host_work=16 << 20)
        with dwh.Runtime(jit="auto", limits=limits) as runtime:
            ask_early(runtime)
            runtime.load_assembly("program", program)
            expected = runtime.invoke("program", timeout=60)
            first = runtime.compile_hot_methods()
            assert runtime.invoke("program", timeout=60) == expected
            second = runtime.compile_hot_methods()
            stats = runtime.stats()
    assert first.methods > 0
    assert second.methods == 0
    assert stats.jit.pending > 0
    assert stats.host_work >= stats.jit.host_work >= limits.host_work


def test_a_batch_ends_where_its_work_does(taken: Taken) -> None:
    facts = load_facts(ArtifactStore.locate())
    methods, view = list(taken.methods), taken.memory
    whole = compile_batch(facts, view, taken.target, methods, LIMITS)
    assert whole.statistics.methods > 0
    half = whole.statistics.work // 2
    part = compile_batch(facts, view, taken.target, methods, replace(LIMITS, batch_work=half))
    assert part.statistics.methods <= whole.statistics.methods
    # What is charged last may be over the limit, once for each method.
    assert part.statistics.work < half + len(methods) * 1000
    none = compile_batch(facts, view, taken.target, methods, replace(LIMITS, batch_work=1))
    assert none.statistics.methods == 0
    assert {item.reason for item in none.rejected} >= {"takes too long to compile"}
