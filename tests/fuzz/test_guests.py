"""Damaged assemblies, hostile host calls and lying answers end in typed errors."""

from __future__ import annotations

import io
import logging
import random
import time
from collections.abc import Callable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import dotnet_wasm_host as dwh
from dotnet_wasm_host import abi
from tests.conftest import CompiledSources
from tests.fuzz.hostile_imports import HostileGuest
from tests.fuzz.mutation import AssemblyMutator

MUTANTS = 400
CALLS = 20_000
HANDLER = """
    using System; using System.Linq; using System.Collections.Generic; using System.Text;
    public sealed class Victim : MinimalRuntime.IFunctionHandler {
        private readonly Dictionary<string, int> counts = new();
        public byte[] Execute(ReadOnlySpan<byte> input) {
            var text = Encoding.UTF8.GetString(input);
            if (text == "throw") throw new InvalidOperationException($"asked to {text}");
            counts[text] = counts.GetValueOrDefault(text) + 1;
            try {
                var pairs = counts.Select(p => $"{p.Key}={p.Value}").OrderBy(p => p);
                return Encoding.UTF8.GetBytes(string.Join(",", pairs));
            }
            catch (Exception e) when (e.Message.Length > 3) { return [1]; }
            finally { counts.Remove("x"); }
        }
    }"""


@pytest.fixture(scope="module")
def assembly(compiled: CompiledSources) -> dwh.Assembly:
    return compiled(HANDLER)


@pytest.fixture
def quiet(caplog: pytest.LogCaptureFixture) -> dwh.WasiOptions:
    caplog.set_level(logging.CRITICAL + 1, "dotnet_wasm_host")
    return dwh.WasiOptions(stdout=io.BytesIO(), stderr=io.BytesIO())


def test_mutants_of_an_assembly_end_in_typed_errors(
    image: dwh.RuntimeImage, assembly: dwh.Assembly, quiet: dwh.WasiOptions
) -> None:
    mutants = AssemblyMutator(assembly.data).variants(random.Random(20261122))
    limits = dwh.Limits(timeout=2, memory_bytes=128 << 20, crash_limit=None)
    outcomes: dict[str, set[str]] = {}
    with dwh.Runtime(image, limits=limits, wasi=quiet) as runtime:
        runtime.load_assembly("calm", assembly)
        for _, (kind, data) in zip(range(MUTANTS), mutants, strict=False):
            start = time.monotonic()
            try:
                runtime.load_assembly("mutant", data)
                runtime.invoke("mutant", b"hello")
                runtime.invoke("mutant", b"throw")
            except dwh.DotnetHostError as error:
                assert str(error)
                outcomes.setdefault(kind, set()).add(type(error).__name__)
            assert time.monotonic() - start < 30
            assert runtime.invoke("calm", b"x") == b"x=1"
        assert runtime.stats().recycles > 0
    assert set(outcomes) == {
        "headers", "cli header", "metadata root", "row counts", "rows", "heaps", "code",
    }  # fmt: skip
    assert {"AssemblyLoadError", "InvocationError", "GuestTerminated"} <= set.union(
        *outcomes.values()
    )


def test_host_functions_survive_any_arguments(
    image: dwh.RuntimeImage, quiet: dwh.WasiOptions
) -> None:
    generator = random.Random(20261122)
    for _ in range(4):
        with dwh.Runtime(image, wasi=quiet, limits=dwh.Limits(memory_bytes=96 << 20)) as runtime:
            guest = HostileGuest(runtime, generator)
            assert len(guest.names) > 25
            runtime._current.guest.host.instance.set_deadline(60)
            runtime._current.calling = True  # as it is when a guest calls
            for _ in range(CALLS // 4):
                guest.call(generator.choice(guest.names))
            runtime._current.calling = False
            # Its code is not asked: its memory has anything by now.
            assert runtime._current.recycles == 0
            assert runtime.memory.size <= 96 << 20


# ---------------------------------------------------------------- answers

I32 = st.one_of(st.integers(-(2**31), 2**31 - 1), st.integers(-3, 70000))
U32 = st.one_of(st.integers(0, 2**32 - 1), st.integers(0, 50_000_000))


class LyingGuest:
    """A guest whose code is replaced by what it answers."""

    def __init__(self, runtime: dwh.Runtime) -> None:
        self._runtime = runtime

    def answer(self, entry: str, handle: int, status: int, output: int, length: int) -> None:
        """Let the next call of an entry point end like this."""
        guest = self._runtime._current.guest

        def lie() -> None:
            abi.FRAME.pack_into(guest._frame, 0, handle, 0, 0, status, output, length)

        guest._entries[entry] = lie
        if entry == "Invoke":
            guest._invoke = lie


OPERATIONS: dict[str, Callable[[dwh.Runtime, dwh.Assembly], object]] = {
    "Invoke": lambda r, _: r.invoke("f", b"x", timeout=0.2),
    "InvokeMany": lambda r, _: r.invoke_many("f", [b"x", b"y"]),
    "Load": lambda r, a: r.load_assembly("g", a),
    "Unload": lambda r, _: r.unload_assembly("f"),
    "Inspect": lambda r, _: r.stats(),
    "Rest": lambda r, _: r.snapshot(),
    "LoadCapability": lambda r, a: r.load_capability("c", a),
}


@pytest.mark.parametrize("entry", OPERATIONS)
def test_no_answer_of_a_guest_is_believed(
    image: dwh.RuntimeImage, assembly: dwh.Assembly, quiet: dwh.WasiOptions, entry: str
) -> None:
    with dwh.Runtime(image, wasi=quiet, limits=dwh.Limits(crash_limit=None)) as runtime:
        guest = LyingGuest(runtime)

        @settings(max_examples=25 if entry == "Rest" else 80)
        @example(0, 0, 0, -1)
        @example(1, 0, 2**32 - 1, 2**31 - 1)
        @example(1, 0, 48 << 20, 1)
        @example(-1, 5, 0, 0)
        @example(0, 1, 4096, 2**31 - 1)
        @given(I32, st.one_of(st.integers(-1, 6), I32), U32, I32)
        def check(handle: int, status: int, output: int, length: int) -> None:
            if "f" not in runtime.functions:
                runtime.load_assembly("f", assembly)
            runtime.invoke("f", b"x")
            guest.answer(entry, handle, status, output, length)
            try:
                OPERATIONS[entry](runtime, assembly)
            except dwh.DotnetHostError as error:
                assert str(error)
            runtime.recycle()
            runtime.load_assembly("f", assembly)
            assert runtime.invoke("f", b"x") == b"x=1"

        check()
