"""``System.Net.Http.HttpClient`` in a guest against a server on this machine."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
import zlib
from typing import TYPE_CHECKING, Any

import pytest

import dotnet_wasm_host as dwh
from tests.http.server import Server, pattern

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.http.conftest import Fetcher

BIG = 20_000_000


def asked(answer: dict[str, Any]) -> dict[str, Any]:
    """What ``/echo`` says it was asked."""
    seen: dict[str, Any] = json.loads(answer["text"])
    return seen


def test_get(fetch: Fetcher, server: Server) -> None:
    answer = fetch(server.url + "/echo?q=%20ü", headers={"X-Own": "1", "Accept": "a/b"})

    assert answer["status"] == 200
    assert answer["headers"]["content-type"] == "application/json"
    assert answer["headers"]["x-odd"] == "a\xe9b"
    seen = asked(answer)
    assert (seen["method"], seen["path"], seen["size"]) == ("GET", "/echo?q=%20%C3%BC", 0)
    sent = dict(seen["headers"])
    assert sent["Host"] == server.host
    assert sent["X-Own"] == "1"
    assert sent["Accept"] == "a/b"
    assert sent["User-Agent"] == "dotnet-wasm-host"
    assert "Cookie" not in sent


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_bodies_are_sent(fetch: Fetcher, server: Server, method: str) -> None:
    text, data, empty, streamed = fetch.together([
        {"url": server.url + "/echo", "method": method, "text": "grüße"},
        {"url": server.url + "/echo", "method": method, "size": 100_000},
        {"url": server.url + "/echo", "method": method, "size": 0},
        {"url": server.url + "/echo", "method": method, "size": 100_000, "stream_request": True},
    ])  # fmt: skip

    seen = asked(text)
    assert (seen["method"], seen["size"]) == (method, 7)
    assert dict(seen["headers"])["Content-Type"] == "text/plain; charset=utf-8"
    for answer in (data, streamed):
        assert (asked(answer)["size"], asked(answer)["crc"]) == (
            100_000,
            zlib.crc32(pattern(100_000)),
        )
    assert asked(empty)["size"] == 0
    assert dict(asked(data)["headers"])["Content-Length"] == "100000"
    assert dict(asked(streamed)["headers"])["Transfer-Encoding"] == "chunked"


def test_head_options_and_statuses(fetch: Fetcher, server: Server) -> None:
    head, options, nothing, missing, broken = fetch.together([
        {"url": server.url + "/bytes?size=1000", "method": "HEAD"},
        {"url": server.url + "/echo", "method": "OPTIONS"},
        {"url": server.url + "/nothing"},
        {"url": server.url + "/no/such"},
        {"url": server.url + "/status?code=503"},
    ])  # fmt: skip

    assert (head["status"], head["size"], head["headers"]["content-length"]) == (200, 0, "1000")
    assert asked(options)["method"] == "OPTIONS"
    assert (nothing["status"], nothing["size"]) == (204, 0)
    assert (missing["status"], missing["text"]) == (404, "nothing here")
    assert (broken["status"], broken["text"]) == (503, "a body")


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])
def test_large_bodies_both_ways(
    fetcher: Callable[..., Fetcher], server: Server, streamed: bool
) -> None:
    fetch = fetcher(max_request_bytes=BIG)

    answer = fetch(f"{server.url}/bytes?size={BIG}", stream_response=streamed)
    assert (answer["size"], answer["intact"]) == (BIG, True)
    chunked = fetch(f"{server.url}/chunked?size=100000&count=100", stream_response=streamed)
    assert chunked["size"] == 10_000_000

    answer = fetch(server.url + "/echo", method="POST", size=BIG, stream_request=streamed)
    assert (asked(answer)["size"], asked(answer)["crc"]) == (BIG, zlib.crc32(pattern(BIG)))


def test_a_streamed_response_arrives_piece_by_piece(fetch: Fetcher, server: Server) -> None:
    fetch(server.url + "/bytes?size=9")  # The first request of all takes a while.

    # Lines of 9 bytes, three a chunk, one chunk every 50 ms: the first is there at once.
    answer = fetch(f"{server.url}/chunked?size=27&count=6&pause=0.05", take=27)
    assert (answer["size"], answer["intact"]) == (27, True)
    assert answer["ms"] < 300

    answer = fetch(f"{server.url}/chunked?size=27&count=6&pause=0.01", lines=True)
    assert answer["lines"] == ["00000000", "00000001", "00000002"] * 6


def test_compressed_responses_are_decoded(fetch: Fetcher, server: Server) -> None:
    answer = fetch(f"{server.url}/gzip?size=500000")

    assert (answer["size"], answer["intact"]) == (500_000, True)
    assert "content-encoding" not in answer["headers"]
    assert "content-length" not in answer["headers"]


def test_redirects_are_followed_or_shown(fetch: Fetcher, server: Server) -> None:
    url = f"{server.url}/redirect?to=/echo"

    assert asked(fetch(url))["path"] == "/echo"
    assert asked(fetch(url + "&status=303", method="POST", text="x"))["method"] == "GET"
    kept = asked(fetch(url + "&status=307", method="POST", text="x"))
    assert (kept["method"], kept["size"]) == ("POST", 1)
    shown = fetch(url, redirects=False)
    assert (shown["status"], shown["headers"]["location"]) == (302, "/echo")
    assert shown["text"] == "elsewhere"


def test_cookies_do_not_go_from_one_request_to_another(fetch: Fetcher, server: Server) -> None:
    assert fetch(server.url + "/cookie")["text"] == "none"
    assert fetch(server.url + "/cookie")["text"] == "none"
    assert fetch(server.url + "/cookie", headers={"Cookie": "own=1"})["text"] == "own=1"


def test_a_timeout_of_the_client_ends_the_request(fetch: Fetcher, server: Server) -> None:
    server.broken.clear()
    answer = fetch(server.url + "/slow?seconds=5", timeout_ms=200)

    assert (answer["error"], answer["inner"]) == ("TaskCanceledException", "TimeoutException")
    assert answer["ms"] < 2_000
    assert server.broken.wait(2), "the connection was kept"


@pytest.mark.parametrize("path", ["/slow?seconds=5", "/chunked?count=50&pause=0.1"])
def test_a_cancelled_token_ends_the_transfer(fetch: Fetcher, server: Server, path: str) -> None:
    server.broken.clear()
    answer = fetch(server.url + path, cancel_ms=200)

    assert answer["error"] in {"TaskCanceledException", "OperationCanceledException"}
    assert answer["ms"] < 2_000
    assert server.broken.wait(2), "the connection was kept"


def test_many_requests_at_once(fetcher: Callable[..., Fetcher], server: Server) -> None:
    fetch = fetcher(max_connections=20)
    plans = [{"url": f"{server.url}/bytes?size={9 * n}"} for n in range(100)]
    plans += [{"url": server.url + "/slow?seconds=0.3"} for _ in range(20)]

    answers = fetch.together(plans)

    assert [a for a in answers if "error" in a] == []
    assert [a["size"] for a in answers[:100]] == [9 * n for n in range(100)]
    assert all(a["intact"] for a in answers[:100])
    assert {a["text"] for a in answers[100:]} == {"late"}


def test_functions_and_instances_fetch_at_the_same_time(
    image: dwh.RuntimeImage, fetcher_assembly: dwh.Assembly, server: Server
) -> None:
    policy = dwh.HttpPolicy(allowed_hosts=(server.host,), allow_private_addresses=True)
    sizes: dict[int, int] = {}

    def ask(pool: dwh.RuntimePool, number: int) -> None:
        plan = [{"url": f"{server.url}/bytes?size={9_000 * number}"}]
        name = f"f{number % len(pool.functions)}"
        answer = json.loads(pool.invoke(name, json.dumps(plan).encode(), timeout=60))
        assert answer[0]["intact"]
        sizes[number] = answer[0]["size"]

    with dwh.RuntimePool(image, size=2, http=policy) as pool:
        for index in range(3):
            pool.load_assembly(f"f{index}", fetcher_assembly)
        threads = [threading.Thread(target=ask, args=(pool, n)) for n in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sizes == {n: 9_000 * n for n in range(6)}


def test_calls_that_wait_for_servers_wait_together(
    fetching: dwh.RuntimeImage, fetcher_assembly: dwh.Assembly, server: Server
) -> None:
    policy = dwh.HttpPolicy(
        allowed_hosts=(server.host,), allow_private_addresses=True, max_connections=40
    )
    question = json.dumps([{"url": server.url + "/slow?seconds=0.5"}]).encode()

    async def ask() -> list[bytes]:
        with dwh.RuntimePool(fetching, size=2, http=policy) as pool:
            pool.load_assembly("waiting", fetcher_assembly)
            await pool.invoke_async("waiting", question)
            calls = [pool.invoke_async("waiting", question) for _ in range(40)]
            return list(await asyncio.gather(*calls))

    started = time.monotonic()
    answers = [json.loads(answer)[0] for answer in asyncio.run(ask())]
    assert [answer["text"] for answer in answers] == ["late"] * 40
    # One after the other they would take twenty seconds, two at a time ten.
    assert time.monotonic() - started < 9


def test_the_synchronous_client_says_that_it_is_not_there(fetch: Fetcher, server: Server) -> None:
    assert fetch(server.url + "/echo", sync=True)["error"] == "PlatformNotSupportedException"


def test_what_was_begun_ends_with_the_instance(
    fetcher: Callable[..., Fetcher], server: Server
) -> None:
    fetch = fetcher()
    before = set(threading.enumerate())
    fetch(server.url + "/bytes?size=9")
    server.broken.clear()
    with pytest.raises(dwh.InvocationTimeout):
        fetch.runtime.invoke(
            "fetch",
            json.dumps([{"url": server.url + "/slow?seconds=20", "throw": True}]).encode(),
            timeout=0.3,
        )
    fetch.runtime.recycle()
    assert server.broken.wait(2), "the connection was kept"
    assert fetch(server.url + "/bytes?size=9")["text"] == "00000000\n"

    new = set(threading.enumerate()) - before
    (thread,) = (thread for thread in new if thread.name == "dotnet_wasm_host http")
    fetch.runtime.close()
    assert not thread.is_alive()


def test_a_look_up_that_takes_long_holds_nobody_up(
    fetcher: Callable[..., Fetcher], server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch = fetcher("*", timeout=0.4)
    real, answered = socket.getaddrinfo, threading.Event()

    def getaddrinfo(host: Any, *rest: Any, **options: Any) -> Any:
        if host == "slow.example.com":
            answered.wait(20)
        return real("127.0.0.1" if host == "slow.example.com" else host, *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    started = time.monotonic()
    answer = fetch("http://slow.example.com/")
    assert "took longer than the 0.4 s" in answer["message"]
    assert fetch(server.url + "/bytes?size=9")["size"] == 9
    fetch.runtime.close()
    assert time.monotonic() - started < 10
    answered.set()


def test_nothing_is_left_of_requests_that_are_over(
    fetcher: Callable[..., Fetcher], server: Server
) -> None:
    fetch = fetcher(max_connections=5)
    access = fetch.runtime._services._http
    assert access is not None
    small, slow = f"{server.url}/bytes?size=90000", server.url + "/slow?seconds=3"
    for _ in range(5):
        fetch.together([
            {"url": small}, {"url": small, "take": 10}, {"url": slow, "cancel_ms": 50},
            {"url": small, "stream_response": False}, {"url": small, "stream_response": False},
            {"url": "http://127.0.0.1:1/"}, {"url": server.url + "/chunked?count=9", "take": 1},
            {"url": server.url + "/echo", "method": "POST", "size": 100_000},
            {"url": server.url + "/echo", "method": "POST", "size": 9000, "stream_request": True},
        ])  # fmt: skip

    # Some end a moment after the guest has its answer.
    until = time.monotonic() + 5
    while (access.exchanges or access._held) and time.monotonic() < until:
        time.sleep(0.02)
    assert (access.exchanges, access._held) == (0, 0)
    (client,) = access.clients
    (pool,) = client._transport._pools.values()  # type: ignore[attr-defined]
    assert [repr(c) for c in pool.connections if not (c.is_idle() or c.is_closed())] == []
    assert len(pool.connections) <= 5


def test_an_image_of_a_runtime_that_fetched_has_the_policy_of_its_runtime(
    fetching: dwh.RuntimeImage, server: Server
) -> None:
    question = json.dumps([{"url": server.url + "/bytes?size=18"}]).encode()
    policy = dwh.HttpPolicy(allowed_hosts=(server.host,), allow_private_addresses=True)
    with dwh.Runtime(fetching, http=policy) as runtime:
        assert json.loads(runtime.invoke("fetch", question, timeout=30))[0]["size"] == 18
    with dwh.Runtime(fetching) as runtime:
        answer = json.loads(runtime.invoke("fetch", question, timeout=30))[0]
        assert answer["error"] == "HttpRequestException"
        assert "this runtime has no HTTP" in answer["message"]
