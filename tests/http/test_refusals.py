"""Requests that are refused, servers that misbehave: what the guest is told, and the caller."""

from __future__ import annotations

import json
import socket
import ssl
import struct
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import dotnet_wasm_host as dwh
from tests.http.server import Server, raw_server

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.http.conftest import Fetcher


def refused(answer: dict[str, Any], *words: str) -> None:
    """The guest got an HttpRequestException with a sentence of these words."""
    assert answer.get("error") == "HttpRequestException", answer
    assert all(word in answer["message"] for word in words), answer["message"]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[list[str]]]:
    """Name to what DNS answers, one answer after the other; the last one stays."""
    answers: dict[str, list[list[str]]] = {}
    real = socket.getaddrinfo

    def getaddrinfo(host: Any, port: Any, *rest: Any, **options: Any) -> Any:
        if host not in answers:
            return real(host, port, *rest, **options)
        addresses = answers[host].pop(0) if len(answers[host]) > 1 else answers[host][0]
        return [
            (socket.AF_INET6 if ":" in a else socket.AF_INET, socket.SOCK_STREAM, 6, "", (a, port))
            for a in addresses
        ]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return answers


# ---------------------------------------------------------------- the policy


def test_a_refusal_reaches_the_guest_and_its_caller(
    fetcher: Callable[..., Fetcher], server: Server
) -> None:
    fetch = fetcher("api.example.com")
    before = len(server.seen)

    refused(fetch(server.url + "/echo?token=x"), "GET", "'127.0.0.1:", "allowed hosts")
    with pytest.raises(dwh.InvocationError) as caught:
        fetch(server.url + "/echo", throw=True)

    error = caught.value
    assert error.dotnet_type == "System.Net.Http.HttpRequestException"
    assert isinstance(error.__cause__, dwh.HttpPolicyError)
    assert isinstance(error.__cause__, PermissionError)
    assert str(error.__cause__) == error.dotnet_message
    assert "/echo?" not in str(error)
    assert len(server.seen) == before


def test_without_a_policy_there_is_no_http(
    image: dwh.RuntimeImage, fetcher_assembly: dwh.Assembly, server: Server
) -> None:
    question = json.dumps([{"url": server.url + "/echo"}]).encode()
    before = len(server.seen)
    with dwh.Runtime(image) as runtime:
        runtime.load_assembly("fetch", fetcher_assembly)
        refused(json.loads(runtime.invoke("fetch", question))[0], "this runtime has no HTTP")
    assert len(server.seen) == before


def test_private_addresses_need_leave(fetcher: Callable[..., Fetcher], server: Server) -> None:
    fetch = fetcher("*", allow_private_addresses=False)
    before = len(server.seen)

    for host in ("127.0.0.1", "localhost", "[::1]", "0.0.0.0", "2130706433", "[::ffff:127.0.0.1]"):
        refused(fetch(f"http://{host}:{server.port}/echo"), "is refused", "not a public one")
    assert len(server.seen) == before

    # With leave, link-local stays out of reach: clouds have their metadata there.
    fetch = fetcher("*")
    for host in ("169.254.169.254", "[fe80::1]", "0.0.0.0", "224.0.0.1", "[::ffff:a9fe:a9fe]"):
        refused(fetch(f"http://{host}/latest/meta-data/"), "not a public one")


@pytest.mark.parametrize(
    "addresses",
    [["127.0.0.1"], ["::1"], ["10.1.2.3", "192.168.0.1"], ["169.254.169.254"], ["::ffff:7f00:1"]],
)
def test_a_name_that_stands_for_a_private_address(
    fetcher: Callable[..., Fetcher],
    server: Server,
    names: dict[str, list[list[str]]],
    addresses: list[str],
) -> None:
    names["inside.example.com"] = [addresses]
    fetch = fetcher("*.example.com", allow_private_addresses=False)

    refused(
        fetch(f"http://inside.example.com:{server.port}/echo"), "inside.example.com", addresses[0]
    )


