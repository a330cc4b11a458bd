"""Checks after calls unwind as exceptions do: generated programs against Python's exceptions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import wasmtime
from hypothesis import given, settings
from hypothesis import strategies as st

from dotnet_wasm_host.wasm.binary import MalformedModule
from dotnet_wasm_host.wasm.module import Module
from runtime_artifacts.pipeline.checked_calls import check_calls

if TYPE_CHECKING:
    from collections.abc import Sequence

    #: What a function does, one after the other: ``("note", n)`` writes a number down,
    #: ``("throw", n)`` throws if the argument is n, the others call a function, directly, through
    #: the table, or so that what it throws is caught.
    Step = tuple[str, int]
    Program = Sequence[Sequence[Step]]

HEAD = """(module
 (type $vi (func (param i32))) (type $ii (func (param i32) (result i32)))
 (global $flag (export "unwinding") (mut i32) (i32.const 0))
 (global $notes (export "notes") (mut i32) (i32.const 0))
 (func $note (param i32)
  (global.set $notes (i32.add (i32.mul (global.get $notes) (i32.const 31)) (local.get 0))))
 (func $raise (export "raise") (global.set $flag (i32.const 1)))
 (func $throw (param i32) (call $raise) (call $note (i32.const 99)))
 (func $catch (export "invoke_vi") (param i32) (param i32)
  (call_indirect (type $vi) (local.get 1) (local.get 0))
  (if (global.get $flag)
   (then (global.set $flag (i32.const 0)) (call $note (i32.const 77)))))
"""
MASK = 0xFFFFFFFF


class Thrown(Exception):
    """What a program throws."""


def wat(program: Program) -> str:
    size = len(program)
    parts = [HEAD, f"(table {2 * size} funcref) (elem (i32.const 0)"]
    parts += [f" $f{n}" for n in range(size)] + [f" $void{n}" for n in range(size)] + [")"]
    for number, steps in enumerate(program):
        parts.append(f"(func $f{number} (param i32) (result i32) (local $sum i32)")
        for kind, n in steps:
            if kind == "note":
                parts.append(f"(call $note (i32.const {n}))")
            elif kind == "throw":
                parts.append(
                    f"(if (i32.eq (local.get 0) (i32.const {n}))"
                    " (then (call $throw (local.get 0))))"
                )
            elif kind == "catch":
                parts.append(f"(call $catch (i32.const {size + n}) (local.get 0))")
            else:
                direct = f"(call $f{n} (local.get 0))"
                indirect = f"(call_indirect (type $ii) (local.get 0) (i32.const {n}))"
                call = direct if kind == "call" else indirect
                parts.append(f"(local.set $sum (i32.add (local.get $sum) {call}))")
        parts.append(f"(i32.add (local.get $sum) (i32.const {number + 1})))")
        parts.append(f"(func $void{number} (param i32) (drop (call $f{number} (local.get 0))))")
    parts.append('(func (export "main") (param i32) (result i32) (call $f0 (local.get 0))))')
    return "\n".join(parts)


def interpret(program: Program, argument: int) -> tuple[int | None, int]:
    """The result, ``None`` if it threw, and the notes."""
    notes = 0

    def note(n: int) -> None:
        nonlocal notes
        notes = (notes * 31 + n) & MASK

    def run(number: int) -> int:
        total = number + 1
        for kind, n in program[number]:
            if kind == "note":
                note(n)
            elif kind == "throw" and n == argument:
                raise Thrown
            elif kind == "catch":
                try:
                    run(n)
                except Thrown:
                    note(77)
            elif kind in {"call", "through"}:
                total += run(n)
        return total & MASK

    try:
        return run(0), notes
    except Thrown:
        return None, notes


@st.composite
def programs(draw: st.DrawFn) -> Program:
    size = draw(st.integers(1, 6))
    program = []
    for number in range(size):
        kinds = ["note", "throw"] + ["call", "through", "catch"] * (number + 1 < size)
        steps = []
        for kind in draw(st.lists(st.sampled_from(kinds), max_size=5)):
            low, high = (0, 3) if kind in {"note", "throw"} else (number + 1, size - 1)
            steps.append((kind, draw(st.integers(low, high))))
        program.append(steps)
    return program


@settings(max_examples=300)
@given(program=programs(), argument=st.integers(0, 3))
def test_checks_unwind_as_exceptions_do(program: Program, argument: int) -> None:
    module = Module.parse(bytes(wasmtime.wat2wasm(wat(program))))
    check_calls(module, ["main"])
    store = wasmtime.Store()
    compiled = wasmtime.Module(store.engine, module.emit())
    exports = wasmtime.Instance(store, compiled, []).exports(store)
    main, notes = exports["main"], exports["notes"]
    assert isinstance(main, wasmtime.Func)
    assert isinstance(notes, wasmtime.Global)
    result: int | None
    try:
        result = int(main(store, argument)) & MASK
    except wasmtime.Trap:
        result = None
    assert (result, int(notes.value(store)) & MASK) == interpret(program, argument)


def test_a_module_without_the_guard_is_refused() -> None:
    module = Module.parse(bytes(wasmtime.wat2wasm("(module)")))
    with pytest.raises(MalformedModule, match="no guard"):
        check_calls(module, [])
