from __future__ import annotations

import pytest

from dotnet_wasm_host.artifacts.store import ArtifactStore
from dotnet_wasm_host.wasm.binary import MalformedModule, Reader, sleb128
from dotnet_wasm_host.wasm.instructions import (
    CALL,
    CALL_INDIRECT,
    LOOP,
    REF_FUNC,
    Found,
    Scanner,
    instructions_start,
    simd,
)
from dotnet_wasm_host.wasm.module import Module
from tests.engines.kinds import assemble

END = b"\x0b"
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
    (drop (ref.is_null (ref.func $f)))
    (return (call $f (global.get $g)))))
"""


@pytest.fixture(scope="module")
def body() -> bytes:
    (body,) = Module.parse(assemble(EVERY_KIND)).bodies()
    return body


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (CALL, b"\x10\0"),
        (CALL_INDIRECT, b"\x11\0\0"),
        (LOOP, b"\x03\x40"),
        (REF_FUNC, b"\xd2\0"),
        (simd(12), b"\xfd\x0c" + b"".join(n.to_bytes(4, "little") for n in (1, 2, 3, 4))),
        (simd(13), b"\xfd\x0d" + bytes(range(16))),
        (simd(142), b"\xfd\x8e\x01"),
        (b"\x42", b"\x42" + sleb128(-1234567890123)),
        (b"\x36", b"\x36\x02\xa0\x8d\x06"),
        (b"\xfc\x0a", b"\xfc\x0a\0\0"),
    ],
)
def test_one_is_found_among_all_kinds(body: bytes, wanted: bytes, found: bytes) -> None:
    (only,) = Scanner(frozenset({wanted})).find(body)
    assert body[only.start : only.end] == found
    assert only.encoding == wanted


def test_all_that_are_wanted_are_found_in_order(body: bytes) -> None:
    found = list(Scanner(frozenset({CALL, LOOP, CALL_INDIRECT, END})).find(body))
    assert [f.encoding for f in found if f.encoding != END] == [LOOP, CALL_INDIRECT, CALL]
    assert found == sorted(found)
    assert found[-1] == Found(len(body) - 1, len(body), END)
    assert body[: instructions_start(body)] == b"\x03\x01\x7e\x01\x7b\x01\x7d"


def test_the_whole_runtime_is_understood() -> None:
    module = Module.parse(ArtifactStore.locate().read("dotnet.code.wasm"))
    functions, calls = len(module.imports()) + len(module.bodies()), 0
    scanner = Scanner(frozenset({CALL}))
    for body in module.bodies():
        for found in scanner.find(body):
            assert Reader(body, found.start + 1).uleb128() < functions
            calls += 1
    assert calls > 10_000


@pytest.mark.parametrize("code", ["27", "06", "fc12", "fd8002", "c5", "e1", "fe03"])
def test_unknown_instructions_are_refused(code: str) -> None:
    with pytest.raises(MalformedModule, match=f"{code[:4]}.*at offset 1 is not known"):
        list(Scanner(frozenset({CALL})).find(b"\0" + bytes.fromhex(code)))


@pytest.mark.parametrize("code", ["41", "10", "10ff", "fd0c00", "0e0200", "44000000"])
def test_a_truncated_body_is_refused(code: str) -> None:
    with pytest.raises(MalformedModule):
        list(Scanner(frozenset({CALL})).find(b"\0" + bytes.fromhex(code)))
