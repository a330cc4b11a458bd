"""A body that was cut off is never taken for a whole one."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

import dotnet_wasm_host as dwh
from dotnet_wasm_host.fetch.access import HttpAccess
from dotnet_wasm_host.fetch.exchange import Exchange, HttpFailure, Outgoing
from dotnet_wasm_host.fetch.tenant import HttpTenant
from tests.http.server import raw_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.http.conftest import Fetcher

POLICY = dwh.HttpPolicy(allowed_hosts=("127.0.0.1",), allow_private_addresses=True, timeout=0.4)
PIECE = b"x" * 4096
FRAMINGS = {
    "length": (b"Content-Length: 50000000\r\n", PIECE),
    "chunks": (b"Transfer-Encoding: chunked\r\n", b"1000\r\n" + PIECE + b"\r\n"),
    "closed": (b"", PIECE),
}


def dripping(framing: str) -> Callable[[socket.socket], None]:
    """A server that sends without end, faster than a guest reads."""
    header, piece = FRAMINGS[framing]

    def behave(client: socket.socket) -> None:
        client.sendall(b"HTTP/1.1 200 OK\r\n" + header + b"\r\n")
        until = time.monotonic() + 2
        while time.monotonic() < until:
            client.sendall(piece)
            time.sleep(0.002)

    return behave


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize("framing", FRAMINGS)
def test_a_body_that_the_timeout_cuts_off_raises(
    fetching: dwh.RuntimeImage, framing: str, *, streamed: bool
) -> None:
    with raw_server(dripping(framing)) as url, dwh.Runtime(fetching, http=POLICY) as runtime:
        plans = json.dumps([{"url": url, "streamResponse": streamed}]).encode()
        for _ in range(2):
            (answer,) = json.loads(runtime.invoke("fetch", plans, timeout=30))
            assert answer["error"] in {"HttpRequestException", "HttpIOException"}, answer
            assert "took longer than the 0.4 s" in answer["message"]


def test_it_raises_in_calls_that_wait(fetching: dwh.RuntimeImage, fetcher_assembly: Any) -> None:
    async def ask(url: str) -> bytes:
        with dwh.RuntimePool(fetching, size=1, http=POLICY) as pool:
            pool.load_assembly("asked", fetcher_assembly)
            return await pool.invoke_async("asked", json.dumps([{"url": url}]).encode(), timeout=30)

    with raw_server(dripping("closed")) as url:
        (answer,) = json.loads(asyncio.run(ask(url)))
    assert "took longer than the 0.4 s" in answer["message"], answer


# ---------------------------------------------------------------- between two pieces


@pytest.fixture
def exchange() -> Iterator[tuple[HttpAccess, Exchange]]:
    access = HttpAccess(dwh.HttpPolicy(allowed_hosts=("*",), allow_private_addresses=True))
    yield access, Exchange(HttpTenant(access))
    access.close()


def half(header: bytes, ended: threading.Event) -> Callable[[socket.socket], None]:
    def behave(client: socket.socket) -> None:
        client.sendall(b"HTTP/1.1 200 OK\r\n" + header + b"\r\nhalf!")
        ended.wait(10)

    return behave


@pytest.mark.parametrize("when", ["before a read", "during a read"])
@pytest.mark.parametrize("end", ["timeout", "abort"])
@pytest.mark.parametrize("header", [b"Content-Length: 9\r\n", b""], ids=["length", "closed"])
def test_the_moment_does_not_matter(
    exchange: tuple[HttpAccess, Exchange], header: bytes, end: str, when: str
) -> None:
    access, asked = exchange
    ended = threading.Event()
    why = "longer" if end == "timeout" else "abort|ended|broke"

    async def read(url: str) -> None:
        await asked.send(Outgoing("GET", url, [], []))
        assert await asked.read() == b"half!"
        stop = asked._expire if end == "timeout" else lambda: asyncio.ensure_future(asked.close())
        if when == "during a read":
            asyncio.get_running_loop().call_later(0.05, stop)
        else:
            stop()
            await asyncio.sleep(0.05)
        for _ in range(3):  # whoever asks again hears it again
            with pytest.raises(HttpFailure, match=why):
                await asked.read()
        with pytest.raises(HttpFailure):
            await asked.read_all()

    with raw_server(half(header, ended)) as url:
        access.submit(read(url)).result(10)
        ended.set()


def test_the_end_stays_the_end(exchange: tuple[HttpAccess, Exchange]) -> None:
    access, asked = exchange

    def behave(client: socket.socket) -> None:
        client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfull")

    async def read(url: str) -> None:
        await asked.send(Outgoing("GET", url, [], []))
        assert await asked.read_all() == b"full"
        asked._expire()
        await asyncio.sleep(0)
        assert await asked.read() == b""

    with raw_server(behave) as url:
        access.submit(read(url)).result(10)


def test_a_request_body_that_is_cut_off_says_so(fetcher: Callable[..., Fetcher]) -> None:
    fetch = fetcher(timeout=0.5)

    def behave(_: socket.socket) -> None:
        time.sleep(1.5)  # reads no body, says nothing

    with raw_server(behave) as url:
        answer = fetch(url, method="POST", size=15_000_000, stream_request=True)
    assert "took longer than the 0.5 s" in answer["message"], answer
