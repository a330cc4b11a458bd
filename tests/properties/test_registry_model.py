"""A runtime compared with a dictionary, step by step, whatever is done to it."""

from __future__ import annotations

import gc
import io
import random
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

import dotnet_wasm_host as dwh

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import CompiledSources

MIB = 1 << 20

GOOD = """
using System; using System.Runtime.InteropServices; using System.Text;
public sealed class {name} : MinimalRuntime.IFunctionHandler {{
    private static int calls;
    public byte[] Execute(ReadOnlySpan<byte> input) {{
        calls++;
        switch (Encoding.UTF8.GetString(input[..Math.Min(input.Length, 8)])) {{
            case "throw": throw new InvalidOperationException("on request", new Exception("inner"));
            case "null": return null!;
            case "exit": Environment.Exit(7); break;
            case "failfast": Environment.FailFast("on request"); break;
            case "wild": Marshal.WriteInt32((IntPtr)0x7fffff00, 1); break;
            case "loop": while (true) {{ }}
        }}
        return Encoding.UTF8.GetBytes("{name} " + calls);
    }}
}}
"""
HANDLER = (
    "public class C : MinimalRuntime.IFunctionHandler {{ {0} "
    "public byte[] Execute(System.ReadOnlySpan<byte> i) => []; }}"
)

#: Payloads that end a call in an exception of the handler's, or in the guest's death.
THROWS = {b"throw": "System.InvalidOperationException", b"null": "System.InvalidOperationException"}
KILLS: dict[bytes, type[dwh.DotnetHostError]] = {
    b"exit": dwh.GuestTerminated,
    b"failfast": dwh.GuestTerminated,
    b"wild": dwh.GuestTrap,
    b"loop": dwh.InvocationTimeout,
}


@dataclass(frozen=True)
class Assemblies:
    """What is loaded: by name those that work, and by the error they give those that do not."""

    good: dict[str, dwh.Assembly]
    #: Not even looked at by .NET: an old function stays.
    unreadable: list[bytes]
    #: Refused by .NET: the id ends up empty.
    refused: list[tuple[bytes, type[dwh.DotnetHostError]]]
    #: Kills the guest while it is loaded.
    fatal: tuple[bytes, type[dwh.DotnetHostError]]


@pytest.fixture(scope="module")
def assemblies(compiled: CompiledSources) -> Assemblies:
    def handler(constructor: str) -> bytes:
        return compiled(HANDLER.format(constructor)).data

    good = {name: compiled(GOOD.format(name=name)) for name in ("Alpha", "Beta")}
    base = compiled("public class Base;", assembly_name="Missing")
    derived = compiled(HANDLER.format("").replace(": ", ": Base, "), references=(base,))
    return Assemblies(
        good=good,
        unreadable=[b"", b"junk" * 50, good["Alpha"].data[:-700]],
        refused=[
            (compiled("public class C;").data, dwh.HandlerNotFound),
            (handler("C(int i) {}"), dwh.HandlerNotFound),
            (handler("public C() => int.Parse(null!);"), dwh.AssemblyLoadError),
            (derived.data, dwh.AssemblyLoadError),
        ],
        fatal=(handler("public C() => System.Environment.Exit(5);"), dwh.GuestTerminated),
    )


@dataclass
class Loaded:
    """The model of one loaded function."""

    name: str
    generation: int
    handle: dwh.LoadedFunction
    calls: int = 0


