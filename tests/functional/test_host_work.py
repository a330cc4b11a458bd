"""Functions that have the host do a lot, and mean no harm, do not notice its budget."""

from __future__ import annotations

import logging
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest

import dotnet_wasm_host as dwh
from dotnet_wasm_host.imports.host_work import RECORD
from dotnet_wasm_host.imports.services import HostServices
from dotnet_wasm_host.runtime import lent_services

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import CompiledSources

SOURCE = """
using System;
using System.IO;
using System.Net.Http;
using System.Runtime.InteropServices.JavaScript;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using MinimalRuntime;

public sealed class Honest : IFunctionHandler
{
    public byte[] Execute(ReadOnlySpan<byte> input)
    {
        long sum = 0;
        switch (Encoding.UTF8.GetString(input))
        {
            case "print":
                for (var i = 0; i < 10_000; i++) Console.WriteLine($"line {i}");
                return "done"u8.ToArray();
            case "log":
                for (var i = 0; i < 10_000; i++) Log.Information($"line {i}");
                return "done"u8.ToArray();
            case "strings":
                var binding = JSFunctionBinding.BindJSFunction(
                    "test.upper", null!, [JSMarshalerType.String, JSMarshalerType.String]);
                var text = new string('x', 1_000);
                for (var i = 0; i < 1_000; i++) sum += Upper(binding, text).Length;
                return Encoding.UTF8.GetBytes(sum.ToString());
            case "write files":
                for (var i = 0; i < 10_000; i++) File.WriteAllText($"/tmp/{i}.txt", $"file {i}");
                return "done"u8.ToArray();
            case "read files":
                foreach (var file in Directory.EnumerateFiles("/tmp"))
                    sum += File.ReadAllText(file).Length;
                return Encoding.UTF8.GetBytes(sum.ToString());
            default:
                return "fine"u8.ToArray();
        }
    }

    private static string Upper(JSFunctionBinding binding, string text)
    {
        Span<JSMarshalerArgument> slots = stackalloc JSMarshalerArgument[3];
        slots.Clear();
        slots[0].Initialize();
        slots[1].Initialize();
        slots[2].ToJS(text);
        JSFunctionBinding.InvokeJS(binding, slots);
        slots[1].ToManaged(out string? answer);
        return answer!;
    }
}

public sealed class Sender : IAsyncFunctionHandler
{
    public async ValueTask<byte[]> ExecuteAsync(ReadOnlyMemory<byte> input, CancellationToken token)
    {
        using var client = new HttpClient();
        using var content = new ByteArrayContent(new byte[8_000_000]);
        var url = Encoding.UTF8.GetString(input.Span);
        using var answer = await client.PostAsync(url, content, token);
        return await answer.Content.ReadAsByteArrayAsync(token);
    }
}

/// <summary>Says so many lines, in so many turns of a call that waits in between.</summary>
public sealed class Chatter : IAsyncFunctionHandler
{
    public async ValueTask<byte[]> ExecuteAsync(ReadOnlyMemory<byte> input, CancellationToken token)
    {
        for (var turn = 0; turn < input.Span[0]; turn++)
        {
            for (var i = 0; i < 100; i++) Console.WriteLine("line");
            await Task.Delay(1, token);
        }

        return "done"u8.ToArray();
    }
}
"""


class Counting(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        left = total = int(self.headers["Content-Length"])
        while left:
            left -= len(self.rfile.read(min(left, 1 << 20)))
        answer = str(total).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def honest(compiled: CompiledSources) -> dwh.Assembly:
    return compiled(SOURCE)


@pytest.fixture
def runtime(
    image: dwh.RuntimeImage, honest: dwh.Assembly, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dwh.Runtime]:
    """With the default limits."""

    def offering(*, javascript: tuple[Any, ...] = (), **others: Any) -> HostServices:
        own = lambda _: {"test.upper": str.upper}  # noqa: E731
        return HostServices(javascript=(*javascript, own), **others)

    monkeypatch.setattr(lent_services, "HostServices", offering)
    policy = dwh.HttpPolicy(allowed_hosts=("127.0.0.1",), allow_private_addresses=True)
    logged = dwh.WasiOptions(stdout="logging")
    with dwh.Runtime(image, http=policy, wasi=logged) as runtime:
        runtime.load_assembly("f", honest, handler_type="Honest")
        runtime.load_assembly("sender", honest, handler_type="Sender")
        yield runtime


@pytest.mark.parametrize("how", ["print", "log"])
def test_10_000_log_lines(runtime: dwh.Runtime, how: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "dotnet_wasm_host.guest")
    assert runtime.invoke("f", how.encode()) == b"done"
    assert [r.getMessage() for r in caplog.records] == [f"line {i}" for i in range(10_000)]


def test_1_000_strings_through_javascript_interop(runtime: dwh.Runtime) -> None:
    assert runtime.invoke("f", b"strings") == b"1000000"


def test_8_mb_by_http(runtime: dwh.Runtime) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Counting)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        url = f"http://127.0.0.1:{server.server_port}/"
        assert runtime.invoke("sender", url.encode()) == b"8000000"
    finally:
        server.shutdown()
        server.server_close()


def test_10_000_small_files(runtime: dwh.Runtime) -> None:
    assert runtime.invoke("f", b"write files") == b"done"
    assert runtime.invoke("f", b"read files") == b"%d" % sum(
        len(f"file {i}") for i in range(10_000)
    )


def test_stats_say_what_the_host_did(runtime: dwh.Runtime) -> None:
    def work() -> int:
        stats = runtime.stats()
        return stats.host_work - stats.jit.host_work  # if methods are compiled, now or later

    before = work()
    runtime.invoke("f", b"print")
    cost = work() - before
    assert 10_000 * RECORD <= cost < 20_000 * RECORD
    runtime.invoke("f", b"fine")
    assert work() == before + cost


def test_a_call_that_waits_has_one_budget(image: dwh.RuntimeImage, honest: dwh.Assembly) -> None:
    limits = dwh.Limits(host_work=10 * 100 * RECORD, timeout=60)
    with dwh.Runtime(image, limits=limits, wasi=dwh.WasiOptions(stdout="logging")) as runtime:
        runtime.load_assembly("chatter", honest, handler_type="Chatter")
        # Each call has its own ...
        for _ in range(3):
            assert runtime.invoke("chatter", b"\x08") == b"done"
        # ... and it is not renewed when the call goes on.
        with pytest.raises(dwh.LimitExceeded) as caught:
            runtime.invoke("chatter", b"\x0c")
        assert caught.value.limit == "host_work"
        assert runtime.invoke("chatter", b"\x08") == b"done"
