"""Every rule of the compiler against the interpreter, instruction by instruction."""

from __future__ import annotations

import random
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from dotnet_wasm_host.jit import compiler
from dotnet_wasm_host.jit.selection import table
from dotnet_wasm_host.jit.selection.numbers import binary
from tests.jit.instruction_bench import InstructionBench
from tests.jit.instruction_cases import NOT_HERE, Writer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dotnet_wasm_host.jit.instructions import Instruction
    from dotnet_wasm_host.jit.ir import Operation
    from dotnet_wasm_host.jit.selection.context import SelectionContext

#: Executed by compiled code at least once, if this often is enough.
ROUNDS, CASES = 12, 4


@pytest.fixture(scope="module")
def bench() -> Iterator[InstructionBench]:
    with InstructionBench() as bench:
        yield bench


def test_every_instruction_does_what_the_interpreter_does(bench: InstructionBench) -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    writer = Writer(bench, random.Random(seed))
    waiting = set(table.RULES) - NOT_HERE
    assert len(waiting) > 500
    compiled: Counter[str] = Counter()
    for _ in range(ROUNDS):
        cases = [writer.write(name) for name in sorted(waiting) for _ in range(CASES)]
        for start in range(0, len(cases), 200):
            differences, found = bench.compare(cases[start : start + 200])
            assert not differences, f"seed {seed}: {differences[0]}"
            compiled += found
        waiting -= set(compiled)
    assert not waiting, f"seed {seed}: never executed by compiled code"


@pytest.mark.parametrize(
    ("name", "wrong"), [("add.i4", "i32.sub"), ("shr.i8", "i64.shr_u"), ("cgt.r8", "f64.ge")]
)
def test_a_wrong_rule_is_found(
    bench: InstructionBench, monkeypatch: pytest.MonkeyPatch, name: str, wrong: str
) -> None:
    def select(context: SelectionContext, it: Instruction) -> Operation:
        if it.name != name:
            return table.select(context, it)
        made = binary(wrong)(context, it) if wrong != "i64.shr_u" else None
        if made is None:
            made = table.RULES["shr.un.i8"](context, it)
        assert made is not None
        return made

    monkeypatch.setattr(compiler, "select", select)
    writer = Writer(bench, random.Random(1))
    differences, _ = bench.compare([writer.write(name) for _ in range(60)])
    assert {difference.case.name for difference in differences} == {name}
