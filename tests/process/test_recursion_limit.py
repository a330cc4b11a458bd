"""Guests that call the host when Python's recursion limit is almost reached."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

import dotnet_wasm_host as dwh

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
#: Frames below the limit from which each call is made: from none that fits to all that do.
DEPTHS = 80


@pytest.fixture
def runtime() -> Iterator[dwh.Runtime]:
    with dwh.Runtime(host_functions={"h": lambda data: data}) as runtime:
        runtime.load_assembly("f", dwh.compile_csharp(SOURCE))
        yield runtime


def call_from(runtime: dwh.Runtime, payload: bytes, depth: int) -> bytes:
    return runtime.invoke("f", payload) if depth == 0 else call_from(runtime, payload, depth - 1)


def frames() -> int:
    frame, count = sys._getframe(), 0
    while frame.f_back is not None:
        frame, count = frame.f_back, count + 1
    return count


@pytest.mark.parametrize("payload", [b"g", b"t", b"c", b"h", b"e"])
@pytest.mark.filterwarnings("error")
def test_a_call_is_right_or_a_recursion_error(runtime: dwh.Runtime, payload: bytes) -> None:
    room = sys.getrecursionlimit() - frames()
    outcomes = set()
    for depth in range(room - DEPTHS, room + 1):
        assert runtime.invoke("f", payload) == payload
        try:
            outcomes.add(call_from(runtime, payload, depth))
        except RecursionError:
            outcomes.add(b"too deep")
    assert outcomes == {payload, b"too deep"}
