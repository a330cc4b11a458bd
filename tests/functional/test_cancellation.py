"""A call can be stopped from outside: by another thread, by a signal, by asyncio."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

import dotnet_wasm_host as dwh
from tests.conftest import CompiledSources
from tests.functional.conftest import Programs

#: Loops with and without calls of the host, and one that sleeps, which is a loop over the clock.
LOOPS = {"computing": b"l", "asking the time": b"t", "sleeping": b"s", "finalizing": b"f"}
LOOPER = """
    using System; using System.Threading;
    public sealed class Looper : MinimalRuntime.IFunctionHandler {
        static long n;
        public byte[] Execute(ReadOnlySpan<byte> input) {
            switch (input.Length > 0 ? (char)input[0] : ' ') {
                case 'l': while (true) n++;
                case 't': while (true) n += DateTime.UtcNow.Ticks;
                case 's': Thread.Sleep(600_000); break;
                case 'f': Leave(); GC.Collect(); GC.WaitForPendingFinalizers(); while (true) n++;
                case 'w': Thread.Sleep(input[1]); break;
            }
            return BitConverter.GetBytes(n++);
        }
        static void Leave() => new Final();
        sealed class Final { ~Final() { while (true) n++; } }
    }"""
PROMPT = 5.0


@pytest.fixture
def looper(runtime: dwh.Runtime, compiled: CompiledSources) -> dwh.Runtime:
    runtime.load_assembly("f", compiled(LOOPER))
    runtime.load_assembly("other", compiled(LOOPER))
    return runtime


def soon(action: Callable[[], object], seconds: float = 0.1) -> None:
    threading.Timer(seconds, action).start()


@pytest.mark.parametrize("command", LOOPS.values(), ids=LOOPS)
def test_another_thread_cancels_the_running_call(looper: dwh.Runtime, command: bytes) -> None:
    cancelled: list[tuple[bool, float]] = []
    soon(lambda: cancelled.append((looper.cancel(), time.monotonic())))

    with pytest.raises(dwh.InvocationCancelled) as caught:
        looper.invoke("f", command)

    ((found, when),) = cancelled
    assert found
    assert time.monotonic() - when < PROMPT
    assert type(caught.value) is dwh.InvocationCancelled
    assert looper.invoke("f") == looper.invoke("other") == bytes(8)
    assert looper.stats().recycles == 1


def test_there_may_be_nothing_to_cancel(looper: dwh.Runtime) -> None:
    assert looper.cancel() is False
    looper.invoke("f")
    assert looper.cancel() is False
    assert looper.stats().recycles == 0
    looper.close()
    assert looper.cancel() is False


def test_a_cancellation_never_hits_the_next_call(looper: dwh.Runtime) -> None:
    # Calls of about a millisecond, cancelled at any moment of them and between them.
    stop, generator = threading.Event(), random.Random(20261122)

    def cancel() -> int:
        count = 0
        while not stop.wait(generator.uniform(0.0005, 0.01)):
            count += looper.cancel()
        return count

    with ThreadPoolExecutor(1) as pool:
        cancelling = pool.submit(cancel)
        cancelled = calls = 0
        # On a busy machine both threads may wake at the same moments for a while.
        while calls < 150 or (cancelled == 0 and calls < 15_000):
            calls += 1
            try:
                looper.invoke("f", b"w\x01")
            except dwh.InvocationCancelled:
                cancelled += 1
        stop.set()
        found = cancelling.result()

    assert 0 < cancelled <= found
    assert cancelled < 150
    assert looper.stats().failed_invocations == looper.stats().recycles == cancelled
    for _ in range(20):
        looper.invoke("f", b"w\x01")


def test_a_call_is_cancelled_by_what_it_was_given(looper: dwh.Runtime) -> None:
    stop = dwh.Cancellation()
    assert not stop.cancelled
    assert len(looper.invoke("f", cancellation=stop)) == 8
    soon(stop.cancel)
    with pytest.raises(dwh.InvocationCancelled):
        looper.invoke("f", b"l", cancellation=stop)

    assert bool(stop.cancelled)
    # It stays so: what did not begin yet will not.
    with pytest.raises(dwh.InvocationCancelled, match="before it began"):
        looper.invoke("f", cancellation=stop)
    assert looper.stats().recycles == 1
    assert len(looper.invoke("f", cancellation=dwh.Cancellation())) == 8


def test_calls_without_it_or_with_another_are_not_touched(looper: dwh.Runtime) -> None:
    mine, other = dwh.Cancellation(), dwh.Cancellation()
    soon(other.cancel, 0.05)
    soon(mine.cancel, 0.3)
    start = time.monotonic()
    with pytest.raises(dwh.InvocationCancelled):
        looper.invoke("f", b"l", cancellation=mine)
    assert time.monotonic() - start >= 0.3

    late = dwh.Cancellation()
    looper.invoke("f", cancellation=late)
    soon(late.cancel, 0.01)
    assert len(looper.invoke("f", b"w\xc8")) == 8


def test_one_cancellation_stops_many_calls(looper: dwh.Runtime) -> None:
    stop = dwh.Cancellation()
    with dwh.Runtime(looper.snapshot()) as second, ThreadPoolExecutor(3) as pool:
        calls = [
            pool.submit(r.invoke, "f", b"l", cancellation=stop) for r in (looper, looper, second)
        ]
        soon(stop.cancel)
        for call in calls:
            assert isinstance(call.exception(PROMPT), dwh.InvocationCancelled)
        assert looper.stats().recycles == second.stats().recycles == 1


def test_loading_and_batches_can_be_cancelled(
    looper: dwh.Runtime, compiled: CompiledSources
) -> None:
    endless = """
        using System;
        public class Endless : MinimalRuntime.IFunctionHandler {
            public Endless() { while (true) { } }
            public byte[] Execute(ReadOnlySpan<byte> input) => [];
        }"""
    assembly = compiled(endless)
    soon(looper.cancel)
    with pytest.raises(dwh.InvocationCancelled):
        looper.load_assembly("endless", assembly)
    assert list(looper.functions) == ["f", "other"]

    soon(looper.cancel)
    with pytest.raises(dwh.InvocationCancelled):
        looper.invoke_many("f", [b"", b"", b"l"])
    assert looper.invoke("f") == bytes(8)


def test_a_function_that_is_loaded_again_when_it_is_cancelled_stays_loaded(
    image: dwh.RuntimeImage, compiled: CompiledSources
) -> None:
    moody = compiled("""
        using System; using System.Security.Cryptography;
        public class Moody : MinimalRuntime.IFunctionHandler {
            public Moody() { while (RandomNumberGenerator.GetBytes(1)[0] == 1) { } }
            public byte[] Execute(ReadOnlySpan<byte> input) => [1];
        }""")
    numbers = bytearray(b"\0")
    options = dwh.WasiOptions(random=lambda count: bytes(numbers) * count)
    with dwh.Runtime(image, wasi=options) as runtime:
        function = runtime.load_assembly("f", moody)
        numbers[0] = 1
        runtime.recycle()
        soon(runtime.cancel)
        with pytest.raises(dwh.InvocationCancelled):
            runtime.invoke("f")
        with pytest.raises(dwh.InvocationTimeout):
            runtime.invoke("f", timeout=0.1)
        numbers[0] = 0
        assert function.is_alive
        assert runtime.invoke("f") == b"\x01"


# ---------------------------------------------------------------- signals


@pytest.fixture
def interruptible() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    # A tracer runs Python at the entry of every function, and loses what is raised there.
    tracer = sys.gettrace()
    sys.settrace(None)
    yield
    sys.settrace(tracer)
    signal.signal(signal.SIGINT, before)


def ctrl_c() -> None:
    os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("command", LOOPS.values(), ids=LOOPS)
def test_ctrl_c_ends_a_guest_that_loops(looper: dwh.Runtime, command: bytes) -> None:
    # Often, because a signal may arrive anywhere: in the guest, in a host function, at its entry.
    for attempt in range(6):
        sent: list[float] = []

        def press(sent: list[float] = sent, moment: float = 0.05 + 0.013 * attempt) -> None:
            while not looper._current.calling:  # this thread may start before the main one goes on
                time.sleep(0.001)
            time.sleep(moment)
            sent.append(time.monotonic())
            ctrl_c()

        threading.Thread(target=press).start()
        with pytest.raises(KeyboardInterrupt):
            looper.invoke("f", command, timeout=30)
        assert time.monotonic() - sent[0] < PROMPT
    assert looper.invoke("f") == looper.invoke("other") == bytes(8)
    assert looper.stats().recycles == 6


def test_other_signals_are_handled_while_a_guest_runs(looper: dwh.Runtime) -> None:
    seen: list[float] = []
    before = signal.signal(signal.SIGUSR1, lambda *_: seen.append(time.monotonic()))
    try:
        soon(lambda: os.kill(os.getpid(), signal.SIGUSR1), 0.05)
        with pytest.raises(dwh.InvocationTimeout):
            looper.invoke("f", b"l", timeout=1.0)
        assert seen
        assert time.monotonic() - seen[0] > 0.5
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_a_signal_handler_may_cancel(looper: dwh.Runtime) -> None:
    stop = dwh.Cancellation()
    before = signal.signal(signal.SIGUSR1, lambda *_: stop.cancel())
    try:
        soon(lambda: os.kill(os.getpid(), signal.SIGUSR1), 0.05)
        with pytest.raises(dwh.InvocationCancelled):
            looper.invoke("f", b"l", timeout=60, cancellation=stop)
    finally:
        signal.signal(signal.SIGUSR1, before)


# ---------------------------------------------------------------- pools


@pytest.mark.parametrize("isolation", dwh.Isolation)
def test_asyncio_stops_what_it_cancels(
    image: dwh.RuntimeImage, compiled: CompiledSources, isolation: dwh.Isolation
) -> None:
    with dwh.RuntimePool(image, size=1, isolation=isolation) as pool:
        pool.load_assembly("f", compiled(LOOPER))

        async def run() -> None:
            for _ in range(2):
                with pytest.raises(asyncio.TimeoutError):
                    await asyncio.wait_for(pool.invoke_async("f", b"l"), 0.1)
                # There is one place, and it is free again.
                assert len(await asyncio.wait_for(pool.invoke_async("f"), 30)) == 8
            waiting = asyncio.ensure_future(pool.invoke_async("f", b"w\xff"))
            queued = asyncio.ensure_future(pool.invoke_async("f", b"l"))
            await asyncio.sleep(0.01)
            queued.cancel()
            assert len(await waiting) == 8

        asyncio.run(run())
        assert pool.stats().running == 0


def test_a_pool_cancels_the_call_it_is_told_to(
    image: dwh.RuntimeImage, compiled: CompiledSources
) -> None:
    with dwh.RuntimePool(image, size=2) as pool, ThreadPoolExecutor(2) as threads:
        pool.load_assembly("f", compiled(LOOPER))
        stop = dwh.Cancellation()
        stopped = threads.submit(pool.invoke, "f", b"l", cancellation=stop)
        kept = threads.submit(pool.invoke, "f", b"w\xff")
        soon(stop.cancel)
        assert isinstance(stopped.exception(PROMPT), dwh.InvocationCancelled)
        assert len(kept.result(PROMPT)) == 8
        with pytest.raises(dwh.InvocationCancelled):
            pool.invoke("f", cancellation=stop)


# ---------------------------------------------------------------- calls that wait in the guest


@pytest.fixture
def awaiting(image: dwh.RuntimeImage, programs: Programs) -> Iterator[dwh.Runtime]:
    with dwh.Runtime(image, limits=dwh.Limits(cancellation_grace=0.1)) as runtime:
        runtime.load_assembly("f", programs["awaiting"], handler_type="Programs.Awaiting")
        yield runtime


def test_a_call_that_waits_is_cancelled_without_harm(awaiting: dwh.Runtime) -> None:
    stop = dwh.Cancellation()
    soon(stop.cancel)
    with pytest.raises(dwh.InvocationCancelled, match="while it waited"):
        awaiting.invoke("f", b"delay 60000", cancellation=stop)
    soon(awaiting.cancel)
    with pytest.raises(dwh.InvocationCancelled, match="while it waited"):
        awaiting.invoke("f", b"delay 60000")
    assert awaiting.invoke("f", b"now") == b"now"


def test_cancelling_one_of_several_that_wait_leaves_the_others(awaiting: dwh.Runtime) -> None:
    stop = dwh.Cancellation()
    with ThreadPoolExecutor(2) as threads:
        kept = threads.submit(awaiting.invoke, "f", b"delay 600")
        stopped = threads.submit(awaiting.invoke, "f", b"delay 60000", cancellation=stop)
        soon(stop.cancel)
        assert isinstance(stopped.exception(PROMPT), dwh.InvocationCancelled)
        assert kept.result(PROMPT) == b"delay 600"


def test_a_continuation_that_loops_is_stopped(
    image: dwh.RuntimeImage, compiled: CompiledSources
) -> None:
    assembly = compiled("""
        using System; using System.Threading; using System.Threading.Tasks;
        public class Late : MinimalRuntime.IAsyncFunctionHandler {
            public async ValueTask<byte[]> ExecuteAsync(
                ReadOnlyMemory<byte> input, CancellationToken token) {
                await Task.Delay(20);
                while (true) { }
            }
        }""")
    limits = dwh.Limits(cancellation_grace=0.1)
    with dwh.Runtime(image, limits=limits) as runtime:
        runtime.load_assembly("f", assembly)
        stop = dwh.Cancellation()
        soon(stop.cancel, 0.3)
        with pytest.raises(dwh.InvocationCancelled):
            runtime.invoke("f", cancellation=stop)
        soon(runtime.cancel, 0.3)
        with pytest.raises(dwh.InvocationCancelled):
            runtime.invoke("f")
        assert runtime.stats().recycles == 2
