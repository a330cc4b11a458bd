"""One runtime and many threads; one runtime and itself."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest

import dotnet_wasm_host as dwh

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Seconds after which something that should happen at once never will.
HANG = 30


class CallbackStream:
    """A binary stream that calls back with everything that is written to it."""

    def __init__(self) -> None:
        self.callback: Callable[[bytes], object] = len

    def write(self, data: bytes) -> int:
        self.callback(bytes(data))
        return len(data)


class Talking:
    """A runtime with a function "f" that can be stopped in the middle of a call."""

    def __init__(self, runtime: dwh.Runtime, stream: CallbackStream) -> None:
        self.runtime = runtime
        self.stream = stream

    @contextmanager
    def call_in_progress(self) -> Iterator[Callable[[], bytes]]:
        """A call of "f" runs in another thread until the result is asked for."""
        started, go_on = threading.Event(), threading.Event()

        def hold(_: bytes) -> None:
            started.set()
            assert go_on.wait(HANG)

        self.stream.callback = hold
        with ThreadPoolExecutor(1) as pool:
            call = pool.submit(self.runtime.invoke, "f", b"print finished")
            call.add_done_callback(lambda _: started.set())

            def result() -> bytes:
                go_on.set()
                return call.result(HANG)

            try:
                assert started.wait(HANG)
                if call.done():
                    call.result()
                yield result
            finally:
                go_on.set()

    def during_a_call(self, action: Callable[[], object]) -> bytes:
        """Carry ``action`` out inside of a call, on the same thread."""
        self.stream.callback = lambda _: action()
        try:
            return self.runtime.invoke("f", b"print finished")
        finally:
            self.stream.callback = len


@pytest.fixture
def talking(image: dwh.RuntimeImage, moody: dwh.Assembly) -> Iterator[Talking]:
    stream = CallbackStream()
    options = dwh.WasiOptions(stdout=stream)  # type: ignore[arg-type]
    with dwh.Runtime(image, wasi=options) as runtime:
        runtime.load_assembly("f", moody)
        yield Talking(runtime, stream)


# ---------------------------------------------------------------- many threads


def test_calls_of_many_threads_are_all_carried_out(
    runtime: dwh.Runtime, moody: dwh.Assembly
) -> None:
    for function_id in ("a", "b"):
        runtime.load_assembly(function_id, moody)

    def work(number: int) -> list[bytes]:
        texts = [f"{number}.{i}".encode() for i in range(50)]
        answers = [runtime.invoke("ab"[number % 2], b"echo " + text) for text in texts]
        assert answers == texts
        return runtime.invoke_many("a", [b"count"] * 5)

    with ThreadPoolExecutor(8) as pool:
        counts = list(pool.map(work, range(16)))

    # invoke_many holds the runtime: its calls come one after the other.
    for five in counts:
        numbers = [int(c) for c in five]
        assert numbers == list(range(numbers[0], numbers[0] + 5))
    assert runtime.invoke("a", b"count") == str(8 * 50 + 16 * 5 + 1).encode()
    assert runtime.stats().invocations == 16 * 55 + 1


def test_loading_unloading_and_calling_from_many_threads(
    runtime: dwh.Runtime, moody: dwh.Assembly
) -> None:
    runtime.load_assembly("shared", moody)

    def work(number: int) -> None:
        for i in range(10):
            own = runtime.load_assembly(f"own {number}", moody)
            assert own.generation == i + 1
            assert own.invoke(b"count") == b"1"
            runtime.load_assembly("contested", moody)
            with suppress(dwh.FunctionNotLoaded):
                runtime.invoke("contested", b"count")
            runtime.unload_assembly("contested")
            assert runtime.invoke("shared", b"echo x") == b"x"
            if i % 2:
                assert runtime.unload_assembly(f"own {number}")

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))

    runtime.unload_assembly("contested")
    assert set(runtime.functions) == {"shared"}
    assert runtime.load_assembly("contested", moody).generation == 61


def test_a_death_in_one_thread_fails_only_its_own_call(
    runtime: dwh.Runtime, moody: dwh.Assembly
) -> None:
    runtime.load_assembly("f", moody)

    def work(number: int) -> int:
        deaths = 0
        for i in range(20):
            if (number + i) % 5:
                assert runtime.invoke("f", b"echo x") == b"x"
            else:
                with pytest.raises(dwh.GuestTerminated):
                    runtime.invoke("f", b"exit 1")
                deaths += 1
        return deaths

    with ThreadPoolExecutor(5) as pool:
        deaths = sum(pool.map(work, range(5)))

    assert runtime.stats().recycles == runtime.stats().failed_invocations == deaths == 20


def test_runtimes_are_independent(image: dwh.RuntimeImage, moody: dwh.Assembly) -> None:
    def work(number: int) -> bytes:
        with dwh.Runtime(image) as runtime:
            runtime.load_assembly("f", moody)
            runtime.invoke_many("f", [b"count"] * number)
            if number % 3 == 0:
                with pytest.raises(dwh.InvocationTimeout):
                    runtime.invoke("f", b"loop", timeout=0.05)
            return runtime.invoke("f", b"count")

    with ThreadPoolExecutor(6) as pool:
        counts = list(pool.map(work, range(12)))

    assert counts == [b"1" if n % 3 == 0 else str(n + 1).encode() for n in range(12)]


# ---------------------------------------------------------------- during a call


def test_unloading_lets_a_running_call_finish_and_refuses_new_ones(talking: Talking) -> None:
    runtime = talking.runtime
    function = runtime.functions["f"]
    with ThreadPoolExecutor(2) as pool, talking.call_in_progress() as result:
        unloading = pool.submit(runtime.unload_assembly, "f")
        while function.is_alive:
            assert not unloading.done()
        states = [function.state]
        refused = pool.submit(runtime.invoke, "f", b"count")

        assert result() == b"finished"
        assert unloading.result(HANG) is True
        with pytest.raises(dwh.FunctionNotLoaded):
            refused.result(HANG)

    states.append(function.state)
    assert states == [dwh.FunctionState.UNLOADING, dwh.FunctionState.UNLOADED]
    assert not runtime.functions


def test_only_one_of_several_unloads_has_unloaded_it(talking: Talking) -> None:
    with ThreadPoolExecutor(4) as pool, talking.call_in_progress() as result:
        unloads = [pool.submit(talking.runtime.unload_assembly, "f") for _ in range(4)]
        while talking.runtime.functions["f"].is_alive:
            assert not any(u.done() for u in unloads)
        result()

        assert sorted(u.result(HANG) for u in unloads) == [False, False, False, True]


def test_replacing_waits_for_a_running_call(talking: Talking, moody: dwh.Assembly) -> None:
    with ThreadPoolExecutor(1) as pool, talking.call_in_progress() as result:
        loading = pool.submit(talking.runtime.load_assembly, "f", moody)
        assert result() == b"finished"
        assert loading.result(HANG).generation == 2

    assert talking.runtime.invoke("f", b"count") == b"1"


def test_closing_waits_for_a_running_call(talking: Talking) -> None:
    with ThreadPoolExecutor(1) as pool, talking.call_in_progress() as result:
        closing = pool.submit(talking.runtime.close)
        assert not closing.done()
        assert result() == b"finished"
        closing.result(HANG)

    assert talking.runtime.closed


def test_memory_is_not_allocated_in_the_middle_of_a_call(talking: Talking) -> None:
    # malloc is guest code: it must not run on the stack of a call of another thread.
    def allocate() -> int:
        with talking.runtime.memory.allocate_utf8("text") as block:
            return block.size

    with ThreadPoolExecutor(1) as pool, talking.call_in_progress() as result:
        allocating = pool.submit(allocate)
        assert not wait([allocating], 0.2).done
        assert result() == b"finished"
        assert allocating.result(HANG) == 4

    assert talking.runtime.invoke("f", b"echo x") == b"x"


# ---------------------------------------------------------------- from within a call

REENTRIES: dict[str, Callable[[dwh.Runtime], object]] = {
    "invoke": lambda r: r.invoke("f", b"count"),
    "invoke_many": lambda r: r.invoke_many("f", [b"count"]),
    "handle": lambda r: r.functions["f"].invoke(b"count"),
    "load_assembly": lambda r: r.load_assembly("g", dwh.compile_csharp("class C;")),
    "unload_assembly": lambda r: r.unload_assembly("f"),
    "load_capability": lambda r: r.load_capability("c", dwh.compile_csharp("class C;")),
    "unload_capability": lambda r: r.unload_capability("c"),
    "snapshot": lambda r: r.snapshot(),
    "recycle": lambda r: r.recycle(),
    "stats": lambda r: r.stats(),
    "close": lambda r: r.close(),
}


@pytest.mark.parametrize("how", REENTRIES)
def test_a_stream_cannot_call_back_into_its_runtime(talking: Talking, how: str) -> None:
    with pytest.raises(dwh.DotnetHostError, match=r"call") as caught:
        talking.during_a_call(lambda: REENTRIES[how](talking.runtime))

    assert type(caught.value) is dwh.DotnetHostError
    assert talking.runtime.functions["f"].state is dwh.FunctionState.LOADED
    assert not talking.runtime.closed
    assert talking.runtime.invoke("f", b"echo x") == b"x"


@pytest.mark.parametrize("how", REENTRIES)
def test_a_refused_callback_that_is_caught_changes_nothing(talking: Talking, how: str) -> None:
    def attempt() -> None:
        with pytest.raises(dwh.DotnetHostError, match="call"):
            REENTRIES[how](talking.runtime)

    assert talking.during_a_call(attempt) == b"finished"

    assert talking.runtime.invoke("f", b"count") == b"2"
    assert talking.runtime.functions["f"].state is dwh.FunctionState.LOADED
    assert talking.runtime.stats().recycles == 0


def test_a_stream_may_use_another_runtime(
    talking: Talking, runtime: dwh.Runtime, moody: dwh.Assembly
) -> None:
    runtime.load_assembly("g", moody)
    answers: list[Any] = []

    def use_other() -> None:
        answers.append(runtime.invoke("g", b"count"))
        with pytest.raises(dwh.GuestTerminated):
            runtime.invoke("g", b"exit 1")
        answers.append(runtime.invoke("g", b"count"))

    assert talking.during_a_call(use_other) == b"finished"
    assert answers == [b"1", b"1"]
    assert talking.runtime.invoke("f", b"count") == b"2"


def test_a_stream_may_read_memory_and_registry(talking: Talking) -> None:
    seen: list[Any] = []

    def look() -> None:
        memory = talking.runtime.memory
        seen.append((len(memory.read(0, 16)), list(talking.runtime.functions)))

    assert talking.during_a_call(look) == b"finished"
    assert seen == [(16, ["f"])]


def test_what_a_stream_raises_comes_out_of_the_call(talking: Talking) -> None:
    class MyError(Exception):
        pass

    error = MyError("mine")

    def fail() -> None:
        raise error

    with pytest.raises(MyError) as caught:
        talking.during_a_call(fail)

    assert caught.value is error
    assert talking.runtime.invoke("f", b"echo x") == b"x"
    assert talking.runtime.stats().failed_invocations == 1
