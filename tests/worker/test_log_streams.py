"""``?logs=stream``: what a function prints comes with its call, while it runs."""

from __future__ import annotations

import base64
import json
import logging
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

import dotnet_wasm_host as dwh
from dotnet_wasm_host.worker import WorkerOptions, log_streams
from dotnet_wasm_host.worker.openapi import LOGGED_CALL
from dotnet_wasm_host.worker.problems import PROBLEM_JSON
from tests.conftest import CompiledSources
from tests.worker.conftest import TOKEN, MakeClient, put
from tests.worker.servers import Server

TALKATIVE = """
using System; using System.Text; using System.Threading;
public sealed class Talkative : MinimalRuntime.IFunctionHandler {
    public byte[] Execute(ReadOnlySpan<byte> input) {
        var text = Encoding.UTF8.GetString(input);
        Console.WriteLine($"began with {text}");
        if (text == "slow") Thread.Sleep(1500);
        if (text == "throw") throw new InvalidOperationException("thrown");
        if (text == "much") for (var n = 0; n < 20_000; n++) Console.WriteLine($"line {n}");
        Console.Error.WriteLine("an error");
        MinimalRuntime.Log.Debug("detail {Number}", 7);
        return input.ToArray();
    }
}
"""
LOGGER = logging.getLogger("dotnet_wasm_host.guest")


@pytest.fixture(scope="session")
def talkative(compiled: CompiledSources) -> dwh.Assembly:
    return compiled(TALKATIVE)


def stream(client: TestClient, path: str, payload: bytes, **headers: str) -> list[dict[str, Any]]:
    answer = client.post(f"{path}?logs=stream", content=payload, headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == LOGGED_CALL
    return [json.loads(line) for line in answer.text.splitlines()]


def logs(events: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(e["log"]["level"], e["log"]["text"]) for e in events if "log" in e]


def body(events: list[dict[str, Any]]) -> bytes:
    return b"".join(base64.b64decode(event["body"]) for event in events if "body" in event)


def test_lines_of_every_level_come_before_the_answer(
    client: TestClient, talkative: dwh.Assembly
) -> None:
    put(client, "a", talkative)
    before = LOGGER.level, list(LOGGER.filters)
    events = stream(client, "/functions/a/invoke", b"words")
    assert logs(events) == [
        ("INFO", "began with words"), ("WARNING", "an error"), ("DEBUG", "detail 7"),
    ]  # fmt: skip
    assert events[3] == {"start": {"status": 200, "type": "application/octet-stream"}}
    assert body(events) == b"words"
    assert events[-1] == {"end": True}
    assert (LOGGER.level, list(LOGGER.filters)) == before


def test_a_failed_call_has_its_lines_and_its_problem(
    client: TestClient, talkative: dwh.Assembly
) -> None:
    put(client, "a", talkative)
    events = stream(client, "/functions/a/invoke", b"throw")
    assert logs(events) == [("INFO", "began with throw")]
    assert events[1] == {"start": {"status": 500, "type": "application/problem+json"}}
    assert json.loads(body(events))["dotnet_message"] == "thrown"
    # Without a line it is the answer that it always is.
    missing = client.post("/functions/b/invoke?logs=stream", content=b"")
    assert (missing.status_code, missing.headers["content-type"]) == (404, PROBLEM_JSON)
    assert missing.json()["type"] == "urn:dotnet-wasm-host:function-not-found"


def test_lines_of_a_call_on_the_event_loop_come_before_its_answer(
    client: TestClient, talkative: dwh.Assembly
) -> None:
    put(client, "a", talkative)
    for _ in range(70):  # from then on it is called there
        client.post("/functions/a/invoke", content=b"x")
    events = stream(client, "/functions/a/invoke", b"x")
    assert [next(iter(event)) for event in events] == ["log"] * 3 + ["start", "body", "end"]


def test_lines_come_while_the_function_runs(talkative: dwh.Assembly, tmp_path: Path) -> None:
    with Server(tmp_path / "store.sqlite3") as server:
        assert server.put("a", talkative.data).status_code == 201
        path = "/functions/a/invoke?logs=stream"
        started = time.monotonic()
        with server.client.stream("POST", path, content=b"slow") as answer:
            lines = answer.iter_lines()
            assert json.loads(next(lines)) == {"log": {"level": "INFO", "text": "began with slow"}}
            first = time.monotonic() - started
            assert json.loads(list(lines)[-1]) == {"end": True}
        assert time.monotonic() - started - first > 1


def test_lines_of_other_functions_are_not_among_them(
    client: TestClient, talkative: dwh.Assembly, caplog: pytest.LogCaptureFixture
) -> None:
    put(client, "a", talkative)
    put(client, "b", talkative)
    other = threading.Thread(target=lambda: client.post("/functions/b/invoke", content=b"from b"))
    with caplog.at_level(logging.INFO, LOGGER.name):
        other.start()
        events = stream(client, "/functions/a/invoke", b"slow")
        other.join()
    assert [text for _, text in logs(events)] == ["began with slow", "an error", "detail 7"]
    # The log of the worker has both, and no line that its level leaves out.
    assert {"began with slow", "began with from b"} <= set(caplog.messages)
    assert "detail 7" not in caplog.messages


def test_a_function_that_prints_without_end_is_cut(
    client: TestClient, talkative: dwh.Assembly, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(client, "a", talkative)
    lines = logs(stream(client, "/functions/a/invoke", b"much"))
    assert len(lines) == log_streams.MOST_LINES + 1
    assert lines[-1][1] == "... more is in the worker's log"
    monkeypatch.setattr(log_streams, "MOST_CHARACTERS", 30)
    lines = logs(stream(client, "/functions/a/invoke", b"much"))
    assert [text for _, text in lines] == [
        "began with much", "line 0", "line 1", "... more is in the worker's log",
    ]  # fmt: skip


def test_only_who_may_deploy_gets_them(make_client: MakeClient, talkative: dwh.Assembly) -> None:
    client = make_client(WorkerOptions(token=TOKEN))
    authorization = {"authorization": f"Bearer {TOKEN}"}
    answer = client.put("/functions/a", content=talkative.data, headers=authorization)
    assert answer.status_code == 201
    assert client.post("/functions/a/invoke", content=b"x").status_code == 200
    refused = client.post("/functions/a/invoke?logs=stream", content=b"x")
    assert refused.status_code == 401
    assert logs(stream(client, "/functions/a/invoke", b"x", **authorization))
    foreign = client.post(
        "/functions/a/invoke?logs=stream",
        content=b"x",
        headers={**authorization, "origin": "http://evil.example"},
    )
    assert foreign.status_code == 403


@pytest.mark.parametrize("query", ["logs", "logs=", "logs=all", "log=stream", "other=1"])
def test_other_queries_change_nothing(
    client: TestClient, talkative: dwh.Assembly, query: str
) -> None:
    put(client, "a", talkative)
    answer = client.post(f"/functions/a/invoke?{query}", content=b"x")
    assert (answer.status_code, answer.content) == (200, b"x")
    assert answer.headers["content-type"] == "application/octet-stream"
