"""Native memory goes when a runtime does, without waiting for the garbage collector."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import dotnet_wasm_host as dwh

SOURCE = """
using System; using System.IO; using System.Text;
public sealed class Busy : MinimalRuntime.IFunctionHandler {
    public byte[] Execute(ReadOnlySpan<byte> input) {
        Console.WriteLine("printed");
        File.WriteAllText("/tmp/file", "content");
        switch (input.Length) {
            case 1: throw new InvalidOperationException();
            case 2: while (true) { }
            case 3: Environment.Exit(1); break;
        }
        return input.ToArray();
    }
}
"""


@pytest.fixture(scope="module")
def busy() -> dwh.Assembly:
    return dwh.compile_csharp(SOURCE)


@pytest.fixture(autouse=True)
def no_garbage_collection() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def native(runtime: dwh.Runtime) -> weakref.ref[object]:
    return weakref.ref(runtime._current.guest.host.instance)


def test_closing_frees_the_instance(busy: dwh.Assembly) -> None:
    runtime = dwh.Runtime()
    runtime.load_assembly("busy", busy)
    runtime.invoke("busy", b"four")
    instance = native(runtime)
    assert instance() is not None
    runtime.close()
    del runtime
    assert instance() is None


def test_closing_frees_the_runtime_and_its_image(busy: dwh.Assembly) -> None:
    with dwh.Runtime() as runtime:
        runtime.load_assembly("busy", busy)
        image = runtime.snapshot()
    runtime = dwh.Runtime(image)
    runtime.load_assembly("other", busy)
    runtime.invoke("busy", b"four")
    runtime.invoke("other", b"four")
    kept: list[weakref.ref[Any]] = [weakref.ref(image), weakref.ref(runtime), native(runtime)]
    runtime.close()
    del image, runtime
    assert [reference() for reference in kept] == [None] * 3


@pytest.mark.parametrize(
    ("payload", "error"),
    [(b"22", dwh.InvocationTimeout), (b"333", dwh.GuestTerminated)],
)
def test_a_broken_instance_is_freed_when_it_is_replaced(
    busy: dwh.Assembly, payload: bytes, error: type[Exception]
) -> None:
    with dwh.Runtime() as runtime:
        runtime.load_assembly("busy", busy)
        instance = native(runtime)
        with pytest.raises(error):
            runtime.invoke("busy", payload, timeout=0.05 if error is dwh.InvocationTimeout else 30)
        assert instance() is None
        assert runtime.invoke("busy", b"four") == b"four"


def test_recycling_frees_the_old_instance(busy: dwh.Assembly) -> None:
    with dwh.Runtime() as runtime:
        runtime.load_assembly("busy", busy)
        runtime.invoke("busy", b"four")
        instance = native(runtime)
        runtime.recycle()
        assert instance() is None


def test_a_view_keeps_its_memory_mapped() -> None:
    runtime = dwh.Runtime()
    with runtime.memory.allocate_bytes(b"still here") as block:
        view = runtime.memory.view(block.ptr, block.size)
        instance = native(runtime)
    runtime.close()
    assert instance() is not None
    assert len(bytes(view)) == 10
    del view, block
    assert instance() is None


@pytest.mark.slow
def test_memory_stays_flat_over_many_loads(
    busy: dwh.Assembly, private_memory: Callable[[], int]
) -> None:
    with dwh.Runtime(limits=dwh.Limits(leaked_bytes=8 << 20)) as runtime:
        sizes = []
        for _ in range(6):
            for _ in range(300):
                runtime.load_assembly("busy", busy)
                runtime.unload_assembly("busy")
            runtime.recycle()
            sizes.append(private_memory())
        assert runtime.stats().recycles > 6
        assert max(sizes[2:]) - sizes[1] < 5 << 20, sizes


@pytest.fixture
def private_memory() -> Callable[[], int]:
    def read() -> int:
        with open("/proc/self/smaps_rollup", encoding="ascii") as file:
            for line in file:
                if line.startswith("Private_Dirty:"):
                    return int(line.split()[1]) * 1024
        raise AssertionError("no Private_Dirty")

    return read
