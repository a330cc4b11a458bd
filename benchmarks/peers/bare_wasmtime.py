"""wasmtime's Python package without anything on top, through its public API."""

from __future__ import annotations

import time
from importlib import metadata
from typing import TYPE_CHECKING

import wasmtime

from benchmarks.peers.base import NO_LIBRARY, CannotMeasure, Peer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["BareWasmtime"]

_INPUT = 65536
_SMALL = b"hello"


class _Instance:
    """A store with an instance of ``compute.wat``."""

    def __init__(self, engine: wasmtime.Engine, module: wasmtime.Module) -> None:
        self.store = wasmtime.Store(engine)
        self._exports = wasmtime.Instance(self.store, module, []).exports(self.store)
        memory = self._exports["memory"]
        assert isinstance(memory, wasmtime.Memory)
        self.memory = memory

    def function(self, name: str) -> wasmtime.Func:
        if name in {"json", "regex"}:
            raise CannotMeasure(NO_LIBRARY)
        found = self._exports[name]
        assert isinstance(found, wasmtime.Func)
        return found

    def caller(self, function: str) -> Callable[[bytes], object]:
        """What to call for a function of the benchmark."""
        store, target = self.store, self.function(function)
        if function == "nop":
            return lambda _: target(store, 1)
        if function != "echo":
            return lambda payload: str(target(store, int(payload))).encode()
        memory, reserve = self.memory, self.function("reserve")

        def echo(payload: bytes) -> bytearray:
            size = len(payload)
            if memory.data_len(store) < _INPUT + 2 * size:
                reserve(store, 2 * size)
            memory.write(store, payload, _INPUT)
            start = target(store, size)
            return memory.read(store, start, start + size)

        return echo


class BareWasmtime(Peer):
    """A hand-written module: no .NET, no runtime, no host functions."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._engine = wasmtime.Engine()
        self._module = wasmtime.Module(self._engine, (folder / "compute.wasm").read_bytes())
        self._instance = self._new()
        self._held: list[_Instance] = []

    def _new(self) -> _Instance:
        return _Instance(self._engine, self._module)

    def versions(self) -> dict[str, str]:
        return {"wasmtime": metadata.version("wasmtime")}

    def _open(self, function: str) -> Callable[[bytes], object]:
        return self._instance.caller(function)

    def _for_threads(self, function: str, threads: int) -> list[Callable[[bytes], object]]:
        return [self._new().caller(function) for _ in range(threads)]

    def start(self, times: int) -> dict[str, list[int]]:
        """Fresh stores and instances of the compiled module, each called once."""
        clock, both = time.perf_counter_ns, []
        for _ in range(times):
            begun = clock()
            self._new().caller("echo")(_SMALL)
            both.append(clock() - begun)
        return {"both": both}

    def hold_instances(self, count: int) -> dict[str, int]:
        """Have ``count`` instances alive that have answered a call."""
        while len(self._held) < count:
            instance = self._new()
            instance.caller("echo")(_SMALL)
            self._held.append(instance)
        return {}
