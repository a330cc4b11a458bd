"""The whole runtime on wasmtime's public API alone, which the fast path must not outgrow."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import dotnet_wasm_host as dwh
from dotnet_wasm_host.engines.wasmtime.engine import WasmtimeEngine

pytestmark = pytest.mark.needs("a public binding")

SOURCE = """
using System; using System.IO; using System.Text;
public sealed class Mixed : MinimalRuntime.IFunctionHandler {
    public byte[] Execute(ReadOnlySpan<byte> input) {
        switch (Encoding.UTF8.GetString(input)) {
            case "throw": throw new InvalidOperationException("thrown", new Exception("inner"));
            case "caught":
                try { throw new Exception("x"); } catch (Exception) { return "c"u8.ToArray(); }
            case "loop": while (true) { }
            case "exit": Environment.Exit(5); break;
            case "file": File.WriteAllText("/tmp/f", "content"); return File.ReadAllBytes("/tmp/f");
            case "grow": return new byte[20_000_000];
        }
        return input.ToArray();
    }
}
"""


@pytest.fixture(scope="module")
def engine() -> WasmtimeEngine:
    return WasmtimeEngine(raw=False)


@pytest.fixture
def runtime(engine: WasmtimeEngine) -> Iterator[dwh.Runtime]:
    with dwh.Runtime(engine=engine) as runtime:
        runtime.load_assembly("f", dwh.compile_csharp(SOURCE))
        yield runtime


@pytest.mark.parametrize("size", [0, 1, 65536, 65537, 3_000_000])
def test_payloads_come_back(runtime: dwh.Runtime, size: int) -> None:
    payload = bytes(size)
    assert runtime.invoke("f", payload) == payload


def test_results_may_grow_memory(runtime: dwh.Runtime) -> None:
    before = runtime.memory.size
    assert runtime.invoke("f", b"grow") == bytes(20_000_000)
    assert runtime.memory.size > before


def test_exceptions_and_files_work(runtime: dwh.Runtime) -> None:
    assert runtime.invoke("f", b"caught") == b"c"
    assert runtime.invoke("f", b"file") == b"content"
    with pytest.raises(dwh.InvocationError, match="thrown") as caught:
        runtime.invoke("f", b"throw")
    assert caught.value.inner is not None
    assert caught.value.inner.dotnet_message == "inner"


def test_a_broken_guest_is_replaced(runtime: dwh.Runtime) -> None:
    with pytest.raises(dwh.InvocationTimeout):
        runtime.invoke("f", b"loop", timeout=0.05)
    with pytest.raises(dwh.GuestTerminated) as caught:
        runtime.invoke("f", b"exit")
    assert caught.value.exit_code == 5
    assert runtime.invoke("f", b"alive") == b"alive"
    assert runtime.stats().recycles == 2


def test_snapshots_start(runtime: dwh.Runtime) -> None:
    with dwh.Runtime(runtime.snapshot()) as fresh:
        assert fresh.invoke("f", b"x") == b"x"
