"""Durability in one process, metrics, logs, traces, reload, backpressure, mounting."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import dotnet_wasm_host as dwh
from dotnet_wasm_host.options import Limits
from dotnet_wasm_host.worker import (
    Condition,
    SqliteStore,
    StoredFunction,
    StoreError,
    WorkerOptions,
    create_app,
)
from dotnet_wasm_host.worker.access_log import ACCESS_LOG, MOST_LINES, AccessLog
from dotnet_wasm_host.worker.exchanges import Exchange
from dotnet_wasm_host.worker.service import FunctionService
from tests.worker.conftest import MakeClient, put
from tests.worker.test_functions import problem


def wait_until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.01)


def call(client: TestClient, function_id: str, payload: bytes) -> bytes:
    answer = client.post(f"/functions/{function_id}/invoke", content=payload)
    assert answer.status_code == 200, answer.text
    return answer.content


def sample(client: TestClient, name: str, **labels: str) -> float:
    """A value of the exposition; 0 if it is not there."""
    text = client.get("/metrics").text
    wanted = "".join(f'{key}="{value}",' for key, value in sorted(labels.items()))[:-1]
    pattern = re.escape(f"{name}{{{wanted}}}" if labels else name) + r" (\S+)"
    found = re.search(f"^{pattern}$", text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def test_functions_survive_a_restart(
    make_client: MakeClient, tmp_path: Path, echo: dwh.Assembly
) -> None:
    with TestClient(create_app(store=tmp_path / "store")) as client:
        put(client, "f", echo, timeout=3, concurrency=1)
        before = client.get("/functions").json()["functions"][0]
    client = make_client(store=tmp_path / "store")
    assert client.get("/ready").json() == {"status": "ready"}
    assert call(client, "f", b"x") == b"x"
    after = client.get("/functions").json()["functions"][0]
    for name in ("sha256", "handler_type", "timeout", "concurrency", "deployed_at"):
        assert after[name] == before[name]


def test_apps_that_share_a_store_notice_each_others_deploys(
    make_client: MakeClient, tmp_path: Path, echo: dwh.Assembly, second_echo: dwh.Assembly
) -> None:
    one, two = (make_client(WorkerOptions(poll_seconds=0.02), tmp_path / "store") for _ in "12")
    put(one, "f", echo)
    # A function that is not known is looked for at once, without waiting for the next poll.
    assert call(two, "f", b"version") == b"VERSION"
    put(two, "f", second_echo)
    wait_until(lambda: call(one, "f", b"version") == b"SECOND")
    assert two.delete("/functions/f").status_code == 204
    wait_until(lambda: one.post("/functions/f/invoke").status_code == 404)


class FailingStore:
    """An SQLite store that fails when it is told to."""

    def __init__(self) -> None:
        self.inner = SqliteStore(":memory:")
        self.broken: set[str] = set()

    def __getattr__(self, name: str) -> object:
        if name in self.broken:
            raise StoreError(f"{name} failed")
        return getattr(self.inner, name)

    def functions(self) -> Mapping[str, object]:
        if "functions" in self.broken:
            raise StoreError("functions failed")
        return self.inner.functions()


def test_a_deploy_that_cannot_be_written_down_does_not_happen(
    echo: dwh.Assembly, second_echo: dwh.Assembly
) -> None:
    store = FailingStore()
    with TestClient(create_app(store=store)) as client:  # type: ignore[arg-type]
        put(client, "f", echo)
        store.broken = {"put"}
        problem(client.put("/functions/f", content=second_echo.data), 503, "store-unavailable")
        assert call(client, "f", b"version") == b"VERSION"
        store.broken = {"delete"}
        problem(client.delete("/functions/f"), 503, "store-unavailable")
        assert call(client, "f", b"version") == b"VERSION"


def test_a_store_that_is_gone_for_a_while_stops_no_calls(echo: dwh.Assembly) -> None:
    store = FailingStore()
    app = create_app(WorkerOptions(poll_seconds=0.01), store=store)  # type: ignore[arg-type]
    with TestClient(app) as client:
        put(client, "f", echo)
        store.broken = {"version", "functions"}
        wait_until(lambda: client.get("/ready").status_code == 503)
        problem(client.get("/ready"), 503, "store-unavailable")
        assert call(client, "f", b"x") == b"x"
        store.broken = set()
        wait_until(lambda: client.get("/ready").status_code == 200)


def test_a_start_that_failed_is_made_up_for(echo: dwh.Assembly) -> None:
    store = FailingStore()
    app = create_app(WorkerOptions(poll_seconds=0.01), store=store)  # type: ignore[arg-type]
    client = TestClient(app)  # without its lifespan, as in an app that does not hand it on
    store.broken = {"functions"}
    for _ in range(2):
        problem(client.get("/functions"), 503, "store-unavailable")
    assert not app.state.worker.started
    store.broken = set()
    put(client, "f", echo)
    # What another process does is followed from now on.
    store.inner.delete("f", Condition())
    wait_until(lambda: client.post("/functions/f/invoke").status_code == 404)
    app.state.worker.close()


def test_what_cannot_be_loaded_any_more_does_not_stop_the_rest(
    make_client: MakeClient, tmp_path: Path, echo: dwh.Assembly, no_handler: dwh.Assembly
) -> None:
    with TestClient(create_app(store=tmp_path / "store")) as client:
        put(client, "f", echo)
        put(client, "g", echo)
    store = SqliteStore(tmp_path / "store")
    stored = store.read("f")
    assert stored is not None
    record = replace(stored.record, sha256=no_handler.sha256)
    store.put(StoredFunction(record, no_handler.data), Condition(), 10)
    store.close()
    client = make_client(store=tmp_path / "store")
    assert call(client, "g", b"x") == b"x"
    answer = client.post("/functions/f/invoke")
    assert "could not be loaded" in str(problem(answer, 404, "function-not-found")["detail"])


def test_metrics_tell_what_happened(client: TestClient, echo: dwh.Assembly) -> None:
    put(client, "f", echo, timeout=0.2)
    for payload, status in ((b"x", 200), (b"throw", 500), (b"exit", 500), (b"loop", 504)):
        assert client.post("/functions/f/invoke", content=payload).status_code == status
    client.post("/functions/missing/invoke")
    for outcome in (
        "success",
        "InvocationError",
        "GuestTerminated",
        "InvocationTimeout",
        "FunctionNotLoaded",
    ):
        assert sample(client, "dotnet_worker_calls_total", outcome=outcome) == 1, outcome
    assert sample(client, "dotnet_worker_call_seconds_count", function="f") == 4
    assert 0.2 <= sample(client, "dotnet_worker_call_seconds_sum", function="f") < 20
    assert sample(client, "dotnet_worker_deploys_total", outcome="success") == 1
    assert sample(client, "dotnet_worker_functions") == 1
    assert sample(client, "dotnet_worker_instances") == 1
    assert sample(client, "dotnet_worker_instance_recycles") == 2
    assert sample(client, "dotnet_worker_linear_memory_bytes") > 1e6
    assert sample(client, "dotnet_worker_resident_memory_bytes") > 1e6
    assert sample(client, "dotnet_worker_ready") == 1
    assert sample(client, "dotnet_worker_requests_total", status="504") == 1


def test_ever_new_names_do_not_fill_the_metrics(
    make_client: MakeClient, echo: dwh.Assembly
) -> None:
    client = make_client(WorkerOptions(labelled_functions=2))
    for name in ("a", "b", "c", "d"):
        put(client, name, echo)
        call(client, name, b"x")
    for name in ("x", "y"):
        client.post(f"/functions/{name}/invoke")
    count = "dotnet_worker_call_seconds_count"
    assert [sample(client, count, function=f) for f in ("a", "b", "c", "")] == [1, 1, 0, 2]
    assert 'function="x"' not in client.get("/metrics").text
    client.delete("/functions/a")
    call(client, "c", b"x")
    assert [sample(client, count, function=f) for f in ("a", "c", "")] == [0, 1, 2]


def test_many_who_ask_for_what_is_not_there_have_it_looked_for_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    service: FunctionService = create_app().state.worker
    service.start()
    looks = []
    follower = service._follower
    look = follower.follow_if_changed

    def counted() -> None:
        looks.append(threading.current_thread())
        time.sleep(0.05)
        look()

    async def main() -> None:
        calls = [service.invoke(f"nothing {number}", b"") for number in range(100)]
        errors = await asyncio.gather(*calls, return_exceptions=True)
        assert {type(error) for error in errors} == {dwh.FunctionNotLoaded}

    monkeypatch.setattr(follower, "follow_if_changed", counted)
    asyncio.run(main())
    monkeypatch.undo()
    service.close()
    assert 1 <= len([thread for thread in looks if "store" not in thread.name]) <= 2


def logged_requests(caplog: pytest.LogCaptureFixture, count: int) -> list[dict[str, Any]]:
    """So many lines of the access log; they are written a moment later."""

    def lines() -> list[str]:
        texts = [r.getMessage() for r in tuple(caplog.records) if r.name == ACCESS_LOG]
        return [line for text in texts for line in text.splitlines()]

    wait_until(lambda: len(lines()) >= count)
    return [json.loads(line) for line in lines()]


def test_a_call_that_outlives_its_function_takes_no_label(
    make_client: MakeClient, echo: dwh.Assembly
) -> None:
    client = make_client(WorkerOptions(labelled_functions=1))
    put(client, "a", echo)
    with ThreadPoolExecutor(1) as thread:
        slow = thread.submit(call, client, "a", b"spin 400")
        wait_until(lambda: sample(client, "dotnet_worker_calls_running") == 1)
        assert client.delete("/functions/a").status_code == 204
        slow.result()
    put(client, "b", echo)
    call(client, "b", b"x")
    count = "dotnet_worker_call_seconds_count"
    assert [sample(client, count, function=f) for f in ("a", "b", "")] == [0, 1, 1]


def test_requests_are_logged_as_json(
    client: TestClient, echo: dwh.Assembly, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, ACCESS_LOG)
    put(client, "f%0A", echo)
    client.post("/functions/f%0A/invoke", content=b"throw")
    deploy, failed = logged_requests(caplog, 2)
    assert (deploy["method"], deploy["status"], deploy["bytes_in"]) == ("PUT", 201, len(echo.data))
    assert failed["function"] == "f\n"
    assert failed["path"] == "/functions/f\n/invoke"
    assert (failed["status"], failed["error"]) == (500, "InvocationError")
    assert (failed["bytes_in"], failed["client"]) == (5, "testclient")
    assert failed["bytes_out"] > 0
    assert 0 < failed["ms"] < 60_000
    assert abs(failed["time"] - time.time()) < 60


def test_what_happened_last_is_logged_when_the_app_ends(
    echo: dwh.Assembly, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, ACCESS_LOG)
    with TestClient(create_app()) as client:
        put(client, "f", echo)
        for _ in range(5):
            call(client, "f", b"x")
    assert [entry["status"] for entry in logged_requests(caplog, 6)] == [201, *[200] * 5]


def test_a_log_that_nobody_reads_holds_up_nobody(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, ACCESS_LOG)
    log, exchange, reads = AccessLog(), Exchange(), threading.Event()

    class Stuck(logging.Handler):
        def emit(self, _: logging.LogRecord) -> None:
            reads.wait(30)

    def add() -> None:
        log.add({"method": "GET", "path": "/"}, exchange, 0.001)

    async def main() -> None:
        for _ in range(3):
            add()
            await asyncio.sleep(0.1)  # longer than lines are collected
        for _ in range(MOST_LINES + 8):
            add()
        reads.set()

    stuck = Stuck()
    logging.getLogger(ACCESS_LOG).addHandler(stuck)
    try:
        asyncio.run(main())
        log.flush()
    finally:
        logging.getLogger(ACCESS_LOG).removeHandler(stuck)
    # The line that was being written, those that may wait, and one about the others.
    entries = logged_requests(caplog, MOST_LINES + 2)
    assert len(entries) == 1 + MOST_LINES + 1
    assert entries[-1]["dropped_lines"] == 10


def test_calls_are_traced(
    client: TestClient, echo: dwh.Assembly, caplog: pytest.LogCaptureFixture
) -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    caplog.set_level(logging.INFO, ACCESS_LOG)
    put(client, "f", echo)
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    client.post("/functions/f/invoke", content=b"x", headers={"traceparent": parent})
    client.post("/functions/f/invoke", content=b"throw")
    good, bad = (s for s in exporter.get_finished_spans() if s.name.startswith("invoke"))
    assert good.name == "invoke f"
    assert good.attributes is not None
    assert good.attributes["faas.invoked_name"] == "f"
    # Up to the caller's; newer versions of FastAPI put one of the request between.
    spans = {span.context.span_id: span for span in exporter.get_finished_spans() if span.context}
    above = good.parent
    while above is not None and above.span_id in spans:
        assert spans[above.span_id].kind is trace.SpanKind.SERVER
        above = spans[above.span_id].parent
    assert above is not None
    assert trace.format_span_id(above.span_id) == "b7ad6b7169203331"
    of_request = [
        span for span in spans.values()
        if span.kind is trace.SpanKind.SERVER and span.context.trace_id == above.trace_id
    ]  # fmt: skip
    assert len(of_request) == 1
    assert bad.status.status_code is trace.StatusCode.ERROR
    logged = logged_requests(caplog, 3)[1]
    assert logged["trace"] == "0af7651916cd43dd8448eb211c80319c"


def test_a_reload_takes_the_image_as_it_is_now(
    make_client: MakeClient, image: dwh.RuntimeImage, tmp_path: Path, echo: dwh.Assembly
) -> None:
    file = tmp_path / "image"
    image.save(file)
    client = make_client(WorkerOptions(image=file, poll_seconds=0.02))
    put(client, "f", echo, concurrency=1)
    assert call(client, "f", b"count") == b"1"
    assert call(client, "f", b"count") == b"2"
    with ThreadPoolExecutor(1) as thread:
        slow = thread.submit(call, client, "f", b"sleep 500")
        time.sleep(0.1)
        answer = client.post("/admin/reload")
        assert (answer.status_code, answer.json()) == (202, {"reload": 1})
        wait_until(lambda: call(client, "f", b"count") == b"1")
        assert slow.result() == b"sleep 500"
    assert client.get("/functions").json()["functions"][0]["handler_type"] == "Echo"
    # A file that is no image any more: the old one goes on.
    file.write_bytes(b"damaged")
    client.post("/admin/reload")
    time.sleep(0.3)
    assert call(client, "f", b"count") != b"1"
    assert client.get("/ready").status_code == 200


def test_too_many_calls_are_refused_and_others_are_not(
    make_client: MakeClient, echo: dwh.Assembly
) -> None:
    client = make_client(WorkerOptions(waiting_per_function=3, concurrency=1))
    put(client, "flood", echo)
    put(client, "quiet", echo)
    with ThreadPoolExecutor(12) as threads:
        flood = [
            threads.submit(client.post, "/functions/flood/invoke", content=b"sleep 200")
            for _ in range(12)
        ]
        time.sleep(0.1)
        assert call(client, "quiet", b"x") == b"x"
        answers = [call.result() for call in flood]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert 12 - len(refused) >= 4
    assert len(refused) >= 1
    assert sample(client, "dotnet_worker_calls_total", outcome="TooManyCalls") == len(refused)
    for answer in refused:
        problem(answer, 429, "too-many-calls")
        assert 1 <= int(answer.headers["retry-after"]) <= 60


def test_a_hanging_function_blocks_nobody(make_client: MakeClient, echo: dwh.Assembly) -> None:
    client = make_client(WorkerOptions(limits=Limits(timeout=30)))
    put(client, "quiet", echo)
    # A machine that is busy with other things gets more time for as many calls.
    assert any(_answered_beside_hanging_calls(client, echo, timeout) > 50 for timeout in (1.5, 15))


def _answered_beside_hanging_calls(client: TestClient, echo: dwh.Assembly, timeout: float) -> int:
    put(client, "hang", echo, timeout=timeout)
    with ThreadPoolExecutor(4) as threads:
        hanging = [
            threads.submit(client.post, "/functions/hang/invoke", content=b"loop") for _ in range(4)
        ]
        time.sleep(0.1)
        answered = 0
        while not any(call.done() for call in hanging):
            assert call(client, "quiet", b"x") == b"x"
            answered += 1
        assert {call.result().status_code for call in hanging} == {504}
    return answered


def test_it_is_mounted_into_another_app(echo: dwh.Assembly) -> None:
    worker = create_app()
    outer = FastAPI()
    outer.mount("/dotnet", worker)

    @outer.get("/own")
    async def own() -> dict[str, bool]:
        return {"own": True}

    with TestClient(outer) as client:
        assert client.get("/own").json() == {"own": True}
        answer = client.put("/dotnet/functions/f", content=echo.data)
        assert (answer.status_code, answer.headers["location"]) == (201, "/dotnet/functions/f")
        assert client.post("/dotnet/functions/f/invoke", content=b"x").content == b"x"
        assert client.get("/dotnet/nothing").text == "Not Found"
        assert client.get("/dotnet/health").json()["status"] == "ok"
    worker.state.worker.close()


def test_a_host_hands_its_lifespan_on(echo: dwh.Assembly) -> None:
    worker = create_app()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with worker.router.lifespan_context(worker):
            yield

    outer = FastAPI(lifespan=lifespan)
    outer.mount("/dotnet", worker)
    with TestClient(outer) as client:
        assert worker.state.worker.started
        assert client.put("/dotnet/functions/f", content=echo.data).status_code == 201
    assert not worker.state.worker.started


def test_closing_lets_calls_end(echo: dwh.Assembly) -> None:
    before = set(threading.enumerate())
    worker = create_app()
    service = worker.state.worker
    service.start()

    async def main() -> None:
        await service.deployer.deploy("f", echo.data)
        running = asyncio.create_task(service.invoke("f", b"sleep 300"))
        await asyncio.sleep(0.1)
        closing = asyncio.create_task(asyncio.to_thread(service.close))
        assert await running == b"sleep 300"
        await closing
        with pytest.raises(dwh.RuntimeClosed):
            await service.invoke("f", b"x")
        with pytest.raises(dwh.RuntimeClosed):
            await service.deployer.deploy("f", echo.data)

    asyncio.run(main())
    service.close()
    # A fixture of the session may have a worker.
    begun = set(threading.enumerate()) - before
    left = [t.name for t in begun if t.name.startswith("dotnet_wasm_host")]
    # The engines' own threads serve all runtimes of the process and stay.
    assert set(left) <= {"dotnet_wasm_host watch"}
