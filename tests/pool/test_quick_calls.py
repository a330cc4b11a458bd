"""Functions that are so quick that an event loop calls them itself."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING

import pytest

import dotnet_wasm_host as dwh
from dotnet_wasm_host.pool.quickness import FIRST_TRIAL, WATCHED, Quickness

if TYPE_CHECKING:
    from pathlib import Path

SOURCE = """
using System; using System.Text;
public sealed class Counter : MinimalRuntime.IFunctionHandler {
    static int calls;
    public byte[] Execute(ReadOnlySpan<byte> input) {
        if (input.Length == 4) {
            var watch = System.Diagnostics.Stopwatch.StartNew();
            while (watch.ElapsedMilliseconds < 300) { }
        }
        if (input.Length == 5) throw new FormatException("thrown");
        return Encoding.UTF8.GetBytes($"{++calls}");
    }
}
"""


@pytest.fixture(scope="module")
def counter() -> dwh.Assembly:
    return dwh.compile_csharp(SOURCE)


def quickness(pool: dwh.RuntimePool) -> Quickness:
    return pool._deployments.get("f").quickness


async def until_quick(pool: dwh.RuntimePool) -> None:
    """The machine may be so busy that none of 64 calls is quick."""
    for _ in range(100 * FIRST_TRIAL):
        await pool.invoke_async("f")
        if quickness(pool).inline:
            return


def test_quick_functions_are_called_on_the_event_loop(counter: dwh.Assembly) -> None:
    async def main(pool: dwh.RuntimePool) -> None:
        await until_quick(pool)
        assert quickness(pool).inline
        strategy = pool._strategy
        seen: list[int] = []
        begin = strategy.begin

        def noted(*arguments: object) -> object:
            seen.append(threading.get_ident())
            return begin(*arguments)  # type: ignore[arg-type]

        strategy.begin = noted  # type: ignore[method-assign, assignment]
        before = int(await pool.invoke_async("f"))
        assert int(await pool.invoke_async("f")) == before + 1
        assert seen == [threading.get_ident()] * 2
        with pytest.raises(dwh.InvocationError, match="thrown"):
            await pool.invoke_async("f", b"throw")

    with dwh.RuntimePool(size=1) as pool:
        pool.load_assembly("f", counter)
        asyncio.run(main(pool))


def test_one_that_is_slow_there_is_called_again_in_a_thread(counter: dwh.Assembly) -> None:
    async def main(pool: dwh.RuntimePool) -> None:
        await until_quick(pool)
        # The statics of the instance in which it began are gone with that.
        assert await pool.invoke_async("f", b"slow") == b"1"
        assert not quickness(pool).inline
        with pytest.raises(dwh.InvocationTimeout):
            await pool.invoke_async("f", b"slow", timeout=0.1)

    with dwh.RuntimePool(size=1) as pool:
        pool.load_assembly("f", counter)
        asyncio.run(main(pool))


def test_a_timeout_that_is_shorter_holds(counter: dwh.Assembly) -> None:
    async def main(pool: dwh.RuntimePool) -> None:
        await until_quick(pool)
        with pytest.raises(dwh.InvocationTimeout):
            await pool.invoke_async("f", b"slow", timeout=0.02)

    with dwh.RuntimePool(size=1, limits=dwh.Limits(timeout=10)) as pool:
        pool.load_assembly("f", counter)
        asyncio.run(main(pool))


@pytest.mark.parametrize("option", ["quick_calls", "host_functions", "wasi"])
def test_it_is_not_done_where_calls_could_wait(
    counter: dwh.Assembly, option: str, tmp_path: Path
) -> None:
    options: dict[str, object] = {
        "quick_calls": {"quick_calls": False},
        "host_functions": {"host_functions": {"f": bytes}},
        "wasi": {"wasi": dwh.WasiOptions(directories={"/data": str(tmp_path)})},
    }[option]  # type: ignore[assignment]

    async def main(pool: dwh.RuntimePool) -> None:
        for _ in range(2 * FIRST_TRIAL):
            await pool.invoke_async("f")
        assert not quickness(pool).inline

    with dwh.RuntimePool(size=1, **options) as pool:  # type: ignore[arg-type]
        pool.load_assembly("f", counter)
        asyncio.run(main(pool))


def test_slow_ones_are_watched_then_left_to_threads() -> None:
    quick = Quickness()
    for _ in range(FIRST_TRIAL):
        quick.took_in_thread(0.0001)

    def spin(_: str, payload: object, __: float) -> bytes:
        end = time.thread_time() + 0.001
        while time.thread_time() < end:
            pass
        return bytes(payload)  # type: ignore[call-overload, no-any-return]

    calls = 0
    while quick.inline and calls <= WATCHED:
        assert quick.call(spin, "f", b"x", None) == b"x"
        calls += 1
    assert 1 < calls <= WATCHED
