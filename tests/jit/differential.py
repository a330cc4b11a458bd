"""Runs a program interpreted, compiled, and compiled with forced exits, and compares.

Ordinary methods get their entry instruction when they have run often enough to be optimised:
whoever compares too early compares the interpreter with itself. So the number of methods that
were compiled is part of every comparison.
"""

from __future__ import annotations

import random
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest

import dotnet_wasm_host as dwh
from dotnet_wasm_host.jit import compiler
from dotnet_wasm_host.jit.ir import Kind
from dotnet_wasm_host.jit.selection.context import leaving
from dotnet_wasm_host.runtime.compilation import Compilation
from tests.jit.programs import write_program

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from dotnet_wasm_host.jit.instructions import Instruction
    from dotnet_wasm_host.jit.ir import Operation
    from dotnet_wasm_host.jit.selection.context import SelectionContext
    from tests.jit.programs import Body

__all__ = ["Comparison", "ask_early", "compare", "forced_exits", "outcomes", "shrink"]

_ROUNDS = 4
_TIMEOUT = 120.0


@dataclass(frozen=True, slots=True)
class Comparison:
    """What came out of a program.

    Attributes:
        methods: of the program and of the base library that were compiled, over all ways.
        different: numbers of the program's methods with another result, and the way.
        expected: the interpreter's text.
        found: the first other text.
    """

    methods: int
    different: tuple[tuple[int, str], ...] = ()
    expected: str = ""
    found: str = ""


@contextmanager
def forced_exits(seed: int | None, share: float = 0.1) -> Iterator[None]:
    """Instructions, chosen at random, are left to the interpreter."""
    if seed is None:
        yield
        return
    select = vars(compiler)["select"]  # which a test may have replaced

    def selected(context: SelectionContext, it: Instruction) -> Operation:
        made = select(context, it)
        # The same place of the same code is chosen or not, whatever the addresses are.
        chosen = random.Random(f"{seed}/{it}").random() < share
        return leaving(it) if chosen and made.kind in {Kind.PLAIN, Kind.MOVE} and it.at else made

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiler, "select", selected)
        yield


@contextmanager
def _in_the_foreground() -> Iterator[None]:
    """Methods are compiled when they are told to be."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Compilation, "_begin", lambda _: None)
        yield


def ask_early(runtime: dwh.Runtime) -> None:
    """Let optimised methods be told of when they have run thrice."""
    host = runtime._current.guest.host
    option = b"--jiterpreter-minimum-trace-hit-count=3\0"
    with host.memory.allocate_bytes(option) as block:
        host.call("mono_jiterp_parse_option", block.ptr)


def outcomes(assembly: dwh.Assembly, *, exits: int | None = None) -> tuple[list[str], int]:
    """Texts of a program that is compiled more and more, and how many methods were."""
    found: list[str] = []
    with _in_the_foreground(), forced_exits(exits), dwh.Runtime(jit="auto") as runtime:
        ask_early(runtime)
        runtime.load_assembly("program", assembly)
        for _ in range(_ROUNDS):
            found.append(runtime.invoke("program", timeout=_TIMEOUT).decode())
            runtime.compile_hot_methods()
        found.append(runtime.invoke("program", timeout=_TIMEOUT).decode())
        return found, runtime.stats().jit.methods


def compare(
    bodies: Sequence[Body], *, seed: int, patterns: int = 2, log: Callable[[str], object] = str
) -> Comparison:
    """Run a program every way.

    Args:
        bodies: its methods.
        seed: of the forced exits.
        patterns: how many choices of forced exits.
        log: told what happens.
    """
    assembly = dwh.compile_csharp(write_program(bodies))
    with dwh.Runtime(jit="off") as runtime:
        runtime.load_assembly("program", assembly)
        expected = runtime.invoke("program", timeout=_TIMEOUT).decode()
        again = runtime.invoke("program", timeout=_TIMEOUT).decode()
    assert expected == again, "the program is not deterministic"
    methods, different, other = 0, [], ""
    ways = [None, *(seed * 1000 + n for n in range(patterns))]
    for exits in ways:
        texts, count = outcomes(assembly, exits=exits)
        methods += count
        for text in dict.fromkeys(texts):
            lines = zip(expected.split("\n"), text.split("\n"), strict=True)
            way = "compiled" if exits is None else f"exits {exits}"
            wrong = [(n, way) for n, (a, b) in enumerate(lines) if a != b]
            different += wrong
            if wrong and not other:
                other = text
                log(f"different: {wrong}")
    return Comparison(methods, tuple(dict.fromkeys(different)), expected, other)


def shrink(body: Body, *, seed: int, log: Callable[[str], object] = str) -> Body:
    """The fewest statements of a method whose result still differs."""

    at = 0
    while at < len(body.statements):
        fewer = replace(body, statements=body.statements[:at] + body.statements[at + 1 :])
        if compare([fewer], seed=seed).different:
            body = fewer
            log(f"{len(body.statements)} statements left")
        else:
            at += 1
    return body
