"""wasmtime's own engine object, what belongs to it, and what becomes of it at a fork or an exit."""

from __future__ import annotations

import contextlib
import os
import time
import weakref
from ctypes import addressof, c_void_p
from typing import TYPE_CHECKING, Any, Protocol, final

from dotnet_wasm_host.engines.process import wait_for_guests
from dotnet_wasm_host.engines.threads import can_start_threads
from dotnet_wasm_host.engines.wasmtime.active import Active
from dotnet_wasm_host.engines.wasmtime.c_api import DeadlineCallback, Owned
from dotnet_wasm_host.engines.wasmtime.callbacks import look_up_callback
from dotnet_wasm_host.engines.wasmtime.watch import Watch
from dotnet_wasm_host.errors import StackTooSmall

if TYPE_CHECKING:
    from collections.abc import Callable

    from dotnet_wasm_host.engines.wasmtime.c_api import Api

__all__ = ["Dependent", "NativeEngine"]


class Dependent(Protocol):
    """A module or an instance: something native that is of an engine."""

    def __hash__(self) -> int:
        """By identity."""

    def start_afresh(self) -> None:
        """Replace the locks: this is the child of a fork, their holders may be no more."""

    def stop(self) -> None:
        """Let no guest run in it any longer."""

    def leave_native(self) -> None:
        """Let what is native live on: no finalizer of wasmtime's may run."""


@final
class NativeEngine(Owned):
    """``wasm_engine_t`` with the settings of this project: epochs, copy-on-write memory.

    Args:
        api: wasmtime's functions.
        stack_bytes: stack of the calling thread that guest code may use.
        guests_run: True while a thread is inside of a guest.

    Attributes:
        api: wasmtime's functions.
        active: which instance a thread is inside of.
        watch: when guests that run look up.
        look_up: what they then do.
        callbacks: linkers hold bare pointers to these; they live as long as the engine.
        exiting: the interpreter is shutting down.
    """

    __slots__ = (
        "_dependents",
        "_guests_run",
        "_has_threads",
        "_stack_bytes",
        "active",
        "api",
        "callbacks",
        "exiting",
        "look_up",
        "watch",
    )

    def __init__(self, api: Api, stack_bytes: int, guests_run: Callable[[], bool]) -> None:
        self.api: Api = api
        self._stack_bytes = stack_bytes
        super().__init__(_new_engine(api, stack_bytes, parallel=True), api.wasm_engine_delete)
        self._has_threads = False
        self.active: Active = Active(api, stack_bytes)
        self.watch: Watch = Watch(_incrementer(self))
        self.look_up: Any = DeadlineCallback(look_up_callback(api, self.active, self.watch))
        self.callbacks: list[Any] = []
        self.exiting: bool = False
        self._guests_run = guests_run
        self._dependents: weakref.WeakSet[Dependent] = weakref.WeakSet()

    def add(self, dependent: Dependent) -> None:
        """Tell it of forks and of the exit."""
        self._dependents.add(dependent)

    def has_threads(self) -> bool:
        """Whether wasmtime's threads for compiling are there or can be started.

        It starts one for each CPU at once, and ends the process if that fails. Those that were
        started to try may not be quite gone when it does, so there has to be room for both.
        """
        self._has_threads = self._has_threads or can_start_threads(2 * _compiler_threads())
        return self._has_threads

    def compile_alone(self, wasm: bytes) -> bytes:
        """A serialized module, compiled in the calling thread. NativeError."""
        api, module = self.api, c_void_p()
        engine = Owned(_new_engine(api, self._stack_bytes, parallel=False), api.wasm_engine_delete)
        api.check(api.wasmtime_module_new(engine.pointer, wasm, len(wasm), addressof(module)))
        compiled = Owned(module.value or 0, api.wasmtime_module_delete)
        return api.serialized(compiled.pointer)

    def alert(self) -> None:
        """Have guests look at their interruptions as soon as can be."""
        self.watch.ask(time.monotonic())

    def start_afresh(self) -> None:
        """Make locks and the watch anew, here and in all dependents, in the child of a fork."""
        with contextlib.suppress(StackTooSmall):
            self.active.presence = None
        self.watch.start_afresh()
        for dependent in tuple(self._dependents):
            dependent.start_afresh()

    def stop_guests(self) -> None:
        """Stop every guest, for the interpreter exits.

        No finalizer of wasmtime's may run afterwards.
        """
        self.exiting = True
        dependents = tuple(self._dependents)
        for dependent in dependents:
            dependent.stop()
        wait_for_guests(self._guests_run, self.alert)
        for dependent in dependents:
            dependent.leave_native()
        self.leak()


def _new_engine(api: Api, stack_bytes: int, *, parallel: bool) -> int:
    config = api.wasm_config_new()
    api.wasmtime_config_epoch_interruption_set(config, True)  # noqa: FBT003 - C
    api.wasmtime_config_max_wasm_stack_set(config, stack_bytes)
    api.wasmtime_config_memory_init_cow_set(config, True)  # noqa: FBT003 - C
    api.wasmtime_config_parallel_compilation_set(config, parallel)
    pointer: int = api.wasm_engine_new_with_config(config)
    return pointer


def _compiler_threads() -> int:
    """How many threads wasmtime compiles in: what rayon takes by default."""
    wanted = os.environ.get("RAYON_NUM_THREADS", "")
    if wanted.isdecimal() and int(wanted) > 0:
        return int(wanted)
    return os.cpu_count() or 1


def _incrementer(engine: NativeEngine) -> Callable[[], object]:
    # The watch's thread must not keep the engine, nor use it when it is gone.
    increment, reference = engine.api.wasmtime_engine_increment_epoch, weakref.ref(engine)

    def increment_epoch() -> None:
        alive = reference()
        if alive is not None:
            increment(alive.pointer)

    return increment_epoch
