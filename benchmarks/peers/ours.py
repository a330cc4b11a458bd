"""dotnet_wasm_host itself."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack, contextmanager
from functools import cached_property, partial
from importlib import metadata
from typing import TYPE_CHECKING

import dotnet_wasm_host as dwh
from benchmarks.peers.base import CannotMeasure, Payload, Peer, payload_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

__all__ = ["Ours", "OursOnWasmer"]

_SMALL = b"hello"
_POOLS = {isolation.name.lower(): isolation for isolation in dwh.Isolation}
#: Suffix of a mode: everything on one core.
ONE_CORE, WARM = " on one core", " warmed up"


class Ours(Peer):
    """The library, through its public API only."""

    engine = "wasmtime"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._image = dwh.RuntimeImage.load(engine=self.engine)
        self._runtime = dwh.Runtime(self._image)
        self._held: list[dwh.Runtime] = []
        self._cycling: dwh.Runtime | None = None

    def versions(self) -> dict[str, str]:
        return {
            "dotnet_wasm_host": dwh.__version__,
            ".NET": self._image.manifest.dotnet_version,
            self.engine: metadata.version(self.engine),
        }

    def _dll(self, function: str) -> bytes:
        return (self.folder / f"{function}.dll").read_bytes()

    def _open(self, function: str) -> Callable[[bytes], object]:
        self._runtime.load_assembly(function, self._dll(function))
        return partial(self._runtime.invoke, function)

    # ---------------------------------------------------------------- calls

    def sample_batch(self, function: str, payload: Payload, calls: int) -> list[int]:
        """Time of a call when ``calls`` are made at once."""
        self._call(function)
        payloads = [payload_of(payload)] * calls
        start = time.perf_counter_ns()
        self._runtime.invoke_many(function, payloads)
        return [(time.perf_counter_ns() - start) // calls]

    @contextmanager
    def _callers(
        self, function: str, payload: bytes, threads: int, mode: str
    ) -> Iterator[list[Callable[[bytes], object]]]:
        with ExitStack() as stack:
            if mode.endswith(ONE_CORE):
                stack.enter_context(_one_core())
            mode = mode.removesuffix(ONE_CORE)
            warm_up = [payload] if mode.endswith(WARM) else []
            mode = mode.removesuffix(WARM)
            ids = [f"{function}-{i if mode == 'per_function' else 0}" for i in range(threads)]
            if mode in _POOLS:
                pool = dwh.RuntimePool(self._image, size=threads, isolation=_POOLS[mode])
                stack.enter_context(pool)
                for function_id in set(ids):
                    pool.load_assembly(function_id, self._dll(function), warm_up=warm_up)
                yield [partial(pool.invoke, function_id) for function_id in ids]
            else:
                runtimes = [stack.enter_context(dwh.Runtime(self._image)) for _ in ids]
                for runtime in runtimes:
                    runtime.load_assembly(ids[0], self._dll(function))
                yield [partial(runtime.invoke, ids[0]) for runtime in runtimes]

    # ---------------------------------------------------------------- instances

    @cached_property
    def _snapshot(self) -> dwh.RuntimeImage:
        with dwh.Runtime(self._image) as runtime:
            runtime.load_assembly("echo", self._dll("echo"))
            runtime.invoke("echo", _SMALL)
            return runtime.snapshot()

    def start(self, times: int) -> dict[str, list[int]]:
        """Fresh instances of an image that has the function inside, each called once."""
        image, clock = self._snapshot, time.perf_counter_ns
        starts, calls, both, closes = [], [], [], []
        for _ in range(times):
            begun = clock()
            runtime = dwh.Runtime(image)
            started = clock()
            runtime.invoke("echo", _SMALL)
            answered = clock()
            runtime.close()
            del runtime
            closed = clock()
            starts.append(started - begun)
            calls.append(answered - started)
            both.append(answered - begun)
            closes.append(closed - answered)
        return {"start": starts, "call": calls, "both": both, "close": closes}

    def start_and_load(self, times: int) -> list[int]:
        """Fresh instances of the base image that load the function first."""
        dll, clock, taken = self._dll("echo"), time.perf_counter_ns, []
        for _ in range(times):
            begun = clock()
            runtime = dwh.Runtime(self._image)
            runtime.load_assembly("echo", dll)
            runtime.invoke("echo", _SMALL)
            taken.append(clock() - begun)
            runtime.close()
            del runtime
        return taken

    def hold_instances(self, count: int) -> dict[str, int]:
        """Have ``count`` instances alive that have answered a call."""
        image = self._snapshot
        while len(self._held) < count:
            runtime = dwh.Runtime(image)
            runtime.invoke("echo", _SMALL)
            self._held.append(runtime)
        return {}

    # ---------------------------------------------------------------- functions

    def load(self, times: int) -> dict[str, list[int]]:
        """Load, call twice and unload, in one running runtime."""
        dll, clock, runtime = self._dll("echo"), time.perf_counter_ns, self._runtime
        stages: dict[str, list[int]] = {"load": [], "first": [], "second": [], "unload": []}
        for _ in range(times):
            marks = [clock()]
            runtime.load_assembly("loaded", dll)
            marks.append(clock())
            runtime.invoke("loaded", _SMALL)
            marks.append(clock())
            runtime.invoke("loaded", _SMALL)
            marks.append(clock())
            runtime.unload_assembly("loaded")
            marks.append(clock())
            for index, stage in enumerate(stages.values()):
                stage.append(marks[index + 1] - marks[index])
        return stages

    def hold_functions(self, count: int) -> dict[str, int]:
        """Have ``count`` functions loaded that have answered a call."""
        dll, runtime = self._dll("echo"), self._runtime
        for index in range(len(runtime.functions), count):
            runtime.load_assembly(f"function-{index}", dll)
            runtime.invoke(f"function-{index}", _SMALL)
        return {"linear": runtime.stats().linear_memory_bytes}

    def cycle(self, times: int, leaked_bytes: int = 0) -> dict[str, int]:
        """Load, call and unload; ``leaked_bytes`` sets the limit of that name."""
        if self._cycling is None:
            limits = dwh.Limits(leaked_bytes=leaked_bytes) if leaked_bytes else None
            self._cycling = dwh.Runtime(self._image, limits=limits)
        dll, runtime = self._dll("echo"), self._cycling
        for _ in range(times):
            runtime.load_assembly("cycled", dll)
            runtime.invoke("cycled", _SMALL)
            runtime.unload_assembly("cycled")
        stats = runtime.stats()
        return {"linear": stats.linear_memory_bytes, "recycles": stats.recycles}


class OursOnWasmer(Ours):
    """The library on its other engine."""

    engine = "wasmer"


@contextmanager
def _one_core() -> Iterator[None]:
    if not hasattr(os, "sched_setaffinity"):
        raise CannotMeasure("a process cannot be bound to one core on this system")
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)
