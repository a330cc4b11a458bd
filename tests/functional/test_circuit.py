"""A function that kills its instance again and again is not called any more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import dotnet_wasm_host as dwh

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LIMITS = dwh.Limits(crash_limit=3)


@pytest.fixture
def runtime(image: dwh.RuntimeImage, moody: dwh.Assembly) -> Iterator[dwh.Runtime]:
    with dwh.Runtime(image, limits=LIMITS) as runtime:
        runtime.load_assembly("f", moody)
        runtime.load_assembly("other", moody)
        yield runtime


def crash(invoke: Callable[..., Any], times: int, function_id: str = "f") -> None:
    deaths = {b"exit 1": dwh.GuestTerminated, b"wild": dwh.GuestTrap, b"loop": TimeoutError}
    for command, error in (list(deaths.items()) * times)[:times]:
        with pytest.raises(error):
            invoke(function_id, command, timeout=0.1 if command == b"loop" else 60)


def test_it_is_suspended_after_so_many_crashes_in_a_row(
    runtime: dwh.Runtime, moody: dwh.Assembly
) -> None:
    crash(runtime.invoke, 3)
    for call in (
        lambda: runtime.invoke("f", b"count"),
        lambda: runtime.functions["f"].invoke(b"count"),
        lambda: runtime.invoke_many("f", [b"count"]),
    ):
        with pytest.raises(dwh.FunctionSuspended, match="3 times in a row") as caught:
            call()
        assert (caught.value.function_id, caught.value.crashes) == ("f", 3)
    assert runtime.stats().recycles == 3

    assert runtime.invoke("other", b"count") == b"1"
    assert runtime.functions["f"].is_alive
    runtime.load_assembly("f", moody)
    assert runtime.invoke("f", b"count") == b"1"
    crash(runtime.invoke, 2)
    assert runtime.invoke("f", b"count") == b"1"


def test_only_crashes_in_a_row_count(runtime: dwh.Runtime) -> None:
    for _ in range(3):
        crash(runtime.invoke, 2)
        assert runtime.invoke("f", b"echo x") == b"x"
    crash(runtime.invoke, 2)
    with pytest.raises(dwh.InvocationError):
        runtime.invoke("f", b"throw fine")
    crash(runtime.invoke, 2)
    assert runtime.invoke_many("f", [b"echo x"]) == [b"x"]
    crash(runtime.invoke, 2, "other")
    crash(runtime.invoke, 1)
    assert runtime.invoke("f", b"echo x") == runtime.invoke("other", b"echo x") == b"x"


def test_deaths_that_are_not_the_functions_do_not_count(runtime: dwh.Runtime) -> None:
    import threading

    for _ in range(4):
        threading.Timer(0.05, runtime.cancel).start()
        with pytest.raises(dwh.InvocationCancelled):
            runtime.invoke("f", b"loop")
        runtime.recycle()
        with pytest.raises(dwh.MarshallingTypeError):
            runtime.invoke("f", 5)  # type: ignore[arg-type]
    crash(runtime.invoke, 2)
    assert runtime.invoke("f", b"echo x") == b"x"


def test_payloads_that_memory_has_no_room_for_do_not_count(
    image: dwh.RuntimeImage, moody: dwh.Assembly
) -> None:
    limits = dwh.Limits(crash_limit=2, memory_bytes=64 << 20)
    with (
        dwh.Runtime(image, limits=limits) as runtime,
        dwh.RuntimePool(image, limits=limits) as pool,
    ):
        for target in (runtime, pool):
            target.load_assembly("f", moody)
            for _ in range(3):
                with pytest.raises(dwh.GuestOutOfMemory) as caught:
                    target.invoke("f", bytes(60_000_000))
                assert caught.value.survived
            assert target.invoke("f", b"echo x") == b"x"


def test_batches_count_too(runtime: dwh.Runtime) -> None:
    for _ in range(3):
        with pytest.raises(dwh.GuestTerminated):
            runtime.invoke_many("f", [b"count", b"exit 1"])
    with pytest.raises(dwh.FunctionSuspended):
        runtime.invoke("f", b"count")


def test_functions_of_an_image_are_suspended_too(runtime: dwh.Runtime) -> None:
    with dwh.Runtime(runtime.snapshot(), limits=LIMITS) as fresh:
        crash(fresh.invoke, 2)
        assert fresh.invoke("f", b"count") == b"1"
        crash(fresh.invoke, 3)
        with pytest.raises(dwh.FunctionSuspended):
            fresh.invoke("f", b"count")
        assert fresh.invoke("other", b"count") == b"1"


def test_it_can_be_turned_off(image: dwh.RuntimeImage, moody: dwh.Assembly) -> None:
    with dwh.Runtime(image, limits=dwh.Limits(crash_limit=None)) as runtime:
        runtime.load_assembly("f", moody)
        for _ in range(150):
            with pytest.raises(dwh.GuestTerminated):
                runtime.invoke("f", b"exit 1")
        assert runtime.invoke("f", b"count") == b"1"
    with pytest.raises(ValueError, match="crash_limit"):
        dwh.Limits(crash_limit=0)


@pytest.mark.parametrize("isolation", dwh.Isolation)
def test_a_pool_counts_over_all_its_instances(
    image: dwh.RuntimeImage, moody: dwh.Assembly, isolation: dwh.Isolation
) -> None:
    with dwh.RuntimePool(image, size=2, isolation=isolation, limits=LIMITS) as pool:
        pool.load_assembly("f", moody)
        pool.load_assembly("other", moody)
        crash(pool.invoke, 2)
        assert pool.invoke("f", b"echo x") == b"x"
        crash(pool.invoke, 3)
        with pytest.raises(dwh.FunctionSuspended):
            pool.invoke("f", b"echo x")
        assert pool.invoke("other", b"echo x") == b"x"
        pool.load_assembly("f", moody)
        assert pool.invoke("f", b"echo x") == b"x"
