from __future__ import annotations

import os
import time

import pytest

from dotnet_wasm_host.engines.wasmtime.ticker import Ticker


def test_it_ticks_only_while_armed() -> None:
    ticks: list[float] = []
    ticker = Ticker(lambda: ticks.append(time.monotonic()), period=0.001)
    ticker.arm()
    while len(ticks) < 5:
        time.sleep(0.001)
    ticker.disarm()
    time.sleep(0.02)
    count = len(ticks)
    time.sleep(0.05)
    assert len(ticks) == count
    ticker.arm()
    while len(ticks) == count:
        time.sleep(0.001)
    ticker.disarm()


def test_ticks_never_come_early_however_late_some_are() -> None:
    ticks: list[float] = []

    def tick() -> None:
        ticks.append(time.monotonic())
        if len(ticks) % 4 == 0:
            time.sleep(0.012)

    ticker = Ticker(tick, period=0.005)
    ticker.arm()
    while len(ticks) < 20:
        time.sleep(0.001)
    ticker.disarm()
    for count in range(2, 20):
        spans = [b - a for a, b in zip(ticks, ticks[count - 1 :], strict=False)]
        assert min(spans) >= (count - 2) * 0.005 * 0.99


def test_a_deadline_in_ticks_covers_the_seconds() -> None:
    ticker = Ticker(lambda: None, period=0.002)
    for seconds in (0.0001, 0.002, 0.5, 3.0):
        assert (ticker.ticks(seconds) - 2) * ticker.period >= seconds


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_it_ticks_in_a_forked_child() -> None:
    ticks: list[int] = []
    ticker = Ticker(lambda: ticks.append(1), period=0.001)
    ticker.arm()
    while not ticks:
        time.sleep(0.001)
    pid = os.fork()
    if pid == 0:
        before = len(ticks)
        ticker.arm()
        for _ in range(2000):
            if len(ticks) > before + 2:
                os._exit(0)
            time.sleep(0.001)
        os._exit(1)
    ticker.disarm()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
