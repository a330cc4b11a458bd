from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

import dotnet_wasm_host as dwh
from dotnet_wasm_host import Isolation, RuntimePool

COUNTER = """
using System; using System.Text; using System.Threading;
public sealed class Counter : MinimalRuntime.IFunctionHandler {
    static int calls;
    public byte[] Execute(ReadOnlySpan<byte> input) {
        var text = Encoding.UTF8.GetString(input);
        if (text == "loop") while (true) { }
        if (text == "exit") Environment.Exit(3);
        if (text == "throw") throw new InvalidOperationException("thrown");
        if (text == "sleep") Thread.Sleep(50);
        return Encoding.UTF8.GetBytes($"VERSION {++calls} {text}");
    }
}
"""


@pytest.fixture(scope="module")
def counter() -> dwh.Assembly:
    return dwh.compile_csharp(COUNTER)


@pytest.fixture(scope="module")
def second_counter() -> dwh.Assembly:
    return dwh.compile_csharp(COUNTER.replace("VERSION", "SECOND"))


@pytest.fixture(params=Isolation, ids=lambda isolation: isolation.name)
def pool(request: pytest.FixtureRequest) -> Iterator[RuntimePool]:
    with RuntimePool(size=2, isolation=request.param) as pool:
        yield pool


def test_functions_are_loaded_called_replaced_and_unloaded(
    pool: RuntimePool, counter: dwh.Assembly, second_counter: dwh.Assembly
) -> None:
    first = pool.load_assembly("f", counter)
    assert pool.invoke("f", b"a").startswith(b"VERSION")
    second = pool.load_assembly("f", second_counter)
    assert (first.generation, second.generation) == (1, 2)
    assert (first.is_alive, second.is_alive) == (False, True)
    assert pool.invoke("f", b"a").startswith(b"SECOND")
    with pytest.raises(dwh.FunctionNotLoaded):
        first.invoke(b"a")
    assert second.invoke(b"a").startswith(b"SECOND")
    assert dict(pool.functions) == {"f": second}
    assert pool.unload_assembly("f")
    assert not pool.unload_assembly("f")
    assert len(pool.functions) == 0
    with pytest.raises(dwh.FunctionNotLoaded):
        pool.invoke("f", b"a")


def test_a_bad_replacement_leaves_the_old_one_serving(
    pool: RuntimePool, counter: dwh.Assembly
) -> None:
    function = pool.load_assembly("f", counter)
    with pytest.raises(dwh.AssemblyLoadError):
        pool.load_assembly("f", b"junk")
    with pytest.raises(dwh.HandlerNotFound):
        pool.load_assembly("f", dwh.compile_csharp("class Nothing { }"))
    assert pool.functions["f"] is function
    assert pool.invoke("f", b"a").startswith(b"VERSION")


@pytest.mark.parametrize(
    ("payload", "error"),
    [
        (b"throw", dwh.InvocationError),
        (b"exit", dwh.GuestTerminated),
        (b"loop", dwh.InvocationTimeout),
    ],
)
def test_failures_are_typed_and_cost_nobody_else(
    pool: RuntimePool, counter: dwh.Assembly, payload: bytes, error: type[Exception]
) -> None:
    pool.load_assembly("f", counter)
    pool.load_assembly("g", counter)
    for _ in range(5):
        with pytest.raises(error):
            pool.invoke("f", payload, timeout=0.1 if payload == b"loop" else 30)
        assert pool.invoke("g", b"x").endswith(b"x")
        assert pool.invoke("f", b"x").endswith(b"x")
    assert pool.stats().failed_invocations == 5


def test_many_threads_get_their_own_answers(pool: RuntimePool, counter: dwh.Assembly) -> None:
    pool.load_assembly("f", counter)

    def call(number: int) -> bool:
        return pool.invoke("f", b"%d" % number).endswith(b" %d" % number)

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(call, range(200)))
    stats = pool.stats()
    assert (stats.running, stats.waiting, stats.invocations) == (0, 0, 200)


def test_asyncio_interleaves_more_calls_than_threads(
    pool: RuntimePool, counter: dwh.Assembly
) -> None:
    pool.load_assembly("f", counter)

    async def main() -> list[bytes]:
        return await asyncio.gather(*(pool.invoke_async("f", b"%d" % n) for n in range(200)))

    answers = asyncio.run(main())
    assert [answer.rpartition(b" ")[2] for answer in answers] == [b"%d" % n for n in range(200)]


