"""Python functions that the guest calls."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from typing import TYPE_CHECKING, Any, final

import numpy as np
import pytest

import dotnet_wasm_host as dwh

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.functional.conftest import Programs


class Refused(Exception):
    """An error of the host's own."""


@final
class World:
    """The functions, and what they saw."""

    def __init__(self) -> None:
        self.error = Refused("no such user: Ada")
        self.runtime: dwh.Runtime | None = None
        self.threads: list[int] = []
        self.loops: list[asyncio.AbstractEventLoop] = []
        self.started, self.cancelled = threading.Event(), threading.Event()

    def functions(self) -> dict[str, Any]:
        return {
            "echo": lambda argument: argument,
            "array": lambda _: np.arange(3, dtype="<u2"),
            "view": lambda argument: memoryview(argument)[1:],
            "nothing": lambda _: None,
            "number": lambda _: 3,
            "fail": self.fail,
            "unprintable": self.unprintable,
            "interrupt": self.interrupt,
            "again": self.again,
            "back": lambda _: self.again(b"echo back again"),
            "slow": self.slow,
            "coroutine": self.coroutine,
            "wrapped": lambda argument: self.coroutine(argument),  # noqa: PLW0108
            "fail_async": self.fail_async,
            "forever": self.forever,
            "naïve 🐍": lambda _: b"found",
        }

    def fail(self, _: bytes) -> bytes:
        raise self.error

    def unprintable(self, _: bytes) -> bytes:
        class Odd(Exception):
            def __str__(self) -> str:
                raise ValueError

        raise Odd

    def interrupt(self, _: bytes) -> bytes:
        raise KeyboardInterrupt

    def again(self, argument: bytes) -> bytes:
        assert self.runtime is not None
        return self.runtime.invoke("f", argument)

    def slow(self, argument: bytes) -> bytes:
        time.sleep(0.1)
        self.threads.append(threading.get_ident())
        return argument

    async def coroutine(self, argument: bytes) -> bytes:
        await asyncio.sleep(0.05)
        self.loops.append(asyncio.get_running_loop())
        return argument + b"!"

    async def fail_async(self, _: bytes) -> bytes:
        await asyncio.sleep(0)
        raise self.error

    async def forever(self, _: bytes) -> bytes:
        self.started.set()
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return b""


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    world.error.__traceback__ = None  # its frames hold the instance it went through


@pytest.fixture
def calling(image: dwh.RuntimeImage, programs: Programs, world: World) -> Iterator[dwh.Runtime]:
    with dwh.Runtime(image, host_functions=world.functions()) as runtime:
        world.runtime = runtime
        load(runtime, programs)
        yield runtime


def load(where: dwh.Runtime | dwh.RuntimePool, programs: Programs) -> None:
    where.load_assembly("f", programs["calling"], handler_type="Programs.Calling")
    where.load_assembly("a", programs["calling"], handler_type="Programs.CallingAsync")


# ---------------------------------------------------------------- values


def test_bytes_go_there_and_back(calling: dwh.Runtime) -> None:
    assert calling.invoke("f", b"echo some bytes") == b"some bytes"
    assert calling.invoke("f", b"sizes") == b""
    assert calling.invoke("f", b"array") == bytes([0, 0, 1, 0, 2, 0])
    assert calling.invoke("f", b"view abc") == b"bc"
    assert calling.invoke("f", b"nothing") == b""
    assert calling.invoke("f", "catch naïve 🐍".encode()) == b"found"


def test_a_result_that_is_no_bytes_is_an_error(calling: dwh.Runtime) -> None:
    with pytest.raises(dwh.MarshallingTypeError, match="'number' returned int; return bytes"):
        calling.invoke("f", b"number")


def test_what_cannot_be_a_host_function_is_refused(image: dwh.RuntimeImage) -> None:
    with pytest.raises(dwh.MarshallingTypeError, match="is int"):
        dwh.Runtime(image, host_functions={"f": 3})  # type: ignore[dict-item]


def test_functions_are_asked_anew_in_every_instance(
    image: dwh.RuntimeImage, programs: Programs
) -> None:
    with dwh.Runtime(image, host_functions={"echo": lambda _: b"first"}) as runtime:
        load(runtime, programs)
        assert runtime.invoke("f", b"echo") == b"first"
        snapshot = runtime.snapshot()
        runtime.recycle()
        assert runtime.invoke("f", b"echo") == b"first"
    with dwh.Runtime(snapshot, host_functions={"echo": lambda _: b"second"}) as other:
        assert other.invoke("f", b"echo") == b"second"
    with (
        dwh.Runtime(snapshot) as bare,
        pytest.raises(dwh.HostFunctionMissing, match="'echo'; the runtime was given: none"),
    ):
        bare.invoke("f", b"echo")


