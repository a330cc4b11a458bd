"""Guests that call the host when Python's recursion limit is almost reached."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Iterator

import pytest

import dotnet_wasm_host as dwh
from dotnet_wasm_host.engines.wasmtime.c_api import FUNCTION
from dotnet_wasm_host.engines.wasmtime.engine import WasmtimeEngine
from dotnet_wasm_host.engines.wasmtime.instance import WasmtimeInstance
from tests.engines.kinds import assemble

SOURCE = """
using System; using MinimalRuntime;
public sealed class Handler : IFunctionHandler {
    public byte[] Execute(ReadOnlySpan<byte> input) {
        switch ((char)input[0]) {
            case 'g': Guid.NewGuid(); break;
            case 't': try { throw new Exception(); } catch { } break;
            case 'c': DateTime.UtcNow.ToString(); break;
        }
        return input[0] == 'h' ? Host.Call("h", input) : input.ToArray();
    }
}
"""
CODE = """(module
  (import "env" "memory" (memory 1))
  (func (export "return"))
  (func (export "trap") unreachable))"""
MEMORY = '(module (memory (export "memory") 1))'
PAGE = 65536
#: Frames below the limit from which each call is made: from none that fits to all that do.
DEPTHS = 80


@pytest.fixture
def runtime() -> Iterator[dwh.Runtime]:
    with dwh.Runtime(host_functions={"h": lambda data: data}) as runtime:
        runtime.load_assembly("f", dwh.compile_csharp(SOURCE))
        yield runtime


def call_from(depth: int, call: Callable[[], object]) -> object:
    return call() if depth == 0 else call_from(depth - 1, call)


def frames() -> int:
    frame, count = sys._getframe(), 0
    while frame.f_back is not None:
        frame, count = frame.f_back, count + 1
    return count


@pytest.mark.parametrize("payload", [b"g", b"t", b"c", b"h", b"e"])
@pytest.mark.filterwarnings("error")
def test_a_call_is_right_or_a_recursion_error(runtime: dwh.Runtime, payload: bytes) -> None:
    room = sys.getrecursionlimit() - frames()
    outcomes: set[object] = set()
    for depth in range(room - DEPTHS, room + 1):
        assert runtime.invoke("f", payload) == payload
        try:
            outcomes.add(call_from(depth, lambda: runtime.invoke("f", payload)))
        except RecursionError:
            outcomes.add(b"too deep")
    assert outcomes == {payload, b"too deep"}


@pytest.fixture(scope="module")
def actions() -> dict[str, Callable[[], object]]:
    """What converts arguments for wasmtime's library, by what it does."""
    engine = WasmtimeEngine()
    code, memory = engine.compile(assemble(CODE)), engine.compile(assemble(MEMORY))

    def instantiate() -> WasmtimeInstance:
        return engine.instantiate(code, memory, memory_limit=PAGE)

    instance = instantiate()
    instance.attach(dict)
    return {
        "instantiate": instantiate,
        "find an export": lambda: instance.exports.get("return", FUNCTION),
        "read a trap": instance.function("trap"),
        "return": instance.function("return"),
    }


@pytest.mark.parametrize(
    ("action", "result"),
    [
        ("instantiate", "done"),
        ("find an export", "done"),
        ("read a trap", dwh.GuestTrap),
        ("return", "done"),
    ],
)
def test_no_conversion_calls_a_deep_stack_a_wrong_argument(
    actions: dict[str, Callable[[], object]], action: str, result: object
) -> None:
    room = sys.getrecursionlimit() - frames()
    outcomes: set[object] = set()
    converting = False
    for depth in range(room - DEPTHS, room + 1):
        try:
            call_from(depth, actions[action])
            outcomes.add("done")
        except RecursionError as error:
            outcomes.add("too deep")
            converting |= isinstance(error.__cause__, ctypes.ArgumentError)
        except Exception as error:
            outcomes.add(type(error))
    assert outcomes == {result, "too deep"}
    # Before 3.12 the conversions of ctypes count as frames, so one of these depths is theirs. An
    # entry of a guest makes sure of room for them instead.
    assert converting == (sys.version_info < (3, 12) and action != "return")
