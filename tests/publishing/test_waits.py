"""Waits on small images: what ends them is there, although nothing else needs it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import dotnet_wasm_host as dwh
from dotnet_wasm_host.base_library.publishing import publish

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import CompiledSources

SOURCE = """
using System; using System.Threading; using System.Threading.Tasks;
public sealed class Waiting : MinimalRuntime.IFunctionHandler {
    public byte[] Execute(ReadOnlySpan<byte> input) => [input[0] switch {
        0 => Task.Run(() => (byte)1).Result,
        1 => Task.Run(async () => { await Task.Delay(5); return (byte)2; }).Result,
        2 => Pulsed(),
        3 => Slept(),
        _ => new TaskCompletionSource<byte>().Task.Result,
    }];
    private static byte Slept() { Thread.Sleep(5); return 4; }
    private static byte Pulsed() {
        var target = new object(); byte number = 0;
        Task.Run(() => { lock (target) { number = 3; Monitor.Pulse(target); } });
        lock (target) { while (number == 0) Monitor.Wait(target); }
        return number;
    }
}
"""
ALONE = {
    "task": "Task.Run(() => (byte)1).Result",
    "value": "Task.Run(async () => { await Task.Yield(); return (byte)1; }).Result",
}


@pytest.fixture(scope="module")
def function(compiled: CompiledSources) -> dwh.Assembly:
    return compiled(SOURCE, assembly_name="Waiting")


def _check(runtime: dwh.Runtime, function_id: str) -> None:
    results = [runtime.invoke(function_id, bytes([kind]), timeout=20) for kind in range(4)]
    assert results == [b"\1", b"\2", b"\3", b"\4"]
    with pytest.raises(dwh.InvocationError, match="can never end"):
        runtime.invoke(function_id, b"\4", timeout=20)


def test_the_smallest_image_can_wait(function: dwh.Assembly) -> None:
    with dwh.Runtime(image="minimal") as runtime:
        runtime.load_assembly("f", function)
        _check(runtime, "f")


def test_a_published_function_can_wait(function: dwh.Assembly, tmp_path: Path) -> None:
    publish(function.data, tmp_path / "f", function_id="f")
    with dwh.Runtime(dwh.RuntimeImage.open(tmp_path / "f")) as runtime:
        _check(runtime, "f")


@pytest.mark.parametrize("kind", ALONE)
def test_what_runs_inline_elsewhere_does_when_trimmed(
    compiled: CompiledSources, tmp_path: Path, kind: str
) -> None:
    source = f"""
        using System; using System.Threading.Tasks;
        public sealed class Alone : MinimalRuntime.IFunctionHandler {{
            public byte[] Execute(ReadOnlySpan<byte> input) => [{ALONE[kind]}];
        }}"""
    publish(compiled(source, assembly_name="Alone").data, tmp_path / "f", function_id="f")
    with dwh.Runtime(dwh.RuntimeImage.open(tmp_path / "f")) as runtime:
        assert runtime.invoke("f", b"", timeout=20) == b"\1"
