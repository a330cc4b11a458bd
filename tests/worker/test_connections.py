"""What clients do with their connections: they leave, hurry, or send too much."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import sys
import time
from collections.abc import Iterator

import pytest
from starlette.types import Message

import dotnet_wasm_host as dwh
from dotnet_wasm_host.worker.bodies import Disconnected
from dotnet_wasm_host.worker.cancel_on_disconnect import cancel_on_disconnect
from tests.worker.servers import Server
from tests.worker.test_operation import wait_until


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, echo: dwh.Assembly) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("worker") / "store", "--concurrency", "1") as server:
        assert server.put("f", echo.data).status_code == 201
        yield server
        assert server.terminate() == 0
        assert "Traceback" not in "\n".join(server.errors)


def connect(server: Server) -> socket.socket:
    host, port = server.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=30)


def request(payload: bytes, function_id: str = "f") -> bytes:
    return (
        b"POST /functions/%s/invoke HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        b"Content-Length: %d\r\n\r\n%s" % (function_id.encode(), len(payload), payload)
    )


def read_answer(connection: socket.socket) -> bytes:
    """The body of the next answer, whose length is below ten."""
    received = b""
    while not (found := re.search(rb"content-length: (\d)\r\n.*?\r\n\r\n", received, re.DOTALL)):
        received += connection.recv(1)
    missing = int(found[1])
    body = b""
    while len(body) < missing:
        body += connection.recv(missing - len(body))
    return body


def gauge(server: Server, name: str) -> float:
    text = server.client.get("/metrics").text
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def test_the_guest_is_stopped_and_its_place_free(server: Server) -> None:
    left = 'dotnet_worker_calls_total{outcome="Disconnected"}'
    before = gauge(server, left)
    with connect(server) as looping:
        looping.sendall(request(b"loop"))
        wait_until(lambda: gauge(server, "dotnet_worker_calls_running") == 1)
    # The function may run one call at a time, for up to 30 s.
    wait_until(lambda: gauge(server, "dotnet_worker_calls_running") == 0, 10)
    assert server.invoke("f", b"x").content == b"x"
    assert gauge(server, left) == before + 1
    wait_until(lambda: any('"status":499' in line for line in server.access))
    entry = next(e for e in map(json.loads, server.access) if e["status"] == 499)
    assert (entry["function"], entry["error"]) == ("f", "Disconnected")


def test_a_call_that_waits_leaves_the_queue(server: Server) -> None:
    with connect(server) as looping:
        looping.sendall(request(b"loop"))
        wait_until(lambda: gauge(server, "dotnet_worker_calls_running") == 1)
        with connect(server) as waiting:
            waiting.sendall(request(b"x"))
            wait_until(lambda: gauge(server, "dotnet_worker_calls_waiting") == 1)
        wait_until(lambda: gauge(server, "dotnet_worker_calls_waiting") == 0, 10)
        assert gauge(server, "dotnet_worker_calls_running") == 1
    wait_until(lambda: gauge(server, "dotnet_worker_calls_running") == 0, 10)


WAITS = """
using System; using System.Threading; using System.Threading.Tasks;
public sealed class Waits : MinimalRuntime.IAsyncFunctionHandler {
    static byte cancelled;
    public async ValueTask<byte[]> ExecuteAsync(
        ReadOnlyMemory<byte> input, CancellationToken cancellation) {
        if (input.Length == 0) return new[] { cancelled };
        try { await Task.Delay(Timeout.Infinite, cancellation); }
        catch (OperationCanceledException) { cancelled++; }
        return Array.Empty<byte>();
    }
}
"""


def test_an_asynchronous_function_hears_of_it(server: Server) -> None:
    assert server.put("waits", dwh.compile_csharp(WAITS).data).status_code == 201
    with connect(server) as waiting:
        waiting.sendall(request(b"x", "waits"))
        time.sleep(0.3)
        assert server.invoke("waits", b"").content == b"\0"
    # In the same instance: it was told, not replaced.
    wait_until(lambda: server.invoke("waits", b"").content == b"\1", 10)


def test_who_stays_gets_every_answer(server: Server) -> None:
    with connect(server) as connection:
        for payload in (b"spin 300", b"x", b"spin 200"):
            connection.sendall(request(payload))
            assert read_answer(connection) == payload
        # The next request may come before the answer to the last one.
        connection.sendall(request(b"spin 250") + request(b"a") + request(b"spin 150"))
        assert [read_answer(connection) for _ in "123"] == [b"spin 250", b"a", b"spin 150"]


def test_who_sends_too_much_is_told_so(server: Server) -> None:
    size = 20 * 1024 * 1024
    with connect(server) as connection:
        connection.sendall(
            b"POST /functions/f/invoke HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            b"Content-Length: %d\r\n\r\n" % size
        )
        # All of it, without a look at the answer. A server that closes now resets the
        # connection, and the answer is lost on the way; nginx makes 502 of that.
        for _ in range(20):
            connection.sendall(bytes(size // 20))
        connection.sendall(request(b"x"))
        received = b""
        while not received.endswith(b"\r\n\r\nx"):
            chunk = connection.recv(65536)
            assert chunk, received
            received += chunk
    assert received.startswith(b"HTTP/1.1 413 ")
    assert received.count(b"HTTP/1.1 200 ") == 1


async def leaves_at_once() -> Message:
    return {"type": "http.disconnect"}


def test_it_ends_what_is_awaited() -> None:
    async def main() -> None:
        with pytest.raises(Disconnected), cancel_on_disconnect(leaves_at_once):
            await asyncio.sleep(30)
        await asyncio.sleep(0)  # the task itself is not cancelled any more

    asyncio.run(main())


def test_nobody_listens_for_the_client_of_a_quick_call() -> None:
    async def receive() -> Message:
        raise AssertionError("asked")

    async def main() -> bytes:
        with cancel_on_disconnect(receive):
            await asyncio.sleep(0)
        await asyncio.sleep(0.3)
        return b"done"

    assert asyncio.run(main()) == b"done"


@pytest.mark.skipif(sys.version_info < (3, 11), reason="tasks do not count who cancels them")
def test_a_request_that_its_server_cancels_stays_cancelled() -> None:
    async def main() -> None:
        async def leaves_as_well() -> Message:
            task.cancel()
            return await leaves_at_once()

        async def work() -> None:
            with cancel_on_disconnect(leaves_as_well):
                await asyncio.sleep(30)

        task = asyncio.create_task(work())
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
