"""A failed call leaves nothing behind that only the garbage collector could find."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

import dotnet_wasm_host as dwh
from tests.garbage import no_garbage

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import CompiledSources

# wasmer keeps the traceback of what a callback raised in a cycle of its own.
pytestmark = pytest.mark.needs("calls that leave the collector nothing")
SOURCE = """
using System; using System.IO; using System.Text; using System.Threading;
using System.Threading.Tasks; using MinimalRuntime;
public sealed class Failing : IFunctionHandler {
    public byte[] Execute(ReadOnlySpan<byte> input) {
        foreach (var what in Encoding.UTF8.GetString(input).Split(' ')) {
            switch (what) {
                case "write": File.WriteAllBytes("/tmp/file", new byte[100_000]); break;
                case "print": Console.WriteLine("a line"); break;
                case "raise": Host.Call("raise", input); break;
                case "catch":
                    try { Host.Call("raise", input); } catch (HostFunctionException) { }
                    break;
                case "missing": Host.Call("missing", input); break;
                case "throw": throw new InvalidOperationException("x", new FormatException());
                case "exit": Environment.Exit(3); break;
                case "loop": while (true) { }
                case "memory": Fill(); break;
                case "work": while (true) Host.Call("accept", new byte[100_000]);
                case "large": return new byte[1_000_001];
            }
        }
        return [];
    }
    static void Fill() {
        var kept = new System.Collections.Generic.List<byte[]>();
        while (true) kept.Add(new byte[1_000_000]);
    }
}
public sealed class Waiting : IAsyncFunctionHandler {
    public async ValueTask<byte[]> ExecuteAsync(ReadOnlyMemory<byte> input, CancellationToken token) {
        await Task.Delay(1);
        switch (Encoding.UTF8.GetString(input.Span)) {
            case "raise": await Host.CallAsync("raise", input); break;
            case "throw": throw new InvalidOperationException("x");
            case "exit": Environment.Exit(3); break;
            case "loop": while (true) { }
            case "wait": await Task.Delay(-1, CancellationToken.None); break;
            case "token": await Task.Delay(-1, token); break;
        }
        return [];
    }
}
public sealed class Refusing : IFunctionHandler {
    static Refusing() => throw new InvalidOperationException("no");
    public byte[] Execute(ReadOnlySpan<byte> input) => [];
}
"""  # noqa: E501 - C#
SYNCHRONOUS = (
    "write exit", "print exit", "raise", "catch loop", "missing", "throw", "loop", "write loop",
    "memory", "work", "large",
)  # fmt: skip
ASYNCHRONOUS = ("raise", "throw", "exit", "loop", "wait", "token")


def _raise(_: bytes) -> bytes:
    raise ValueError("raised")


FUNCTIONS: dict[str, Callable[[bytes], bytes]] = {"raise": _raise, "accept": lambda _: b""}
LIMITS = dwh.Limits(
    memory_bytes=96 << 20,
    host_work=64 << 20,
    result_bytes=1_000_000,
    cancellation_grace=0.05,
    crash_limit=None,
)


@pytest.fixture(scope="module")
def assembly(compiled: CompiledSources) -> dwh.Assembly:
    return compiled(SOURCE)


def fails(action: Callable[[], object]) -> None:
    """Twice; the second time it leaves nothing."""
    for _ in range(2):
        try:
            action()
        except (dwh.DotnetHostError, ValueError):
            pass
        else:
            pytest.fail("it did not fail")


def check(action: Callable[[], object]) -> None:
    fails(action)
    with no_garbage():
        fails(action)


@pytest.mark.parametrize(
    ("handler", "payload"),
    [*(("Failing", each) for each in SYNCHRONOUS), *(("Waiting", each) for each in ASYNCHRONOUS)],
)
def test_calls(image: dwh.RuntimeImage, assembly: dwh.Assembly, handler: str, payload: str) -> None:
    def action() -> None:
        with dwh.Runtime(image, limits=LIMITS, host_functions=FUNCTIONS) as runtime:
            runtime.load_assembly("f", assembly, handler_type=handler)
            runtime.invoke("f", payload.encode(), timeout=0.2)

    check(action)


@pytest.mark.parametrize("payload", ["raise", "throw", "write exit", "loop"])
def test_batches(image: dwh.RuntimeImage, assembly: dwh.Assembly, payload: str) -> None:
    limits = dwh.Limits(host_work=64 << 20, timeout=0.2 if payload == "loop" else None)

    def action() -> None:
        with dwh.Runtime(image, limits=limits, host_functions=FUNCTIONS) as runtime:
            runtime.load_assembly("f", assembly, handler_type="Failing")
            runtime.invoke_many("f", [b"", payload.encode()])

    check(action)


@pytest.mark.parametrize(("handler", "payload"), [("Failing", "loop"), ("Waiting", "wait")])
def test_cancellations(
    image: dwh.RuntimeImage, assembly: dwh.Assembly, handler: str, payload: str
) -> None:
    def action() -> None:
        with dwh.Runtime(image) as runtime:
            runtime.load_assembly("f", assembly, handler_type=handler)
            cancellation = dwh.Cancellation()
            timer = threading.Timer(0.02, cancellation.cancel)
            timer.start()
            try:
                runtime.invoke("f", payload.encode(), cancellation=cancellation)
            finally:
                timer.join()

    check(action)


@pytest.mark.parametrize("handler", ["Refusing", "Nobody"])
def test_loading(image: dwh.RuntimeImage, assembly: dwh.Assembly, handler: str) -> None:
    def action() -> None:
        with dwh.Runtime(image, limits=LIMITS) as runtime:
            runtime.load_assembly("f", assembly, handler_type=handler)
            runtime.invoke("f")

    check(action)
