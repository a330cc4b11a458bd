"""Deep recursion ends in an error in every thread; a thread with too little stack is refused."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

import dotnet_wasm_host as dwh

if TYPE_CHECKING:
    from tests.functional.conftest import Programs

KIB, MIB = 1024, 1024 * 1024
WAYS = ("managed", "reflection", "constructors", "formatting", "sorting", "generics")
ENDLESS = 1_000_000
HOST_STACK = 256 * KIB


@contextmanager
def threads_of(stack_bytes: int) -> Iterator[None]:
    before = threading.stack_size(stack_bytes)
    try:
        yield
    finally:
        threading.stack_size(before)


def in_thread(stack_bytes: int, work: Callable[[], object]) -> object:
    """Result or error of ``work`` in a thread that has this much stack."""
    with threads_of(stack_bytes), ThreadPoolExecutor(1) as pool:
        future = pool.submit(work)
        return future.exception() or future.result()


@pytest.fixture
def deep(programs: Programs) -> dwh.Assembly:
    return programs["deep"]


@contextmanager
def runtime_with(deep: dwh.Assembly, stack_bytes: int | None) -> Iterator[dwh.Runtime]:
    limits = dwh.Limits(stack_bytes=stack_bytes, timeout=60)
    # Mono prints a frame a line when the stack overflows.
    with dwh.Runtime(limits=limits, wasi=dwh.WasiOptions(stderr=io.BytesIO())) as runtime:
        runtime.load_assembly("f", deep)
        yield runtime


@pytest.mark.parametrize(
    "stack_bytes",
    [None, pytest.param(256 * KIB, marks=pytest.mark.needs("a stack limit"))],
)
def test_recursion_without_end_is_an_error_in_every_thread(
    deep: dwh.Assembly, stack_bytes: int | None
) -> None:
    with runtime_with(deep, stack_bytes) as runtime:
        least = (stack_bytes or MIB) + HOST_STACK
        # With more stack, .NET spends seconds on the names of types nested thousands deep.
        for way in WAYS if stack_bytes else WAYS[:-1]:

            def recurse(way: str = way) -> bytes:
                return runtime.invoke("f", f"{way} {ENDLESS}".encode())

            for error in (_error(recurse), in_thread(least, recurse)):
                assert isinstance(error, (dwh.GuestTerminated, dwh.GuestTrap)), (way, error)
                assert "stack" in str(error).lower()
            assert runtime.invoke("f", f"{way} 100".encode()) == b"100"


def _error(work: Callable[[], object]) -> BaseException | None:
    try:
        work()
    except dwh.DotnetHostError as error:
        return error
    return None


@pytest.mark.needs("a stack limit")
def test_stack_bytes_is_what_native_recursion_may_use(deep: dwh.Assembly) -> None:
    reached = {}
    for stack_bytes in (256 * KIB, 512 * KIB):
        with runtime_with(deep, stack_bytes) as runtime:
            depth = 500
            while True:
                try:
                    runtime.invoke("f", b"generics %d" % depth)
                except dwh.GuestTrap as error:
                    assert "call stack exhausted" in error.trap_message
                    break
                depth = depth * 5 // 4
            reached[stack_bytes] = depth
    assert reached[512 * KIB] > 1.5 * reached[256 * KIB]


def test_ordinary_depth_fits_into_the_default(deep: dwh.Assembly) -> None:
    with runtime_with(deep, None) as runtime:
        for way, depth in {"managed": 20_000, **dict.fromkeys(WAYS[1:], 900)}.items():
            assert runtime.invoke("f", f"{way} {depth}".encode()) == str(depth).encode()


@pytest.mark.needs("a stack limit")
def test_a_thread_with_too_little_stack_is_refused_and_harms_nothing(deep: dwh.Assembly) -> None:
    with runtime_with(deep, None) as runtime:

        def call() -> bytes:
            return runtime.invoke("f", b"managed 10")

        for _ in range(2):
            error = in_thread(256 * KIB, call)
            assert isinstance(error, dwh.StackTooSmall)
            assert error.stack_bytes < error.needed_bytes == MIB + HOST_STACK
            assert "threading.stack_size" in str(error)
        assert runtime.stats().recycles == 0
        assert in_thread(MIB + HOST_STACK, call) == b"10"
        assert call() == b"10"

    with runtime_with(deep, 256 * KIB) as runtime:
        assert in_thread(512 * KIB, lambda: runtime.invoke("f", b"managed 10")) == b"10"


@pytest.mark.needs("a stack limit")
def test_threads_of_a_pool_are_refused_too_when_they_are_too_small(deep: dwh.Assembly) -> None:
    import asyncio

    # The C library gives a new thread the stack of an old one that is up to four times as large.
    with threads_of(256 * KIB), dwh.RuntimePool(size=1) as pool:
        pool.load_assembly("f", deep)
        with pytest.raises(dwh.StackTooSmall):
            asyncio.run(pool.invoke_async("f", b"managed 10"))
        assert pool.invoke("f", b"managed 10") == b"10"
    limits = dwh.Limits(stack_bytes=256 * KIB)
    with threads_of(512 * KIB), dwh.RuntimePool(size=1, limits=limits) as pool:
        pool.load_assembly("f", deep)
        assert asyncio.run(pool.invoke_async("f", b"managed 10")) == b"10"


@pytest.mark.needs("a stack limit")
def test_an_image_keeps_the_stack_of_its_engine(image: dwh.RuntimeImage) -> None:
    with pytest.raises(ValueError, match=r"1048576 bytes of stack.*stack_bytes=524288"):
        dwh.Runtime(image, limits=dwh.Limits(stack_bytes=512 * KIB))
    smaller = dwh.RuntimeImage.load(stack_bytes=512 * KIB)
    assert smaller.engine.stack_bytes == 512 * KIB
    with dwh.Runtime(smaller, limits=dwh.Limits(stack_bytes=512 * KIB)) as runtime:
        assert runtime.image is smaller
    with dwh.Runtime(image, limits=dwh.Limits(stack_bytes=MIB)):
        pass


@pytest.mark.parametrize("stack_bytes", [0, -1, 100 * KIB, 4 * MIB])
def test_a_stack_that_makes_no_sense_is_refused(stack_bytes: int) -> None:
    with pytest.raises(ValueError, match="stack_bytes"):
        dwh.Limits(stack_bytes=stack_bytes)
