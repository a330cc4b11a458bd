from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import wasmtime

from dotnet_wasm_host.wasm import MalformedModule, Module
from runtime_artifacts.pipeline.instructions import CALL, CALL_INDIRECT, instructions

if TYPE_CHECKING:
    from runtime_artifacts.pipeline.upstream import RuntimeFiles

#: One instruction of every kind of immediate, calls among and behind them.
EVERY_KIND = """
(module
  (memory 1) (table 1 funcref) (global $g (mut i32) (i32.const 0)) (data "x") (elem func $f)
  (func $f (param i32) (result i32) (local i64 v128 f32)
    (block (loop (br_if 1 (local.get 0))))
    (drop (i64.const -1234567890123)) (drop (f32.const 1)) (drop (f64.const 2))
    (drop (select (result i32) (i32.const 1) (i32.const -300) (local.get 0)))
    (i32.store offset=100000 (local.get 0) (i32.load8_u offset=4 (local.get 0)))
    (drop (call_indirect (param i32) (result i32) (local.get 0) (i32.const 0)))
    (memory.copy (i32.const 0) (i32.const 0) (i32.const 0))
    (memory.fill (i32.const 0) (i32.const 0) (i32.const 0))
    (memory.init 0 (i32.const 0) (i32.const 0) (i32.const 0)) (data.drop 0)
    (table.init 0 (i32.const 0) (i32.const 0) (i32.const 0)) (elem.drop 0)
    (drop (i32.trunc_sat_f32_s (f32.const 1)))
    (drop (v128.const i32x4 1 2 3 4))
    (drop (i8x16.shuffle 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15
      (local.get 2) (v128.load offset=300 (i32.const 0))))
    (drop (i32x4.extract_lane 1 (v128.load32_lane 3 (i32.const 0) (local.get 2))))
    (drop (i16x8.add (local.get 2) (v128.load64_zero (i32.const 0))))
    (drop (ref.is_null (ref.null func))) (drop (memory.size)) (drop (memory.grow (i32.const 0)))
    (block (block (br_table 0 1 0 (local.get 0))))
    (if (local.get 0) (then (global.set $g (i32.const 5))))
    (return (call $f (global.get $g)))))
"""


def test_every_kind_of_immediate_is_skipped() -> None:
    (body,) = Module.parse(bytes(wasmtime.wat2wasm(EVERY_KIND))).bodies()
    found = list(instructions(body))
    assert [i for op, i in found if op == CALL] == [0]
    assert sum(op == CALL_INDIRECT for op, _ in found) == 1
    assert found[-1] == (0x0B, 0)
    assert (0x42, -1234567890123 & (1 << 42) - 1) in found  # as a signed LEB128 of six bytes


def test_the_whole_native_module_can_be_walked(runtime_files: RuntimeFiles) -> None:
    module = Module.parse(runtime_files.native)
    functions = len(module.imports()) + len(module.bodies())
    calls = 0
    for body in module.bodies():
        last = None
        for opcode, immediate in instructions(body):
            last = opcode
            if opcode == CALL:
                assert immediate < functions
                calls += 1
        assert last == 0x0B
    assert calls > 40_000


@pytest.mark.parametrize("code", ["27", "06", "fc12", "fd8002", "c5", "e1"])
def test_unknown_instructions_are_refused(code: str) -> None:
    with pytest.raises(MalformedModule, match="unknown instruction"):
        list(instructions(b"\0" + bytes.fromhex(code)))


def test_a_truncated_body_is_refused() -> None:
    with pytest.raises(MalformedModule):
        list(instructions(b"\0\x41"))
