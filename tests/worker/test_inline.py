"""Quick functions are called on the event loop, and leave it when they are not quick."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

import dotnet_wasm_host as dwh
from dotnet_wasm_host.pool.quickness import FIRST_TRIAL, OVERRUN_SECONDS, Quickness
from dotnet_wasm_host.runtime.call_port import CallPort
from dotnet_wasm_host.worker import WorkerOptions, create_app
from dotnet_wasm_host.worker.service import FunctionService


@pytest.fixture
def service() -> Iterator[FunctionService]:
    service: FunctionService = create_app(WorkerOptions(concurrency=1)).state.worker
    service.start()
    yield service
    service.close()


def inline_after(quickness: Quickness, calls: int, seconds: float) -> bool:
    """Whether it is called on the loop after so many more calls in a thread."""
    for _ in range(calls):
        quickness.took_in_thread(seconds)
    return quickness.inline


def inline_after_inline(quickness: Quickness, calls: int, processor_seconds: float) -> bool:
    """The same after so many more calls on the loop."""
    for _ in range(calls):
        quickness.took_inline(processor_seconds)
    return quickness.inline


def test_a_function_must_be_quick_for_a_while() -> None:
    assert not inline_after(Quickness(), FIRST_TRIAL - 1, 0.0004)
    assert inline_after(Quickness(), FIRST_TRIAL, 0.0004)
    assert not inline_after(Quickness(), 10 * FIRST_TRIAL, 0.002)


def test_one_that_gets_slow_has_to_be_quick_for_longer() -> None:
    quickness = Quickness()
    assert inline_after(quickness, FIRST_TRIAL, 0.0004)
    assert inline_after_inline(quickness, 1000, 0.0001)
    assert not inline_after_inline(quickness, 60, 0.0004)  # 12 ms more than is fair
    assert not inline_after(quickness, FIRST_TRIAL, 0.0004)
    assert inline_after(quickness, FIRST_TRIAL, 0.0004)
    assert not inline_after_inline(quickness, 1, 0.04)


def test_a_pause_now_and_then_is_forgiven() -> None:
    quickness = Quickness()
    assert inline_after(quickness, FIRST_TRIAL, 0.0004)
    for _ in range(100):
        assert inline_after_inline(quickness, 1, 0.005)  # a garbage collection
        assert inline_after_inline(quickness, 50, 0.0001)


def test_one_that_overran_is_never_tried_again() -> None:
    quickness = Quickness()
    assert inline_after(quickness, FIRST_TRIAL, 0.0004)
    quickness.overran(OVERRUN_SECONDS)
    assert not inline_after(quickness, 100 * FIRST_TRIAL, 0.0001)


def test_one_that_the_machine_stopped_is() -> None:
    quickness = Quickness()
    assert inline_after(quickness, FIRST_TRIAL, 0.0004)
    quickness.overran(0.001)
    assert not inline_after(quickness, 2 * FIRST_TRIAL - 1, 0.0001)
    assert inline_after(quickness, 1, 0.0001)


def test_one_that_waits_is_never_tried() -> None:
    quickness = Quickness()
    assert not inline_after(quickness, 1, math.inf)
    assert not inline_after(quickness, 100 * FIRST_TRIAL, 0.0001)


def test_quick_calls_run_in_the_thread_of_the_loop(
    service: FunctionService, echo: dwh.Assembly, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = []
    begin = CallPort.begin

    def recorded(self: CallPort, *arguments: Any) -> Any:
        threads.append(threading.current_thread())
        return begin(self, *arguments)

    monkeypatch.setattr(CallPort, "begin", recorded)

    async def main() -> None:
        await service.deployer.deploy("f", echo.data)
        served = service.functions()["f"]
        assert await service.invoke("f", b"count") == b"1"
        assert threads[-1] is not threading.current_thread()
        served.quickness.inline = True
        assert await service.invoke("f", b"count") == b"2"
        assert threads[-1] is threading.current_thread()
        with pytest.raises(dwh.InvocationError, match="thrown"):
            await service.invoke("f", b"throw")
        assert (served.calls, served.failures) == (3, 1)

    asyncio.run(main())


def test_a_call_that_overruns_on_the_loop_is_done_in_a_thread(
    service: FunctionService, echo: dwh.Assembly
) -> None:
    async def main() -> None:
        await service.deployer.deploy("f", echo.data)
        served = service.functions()["f"]
        served.quickness.inline = True
        longest, last = 0.0, time.perf_counter()
        slow = asyncio.create_task(service.invoke("f", b"spin 1000"))
        while not slow.done():
            await asyncio.sleep(0.001)
            now = time.perf_counter()
            longest, last = max(longest, now - last), now
        assert await slow == b"spin 1000"
        assert OVERRUN_SECONDS / 2 < longest < 0.9
        assert not served.quickness.inline
        assert (served.calls, served.failures) == (1, 0)
        # The instance in which it was begun is gone with whatever it did.
        assert await service.invoke("f", b"count") == b"1"

    asyncio.run(main())


def test_a_timeout_below_the_loops_own_is_final(
    service: FunctionService, echo: dwh.Assembly
) -> None:
    async def main() -> None:
        await service.deployer.deploy("f", echo.data, timeout=0.02)
        service.functions()["f"].quickness.inline = True
        with pytest.raises(dwh.InvocationTimeout):
            await service.invoke("f", b"loop")

    asyncio.run(main())


def test_when_no_place_is_free_it_waits_for_one(
    service: FunctionService, echo: dwh.Assembly
) -> None:
    async def main() -> None:
        await service.deployer.deploy("f", echo.data)
        slow = asyncio.create_task(service.invoke("f", b"sleep 200"))
        await asyncio.sleep(0.05)
        service.functions()["f"].quickness.inline = True
        assert await service.invoke("f", b"x") == b"x"
        assert slow.done()

    asyncio.run(main())