def test_asyncio_gets_the_same_errors(pool: RuntimePool, counter: dwh.Assembly) -> None:
    pool.load_assembly("f", counter)

    async def main() -> None:
        with pytest.raises(dwh.InvocationError, match="thrown"):
            await pool.invoke_async("f", b"throw")
        with pytest.raises(dwh.FunctionNotLoaded):
            await pool.invoke_async("missing")

    asyncio.run(main())


def test_a_cancelled_call_that_waits_never_runs(counter: dwh.Assembly) -> None:
    with RuntimePool(size=1) as pool:
        pool.load_assembly("f", counter)

        async def main() -> bytes:
            busy = asyncio.create_task(pool.invoke_async("f", b"sleep"))
            await asyncio.sleep(0)
            waiting = asyncio.create_task(pool.invoke_async("f", b"never"))
            await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            await busy
            return await pool.invoke_async("f", b"last")

        assert asyncio.run(main()) == b"VERSION 2 last"


def test_statics_are_as_isolated_as_asked_for(counter: dwh.Assembly) -> None:
    def counts(isolation: Isolation) -> list[bytes]:
        with RuntimePool(size=1, isolation=isolation) as pool:
            pool.load_assembly("f", counter)
            return [pool.invoke("f", b"x").split()[1] for _ in range(3)]

    assert counts(Isolation.SHARED) == [b"1", b"2", b"3"]
    assert counts(Isolation.PER_FUNCTION) == [b"1", b"2", b"3"]
    assert counts(Isolation.PER_INVOCATION) == [b"1", b"1", b"1"]


@pytest.mark.parametrize("isolation", Isolation)
def test_a_function_is_warmed_up_before_it_serves(
    isolation: Isolation, counter: dwh.Assembly, second_counter: dwh.Assembly
) -> None:
    with RuntimePool(size=1, isolation=isolation) as pool:
        pool.load_assembly("f", counter, warm_up=(b"x", bytearray(b"y")))
        assert [pool.invoke("f", b"x").split()[1] for _ in range(2)] == {
            Isolation.SHARED: [b"1", b"2"],
            Isolation.PER_FUNCTION: [b"3", b"4"],
            Isolation.PER_INVOCATION: [b"3", b"3"],
        }[isolation]
        with pytest.raises(dwh.InvocationError, match="thrown"):
            pool.load_assembly("f", second_counter, warm_up=[b"throw"])
        assert pool.functions["f"].assembly_sha256 == counter.sha256
        assert pool.invoke("f", b"x").startswith(b"VERSION")


def test_a_stuck_call_blocks_its_own_place_only(pool: RuntimePool, counter: dwh.Assembly) -> None:
    pool.load_assembly("stuck", counter)
    pool.load_assembly("f", counter)
    stop, ended = dwh.Cancellation(), threading.Event()

    def get_stuck() -> None:
        with pytest.raises(dwh.InvocationCancelled):
            pool.invoke("stuck", b"loop", timeout=60, cancellation=stop)
        ended.set()

    thread = threading.Thread(target=get_stuck)
    thread.start()
    for _ in range(50):
        assert pool.invoke("f", b"x").endswith(b"x")
    assert not ended.is_set()
    stop.cancel()
    thread.join()
    assert ended.is_set()


def test_replacing_under_load_loses_no_call(
    pool: RuntimePool, counter: dwh.Assembly, second_counter: dwh.Assembly
) -> None:
    pool.load_assembly("f", counter)
    stop = threading.Event()
    failures: list[BaseException] = []

    def call() -> None:
        while not stop.is_set():
            try:
                pool.invoke("f", b"x")
            except BaseException as error:
                failures.append(error)
                return

    threads = [threading.Thread(target=call) for _ in range(3)]
    for thread in threads:
        thread.start()
    for assembly in (second_counter, counter, second_counter):
        pool.load_assembly("f", assembly)
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == []
    assert pool.invoke("f", b"x").startswith(b"SECOND")


def test_close_is_final_and_idempotent(counter: dwh.Assembly) -> None:
    pool = RuntimePool(size=1)
    pool.load_assembly("f", counter)
    pool.close()
    pool.close()
    assert pool.closed
    assert len(pool.functions) == 0
    for use in (
        lambda: pool.invoke("f"),
        lambda: pool.load_assembly("g", counter),
        lambda: pool.unload_assembly("f"),
        pool.__enter__,
    ):
        with pytest.raises(dwh.RuntimeClosed):
            use()


