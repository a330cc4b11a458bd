from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from dotnet_wasm_host.errors import TooManyCalls
from dotnet_wasm_host.worker.turns import AT_A_TIME, Turns


async def call(turns: Turns, key: str, order: list[str]) -> None:
    if not turns.take():
        await turns.wait(key)
    order.append(key)


def test_a_few_begin_at_once_and_the_others_in_later_rounds() -> None:
    async def main() -> None:
        turns, order = Turns(100), list[str]()
        tasks = [asyncio.create_task(call(turns, "a", order)) for _ in range(3 * AT_A_TIME)]
        begun = [0]
        while len(order) < len(tasks):
            await asyncio.sleep(0)
            begun.append(len(order))
        assert begun[1] == AT_A_TIME
        assert all(after - before <= AT_A_TIME for before, after in pairwise(begun))
        for _ in range(3):
            await asyncio.sleep(0)
        assert turns.take()

    asyncio.run(main())


def test_a_flood_puts_one_round_before_others() -> None:
    async def main() -> None:
        turns, order = Turns(1000), list[str]()
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
        turns = Turns(2)
        first, second, other, refused = (asyncio.create_task(turns.wait(k)) for k in "aaba")
        await asyncio.sleep(0)
        assert not turns.take()
        first.cancel()
        with pytest.raises(TooManyCalls):
            await refused
        await asyncio.gather(second, other)
        assert first.cancelled()
        assert turns.take()

    asyncio.run(main())