def test_a_name_is_resolved_once_for_each_connection(
    fetcher: Callable[..., Fetcher], server: Server, names: dict[str, list[list[str]]]
) -> None:
    # Good when it is checked, forbidden when it is asked for again: nobody asks again.
    names["rebind.example.com"] = [["127.0.0.1"], ["169.254.169.254"]]
    fetch = fetcher("rebind.example.com")
    url = f"http://rebind.example.com:{server.port}/echo"

    seen = json.loads(fetch(url)["text"])
    assert dict(seen["headers"])["Host"] == f"rebind.example.com:{server.port}"
    assert names["rebind.example.com"] == [["169.254.169.254"]]
    fetch.together([{"url": server.url + "/bytes?size=1"}])
    # The connection is used again; a new one, for which the name is asked anew, is refused.
    assert json.loads(fetch(url)["text"])["path"] == "/echo"
    two = fetch.together([{"url": url.replace("/echo", "/slow?seconds=0.2")}, {"url": url}])
    assert [answer.get("status") for answer in two].count(200) == 1
    refused(next(answer for answer in two if "error" in answer), "169.254.169.254")


def test_other_addresses_of_a_name_are_tried(
    fetcher: Callable[..., Fetcher], server: Server, names: dict[str, list[list[str]]]
) -> None:
    names["many.example.com"] = [["169.254.1.1", "127.0.0.9", "::1", "127.0.0.1"]]
    fetch = fetcher("many.example.com")

    assert fetch(f"http://many.example.com:{server.port}/bytes?size=9")["size"] == 9


@pytest.mark.parametrize(
    ("to", "words"),
    [
        ("http://169.254.169.254/latest/", ["169.254.169.254:80", "allowed hosts"]),
        ("http://user:password@127.0.0.1:{port}/echo", ["user name or password"]),
        ("ftp://127.0.0.1/x", ["ftp"]),
        ("file:///etc/passwd", ["scheme 'file'"]),
        ("http://localhost:{port}/echo", ["localhost", "allowed hosts"]),
        ("//evil.example.com/", ["evil.example.com"]),
        ("http://[::1/", ["URL"]),
    ],
)
def test_redirects_into_forbidden_space(
    fetch: Fetcher, server: Server, to: str, words: list[str]
) -> None:
    before = len(server.seen)
    target = to.format(port=server.port).replace("%", "%25")

    refused(fetch(f"{server.url}/redirect?to={target}"), *words)
    assert len(server.seen) == before + 1


def test_redirects_are_counted(fetcher: Callable[..., Fetcher], server: Server) -> None:
    fetch = fetcher(max_redirects=3)

    assert fetch(server.url + "/loop?left=3")["text"] == "the end"
    refused(fetch(server.url + "/loop?left=4"), "one redirect more than the 3")
    refused(fetcher(max_redirects=0)(server.url + "/loop?left=1"), "max_redirects")


def test_methods_schemes_and_hosts_are_checked_in_the_guest(
    fetcher: Callable[..., Fetcher], server: Server
) -> None:
    fetch = fetcher("127.0.0.1", methods=("GET",), schemes=("https",))

    refused(fetch(server.url), "scheme 'http'")
    fetch = fetcher("127.0.0.1:1", methods=("GET",))
    refused(fetch("http://127.0.0.1:1/", method="POST", text=""), "method 'POST'")
    refused(fetch(server.url), "allowed hosts")
    refused(fetch("http://user:x@127.0.0.1:1/"), "user name")


def test_headers_cannot_be_smuggled(fetch: Fetcher, server: Server) -> None:
    for headers in ({"X-A": "1\r\nX-B: 2"}, {"X-A": "1\nX-B: 2"}, {"X-A\r\nX-B": "2"}):
        answer = fetch(server.url + "/echo", headers=headers)
        # .NET refuses some itself; none may get through.
        if "text" in answer:
            seen = dict(json.loads(answer["text"])["headers"])
            assert "X-B" not in seen, seen
        else:
            assert answer["error"] in {"HttpRequestException", "ArgumentException"}
    refused(fetch(server.url + "/echo", headers={"Host": "other.example.com"}), "Host header")
    answer = fetch(
        server.url + "/echo",
        method="POST",
        text="body",
        headers={"Transfer-Encoding": "chunked", "Connection": "close", "Expect": "100-continue"},
    )
    seen = json.loads(answer["text"])
    assert seen["size"] == 4
    assert {"Transfer-Encoding", "Expect"}.isdisjoint(dict(seen["headers"]))


