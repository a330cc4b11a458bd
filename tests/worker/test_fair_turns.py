"""Clients take turns, and so do the functions of each."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from dotnet_wasm_host.errors import TooManyCalls
from dotnet_wasm_host.worker.fair_turns import WAITING, WAITING_PER_CLIENT, FairTurns


async def in_order(turns: FairTurns, *asked: tuple[str, str]) -> list[tuple[str, str]]:
    """The order in which those who ask get the only place."""
    order = []

    async def work(client: str, function_id: str) -> None:
        await turns.take(client, function_id)
        order.append((client, function_id))
        await asyncio.sleep(0)
        turns.give_back()

    await turns.take("first", "f")
    tasks = [asyncio.create_task(work(*each)) for each in asked]
    await asyncio.sleep(0)
    turns.give_back()
    await asyncio.gather(*tasks)
    return order


def test_clients_take_turns_whatever_they_call_what_they_ask_for() -> None:
    flood = [("a", f"f{number}") for number in range(5)]
    order = asyncio.run(in_order(FairTurns(1, "deploys"), *flood, ("b", "g"), ("b", "g")))
    assert order.index(("b", "g")) == 1
    assert order[3] == ("b", "g")


def test_functions_of_a_client_take_turns() -> None:
    order = asyncio.run(in_order(FairTurns(1, "deploys"), *[("a", "f")] * 5, ("a", "g")))
    assert order.index(("a", "g")) == 1


def test_who_leaves_is_passed_over_and_loses_no_place() -> None:
    async def main() -> None:
        turns = FairTurns(1, "deploys")
        await turns.take("a", "f")
        tasks = [asyncio.create_task(turns.take("a", "f")) for _ in range(3)]
        await asyncio.sleep(0)
        tasks[0].cancel()
        await asyncio.sleep(0)
        tasks[1].cancel()
        turns.give_back()  # before the second has heard of it
        await asyncio.gather(*tasks, return_exceptions=True)
        assert [task.cancelled() for task in tasks] == [True, True, False]
        turns.give_back()
        await asyncio.wait_for(turns.take("b", "f"), 5)

    asyncio.run(main())


def test_a_place_that_comes_to_one_who_leaves_goes_on() -> None:
    async def main() -> None:
        turns = FairTurns(1, "deploys")
        await turns.take("a", "f")
        task = asyncio.create_task(turns.take("b", "f"))
        await asyncio.sleep(0)
        turns.give_back()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await asyncio.wait_for(turns.take("c", "f"), 5)

    asyncio.run(main())


async def _fill(turns: FairTurns, client: Callable[[int], str], count: int) -> None:
    await turns.take("first", "f")
    waiting: list[Awaitable[None]] = [
        asyncio.create_task(turns.take(client(number), f"f{number}")) for number in range(count)
    ]
    await asyncio.gather(*waiting)


@pytest.mark.parametrize(
    ("client", "most"),
    [(lambda _: "a", WAITING_PER_CLIENT), (str, WAITING)],
    ids=["one client", "all clients"],
)
def test_queues_end(client: Callable[[int], str], most: int) -> None:
    with pytest.raises(TooManyCalls, match=f"{most} deploys"):
        asyncio.run(_fill(FairTurns(1, "deploys"), client, most + 1))
