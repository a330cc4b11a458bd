"""What deployed functions may reach of the host: nothing, but for what the operator gives them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx2
import pytest

import dotnet_wasm_host as dwh
from dotnet_wasm_host.pool.quickness import FIRST_TRIAL
from dotnet_wasm_host.worker import WorkerOptions, create_app
from tests.worker.browsing import serving
from tests.worker.conftest import MakeClient, put
from tests.worker.servers import Server
from tests.worker.test_operation import call
from tests.worker.test_processes import serve_and_fail

SOURCE = """
using System; using System.IO; using System.Net.Http; using System.Text;
using System.Threading; using System.Threading.Tasks; using MinimalRuntime;
public sealed class Reach : IAsyncFunctionHandler {
    static readonly HttpClient client = new();
    public async ValueTask<byte[]> ExecuteAsync(
        ReadOnlyMemory<byte> input, CancellationToken cancellation) {
        var words = Encoding.UTF8.GetString(input.Span).Split(' ');
        var answer = words[0] switch {
            "get" => await client.GetStringAsync(words[1], cancellation),
            "env" => Environment.GetEnvironmentVariable(words[1]) ?? "not set",
            "read" => File.ReadAllText(words[1]),
            "write" => Write(words[1]),
            "host" => Encoding.UTF8.GetString(await Host.CallAsync(words[1], input, cancellation)),
            _ => "?",
        };
        return Encoding.UTF8.GetBytes(answer);
    }
    static string Write(string path) { File.WriteAllText(path, "x"); return "written"; }
}
public sealed class CallsHost : IFunctionHandler {
    public byte[] Execute(ReadOnlySpan<byte> input) => Host.Call("double", input);
}
"""


@pytest.fixture(scope="module")
def reach() -> dwh.Assembly:
    return dwh.compile_csharp(SOURCE)


@pytest.fixture
def site() -> Iterator[str]:
    """A small web site on this machine; its host and port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-length", "5")
            self.end_headers()
            self.wfile.write(b"hello")

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_by_default_nothing(
    make_client: MakeClient, reach: dwh.Assembly, site: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "inherited")
    client = make_client()
    put(client, "f", reach)
    assert call(client, "f", b"env SECRET") == b"not set"
    for payload in (f"get http://{site}/", "read /etc/passwd", "host double"):
        answer = client.post("/functions/f/invoke", content=payload)
        assert answer.status_code == 500, answer.text
        assert answer.json()["type"] == "urn:dotnet-wasm-host:function-failed"


def test_what_the_command_line_allows(tmp_path: Path, reach: dwh.Assembly, site: str) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "file").write_text("content", "utf-8")
    allowed = ("--allow-http", site, "--allow-private-addresses", "--env", "GREETING=a=b")
    with Server(tmp_path / "store", *allowed, "--mount", f"/data={data}") as server:
        assert server.put("f", reach.data).status_code == 201
        assert server.invoke("f", f"get http://{site}/".encode()).content == b"hello"
        refused = server.invoke("f", b"get http://127.0.0.1:9/")
        assert refused.status_code == 500
        assert "127.0.0.1:9" in refused.json()["detail"]
        assert server.invoke("f", b"env GREETING").content == b"a=b"
        assert server.invoke("f", b"read /data/file").content == b"content"
        assert server.invoke("f", b"write /data/file").status_code == 500
        assert server.terminate() == 0
    assert (data / "file").read_text("utf-8") == "content"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--allow-private-addresses",), "found none; add --allow-http HOST"),
        (("--allow-http", "no host"), "is no host"),
        (("--env", "NAME"), "has no '='"),
        (("--mount", "/data=/does/not/exist"), "is not a directory"),
        (("--mount", "data=/tmp"), "absolute guest path"),
    ],
)
def test_settings_that_cannot_be(arguments: tuple[str, ...], message: str, tmp_path: Path) -> None:
    done = serve_and_fail(*arguments, "--store", str(tmp_path / "store"))
    assert done.returncode == 2
    assert message in done.stderr


def test_functions_of_the_host(reach: dwh.Assembly) -> None:
    loops: dict[asyncio.AbstractEventLoop, threading.Thread] = {}
    threads: set[threading.Thread] = set()

    async def later(payload: bytes) -> bytes:
        await asyncio.sleep(0.01)
        loops[asyncio.get_running_loop()] = threading.current_thread()
        return payload.upper()

    def double(payload: bytes) -> bytes:
        threads.add(threading.current_thread())
        return payload * 2

    app = create_app(WorkerOptions(), host_functions={"later": later, "double": double})
    with serving(app) as url, httpx2.Client(base_url=f"{url}/functions") as client:
        for name, handler in (("f", "Reach"), ("g", "CallsHost")):
            deployed = client.put(f"/{name}", content=reach.data, params={"handler": handler})
            assert deployed.status_code == 201, deployed.text
        assert client.post("/f/invoke", content=b"host later").content == b"HOST LATER"
        for _ in range(FIRST_TRIAL + 10):
            assert client.post("/g/invoke", content=b"ab").content == b"abab"
    assert len(loops) == 1
    # It might block for as long as it likes, so it never runs on the event loop, however quick.
    assert threads.isdisjoint(loops.values())


def test_they_stay_off_the_event_loop_with_directories_too(
    make_client: MakeClient, tmp_path: Path, echo: dwh.Assembly
) -> None:
    options = WorkerOptions(wasi=dwh.WasiOptions(directories={"/data": tmp_path}))
    client = make_client(options)
    put(client, "f", echo)
    for _ in range(FIRST_TRIAL + 10):
        assert call(client, "f", b"x") == b"x"
    served = client.app.state.worker.functions()["f"]  # type: ignore[attr-defined]
    assert not served.quickness.inline