# ---------------------------------------------------------------- caps


def test_request_bodies_are_capped(fetcher: Callable[..., Fetcher], server: Server) -> None:
    fetch = fetcher(max_request_bytes=100_000)
    url = server.url + "/echo"

    assert fetch(url, method="POST", size=100_000)["status"] == 200
    assert fetch(url, method="POST", size=100_000, stream_request=True)["status"] == 200
    refused(fetch(url, method="POST", size=100_001), "100001 bytes", "max_request_bytes")
    refused(fetch(url, method="POST", size=500_000, stream_request=True), "max_request_bytes")


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])
def test_responses_are_capped(
    fetcher: Callable[..., Fetcher], server: Server, streamed: bool
) -> None:
    fetch = fetcher(max_response_bytes=100_000)

    assert fetch(server.url + "/bytes?size=100000", stream_response=streamed)["size"] == 100_000
    # Said in advance, found out on the way, grown by decompression.
    for path in ("/bytes?size=100001", "/chunked?size=30000&count=4", "/bomb"):
        answer = fetch(server.url + path, stream_response=streamed)
        assert answer["size" if "size" in answer else "error"] != 100_001
        refused(answer, "max_response_bytes=100000")


def test_what_the_host_holds_is_capped(fetcher: Callable[..., Fetcher], server: Server) -> None:
    fetch = fetcher(max_held_bytes=300_000)
    big = f"{server.url}/bytes?size=200000"

    for _ in range(3):  # It is given back every time.
        assert fetch(big, stream_response=False)["size"] == 200_000
        assert fetch(server.url + "/echo", method="POST", size=250_000)["status"] == 200
    # What is streamed is not held.
    answers = fetch.together([{"url": big}] * 5)
    assert [answer["size"] for answer in answers] == [200_000] * 5
    chunked = f"{server.url}/chunked?size=50000&count=4&pause=0.05"
    answers = fetch.together([{"url": chunked, "stream_response": False}] * 3)
    assert any("max_held_bytes" in answer.get("message", "") for answer in answers)
    refused(fetch(server.url + "/echo", method="POST", size=300_001), "max_held_bytes")
    assert fetch(big, stream_response=False)["size"] == 200_000


def test_an_exchange_has_a_deadline(fetcher: Callable[..., Fetcher], server: Server) -> None:
    fetch = fetcher(timeout=0.5)
    fetch(server.url + "/bytes?size=9")

    for path in ("/slow?seconds=5", "/chunked?count=30&pause=0.1"):
        server.broken.clear()
        answer = fetch(server.url + path)
        refused(answer, "took longer than the 0.5 s")
        assert answer["ms"] < 3_000
        assert server.broken.wait(2), "the connection was kept"


def test_connections_are_limited(fetcher: Callable[..., Fetcher], server: Server) -> None:
    fetch = fetcher(max_connections=1)

    answers = fetch.together([{"url": server.url + "/slow?seconds=0.2"} for _ in range(4)])

    # One after the other, for there is one connection.
    assert [answer.get("text") for answer in answers] == ["late"] * 4
    assert max(answer["ms"] for answer in answers) >= 800


# ---------------------------------------------------------------- servers that misbehave


def say(*parts: bytes, pause: float = 0.0) -> Callable[[socket.socket], None]:
    def behave(client: socket.socket) -> None:
        for part in parts:
            client.sendall(part)
            time.sleep(pause)

    return behave


