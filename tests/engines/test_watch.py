from __future__ import annotations

import math
import os
import time
from itertools import pairwise

import pytest

from dotnet_wasm_host.engines.wasmtime.watch import Watch


class Wakes(list[float]):
    def __call__(self) -> None:
        self.append(time.monotonic())

    def wait_for(self, count: int) -> None:
        patience = time.monotonic() + 20
        while len(self) < count:
            assert time.monotonic() < patience
            time.sleep(0.001)


@pytest.fixture
def wakes() -> Wakes:
    return Wakes()


def test_it_wakes_at_the_earliest_time_asked_for(wakes: Wakes) -> None:
    watch = Watch(wakes)
    start = time.monotonic()
    watch.ask(start + 60)
    watch.ask(start + 0.05)
    watch.ask(start + 30)
    assert watch.next <= start + 0.05
    wakes.wait_for(1)
    assert wakes[0] >= start + 0.05


def test_a_wake_up_is_repeated_for_those_that_missed_it_and_then_it_sleeps(wakes: Wakes) -> None:
    watch = Watch(wakes)
    watch.ask(time.monotonic())
    wakes.wait_for(4)
    pauses = [b - a for a, b in pairwise(wakes)]
    assert all(pause >= least for pause, least in zip(pauses, (0.003, 0.05, 1.0), strict=True))
    time.sleep(0.05)
    assert watch.next == -math.inf
    assert len(wakes) == 4
    watch.ask(time.monotonic())
    wakes.wait_for(5)


def test_those_that_ask_again_and_again_are_woken_again_and_again() -> None:
    class Guest(Wakes):
        def __call__(self) -> None:
            super().__call__()
            watch.ask(time.monotonic() + 0.02)

    guest = Guest()
    watch = Watch(guest)
    watch.ask(time.monotonic())
    guest.wait_for(20)
    # No more than the wake-up and its first echo for each time asked.
    assert guest[19] - guest[0] >= 9 * 0.02


def test_a_wish_for_never_or_far_away_does_not_wake(wakes: Wakes) -> None:
    watch = Watch(wakes)
    watch.ask(math.inf)
    assert watch.next == -math.inf
    watch.ask(time.monotonic() + 1e300)
    time.sleep(0.05)
    assert wakes == []


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_it_works_in_a_forked_child(wakes: Wakes) -> None:
    watch = Watch(wakes)
    watch.ask(time.monotonic())
    wakes.wait_for(1)
    pid = os.fork()
    if pid == 0:
        watch.start_afresh()
        before = len(wakes)
        watch.ask(time.monotonic())
        for _ in range(2000):
            if len(wakes) > before:
                os._exit(0)
            time.sleep(0.001)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
