"""Feeds behind proxies that the environment names."""

from __future__ import annotations

import base64
import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

import dotnet_wasm_host as dwh
from dotnet_wasm_host.fetch.proxies import Proxies
from tests.nuget.made import library, package
from tests.nuget.served import ServedFeed, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*VARIABLES, *map(str.lower, VARIABLES)):
        monkeypatch.delenv(name, raising=False)


@contextmanager
def proxy(status: bytes = b"200 OK") -> Iterator[tuple[str, list[bytes]]]:
    """A proxy that answers every request from one feed, and what its clients sent."""
    asked: list[bytes] = []
    with serving() as feed, socket.create_server(("127.0.0.1", 0)) as server:
        feed.add("Top", "1.0.0", package("Top", "1.0.0", {"lib/net8.0/Top.dll": library("Top")}))

        def serve() -> None:
            while True:
                try:
                    client, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=answer, args=(client,), daemon=True).start()

        def answer(client: socket.socket) -> None:
            with client:
                while True:
                    head = b""
                    while b"\r\n\r\n" not in head:
                        more = client.recv(65536)
                        if not more:
                            return
                        head += more
                    asked.append(head)
                    if not status.startswith(b"200"):
                        client.sendall(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n")
                        continue
                    path = head.split(b" ")[1].decode().removeprefix("http://feed.example")
                    code, _, body = feed.answer(path, None)
                    client.sendall(
                        b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n" % (code, len(body)) + body
                    )

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"127.0.0.1:{server.getsockname()[1]}", asked
        finally:
            server.shutdown(socket.SHUT_RDWR)


def found(source: str) -> tuple[str, ...]:
    given = dwh.PackageSource(source, allow_insecure=True)
    return tuple(dwh.resolve_packages(["Top"], given).libraries)


FEED = "http://feed.example/v3/index.json"


def test_feeds_are_asked_through_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    with proxy() as (address, asked):
        monkeypatch.setenv("HTTP_PROXY", f"http://ada:se%3Acret@{address}")
        assert found(FEED) == ("Top",)
    assert asked[0].startswith(b"GET http://feed.example/v3/index.json HTTP/1.1")
    login = base64.b64encode(b"ada:se:cret")
    assert all(b"Proxy-Authorization: Basic " + login in head for head in asked)


def test_hosts_of_no_proxy_are_asked_directly(monkeypatch: pytest.MonkeyPatch) -> None:
    with proxy() as (address, asked), serving() as feed:
        feed.add("Top", "1.0.0", package("Top", "1.0.0", {"lib/net8.0/Top.dll": library("Top")}))
        monkeypatch.setenv("HTTP_PROXY", address)
        monkeypatch.setenv("NO_PROXY", "other.example,127.0.0.1")
        assert found(feed.index) == ("Top",)
    assert asked == []


def test_a_tunnel_that_is_refused_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with proxy(b"407 Proxy Authentication Required") as (address, asked):
        monkeypatch.setenv("HTTPS_PROXY", f"http://{address}")
        with pytest.raises(dwh.PackageError, match=r"proxy.*407"):
            found("https://feed.example/v3/index.json")
    assert asked[0].startswith(b"CONNECT feed.example:443 HTTP/1.1")


def test_what_is_no_proxy_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://somewhere:1080")
    with pytest.raises(dwh.PackageError, match="HTTP_PROXY names a proxy for socks5"):
        found(FEED)


def test_which_requests_go_through_a_proxy() -> None:
    proxies = Proxies({"https": "proxy:3128", "no": ".internal.example,direct.example:8443"})
    assert proxies.of("http", "a.example", None) is None
    through = proxies.of("https", "a.example", None)
    assert through is not None
    assert (through.address, through.credentials) == ("http://proxy:3128", None)
    assert proxies.of("https", "x.internal.example", None) is None
    assert proxies.of("https", "direct.example", 8443) is None
    assert proxies.of("https", "direct.example", 443) == through
    assert not Proxies({"no": "*"})
    for wrong in ("http://", "http://host:port", "http://[::1"):
        with pytest.raises(ValueError, match="HTTPS_PROXY"):
            Proxies({"https": wrong})


def test_credentials_are_not_shown() -> None:
    proxies = Proxies({"http": "http://ada:secret@proxy"})
    assert "secret" not in repr(proxies.of("http", "a.example", 80))


def test_a_feed_of_its_own_address_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    with serving() as feed:
        assert isinstance(feed, ServedFeed)
        feed.add("Top", "1.0.0", package("Top", "1.0.0", {"lib/net8.0/Top.dll": library("Top")}))
        assert found(feed.index) == ("Top",)
