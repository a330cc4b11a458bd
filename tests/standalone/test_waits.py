"""Code that blocks in a standalone module sleeps, lets others run, or says that it never ends."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import dotnet_wasm_host as dwh

if TYPE_CHECKING:
    from tests.conftest import CompiledSources
    from tests.standalone.hosts import PlainHosts

BLOCKING = """
using System; using System.Threading; using System.Threading.Tasks;
public sealed class Blocking : MinimalRuntime.IFunctionHandler {
    public byte[] Execute(ReadOnlySpan<byte> input) => [(char)input[0] switch {
        's' => Slept(),
        't' => Task.Run(async () => { await Task.Delay(5); return (byte)2; }).Result,
        _ => new TaskCompletionSource<byte>().Task.Result,
    }];
    private static byte Slept() { Thread.Sleep(300); return 1; }
}
"""


def test_a_standalone_module_can_wait(hosts: PlainHosts, compiled: CompiledSources) -> None:
    module = dwh.build_wasm(compiled(BLOCKING), function_id="f", wasi="full")
    host = hosts.started(module.data)
    started, cpu = time.monotonic(), time.process_time()
    assert host.invoke("f", b"s") == (0, b"\1")
    assert time.monotonic() - started >= 0.29
    assert time.process_time() - cpu < 0.2
    assert host.invoke("f", b"t") == (0, b"\2")
    assert host.invoke("f", b"never")[0] == 1
    error = host.last_error()
    assert error is not None
    assert error[0] == "System.PlatformNotSupportedException"
    assert error[1].startswith("This wait can never end")
    assert host.invoke("f", b"t") == (0, b"\2")
