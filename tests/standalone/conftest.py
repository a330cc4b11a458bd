from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import dotnet_wasm_host as dwh
from tests.standalone.hosts import PlainHosts

if TYPE_CHECKING:
    from tests.conftest import CompiledSources

#: Everything a host's ABI shows: results, errors, statics, memory, ways to break.
PROBE = """
using System; using System.Text; using System.Threading;
public sealed class Probe : MinimalRuntime.IFunctionHandler {
    private static int calls;
    private static int Deep(int n) => n == 0 ? 0 : 1 + Deep(n - 1) + calls;
    private static void Fill() {
        var all = new System.Collections.Generic.List<byte[]>();
        try { while (true) all.Add(new byte[1 << 20]); } catch (OutOfMemoryException) { }
    }
    public byte[] Execute(ReadOnlySpan<byte> input) {
        var text = Encoding.UTF8.GetString(input);
        switch (text) {
            case "throw": throw new InvalidOperationException("wrong \\u2713");
            case "exit": Environment.Exit(3); break;
            case "fail": Environment.FailFast("over"); break;
            case "overflow": return BitConverter.GetBytes(Deep(int.MaxValue));
            case "memory": Fill(); break;
            case "calls": return BitConverter.GetBytes(++calls);
            case "utc": return BitConverter.GetBytes(DateTime.UtcNow.Year);
            case "random": return BitConverter.GetBytes(Random.Shared.NextInt64());
            case "hash": return BitConverter.GetBytes("a".GetHashCode());
            case "print": Console.WriteLine("printed"); Console.Error.WriteLine("err"); break;
            case "env": text = Environment.GetEnvironmentVariable("WHO") ?? "-"; break;
        }
        return Encoding.UTF8.GetBytes($"Hello, {text}!");
    }
}
"""
GREETER = """
using System; using System.Text;
public sealed class Greeter : MinimalRuntime.IFunctionHandler {
    public byte[] Execute(ReadOnlySpan<byte> input) =>
        Encoding.UTF8.GetBytes($"Hello, {Encoding.UTF8.GetString(input)}!");
}
"""
WAITING = """
using System; using System.Text; using System.Threading; using System.Threading.Tasks;
public sealed class Waiting : MinimalRuntime.IAsyncFunctionHandler {
    public async ValueTask<byte[]> ExecuteAsync(
        ReadOnlyMemory<byte> input, CancellationToken stop) {
        var text = Encoding.UTF8.GetString(input.Span);
        if (text == "never") await new TaskCompletionSource().Task;
        await Task.Delay(20, stop);
        var twice = await Task.Run(() => text + text);
        if (text == "throw") throw new FormatException(twice);
        return Encoding.UTF8.GetBytes(twice);
    }
}
"""


@pytest.fixture(scope="session")
def hosts() -> PlainHosts:
    return PlainHosts()


@pytest.fixture(scope="session")
def probe(compiled: CompiledSources) -> dwh.Assembly:
    return compiled(PROBE, assembly_name="Probe")


@pytest.fixture(scope="session")
def waiting(compiled: CompiledSources) -> dwh.Assembly:
    return compiled(WAITING, assembly_name="Waiting")


@pytest.fixture(scope="session")
def probe_module(probe: dwh.Assembly) -> dwh.StandaloneModule:
    return dwh.build_wasm(probe, function_id="probe")


@pytest.fixture(scope="session")
def base_layer() -> dwh.StandaloneModule:
    return dwh.build_wasm(image="minimal")