@dataclass
class Model:
    """A runtime, and what it should be. Each operation is done to both and compared."""

    runtime: dwh.Runtime
    assemblies: Assemblies
    #: Whether so much may leak that the runtime takes a fresh instance by itself.
    leaks: bool = False
    loaded: dict[str, Loaded] = field(default_factory=dict)
    generations: Counter[str] = field(default_factory=Counter)
    counters: Counter[str] = field(default_factory=Counter)

    def load(self, function_id: str, name: str) -> dwh.LoadedFunction:
        unloads = function_id in self.loaded
        handle: dwh.LoadedFunction = self._noticing_recycles(
            lambda: self.runtime.load_assembly(function_id, self.assemblies.good[name])
        )
        self.counters["loads"] += 1
        self.counters["unloads"] += unloads
        self.generations[function_id] += 1
        self.loaded.pop(function_id, None)
        self.loaded[function_id] = Loaded(name, self.generations[function_id], handle)
        assert handle.generation == self.generations[function_id]
        assert handle.handler_type == name
        return handle

    def fail_to_load(
        self, function_id: str, content: bytes, error: type[Exception], *, unloads: bool
    ) -> None:
        def load() -> None:
            with pytest.raises(error) as caught:
                self.runtime.load_assembly(function_id, content)
            assert type(caught.value) is error

        fatal = issubclass(error, dwh.GuestTerminated)
        self._noticing_recycles(load, expected=int(fatal))
        if unloads:
            self.counters["unloads"] += self.loaded.pop(function_id, None) is not None

    def unload(self, function_id: str) -> None:
        expected = function_id in self.loaded
        result = self._noticing_recycles(lambda: self.runtime.unload_assembly(function_id))
        assert result is expected
        self.loaded.pop(function_id, None)
        self.counters["unloads"] += expected

    def invoke(self, function_id: str, payload: bytes) -> None:
        self._call(self.loaded.get(function_id), lambda: self.runtime.invoke(function_id, payload))

    def invoke_handle(self, handle: dwh.LoadedFunction) -> None:
        entry = self.loaded.get(handle.function_id)
        current = entry if entry is not None and entry.handle is handle else None
        assert handle.is_alive is (current is not None)
        self._call(current, lambda: handle.invoke(b"echo"))

    def fail_in_call(self, function_id: str, payload: bytes) -> None:
        entry = self.loaded.get(function_id)
        error = KILLS.get(payload, dwh.InvocationError) if entry else dwh.FunctionNotLoaded
        with pytest.raises(error) as caught:
            self.runtime.invoke(function_id, payload, timeout=0.03 if payload == b"loop" else 60)
        if entry is None:
            return
        entry.calls += 1
        self.counters["failed"] += 1
        if isinstance(caught.value, dwh.InvocationError):
            assert caught.value.dotnet_type == THROWS[payload]
        else:
            self.counters["recycles"] += 1
            self._start_afresh()

    def recycle(self) -> None:
        self.runtime.recycle()
        self.counters["recycles"] += 1
        self._start_afresh()

    def compare(self) -> None:
        """Everything that can be seen of the runtime agrees with the model."""
        registry = self.runtime.functions
        assert list(registry) == list(self.loaded)
        for function_id, entry in self.loaded.items():
            function = registry[function_id]
            assert function is entry.handle
            assert function.generation == entry.generation
            assert function.state is dwh.FunctionState.LOADED
        stats = self.runtime.stats()
        assert stats.loads == self.counters["loads"]
        assert stats.unloads == self.counters["unloads"]
        assert stats.failed_invocations == self.counters["failed"]
        assert stats.recycles == self.counters["recycles"]

    def _call(self, entry: Loaded | None, call: Callable[[], bytes]) -> None:
        if entry is None:
            with pytest.raises(dwh.FunctionNotLoaded):
                call()
            return
        entry.calls += 1
        assert call() == f"{entry.name} {entry.calls}".encode()

    def _noticing_recycles(self, operation: Callable[[], Any], expected: int = 0) -> Any:
        """A load or unload may find that too much has leaked, or kill the guest."""
        result = operation()
        recycles = self.runtime.stats().recycles - self.counters["recycles"]
        assert recycles == expected or (self.leaks and recycles == expected + 1)
        self.counters["recycles"] += recycles
        if recycles:
            self._start_afresh()
        return result

    def _start_afresh(self) -> None:
        for entry in self.loaded.values():
            entry.calls = 0


ids = st.sampled_from(["a", "b", "c", "\U0001f600 é", "x" * 1024])


class RegistryMachine(RuleBasedStateMachine):
    """Random operations on one runtime, each done to a model as well."""

    image: dwh.RuntimeImage
    assemblies: Assemblies
    handles: Bundle[dwh.LoadedFunction] = Bundle("handles")

    @initialize()
    def start(self) -> None:
        limits = dwh.Limits(timeout=60)
        wasi = dwh.WasiOptions(stderr=io.BytesIO())
        self.model = Model(dwh.Runtime(self.image, limits=limits, wasi=wasi), self.assemblies)

    def teardown(self) -> None:
        if not hasattr(self, "model"):
            return
        handles = [entry.handle for entry in self.model.loaded.values()]
        self.model.runtime.close()
        assert list(self.model.runtime.functions) == []
        assert not any(handle.is_alive for handle in handles)

    @rule(target=handles, function_id=ids, name=st.sampled_from(["Alpha", "Beta"]))
    def load(self, function_id: str, name: str) -> dwh.LoadedFunction:
        return self.model.load(function_id, name)

    @rule(function_id=ids, choice=st.integers(0, 2))
    def load_what_is_no_assembly(self, function_id: str, choice: int) -> None:
        content = self.assemblies.unreadable[choice]
        self.model.fail_to_load(function_id, content, dwh.AssemblyLoadError, unloads=False)

    @rule(function_id=ids, choice=st.integers(0, 3))
    def load_what_dotnet_refuses(self, function_id: str, choice: int) -> None:
        content, error = self.assemblies.refused[choice]
        self.model.fail_to_load(function_id, content, error, unloads=True)

    @rule(function_id=ids)
    def load_what_kills_the_guest(self, function_id: str) -> None:
        content, error = self.assemblies.fatal
        self.model.fail_to_load(function_id, content, error, unloads=True)

    @rule(function_id=ids)
    def unload(self, function_id: str) -> None:
        self.model.unload(function_id)

    @rule(function_id=ids, payload=st.sampled_from([b"", b"echo", bytes(70_000)]))
    def invoke(self, function_id: str, payload: bytes) -> None:
        self.model.invoke(function_id, payload)

    @rule(function_id=ids, payload=st.sampled_from([*THROWS, *KILLS]))
    def invoke_in_vain(self, function_id: str, payload: bytes) -> None:
        self.model.fail_in_call(function_id, payload)

    @rule(handle=handles)
    def invoke_a_handle(self, handle: dwh.LoadedFunction) -> None:
        self.model.invoke_handle(handle)

    @rule()
    def recycle(self) -> None:
        self.model.recycle()

    @rule(target=handles)
    def take_handles_from_the_registry(self) -> Any:
        return multiple(*self.model.runtime.functions.values())

    @invariant()
    def runtime_and_model_agree(self) -> None:
        if hasattr(self, "model"):
            self.model.compare()


