"""Asynchronous handlers: what they may use, who waits for them, and how they are stopped."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

import dotnet_wasm_host as dwh

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.functional.conftest import Programs


@pytest.fixture
def awaiting(image: dwh.RuntimeImage, programs: Programs) -> Iterator[dwh.Runtime]:
    limits = dwh.Limits(cancellation_grace=0.1)
    with dwh.Runtime(image, limits=limits) as runtime:
        runtime.load_assembly("f", programs["awaiting"], handler_type="Programs.Awaiting")
        yield runtime


def test_a_call_ends_when_its_task_does(awaiting: dwh.Runtime) -> None:
    assert awaiting.functions["f"].is_async
    assert awaiting.invoke("f", b"now") == b"now"
    started = time.monotonic()
    assert awaiting.invoke("f", b"delay 50") == b"delay 50"
    assert 0.045 < time.monotonic() - started < 2


@pytest.mark.parametrize(
    ("what", "answer"),
    [
        ("run", "42"),
        ("parallel", "5050"),
        ("channel", "1225"),
        ("stream", "0,1,2"),
        ("timer", "3"),
        ("race", "fast"),
        ("timeout", "timed out"),
        ("semaphore", "2"),
    ],
)
def test_the_library_works(
    awaiting: dwh.Runtime, programs: Programs, what: str, answer: str
) -> None:
    awaiting.load_assembly("lib", programs["awaiting"], handler_type="Programs.Library")
    assert awaiting.invoke("lib", what.encode(), timeout=10).decode() == answer


def test_waiting_burns_no_cpu(awaiting: dwh.Runtime) -> None:
    awaiting.invoke("f", b"delay 1")
    used = time.process_time()
    awaiting.invoke("f", b"delay 400")
    assert time.process_time() - used < 0.1


def test_others_enter_while_one_waits(awaiting: dwh.Runtime, moody: dwh.Assembly) -> None:
    awaiting.load_assembly("sync", moody)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(awaiting.invoke, "f", b"wait", timeout=20)
        while not awaiting._port.calls_waiting:
            time.sleep(0.001)
        assert awaiting.invoke("sync", b"count") == b"1"
        assert awaiting.stats().invocations == 2
        assert not waiting.done()
        assert awaiting.invoke("f", b"open") == b"open"
        assert waiting.result(5) == b"wait"


def test_invoke_many_awaits_together(awaiting: dwh.Runtime) -> None:
    results = awaiting.invoke_many("f", [b"peak 30"] * 20)
    assert max(map(int, results)) == 20
    assert awaiting.invoke_many("f", [b"now"] * 3) == [b"now"] * 3


def test_async_locals_belong_to_their_call(awaiting: dwh.Runtime) -> None:
    assert awaiting.invoke_many("f", [b"flow 1", b"flow 2", b"before"]) == [
        b"1", b"2", b"nothing",
    ]  # fmt: skip


def test_what_an_async_handler_throws(awaiting: dwh.Runtime) -> None:
    with pytest.raises(dwh.InvocationError, match="later") as caught:
        awaiting.invoke("f", b"throw")
    assert caught.value.dotnet_type == "System.InvalidOperationException"
    assert caught.value.inner is not None
    assert "ExecuteAsync" in caught.value.stack_trace
    with pytest.raises(dwh.InvocationError, match="ExecuteAsync returned null"):
        awaiting.invoke("f", b"null")
    assert awaiting.stats().failed_invocations == 2
    assert awaiting.stats().recycles == 0


def test_a_late_result_may_be_too_large(image: dwh.RuntimeImage, programs: Programs) -> None:
    with dwh.Runtime(image, limits=dwh.Limits(result_bytes=1000)) as runtime:
        runtime.load_assembly("f", programs["awaiting"], handler_type="Programs.Awaiting")
        assert len(runtime.invoke("f", b"large 1000")) == 1000
        with pytest.raises(dwh.LimitExceeded, match="returned 1001 bytes"):
            runtime.invoke("f", b"large 1001")


# ---------------------------------------------------------------- deadlines


def test_the_token_is_cancelled_first(awaiting: dwh.Runtime) -> None:
    with pytest.raises(dwh.InvocationTimeout, match=r"0\.3 s and ended when its token") as caught:
        awaiting.invoke("f", b"delay 60000", timeout=0.3)
    assert isinstance(caught.value.__cause__, dwh.InvocationError)
    assert awaiting.stats().recycles == 0


def test_a_function_may_answer_when_it_is_cancelled(awaiting: dwh.Runtime) -> None:
    assert awaiting.invoke("f", b"partial", timeout=0.3) == b"what there was"


def test_a_callback_of_the_token_may_throw(awaiting: dwh.Runtime) -> None:
    with pytest.raises(dwh.InvocationTimeout):
        awaiting.invoke("f", b"careless", timeout=0.3)
    assert awaiting.invoke("f", b"now") == b"now"


def test_what_does_not_heed_its_token_is_given_up(awaiting: dwh.Runtime) -> None:
    with pytest.raises(dwh.InvocationTimeout, match="did not end when its token was cancelled"):
        awaiting.invoke("f", b"deaf 60000", timeout=0.3)
    assert awaiting.stats().recycles == 1
    assert awaiting.invoke("f", b"now") == b"now"


def test_giving_up_one_call_spares_the_others(awaiting: dwh.Runtime) -> None:
    with ThreadPoolExecutor(1) as threads:
        other = threads.submit(awaiting.invoke, "f", b"delay 1500")
        with pytest.raises(dwh.InvocationTimeout):
            awaiting.invoke("f", b"deaf 60000", timeout=0.3)
        assert awaiting.stats().recycles == 0
        assert other.result() == b"delay 1500"
    assert awaiting.stats().recycles == 1


def test_a_loop_after_an_await_is_stopped(awaiting: dwh.Runtime) -> None:
    with pytest.raises(dwh.InvocationTimeout):
        awaiting.invoke("f", b"spin", timeout=0.3)
    assert awaiting.invoke("f", b"delay 1") == b"delay 1"


# ---------------------------------------------------------------- instances that go


def test_every_call_in_an_instance_that_dies_is_told(awaiting: dwh.Runtime) -> None:
    errors: list[BaseException] = []

    def call(payload: bytes) -> None:
        try:
            awaiting.invoke("f", payload)
        except dwh.DotnetHostError as error:
            errors.append(error)

    threads = [
        threading.Thread(target=call, args=[payload])
        for payload in (b"delay 60000", b"delay 60000", b"exit 100")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert sorted(type(e).__name__ for e in errors) == [
        "GuestTerminated", "InstanceLost", "InstanceLost",
    ]  # fmt: skip
    assert awaiting.invoke("f", b"now") == b"now"


@pytest.mark.parametrize("end", ["recycle", "close"])
def test_a_call_does_not_outlive_its_instance(awaiting: dwh.Runtime, end: str) -> None:
    expected = dwh.InstanceLost if end == "recycle" else dwh.RuntimeClosed
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(awaiting.invoke, "f", b"wait")
        while not awaiting._port.calls_waiting:
            time.sleep(0.001)
        with pytest.raises(dwh.DotnetHostError, match="calls wait"):
            awaiting.snapshot()
        getattr(awaiting, end)()
        with pytest.raises(expected):
            waiting.result(5)


def test_an_unloaded_function_ends_its_calls(awaiting: dwh.Runtime) -> None:
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(awaiting.invoke, "f", b"delay 100")
        while not awaiting._port.calls_waiting:
            time.sleep(0.001)
        awaiting.unload_assembly("f")
        assert waiting.result(5) == b"delay 100"
    with pytest.raises(dwh.FunctionNotLoaded):
        awaiting.invoke("f", b"now")


def test_async_functions_are_in_snapshots(awaiting: dwh.Runtime) -> None:
    awaiting.invoke("f", b"delay 1")
    with dwh.Runtime(awaiting.snapshot()) as other:
        assert other.functions["f"].is_async
        assert other.invoke("f", b"delay 5") == b"delay 5"
        assert other.invoke_many("f", [b"delay 5"] * 3) == [b"delay 5"] * 3


# ---------------------------------------------------------------- synchronous functions


def test_timers_of_synchronous_functions_fire_between_calls(
    awaiting: dwh.Runtime, programs: Programs
) -> None:
    awaiting.load_assembly("t", programs["awaiting"], handler_type="Programs.Ticking")
    assert awaiting.invoke("t") == b"0"
    seen = 0
    for _ in range(100):
        time.sleep(0.002)
        seen = int(awaiting.invoke("t"))
        if seen >= 3:
            break
    assert seen >= 3


def test_timers_in_a_snapshot_run_on(awaiting: dwh.Runtime, programs: Programs) -> None:
    awaiting.load_assembly("t", programs["awaiting"], handler_type="Programs.Ticking")
    ticks = int(awaiting.invoke("t"))
    with dwh.Runtime(awaiting.snapshot()) as other:
        for _ in range(200):
            if int(other.invoke("t")) > ticks + 2:
                return
            time.sleep(0.002)
    pytest.fail("the timer stood still")


def test_a_handler_of_both_kinds_is_called_synchronously(
    awaiting: dwh.Runtime, programs: Programs
) -> None:
    awaiting.load_assembly("b", programs["awaiting"], handler_type="Programs.Both")
    assert not awaiting.functions["b"].is_async
    assert awaiting.invoke("b") == b"sync"


def test_the_first_error_of_many_cancels_the_others(awaiting: dwh.Runtime) -> None:
    with pytest.raises(dwh.InvocationError, match="later"):
        awaiting.invoke_many("f", [b"throw", b"delay 60000", b"delay 60000"])
    assert awaiting.invoke("f", b"delay 1") == b"delay 1"
    assert not awaiting._port.calls_waiting
    assert awaiting.stats().recycles == 0