def reset(client: socket.socket) -> None:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.mark.parametrize(
    ("behave", "words"),
    [
        (say(), ["does not keep to HTTP"]),
        (say(b"HTTP/1.1 200"), ["does not keep to HTTP"]),
        (say(b"SSH-2.0-OpenSSH_9.9\r\n\r\n"), ["does not keep to HTTP"]),
        (say(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort"), ["5 bytes, expected 10"]),
        (say(b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"), ["does not keep to HTTP"]),
        (say(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
         ["does not keep to HTTP"]),
        (say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
         ["does not keep to HTTP"]),
        (say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"),
         ["does not keep to HTTP"]),
        (say(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\nno gzip"), ["Content-Encoding"]),
        (say(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000 + b"\r\n\r\n"),
         ["does not keep to HTTP"]),
        (reset, ["127.0.0.1"]),
    ],
)  # fmt: skip
def test_what_is_not_http_is_said_so(
    fetch: Fetcher, behave: Callable[[socket.socket], None], words: list[str]
) -> None:
    with raw_server(behave) as url:
        refused(fetch(url), *words)


def test_servers_that_stall(fetcher: Callable[..., Fetcher]) -> None:
    fetch = fetcher(timeout=0.6)
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"
    for parts in ((b"HTTP/1.1 200 OK\r\nX-",), (head, b"half!")):
        with raw_server(say(*parts, pause=1.5)) as url:
            refused(fetch(url), "took longer than the 0.6 s")


def test_a_body_without_a_length_ends_with_its_connection(
    fetch: Fetcher,
) -> None:
    with raw_server(say(b"HTTP/1.0 200 OK\r\n\r\n", b"00000000\n", b"0000", pause=0.05)) as url:
        answer = fetch(url)
    assert (answer["text"], answer["intact"]) == ("00000000\n0000", True)


def test_an_answer_before_the_body_was_sent(fetch: Fetcher) -> None:
    answer_early = say(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nno!", pause=0.3)
    with raw_server(answer_early) as url:
        answer = fetch(url, method="POST", size=5_000_000, stream_request=True)
    if "error" in answer:  # The connection may be reset before the answer is read.
        refused(answer, "127.0.0.1")
    else:
        assert (answer["status"], answer["text"]) == (413, "no!")


def test_a_connection_that_went_stale_is_replaced(fetch: Fetcher) -> None:
    def answer_once(client: socket.socket) -> None:
        client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
        client.recv(65536)  # The next request, which it leaves alone.

    with raw_server(answer_once) as url:
        assert fetch(url)["text"] == "hi"
        assert fetch(url)["text"] == "hi"
        # What may have had its effect is not done twice.
        refused(fetch(url, method="POST", text="x"), "127.0.0.1")
        assert fetch(url, method="POST", text="x")["text"] == "hi"


def test_nobody_there(fetcher: Callable[..., Fetcher]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    fetch = fetcher("*")

    refused(fetch(f"http://127.0.0.1:{port}/"), "no connection to '127.0.0.1'")
    refused(fetch("http://does-not-exist.invalid/"), "'does-not-exist.invalid'", "resolved")
    refused(fetch("https://127.0.0.1:1/"), "no connection")


def test_what_is_no_url(fetcher: Callable[..., Fetcher]) -> None:
    fetch = fetcher("*")

    assert fetch("relative/path")["error"] == "InvalidOperationException"
    assert fetch("ftp://127.0.0.1/")["error"] in {"HttpRequestException", "NotSupportedException"}


def test_tls_verifies_the_name_and_the_authority(
    fetcher: Callable[..., Fetcher], server: Server, names: dict[str, list[list[str]]]
) -> None:
    folder = Path(__file__).with_name("tls")
    asked_for: list[str | None] = []
    of_server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    of_server.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
    of_server.sni_callback = lambda _socket, name, _context: asked_for.append(name)
    trusting = ssl.create_default_context(cafile=folder / "certificate.pem")
    names["tls.example.com"] = names["other.example.com"] = [["127.0.0.1"]]
    secure = Server(of_server)
    try:
        fetch = fetcher("*.example.com", "127.0.0.1", tls=trusting)

        answer = fetch(f"https://tls.example.com:{secure.port}/bytes?size=9")
        assert (answer["status"], answer["intact"]) == (200, True)
        # The connection went to an address; TLS and Host are about the name.
        assert asked_for == ["tls.example.com"]
        url = f"https://other.example.com:{secure.port}/"
        refused(fetch(url), "no connection to 'other.example.com'", "CERTIFICATE_VERIFY_FAILED")
        refused(fetch(f"https://{server.host}/"), "no connection")  # It speaks no TLS at all.

        fetch = fetcher("*.example.com")
        refused(fetch(f"https://tls.example.com:{secure.port}/"), "CERTIFICATE_VERIFY_FAILED")
        assert secure.seen == ["GET /bytes?size=9"]
    finally:
        secure.close()
