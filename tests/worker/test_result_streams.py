"""Results that are sent while their method runs."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from fastapi.testclient import TestClient

import dotnet_wasm_host as dwh
from dotnet_wasm_host.worker import WorkerOptions, create_app
from dotnet_wasm_host.worker.service import FunctionService
from tests.worker.browsing import serving
from tests.worker.test_operation import wait_until

SOURCE = """
public record Point(int X, string Name);
static int made, ended;
public static int Made() => made;
public static int Ended() => ended;
public static IEnumerable<int> Count(int n, int fail = -1) {
    try {
        for (var i = 0; i < n; i++) {
            if (i == fail) throw new FormatException("at " + i);
            made++;
            yield return i;
        }
    }
    finally { ended++; }
}
public static async IAsyncEnumerable<Point> Ticks(int n, int milliseconds) {
    try {
        for (var i = 0; i < n; i++) {
            await Task.Delay(milliseconds);
            made++;
            yield return new(i, "\\u00e4");
        }
    }
    finally { ended++; }
}
public static IEnumerable<string> Large(int n) {
    try { for (var i = 0; i < n; i++) { made++; yield return new string('x', 10_000); } }
    finally { ended++; }
}
public static IEnumerable<int> Forever() { while (true) { } yield return 1; }
public static IEnumerable<int> Exits() { yield return 1; Environment.Exit(3); }
public static IEnumerable<int> None() => null;
public static string Plain() => "plain";
"""
LINES = {"accept": "application/x-ndjson"}
OPTIONS = WorkerOptions(
    limits=dwh.Limits(timeout=2.5), concurrency=1, access_log=False, compile_seconds=60.0
)


@pytest.fixture(scope="module")
def worker() -> Iterator[tuple[str, FunctionService]]:
    app = create_app(OPTIONS)
    with serving(app) as url:
        answer = httpx2.put(
            f"{url}/functions/f",
            content=SOURCE,
            headers={"content-type": "text/x-csharp"},
            timeout=120,
        )
        assert answer.status_code == 201, answer.text
        yield url, app.state.worker


@pytest.fixture
def client(worker: tuple[str, FunctionService]) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=f"{worker[0]}/functions/f", timeout=30) as client:
        yield client


def call(client: httpx2.Client, method: str, **arguments: object) -> Any:
    answer = client.post(f"/{method}", json=arguments)
    assert answer.status_code == 200, answer.text
    return answer.json()


def lines(client: httpx2.Client, method: str, **arguments: object) -> httpx2.Response:
    return client.post(f"/{method}", json=arguments, headers=LINES)


def test_results_are_lines_or_records(client: httpx2.Client) -> None:
    answer = lines(client, "Count", n=3)
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.text == "0\n1\n2\n"
    assert lines(client, "Count", n=0).text == ""
    assert [json.loads(x) for x in lines(client, "Ticks", n=2, milliseconds=1).iter_lines()] == [
        {"X": 0, "Name": "\u00e4"},
        {"X": 1, "Name": "\u00e4"},
    ]
    records = client.post("/Count", json={"n": 2}, headers={"accept": "application/json-seq"})
    assert records.headers["content-type"] == "application/json-seq"
    assert records.content == b"\x1e0\n\x1e1\n"
    assert call(client, "Count", n=3) == [0, 1, 2]
    assert lines(client, "Plain").json() == "plain"


def test_results_come_while_the_method_runs(client: httpx2.Client) -> None:
    before, ended = call(client, "Made"), call(client, "Ended")
    with client.stream(
        "POST", "/Ticks", json={"n": 20, "milliseconds": 50}, headers=LINES
    ) as answer:
        first = next(answer.iter_lines())
        assert json.loads(first)["X"] == 0
    # The client has left: the method was ended, with its finally block.
    made = call(client, "Made") - before
    assert 1 <= made < 20
    assert call(client, "Ended") == ended + 1


def test_a_client_who_leaves_ends_the_stream(
    client: httpx2.Client, worker: tuple[str, FunctionService]
) -> None:
    made, ended = call(client, "Made"), call(client, "Ended")
    with client.stream("POST", "/Large", json={"n": 100_000}, headers=LINES) as answer:
        next(answer.iter_raw())
    # Its place is free again, in the same instance: statics say so.
    wait_until(lambda: worker[1].load_of("f") == (0, 0))
    assert call(client, "Ended") == ended + 1
    assert 0 < call(client, "Made") - made < 100_000


def test_a_method_goes_on_when_results_are_taken(client: httpx2.Client) -> None:
    """A client that reads nothing holds it up, after what the network holds."""
    before = call(client, "Made")
    with client.stream("POST", "/Large", json={"n": 100_000}, headers=LINES) as answer:
        pieces = answer.iter_raw(1 << 20)
        next(pieces)
        time.sleep(0.5)
    made = call(client, "Made") - before
    # 10 kB each: what was read, 64 KiB, and the buffers of sockets; not all of 1 GB.
    assert made < 5_000


def test_a_stream_ends_with_the_time_of_a_call(
    client: httpx2.Client, worker: tuple[str, FunctionService]
) -> None:
    started = time.monotonic()
    with (
        pytest.raises(httpx2.RemoteProtocolError),
        client.stream(
            "POST", "/Ticks", json={"n": 1000, "milliseconds": 100}, headers=LINES
        ) as answer,
    ):
        for _ in answer.iter_lines():
            pass
    assert 2 < time.monotonic() - started < 15
    wait_until(lambda: worker[1].load_of("f") == (0, 0))


def test_failures_before_the_first_result_are_problems(client: httpx2.Client) -> None:
    failed = lines(client, "Count", n=3, fail=0)
    assert failed.status_code == 422
    assert failed.json()["dotnet_type"] == "System.FormatException"
    assert lines(client, "Count").status_code == 422
    assert lines(client, "Count", n="x").json()["parameter"] == "n"
    assert lines(client, "None").status_code == 500
    assert lines(client, "Forever").status_code == 504
    assert lines(client, "Count", n=1).text == "0\n"


def test_later_failures_end_the_connection(client: httpx2.Client) -> None:
    ended = call(client, "Ended")
    got = []
    with (
        pytest.raises(httpx2.RemoteProtocolError),
        client.stream("POST", "/Count", json={"n": 5, "fail": 2}, headers=LINES) as answer,
    ):
        assert answer.status_code == 200
        got += list(answer.iter_lines())
    assert call(client, "Ended") == ended + 1
    with pytest.raises(httpx2.RemoteProtocolError):
        lines(client, "Exits")
    assert call(client, "Plain") == "plain"


def test_streams_take_the_places_of_calls(client: httpx2.Client) -> None:
    """With one place for the function, a call waits for the end of a stream."""
    order: list[str] = []

    def stream() -> None:
        lines(client, "Ticks", n=10, milliseconds=50)
        order.append("stream")

    thread = threading.Thread(target=stream)
    thread.start()
    time.sleep(0.2)
    call(client, "Plain")
    order.append("call")
    thread.join()
    assert sorted(order) == ["call", "stream"]
    assert order[0] == "stream"


@pytest.mark.long
@pytest.mark.parametrize("isolation", list(dwh.Isolation))
def test_every_isolation_has_streams(isolation: dwh.Isolation) -> None:
    options = WorkerOptions(isolation=isolation, compile_seconds=60.0, access_log=False)
    with TestClient(create_app(options)) as client:
        answer = client.put(
            "/functions/f",
            content="public static IEnumerable<int> F(int n) => Enumerable.Range(0, n);",
            headers={"content-type": "text/x-csharp"},
        )
        assert answer.status_code == 201, answer.text
        for _ in range(2):
            assert client.post("/functions/f/F", json={"n": 3}, headers=LINES).text == "0\n1\n2\n"
        metrics = client.get("/metrics").text
        assert 'dotnet_worker_calls_total{outcome="success"} 2.0' in metrics