def test_backpressure_refuses_instead_of_queueing_without_end(counter: dwh.Assembly) -> None:
    with RuntimePool(size=1, max_waiting=2) as pool:
        pool.load_assembly("f", counter)

        async def main() -> list[object]:
            calls = [pool.invoke_async("f", b"sleep") for _ in range(5)]
            return await asyncio.gather(*calls, return_exceptions=True)

        outcomes = asyncio.run(main())
    refused = [outcome for outcome in outcomes if isinstance(outcome, dwh.TooManyCalls)]
    assert len(refused) == 2
    assert sum(isinstance(outcome, bytes) for outcome in outcomes) == 3


def test_a_pool_needs_a_place() -> None:
    with pytest.raises(ValueError, match="give 1 or more"):
        RuntimePool(size=0)


@pytest.mark.needs("parallel guests")
@pytest.mark.parametrize("isolation", Isolation, ids=lambda isolation: isolation.name)
@pytest.mark.parametrize("concurrency", [1, 2])
def test_concurrency_leaves_places_to_others(
    isolation: Isolation, concurrency: int, counter: dwh.Assembly
) -> None:
    with RuntimePool(size=3, isolation=isolation) as pool:
        pool.load_assembly("flood", counter, concurrency=concurrency)
        pool.load_assembly("quiet", counter)
        most = 0

        async def main() -> None:
            nonlocal most
            flood = [asyncio.create_task(pool.invoke_async("flood", b"sleep")) for _ in range(8)]
            await pool.invoke_async("quiet", b"x")
            assert not all(task.done() for task in flood)
            while not all(task.done() for task in flood):
                await asyncio.sleep(0.001)
                most = max(most, pool.load_of("flood")[0])
            await asyncio.gather(*flood)

        asyncio.run(main())
        assert most == concurrency
        assert pool.load_of("flood") == (0, 0)


def test_own_instances_are_as_many_as_the_concurrency(counter: dwh.Assembly) -> None:
    with RuntimePool(size=4, isolation=Isolation.PER_FUNCTION) as pool:
        pool.load_assembly("one", counter)
        pool.load_assembly("two", counter, concurrency=2)

        async def main() -> None:
            await asyncio.gather(
                *(pool.invoke_async(f, b"sleep") for f in ("one", "two") for _ in range(4))
            )

        asyncio.run(main())
        assert pool.stats().runtimes == 3
        pool.unload_assembly("two")
        assert pool.stats().runtimes == 1


def test_a_staged_function_is_served_when_it_is_committed(
    pool: RuntimePool, counter: dwh.Assembly, second_counter: dwh.Assembly
) -> None:
    pool.load_assembly("f", counter)
    with pool.stage("f", second_counter) as staged:
        assert (staged.function_id, staged.handler_type) == ("f", "Counter")
        assert staged.assembly_sha256 == second_counter.sha256
        assert staged.assembly_name == second_counter.name
        assert pool.invoke("f").startswith(b"VERSION")
        function = staged.commit()
        with pytest.raises(ValueError, match="committed"):
            staged.commit()
    assert (function.generation, pool.invoke("f")[:6]) == (2, b"SECOND")


def test_a_staged_function_that_is_not_committed_leaves_nothing(
    pool: RuntimePool, counter: dwh.Assembly
) -> None:
    with pool.stage("f", counter):
        pass
    with pytest.raises(dwh.FunctionNotLoaded):
        pool.invoke("f")
    assert pool.stats().runtimes == 0
    with pytest.raises(dwh.AssemblyLoadError):
        pool.stage("f", b"junk")
    assert pool.stats().runtimes == 0


def test_recycles_are_counted_also_of_instances_that_are_gone(
    pool: RuntimePool, counter: dwh.Assembly
) -> None:
    pool.load_assembly("f", counter)
    for _ in range(3):
        with pytest.raises(dwh.GuestTerminated):
            pool.invoke("f", b"exit")
    pool.unload_assembly("f")
    assert pool.stats().recycles == 3


def test_concurrency_is_at_least_one(pool: RuntimePool, counter: dwh.Assembly) -> None:
    with pytest.raises(ValueError, match="concurrency"):
        pool.load_assembly("f", counter, concurrency=0)