# ---------------------------------------------------------------- errors


def test_an_uncaught_exception_is_the_same_object(calling: dwh.Runtime, world: World) -> None:
    for payload in (b"fail", b"rethrow fail"):
        with pytest.raises(Refused) as caught:
            calling.invoke("f", payload)
        assert caught.value is world.error
    with pytest.raises(Refused) as caught:
        calling.invoke("a", b"fail_async")
    assert caught.value is world.error
    assert "fail_async" in [entry.name for entry in caught.traceback]
    with pytest.raises(Refused):
        calling.invoke_many("f", [b"echo", b"fail", b"echo"])
    assert calling.stats().recycles == 0
    assert calling.stats().failed_invocations == 4


def test_the_guest_may_catch_it(calling: dwh.Runtime) -> None:
    answer = calling.invoke("f", b"catch fail").decode()
    assert answer == f"fail|{Refused.__module__}.Refused|no such user: Ada"
    assert b"|builtins." not in calling.invoke("f", b"catch number")
    assert calling.invoke("f", b"catch unprintable").endswith(b"(str() raised ValueError)")


def test_an_exception_around_it_has_it_as_its_cause(calling: dwh.Runtime, world: World) -> None:
    with pytest.raises(dwh.InvocationError, match="wrapped") as caught:
        calling.invoke("f", b"wrap fail")
    assert caught.value.__cause__ is world.error
    assert caught.value.inner is not None
    assert caught.value.inner.dotnet_type == "MinimalRuntime.HostFunctionException"


def test_exceptions_that_were_caught_are_not_kept(calling: dwh.Runtime) -> None:
    calling.invoke("f", b"swallow unprintable")
    assert len(calling._current.guest.host.calls._errors) <= 64
    with pytest.raises(Refused):
        calling.invoke("f", b"fail")
    assert not calling._current.guest.host.calls._errors


def test_a_missing_function_says_what_there_is(calling: dwh.Runtime) -> None:
    with pytest.raises(dwh.HostFunctionMissing, match=r"no host function 'gone'.*'echo', 'fail'"):
        calling.invoke("f", b"gone")
    with pytest.raises(dwh.HostFunctionMissing, match="'gone'"):
        calling.invoke("a", b"gone")
    assert calling.invoke("f", b"catch gone").startswith(
        b"gone|dotnet_wasm_host.errors.HostFunctionMissing|there is no host function"
    )


def test_an_interrupt_goes_through_the_guest(calling: dwh.Runtime) -> None:
    with pytest.raises(KeyboardInterrupt):
        calling.invoke("f", b"catch interrupt")
    assert calling.stats().recycles == 1
    assert calling.invoke("f", b"echo x") == b"x"


# ---------------------------------------------------------------- calling back


def test_a_call_back_into_the_runtime_is_refused(calling: dwh.Runtime) -> None:
    with pytest.raises(dwh.DotnetHostError, match="in the middle of a call"):
        calling.invoke("f", b"again echo x")
    assert calling.stats().recycles == 0
    assert calling.invoke("f", b"echo x") == b"x"


def test_an_asynchronous_call_back_works(calling: dwh.Runtime) -> None:
    # "back" runs on a thread of its own and calls the same runtime, whose call waits.
    assert calling.invoke("a", b"back", timeout=10) == b"back again"


@pytest.mark.parametrize("isolation", list(dwh.Isolation))
def test_a_pool_can_be_called_from_its_own_functions(
    image: dwh.RuntimeImage, programs: Programs, isolation: dwh.Isolation
) -> None:
    def again(argument: bytes) -> bytes:
        return pool.invoke("f", argument)

    functions = {"again": again, "echo": lambda argument: argument}
    with dwh.RuntimePool(image, size=1, isolation=isolation, host_functions=functions) as pool:
        load(pool, programs)
        assert pool.invoke("f", b"again again again echo x") == b"x"
        assert asyncio.run(pool.invoke_async("f", b"again echo y")) == b"y"
        assert pool.stats().running == 0


# ---------------------------------------------------------------- asynchronous functions


def test_coroutines_and_threads_run_side_by_side(calling: dwh.Runtime, world: World) -> None:
    calling.invoke("a", b"slow")
    started = time.monotonic()
    assert calling.invoke("a", b"coroutine slow wrapped slow slow") == (
        b"coroutine! slow wrapped! slow slow"
    )
    assert time.monotonic() - started < 0.3
    assert threading.get_ident() not in world.threads


def test_a_synchronous_call_of_a_coroutine_is_refused(calling: dwh.Runtime) -> None:
    for name in (b"coroutine", b"wrapped"):
        with pytest.raises(dwh.MarshallingTypeError, match=r"call it with Host\.CallAsync"):
            calling.invoke("f", name)
    gc.collect()  # a coroutine that nobody awaits would warn now


