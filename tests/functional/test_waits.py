"""Waits on the one thread there is: they sleep, let others run, or say that they can never end."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

import dotnet_wasm_host as dwh

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.functional.conftest import Programs

#: Waits that nothing ends.
ENDLESS = (
    "event", "auto", "slim", "semaphore", "semaphore slim", "all", "any", "signal", "monitor",
    "sleep", "join", "barrier", "countdown", "spin lock", "task", "awaiter", "delay", "wait all",
    "wait any", "collection", "channel", "inner",
)  # fmt: skip
TIMED = {
    "sleep 300": "slept", "event 300": "False", "slim 300": "False", "monitor 300": "False",
    "join 300": "False", "any 300": "258", "try 300": "False",
}  # fmt: skip
#: Waits that queued work, timers or the waiting thread itself end.
ENDED = {
    "run": "1", "run async": "2", "delay 20": "True", "when all": "190", "queued": "True",
    "timer": "True", "blocked timer": "True", "pulse": "5", "pulse all": "5", "spin until": "True",
    "poll": "True", "yield": "3", "spin lock taken": "True", "parallel": "4950", "plinq": "9900",
    "producer": "45", "phases": "True", "deep": "100", "token": "True",
    "token of slim": "cancelled", "afterwards": "True", "async local": "(1, True)",
    "context": "(True, True)", "locked": "1", "readers": "1", "writer": "LockRecursionException",
}  # fmt: skip
#: What no call takes that does nothing but wait, in seconds of CPU time; a spin takes all.
IDLE = 0.2


@pytest.fixture(scope="module")
def waiting(image: dwh.RuntimeImage, programs: Programs) -> Iterator[dwh.Runtime]:
    with dwh.Runtime(image, limits=dwh.Limits(timeout=60)) as runtime:
        runtime.load_assembly("f", programs["waiting"], handler_type="Programs.Waiting")
        yield runtime


@pytest.mark.parametrize("kind", ENDLESS)
def test_a_wait_that_nothing_can_end_says_so(waiting: dwh.Runtime, kind: str) -> None:
    with pytest.raises(
        dwh.InvocationError, match=r"This wait can never end: .* Use await"
    ) as error:
        waiting.invoke("f", kind.encode())
    assert waiting.stats().recycles == 0
    assert "IAsyncFunctionHandler" in error.value.advice


@pytest.mark.parametrize("kind", TIMED)
def test_a_wait_with_a_timeout_sleeps(waiting: dwh.Runtime, kind: str) -> None:
    started, cpu = time.monotonic(), time.thread_time()
    assert waiting.invoke("f", kind.encode()).decode() == TIMED[kind]
    assert time.monotonic() - started >= 0.29
    assert time.thread_time() - cpu < IDLE


@pytest.mark.parametrize("kind", ENDED)
def test_what_ends_a_wait_gets_its_turn(waiting: dwh.Runtime, kind: str) -> None:
    assert waiting.invoke("f", kind.encode()).decode() == ENDED[kind]


def test_answers_of_the_host_end_waits(image: dwh.RuntimeImage, programs: Programs) -> None:
    async def later(data: bytes) -> bytes:
        await asyncio.sleep(0.05)
        return data[::-1]

    def never(_: bytes) -> bytes:
        raise ValueError("no such thing")

    functions = {"soon": lambda data: data, "later": later, "never": never}
    with dwh.Runtime(image, host_functions=functions) as runtime:
        runtime.load_assembly("f", programs["waiting"], handler_type="Programs.Asking")
        assert runtime.invoke("f", b"abc") == b"100000 abc cba no such thing abc"
        assert runtime.stats().recycles == 0


def test_calls_that_wait_go_on_meanwhile(
    image: dwh.RuntimeImage, programs: Programs, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "dotnet_wasm_host.guest")
    with dwh.Runtime(image) as runtime, ThreadPoolExecutor(1) as threads:
        runtime.load_assembly("other", programs["awaiting"], handler_type="Programs.Awaiting")
        runtime.load_assembly("f", programs["waiting"], handler_type="Programs.Blocking")
        other = threads.submit(runtime.invoke, "other", b"delay 30")
        while not runtime._port.calls_waiting:
            time.sleep(0.001)
        assert runtime.invoke("f", b"x") == b"x"
        assert other.result(10) == b"delay 30"
    said = [(r.getMessage(), r.function_id) for r in caplog.records if hasattr(r, "function_id")]
    assert said == [("before", "f"), ("after", "f")]


@pytest.mark.parametrize("kind", ["sleep 300", "event 300"])
def test_deadlines_come_in_time(waiting: dwh.Runtime, kind: str) -> None:
    waiting.invoke("f", b"run")
    started = time.monotonic()
    with pytest.raises(dwh.InvocationTimeout):
        waiting.invoke("f", kind.encode(), timeout=0.1)
    assert 0.1 <= time.monotonic() - started < 0.25


def test_a_call_that_sleeps_is_cancelled(waiting: dwh.Runtime) -> None:
    threading.Timer(0.05, waiting.cancel).start()
    started = time.monotonic()
    with pytest.raises(dwh.InvocationCancelled):
        waiting.invoke("f", b"sleep 300")
    assert time.monotonic() - started < 0.25


def test_ctrl_c_ends_a_sleep(waiting: dwh.Runtime) -> None:
    threading.Timer(0.05, signal.raise_signal, (signal.SIGINT,)).start()
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        waiting.invoke("f", b"sleep 300")
    assert time.monotonic() - started < 0.28


def test_who_sleeps_holds_up_nobody(waiting: dwh.Runtime) -> None:
    with ThreadPoolExecutor(1) as threads:
        sleeping = threads.submit(waiting.invoke, "f", b"sleep 300")
        turns = 0
        while not sleeping.done():
            turns += 1
            time.sleep(0.01)
    assert sleeping.result() == b"slept"
    assert turns > 5
