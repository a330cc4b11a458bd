"""Delegates that give tasks, and callables of Python for them."""

from __future__ import annotations

import asyncio
import gc
import threading
from typing import TYPE_CHECKING, Any

import pytest

import dotnet_wasm_host as dwh

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCE = """
public record Point(int X);
public static int Ready() => 1;
public class Thing { public int N { get; set; } = 3; }
public static async Task<int> Twice(Func<int, Task<int>> f, int x) => await f(x) + await f(x + 1);
public static async Task<string> Value(Func<string, ValueTask<string>> f) => await f("a") + "!";
public static async Task<int> All(Func<int, Task<int>> f, int n) =>
    (await Task.WhenAll(Enumerable.Range(0, n).Select(f))).Sum();
public static async Task Each(int n, Func<int, Task> f) { for (var i = 0; i < n; i++) await f(i); }
public static async Task<string> Caught(Func<Task<Point>> f) {
    try { return (await f()).ToString(); } catch (Exception e) { return e.GetType().Name; }
}
public static async Task<int> Objects(Func<List<Thing>, Task<Thing>> f) =>
    (await f(new() { new(), new() { N = 5 } })).N;
public static Func<int, Task<int>> Adder(int n) => async x => { await Task.Yield(); return x + n; };
public static int Blocking(Func<int, Task<int>> f, int x) => f(x).Result;
static Func<int, Task<int>>? kept;
public static void Keep(Func<int, Task<int>> f) => kept = f;
public static async Task<int> Kept(int x) => await kept!(x);
public static async Task<int> Stop(Func<int, CancellationToken, Task<int>> f) {
    using var source = new CancellationTokenSource(50);
    try { return await f(1, source.Token); } catch (OperationCanceledException) { return -1; }
}
"""


@pytest.fixture(scope="module")
def m() -> Iterator[Any]:
    with dwh.csharp(SOURCE) as module:
        assert module.Ready()  # its runtime starts here
        yield module


def test_coroutine_functions_are_awaited(m: Any) -> None:
    loops = set()

    async def plus_one(x: int) -> int:
        loops.add(asyncio.get_running_loop())
        await asyncio.sleep(0.001)
        return x + 1

    async def main() -> None:
        assert await m.Twice(plus_one, 1) == 5
        assert await m.All(plus_one, 50) == sum(range(1, 51))
        # It runs where its call is awaited.
        assert loops == {asyncio.get_running_loop()}

    asyncio.run(main())


def test_callables_of_all_kinds_are_awaited(m: Any) -> None:
    async def shout(text: str) -> str:
        return text.upper()

    async def main() -> None:
        assert await m.Value(shout) == "A!"
        assert await m.Value(lambda text: shout(text)) == "A!"  # noqa: PLW0108 - no coroutine function
        assert await m.Value(str.upper) == "A!"
        seen: list[int] = []
        await m.Each(3, seen.append)
        assert seen == [0, 1, 2]

    asyncio.run(main())


def test_delegates_of_csharp_are_coroutine_functions(m: Any) -> None:
    async def main() -> None:
        add = m.Adder(3)
        assert await add(4) == 7
        assert await m.Twice(add, 1) == 9

    asyncio.run(main())


def test_exceptions_and_wrong_results_come_out(m: Any) -> None:
    async def fails() -> None:
        raise LookupError("mine")

    async def wrong(_: int) -> str:
        return "s"

    async def main() -> None:
        assert await m.Caught(fails) == "HostFunctionException"
        with pytest.raises(LookupError, match="mine"):
            await m.Each(1, lambda _: fails())
        with pytest.raises(TypeError, match="'result': expected int for int, found str 's'"):
            await m.Twice(wrong, 1)
        assert await m.Caught(lambda: m.Point(3)) == "Point { X = 3 }"

    asyncio.run(main())


def test_objects_go_there_and_back(m: Any) -> None:
    async def last(things: list[Any]) -> Any:
        await asyncio.sleep(0)
        return things[-1]

    assert asyncio.run(m.Objects(last)) == 5
    gc.collect()
    assert m.held_objects == 0


def test_a_call_that_blocks_has_a_loop_of_its_own(m: Any) -> None:
    threads = set()

    async def plus_one(x: int) -> int:
        threads.add(threading.current_thread())
        await asyncio.sleep(0.001)
        return x + 1

    async def main() -> int:
        return int(m.Blocking(plus_one, 2))

    assert m.Blocking(plus_one, 1) == 2
    assert asyncio.run(main()) == 3
    assert threading.current_thread() not in threads


def test_a_callable_that_is_kept_runs_when_its_loop_is_gone(m: Any) -> None:
    async def plus_one(x: int) -> int:
        return x + 1

    async def main() -> int:
        m.Keep(plus_one)
        return int(await m.Kept(1))

    assert asyncio.run(main()) == 2
    assert asyncio.run(m.Kept(2)) == 3


def test_cancelling_the_token_cancels_the_coroutine(m: Any) -> None:
    ended = []

    async def sleeps(_: int) -> int:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            ended.append(True)
            raise
        return 1

    async def main() -> None:
        assert await m.Stop(sleeps) == -1
        for _ in range(100):
            if ended:
                return
            await asyncio.sleep(0.01)
        raise AssertionError("it was not cancelled")

    asyncio.run(main())


def test_a_borrowed_runtime_awaits_callables() -> None:
    async def plus_one(x: int) -> int:
        await asyncio.sleep(0.001)
        return x + 1

    source = """
    public static async Task<int> Twice(Func<int, Task<int>> f, int x) => await f(await f(x));
    public static int Blocking(Func<int, Task<int>> f, int x) => f(x).Result;
    """
    with dwh.Runtime() as runtime, dwh.csharp(source, runtime=runtime) as m:
        assert asyncio.run(m.Twice(plus_one, 1)) == 3
        assert m.Blocking(plus_one, 1) == 2


def test_a_module_that_ended_leaves_no_thread() -> None:
    async def plus_one(x: int) -> int:
        return x + 1

    before = threading.active_count()
    with dwh.csharp("public static int Run(Func<int, Task<int>> f) => f(1).Result;") as run:
        assert run(plus_one) == 2
    for thread in threading.enumerate():
        if thread.name == "dotnet_wasm_host loop":
            thread.join(10)
    assert threading.active_count() <= before
