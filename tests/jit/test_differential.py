"""Random programs, interpreted and compiled; ``python -m tests.jit.fuzz`` runs more of them."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

import dotnet_wasm_host as dwh
from dotnet_wasm_host.jit import compiler, registers
from dotnet_wasm_host.jit.selection import table
from dotnet_wasm_host.jit.selection.numbers import binary
from tests.jit.differential import compare, outcomes
from tests.jit.programs import Body, write_bodies, write_program

if TYPE_CHECKING:
    from dotnet_wasm_host.jit.instructions import Instruction
    from dotnet_wasm_host.jit.ir import Operation
    from dotnet_wasm_host.jit.selection.context import SelectionContext

#: Its result depends on both operands of an addition, and on slots that copies overwrite.
SUM = Body(
    ("int a = 1; long b = 2; var p = new Point { X = 1, Z = 5 };",),
    ("a = a * 3 + outer;", "b = b ^ a;", "var q = p; p.X = a; p.Z += b + q.X + q.Z;"),
    ("log.Append(a).Append(' ').Append(b).Append(' ').Append(p.Z).Append('\\n');",),
    2000,
)


def test_random_programs_have_the_same_results() -> None:
    seed = random.SystemRandom().randrange(1 << 31)
    print(f"seed {seed}")
    found = compare(write_bodies(seed, 3), seed=seed, patterns=2)
    assert found.methods > 0, "nothing was compiled: this compares nothing"
    assert not found.different, f"seed {seed}"


@pytest.fixture(scope="module")
def summing() -> dwh.Assembly:
    return dwh.compile_csharp(write_program([SUM]))


def test_nothing_differs_where_nothing_is_wrong(summing: dwh.Assembly) -> None:
    texts, methods = outcomes(summing)
    assert methods > 0
    assert len(set(texts)) == 1


def test_a_wrong_rule_is_found(summing: dwh.Assembly, monkeypatch: pytest.MonkeyPatch) -> None:
    def select(context: SelectionContext, it: Instruction) -> Operation:
        if it.name == "add.i8":
            made = binary("i64.sub")(context, it)
            assert made is not None
            return made
        return table.select(context, it)

    monkeypatch.setattr(compiler, "select", select)
    assert len(set(outcomes(summing)[0])) > 1


def test_a_register_that_is_stale_is_found(
    summing: dwh.Assembly, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registers.Registers, "stale", lambda *_: [])
    texts, _ = outcomes(summing)
    assert len(set(texts)) > 1


def test_an_address_that_is_not_seen_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    body = Body(
        (
            "long outside = total;",
            "int a = 1, b = 0; ref int r = ref a; if (outside > 1) r = ref b;",
        ),
        ("r += outer;", "if (a > 1000) a -= 999;", "b = b * 3 + a;"),
        ("log.Append(a).Append(' ').Append(b).Append('\\n');",),
        3000,
    )
    assembly = dwh.compile_csharp(write_program([body]))
    assert len(set(outcomes(assembly)[0])) == 1
    monkeypatch.setattr(registers.Registers, "_is_taken", lambda *_: False)
    assert len(set(outcomes(assembly)[0])) > 1