def test_a_runtime_behaves_like_its_model(image: dwh.RuntimeImage, assemblies: Assemblies) -> None:
    class Machine(RegistryMachine):
        pass

    Machine.image, Machine.assemblies = image, assemblies
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=40,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )


def resident_bytes() -> int:
    """Memory that the process really uses; 0 where the system does not tell."""
    status = Path("/proc/self/statm")
    return int(status.read_text().split()[1]) * 4096 if status.exists() else 0


class Traffic:
    """Random operations on a model, mostly calls, in the mixture of a rough day."""

    def __init__(self, model: Model, seed: int) -> None:
        self.model = model
        self.peak = 0
        self.names = [f"function {i}" for i in range(12)]
        self._dice = random.Random(seed)
        #: Operations with how often they come.
        self._actions: dict[Callable[[str], object], float] = {
            self._invoke: 80,
            self._throw: 8,
            self._kill: 2,
            self._load: 4,
            model.unload: 2,
            self._load_junk: 1,
            self._load_refused: 2,
            self._load_fatal: 0.5,
            lambda _: model.recycle(): 0.5,
        }

    def steps(self, count: int) -> None:
        """That many operations, compared with the model now and then."""
        actions, weights = list(self._actions), list(self._actions.values())
        for number in range(count):
            action = self._dice.choices(actions, weights)[0]
            action(self._dice.choice(self.names))
            self.peak = max(self.peak, self.model.runtime.memory.size)
            if number % 500 == 0:
                self.model.compare()
        self.model.compare()

    def rest(self) -> dwh.RuntimeStats:
        """Bring the runtime into a state that is the same every time."""
        for name in self.names:
            self.model.load(name, "Alpha")
        self.model.recycle()
        for name in self.names:
            self.model.invoke(name, b"")
        gc.collect()
        return self.model.runtime.stats()

    def _invoke(self, function_id: str) -> None:
        size = self._dice.choice([0, 1, 100, 5000, 65_537, 300_000])
        self.model.invoke(function_id, bytes(size))

    def _throw(self, function_id: str) -> None:
        self.model.fail_in_call(function_id, self._dice.choice([*THROWS]))

    def _kill(self, function_id: str) -> None:
        self.model.fail_in_call(function_id, self._dice.choice([b"exit", b"failfast", b"wild"]))

    def _load(self, function_id: str) -> None:
        self.model.load(function_id, self._dice.choice(["Alpha", "Beta"]))

    def _load_junk(self, function_id: str) -> None:
        content = self._dice.choice(self.model.assemblies.unreadable)
        self.model.fail_to_load(function_id, content, dwh.AssemblyLoadError, unloads=False)

    def _load_refused(self, function_id: str) -> None:
        content, error = self._dice.choice(self.model.assemblies.refused)
        self.model.fail_to_load(function_id, content, error, unloads=True)

    def _load_fatal(self, function_id: str) -> None:
        content, error = self.model.assemblies.fatal
        self.model.fail_to_load(function_id, content, error, unloads=True)


@pytest.mark.slow
def test_ten_thousand_mixed_calls_leave_nothing_behind(
    image: dwh.RuntimeImage, assemblies: Assemblies
) -> None:
    limits = dwh.Limits(timeout=60, leaked_bytes=2 * MIB)
    wasi = dwh.WasiOptions(stdout=io.BytesIO(), stderr=io.BytesIO())
    with dwh.Runtime(image, limits=limits, wasi=wasi) as runtime:
        traffic = Traffic(Model(runtime, assemblies, leaks=True), seed=2026)
        traffic.steps(1500)
        before = traffic.rest()
        objects, resident = len(gc.get_objects()), resident_bytes()

        traffic.steps(10_000)
        assert min(traffic.model.counters.values()) > 200, "the run was not mixed"

        after = traffic.rest()
        assert len(gc.get_objects()) - objects < 500
        assert resident_bytes() - resident < 64 * MIB
        assert after.gc_heap_bytes - before.gc_heap_bytes < 256 * 1024
        assert after.linear_memory_bytes == before.linear_memory_bytes
        assert traffic.peak - before.linear_memory_bytes < 48 * MIB
