from __future__ import annotations

import asyncio
import time
from itertools import pairwise

import pytest

from dotnet_wasm_host.errors import TooManyCalls
from dotnet_wasm_host.worker.round_robin import AT_A_TIME, SHARED_SECONDS, RoundRobin


async def call(turns: RoundRobin, key: str, order: list[str]) -> None:
    if not turns.take(key):
        await turns.wait(key)
    order.append(key)


def test_a_few_begin_at_once_and_the_others_in_later_rounds() -> None:
    async def main() -> None:
        turns, order = RoundRobin(100), list[str]()
        tasks = [asyncio.create_task(call(turns, "a", order)) for _ in range(3 * AT_A_TIME)]
        begun = [0]
        while len(order) < len(tasks):
            await asyncio.sleep(0)
            begun.append(len(order))
        assert begun[1] == AT_A_TIME
        assert all(after - before <= AT_A_TIME for before, after in pairwise(begun))
        for _ in range(3):
            await asyncio.sleep(0)
        assert turns.take("a")

    asyncio.run(main())


def test_a_flood_puts_one_round_before_others() -> None:
    async def main() -> None:
        turns, order = RoundRobin(1000), list[str]()
        flood = [asyncio.create_task(call(turns, "flood", order)) for _ in range(20 * AT_A_TIME)]
        await asyncio.sleep(0)
        quiet = asyncio.create_task(call(turns, "quiet", order))
        await quiet
        assert order.index("quiet") <= 3 * AT_A_TIME
        await asyncio.gather(*flood)
        assert len(order) == 20 * AT_A_TIME + 1

    asyncio.run(main())


def test_too_many_are_refused_and_cancelled_ones_are_passed_over() -> None:
    async def main() -> None:
        turns = RoundRobin(2)
        first, second, other, refused = (asyncio.create_task(turns.wait(k)) for k in "aaba")
        await asyncio.sleep(0)
        assert not turns.take("a")
        first.cancel()
        with pytest.raises(TooManyCalls):
            await refused
        await asyncio.gather(second, other)
        assert first.cancelled()
        assert turns.take("a")

    asyncio.run(main())


def test_a_function_alone_takes_no_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)

    async def main() -> None:
        nonlocal now
        turns = RoundRobin(1)
        assert turns.take("a")
        now += SHARED_SECONDS + 0.1
        assert all(turns.take("a") for _ in range(10 * AT_A_TIME))
        # Another one comes: turns again, for both.
        begun = [turns.take(key) for key in "ba" * AT_A_TIME]
        assert sum(begun) < AT_A_TIME

    asyncio.run(main())
