"""Instances of wasmtime: one guest with its store and its memory."""

from __future__ import annotations

import errno
import math
import re
import time
from typing import TYPE_CHECKING, final

from dotnet_wasm_host.engines.instance import OVERRAN, EngineInstance, require_room
from dotnet_wasm_host.engines.wasmtime.active import Presence
from dotnet_wasm_host.engines.wasmtime.c_api import NativeError
from dotnet_wasm_host.engines.wasmtime.calls import bind_function, guest_function
from dotnet_wasm_host.engines.wasmtime.store import Store, WasmtimeMemory
from dotnet_wasm_host.errors import GuestTrap, InvocationTimeout, LimitExceeded
from dotnet_wasm_host.overriding import override

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from dotnet_wasm_host.engines.base import CodeLinker, GuestFunction, Interruption
    from dotnet_wasm_host.engines.wasmtime.active import Active
    from dotnet_wasm_host.engines.wasmtime.c_api import Extern, Stop
    from dotnet_wasm_host.engines.wasmtime.exports import Exports
    from dotnet_wasm_host.engines.wasmtime.module import WasmtimeModule

__all__ = ["WasmtimeInstance"]

#: Pauses before the kernel is asked again, in seconds.
_PAUSES = (0.05, 0.2, 1.0)


@final
class WasmtimeInstance(EngineInstance):
    """One guest. Not thread-safe: its owner calls it from one thread at a time.

    Args:
        code: module with the functions.
        memory: module with the memory and its content.
        limit: bytes of memory that it may have.

    Attributes:
        active: which instance a thread is inside of.
        presence: this instance, weakly; see :class:`.active.Active`.
        exports: of the code module.
        memory: what it runs on.
    """

    def __init__(self, code: WasmtimeModule, memory: WasmtimeModule, limit: int) -> None:
        super().__init__()
        self._code = code
        self._engine = engine = code.engine
        self.active: Active = engine.active
        self.presence: Presence = Presence(self)
        self._store = Store(engine)
        self.memory: WasmtimeMemory = WasmtimeMemory(
            self._store, _memory(self._store, memory), limit
        )
        require_room(self.memory.size, limit)
        self.exports: Exports = code.instantiate(self._store, self.memory, self.failure)
        engine.add(self)

    @override
    def _import_names(self) -> Sequence[str]:
        return self._code.imports

    def function(self, name: str) -> GuestFunction:
        """The exported function ``name``. KeyError if there is none."""
        return guest_function(self, name)

    def bind(self, name: str, *arguments: int) -> Callable[[], None]:
        """Like :meth:`function`, with i32 arguments fixed once and the result dropped."""
        return bind_function(self, name, arguments)

    @property
    @override
    def code_linker(self) -> CodeLinker | None:
        from dotnet_wasm_host.engines.wasmtime.code_linker import (
            WasmtimeCodeLinker,
        )

        # Not kept: it knows this object, and a cycle would keep the instance's address space.
        try:
            return WasmtimeCodeLinker(self.exports, self.memory.extern, self.failure, self.active)
        except KeyError:
            return None

    def globals(self) -> dict[str, int]:
        """Values of the exported mutable i32 globals, by name."""
        return self.exports.globals()

    def set_globals(self, values: Mapping[str, int]) -> None:
        """Set exported mutable i32 globals."""
        for name, value in values.items():
            self.exports.set_global(name, value)

    def set_deadline(self, seconds: float | None) -> None:
        """Interrupt guest code that runs past ``seconds`` from now; None for never."""
        if seconds is None:
            self.deadline: float = math.inf
            return
        self.deadline = at = time.monotonic() + seconds
        watch = self._engine.watch
        if at < watch.next:
            watch.ask(at)

    @override
    def interrupt(self, interruption: Interruption) -> None:
        super().interrupt(interruption)
        self._engine.alert()

    @override
    def close(self) -> None:
        if not self.closed:
            self.set_deadline(None)
            super().close()
            # Here, in the thread that is done with it. Who lets go of the last reference to it, say
            # an event loop of the error of a call, frees what is left.
            self.memory.discard()

    def start_afresh(self) -> None:
        """The parent's instances stay the parent's."""
        self.closed = True
        self.interruptions.clear()
        self.leave_native()

    def leave_native(self) -> None:
        """Let the store live on: no finalizer of wasmtime's may run."""
        self._store.leak()

    def failure(self, stop: Stop) -> BaseException:
        """What to raise after a call that ended in ``stop``."""
        pending, self.presence.pending = self.presence.pending, None
        # One that is left of a call that ended otherwise is not what stopped this one.
        if pending is not None and stop.by_callback:
            return pending
        if not stop.trap:
            return GuestTrap(stop.message)
        if stop.interrupted:
            return InvocationTimeout(OVERRAN)
        frames = (f"  at function {index} + {offset:#x}" for index, offset in stop.frames)
        return GuestTrap(_cause(stop.message), "\n".join(frames))


def _memory(store: Store, module: WasmtimeModule) -> Extern:
    """The memory of a new instance of a memory module.

    The first one of a module that is in no file copies it into a memfd and seals that. Linux
    refuses to (EBUSY) for as long as another CPU holds on to pages that were just written,
    which on a machine with much else to do can outlast the kernel's own patience.
    """
    pauses = iter(_PAUSES)
    while True:
        try:
            return store.instantiate_memory(module.pointer)
        except NativeError as error:
            pause = next(pauses, None) if "memfd" in str(error) else None
            if pause is None:
                advice = "raise its limits of address space and mappings"
                if f"os error {errno.EFBIG}" in str(error):
                    advice = "raise its limit of file sizes (ulimit -f), or let images be cached"
                raise LimitExceeded(
                    f"this process has no room for another instance ({error}); close some, "
                    f"or {advice}"
                ) from error
        time.sleep(pause)


def _cause(message: str) -> str:
    # wasmtime's message is a backtrace, then "Caused by:" and the causes, outermost first.
    _, _, causes = message.partition("Caused by:")
    lines = (line.strip() for line in (causes or message).splitlines())
    texts = [re.sub(r"^\d+: ", "", line).removeprefix("wasm trap: ") for line in lines if line]
    return "; ".join(texts)
