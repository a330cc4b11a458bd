"""Functions whose constructors run on hold up nobody else's deploys, nor the end."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx2
import pytest

import dotnet_wasm_host as dwh
from tests.worker.servers import Server
from tests.worker.test_compilations import cpu_seconds
from tests.worker.test_operation import wait_until

ENDLESS = """
public sealed class Endless : MinimalRuntime.IFunctionHandler {
    static Endless() { while (true) { } }
    public byte[] Execute(System.ReadOnlySpan<byte> input) => [];
}
"""


@pytest.fixture(scope="module")
def endless() -> dwh.Assembly:
    return dwh.compile_csharp(ENDLESS)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with Server(tmp_path / "store", "--timeout", "300", "--grace", "1") as server:
        yield server


@contextmanager
def slow_deploys(server: Server, assembly: dwh.Assembly, count: int) -> Iterator[None]:
    """Clients that deploy a function whose constructor never ends; the first are being loaded."""
    before = cpu_seconds(server)
    with ExitStack() as stack:
        for number in range(count):
            connection = socket.create_connection(("127.0.0.1", httpx2.URL(server.url).port or 0))
            stack.enter_context(connection)
            connection.sendall(
                f"PUT /functions/slow{number} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                f"Content-Length: {len(assembly.data)}\r\n\r\n".encode()
                + assembly.data
            )
        wait_until(lambda: cpu_seconds(server) > before + 0.3)
        yield


def test_they_do_not_hold_up_others(
    server: Server, endless: dwh.Assembly, echo: dwh.Assembly
) -> None:
    with slow_deploys(server, endless, 6):
        assert server.put("f", echo.data).status_code == 201  # the client waits for 30 s
        assert server.client.delete("/functions/f").status_code == 204


def test_they_end_with_the_worker(server: Server, endless: dwh.Assembly) -> None:
    with slow_deploys(server, endless, 3):
        time.sleep(1.5)  # one of them is in each of the queues
        assert server.terminate() == 0