def test_a_deadline_cancels_the_coroutine(calling: dwh.Runtime, world: World) -> None:
    with pytest.raises(dwh.InvocationTimeout):
        calling.invoke("a", b"forever", timeout=0.5)
    assert world.cancelled.wait(5)
    assert calling.stats().recycles == 0


def test_the_end_of_an_instance_cancels_its_coroutines(calling: dwh.Runtime, world: World) -> None:
    def wait() -> None:
        with pytest.raises(dwh.InstanceLost):
            calling.invoke("a", b"forever")

    waiting = threading.Thread(target=wait)
    waiting.start()
    assert world.started.wait(5)
    calling.recycle()
    waiting.join(5)
    assert world.cancelled.wait(5)


def test_coroutines_run_on_the_loop_of_the_caller(
    image: dwh.RuntimeImage, programs: Programs, world: World
) -> None:
    async def run() -> None:
        results = await asyncio.gather(*(pool.invoke_async("a", b"coroutine") for _ in range(20)))
        assert results == [b"coroutine!"] * 20
        assert set(world.loops) == {asyncio.get_running_loop()}

    with dwh.RuntimePool(image, size=2, host_functions=world.functions()) as pool:
        load(pool, programs)
        asyncio.run(run())
        # That loop is closed now.
        assert pool.invoke("a", b"coroutine") == b"coroutine!"


def test_closing_leaves_no_thread(image: dwh.RuntimeImage, programs: Programs) -> None:
    def of_host_functions() -> set[threading.Thread]:
        names = ("dotnet_wasm_host loop", "dotnet_wasm_host function")
        return {thread for thread in threading.enumerate() if thread.name.startswith(names)}

    before = of_host_functions()
    world = World()
    with dwh.Runtime(image, host_functions=world.functions()) as runtime:
        load(runtime, programs)
        runtime.invoke("a", b"coroutine slow")
        own = of_host_functions() - before
        assert len(own) == 2
    for thread in own:
        thread.join(5)
        assert not thread.is_alive()


# ---------------------------------------------------------------- values as JSON


def test_typed_calls(image: dwh.RuntimeImage, programs: Programs) -> None:
    @dwh.json_function
    def price(order: dict[str, Any]) -> object:
        return {"total": order["count"] * 0.5, "notes": [order["item"], "cheap"]}

    @dwh.json_function
    async def price_async(order: dict[str, Any]) -> object:
        await asyncio.sleep(0)
        return {"total": order["count"] * 2, "notes": []}

    functions = {"price": price, "price_async": price_async}
    with dwh.Runtime(image, host_functions=functions) as runtime:
        runtime.load_assembly("t", programs["calling"], handler_type="Programs.Typed")
        assert runtime.invoke("t", b"sync").decode() == "1.5 apple ü+cheap"
        assert runtime.invoke("t", b"async") == b"6 "


# ---------------------------------------------------------------- hostile guests


@pytest.fixture(scope="module")
def forging(image: dwh.RuntimeImage, programs: Programs) -> Iterator[dwh.Runtime]:
    with dwh.Runtime(image, host_functions={"echo": lambda argument: argument}) as runtime:
        load(runtime, programs)
        runtime.load_assembly("x", programs["forging"], handler_type="Programs.Forging")
        yield runtime


@pytest.mark.parametrize(
    "payload",
    [
        "-1 -8",  # the struct itself is outside
        "-1 call 4294967295 1 0 0 0 0",  # its name
        "-1 call 0 0 4000000000 100 0 0",  # its argument
        "-1 call 0 0 0 4294967295 0 0",
        "-1 call 0 0 0 0 4000000000 1000",  # its result
        "-1 call 0 4294967295 0 0 0 0",
        "-4 call 0 4294967295 0 0 0 0",
        "-6 -4",  # a log line
        "-6 call 4000000000 100",
        "-6 call 0 4294967295",
        "-7 call 4000000000 100",
    ],
)
def test_addresses_are_checked(forging: dwh.Runtime, payload: str) -> None:
    with pytest.raises((dwh.MemoryAccessError, dwh.LimitExceeded)):
        forging.invoke("x", payload.encode())
    assert forging.invoke("f", b"echo still here") == b"still here"


@pytest.mark.parametrize("payload", ["-2 0", "-3 0", "-5 7", "-99 0", "0 0", "12345 0"])
def test_calls_that_make_no_sense_harm_nobody(forging: dwh.Runtime, payload: str) -> None:
    try:
        assert forging.invoke("x", payload.encode()) == b"\x01"
    except dwh.DotnetHostError as error:
        assert str(error)
    assert forging.invoke("f", b"echo still here") == b"still here"
