"""The default engine: wasmtime.

How wasmtime is reached is a binding's business: :mod:`~dotnet_wasm_host.engines.wasmtime.raw` goes
through its C API, and :mod:`~dotnet_wasm_host.engines.wasmtime.public`, for
``WasmtimeEngine(raw=False)``, through its Python package.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import threading
import time
import weakref
from typing import TYPE_CHECKING, cast, final

from dotnet_wasm_host.engines.instance import (
    OVERRAN,
    EngineInstance,
    LimitedMemory,
    require_room,
)
from dotnet_wasm_host.engines.process import follow_process, wait_for_guests
from dotnet_wasm_host.engines.threads import stack_size
from dotnet_wasm_host.engines.wasmtime.binding import NativeError
from dotnet_wasm_host.errors import (
    GuestTrap,
    InvocationTimeout,
    LimitExceeded,
    RuntimeClosed,
    StackTooSmall,
)
from dotnet_wasm_host.options import DEFAULT_STACK_BYTES, MAX_STACK_BYTES, MIN_STACK_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from dotnet_wasm_host.engines.base import (
        CodeLinker,
        CompiledModule,
        GuestFunction,
        HostFunction,
        Interruption,
        Number,
    )
    from dotnet_wasm_host.engines.wasmtime.binding import (
        Binding,
        Exports,
        Linker,
        Module,
        NativeMemory,
        Stop,
        Store,
    )

__all__ = ["WasmtimeEngine"]

#: Stack that host functions need when the guest has used all of its own: Python, and what a
#: user's stream or clock does.
HOST_STACK = 256 * 1024


class Active(threading.local):
    """Which instance the present thread is inside of.

    Host functions are defined once for an engine, not once for an instance: this is how they
    find the instance that calls them.

    Whoever enters an instance leaves behind what was here before, so a call inside of another
    one, in a signal handler or finalizer say, disturbs nobody. Only where nothing was here the
    instance stays, until it is collected: most threads call one instance again and again, and
    then have nothing to change.

    Attributes:
        reference: to the instance; its own :attr:`WasmtimeInstance.reference`.
    """

    reference: weakref.ref[WasmtimeInstance] | None = None

    def __init__(self, stack_bytes: int) -> None:
        # Runs once in each thread that calls a guest. A guest that runs past the end of its
        # thread's stack would take the process with it.
        size, needed = stack_size(), stack_bytes + HOST_STACK
        if size is not None and size < needed:
            raise StackTooSmall(size, needed)

    @property
    def instance(self) -> WasmtimeInstance | None:
        """The instance itself."""
        return None if self.reference is None else self.reference()

    def enter(self, instance: WasmtimeInstance) -> weakref.ref[WasmtimeInstance] | None:
        """Be inside of an instance. Gives what :meth:`leave` needs."""
        outer, self.reference = self.reference, instance.reference
        return outer

    def leave(self, outer: weakref.ref[WasmtimeInstance] | None) -> None:
        """Be where the thread was before."""
        if outer is not None and outer() is not None:
            self.reference = outer


@final
class WasmtimeEngine:
    """wasmtime with epoch interruption and copy-on-write memory images.

    Args:
        raw: call through wasmtime's C API instead of its Python classes: about ten times
            faster, and a guest can be interrupted at any time, not only where it calls the host.
        stack_bytes: stack of the calling thread that guest code may use.
    """

    name = "wasmtime"

    def __init__(self, *, raw: bool = True, stack_bytes: int = DEFAULT_STACK_BYTES) -> None:
        if not MIN_STACK_BYTES <= stack_bytes <= MAX_STACK_BYTES:
            raise ValueError(f"stack_bytes is {stack_bytes}; give 256 KiB to 2 MiB")
        self.stack_bytes = stack_bytes
        self.active = Active(stack_bytes)
        make = _raw_binding if raw else _public_binding
        self.binding = make(self.active, stack_bytes)
        self._natives: weakref.WeakSet[WasmtimeModule | WasmtimeInstance] = weakref.WeakSet()
        self._exiting = False
        self.fingerprint = self._fingerprint()
        follow_process(self)

    def start_afresh(self) -> None:
        """See :class:`~dotnet_wasm_host.engines.process.Follower`."""
        with contextlib.suppress(StackTooSmall):
            self.active.reference = None
        self.binding.start_afresh()
        for item in tuple(self._natives):
            item.start_afresh()

    def stop_guests(self) -> None:
        """See :class:`~dotnet_wasm_host.engines.process.Follower`.

        No finalizer of wasmtime's may run either.
        """
        self._exiting = True
        items = tuple(self._natives)
        for item in items:
            item.stop()
        wait_for_guests(self.binding.guests_run, self.binding.alert)
        for item in items:
            item.leave_native()
        self.binding.leak()

    def _fingerprint(self) -> str:
        # wasmtime writes its version, settings and the CPU features it compiled for into the
        # head of every serialized module; a tiny module therefore identifies all of them.
        probe = self.compile(b"\0asm\x01\0\0\0").serialize()
        return hashlib.sha256(probe).hexdigest()[:16]

    @property
    def version(self) -> str:
        """Version of the wasmtime package."""
        from importlib import metadata  # noqa: PLC0415 - slow to import, seldom asked

        return metadata.version("wasmtime")

    def compile(self, wasm: bytes) -> WasmtimeModule:
        """See :meth:`dotnet_wasm_host.engines.base.Engine.compile`."""
        try:
            return self._module(self.binding.compile(wasm))
        except NativeError as error:
            raise ValueError(f"not a valid WebAssembly module: {error}") from error

    def load(self, path: Path) -> WasmtimeModule:
        """See :meth:`dotnet_wasm_host.engines.base.Engine.load`."""
        try:
            return self._module(self.binding.load(path))
        except NativeError as error:
            raise ValueError(f"{path} was not compiled by this engine: {error}") from error

    def _module(self, native: Module) -> WasmtimeModule:
        module = WasmtimeModule(self, native)
        self._natives.add(module)
        return module

    def instantiate(
        self, code: CompiledModule, memory: CompiledModule, *, memory_limit: int
    ) -> WasmtimeInstance:
        """See :meth:`dotnet_wasm_host.engines.base.Engine.instantiate`."""
        if not isinstance(code, WasmtimeModule) or not isinstance(memory, WasmtimeModule):
            raise TypeError("both modules must come from wasmtime")
        if not self is code.engine is memory.engine:
            raise ValueError("both modules must come from this engine")
        if self._exiting:
            raise RuntimeClosed("the interpreter is shutting down")
        instance = WasmtimeInstance(self, code, memory, memory_limit)
        self._natives.add(instance)
        return instance


class WasmtimeModule:
    """A compiled module; a code module also carries the linker with its host functions."""

    def __init__(self, engine: WasmtimeEngine, native: Module) -> None:
        self.native = native
        self.engine = engine
        self._lock = threading.Lock()
        self._linker: Linker | None = None

    @property
    def imports(self) -> Sequence[str]:
        """Names of the imported functions, in module order."""
        return self.native.imports

    def start_afresh(self) -> None:
        """See :meth:`WasmtimeEngine.start_afresh`."""
        self._lock = threading.Lock()

    def stop(self) -> None:
        """See :meth:`WasmtimeEngine.stop_guests`: nothing runs in a module."""

    def leave_native(self) -> None:
        """See :meth:`WasmtimeEngine.stop_guests`."""
        self.native.leak()
        if self._linker is not None:
            self._linker.leak()

    def serialize(self) -> bytes:
        """See :meth:`dotnet_wasm_host.engines.base.CompiledModule.serialize`."""
        return self.native.serialize()

    def instantiate(
        self, store: Store, memory: NativeMemory, failure: Callable[[Stop], BaseException]
    ) -> Exports:
        """Instantiate this code module on a memory of the same store."""
        # Its memory goes by way of the linker; nobody else's may come in between.
        with self._lock:
            try:
                if self._linker is None:
                    active = self.engine.active
                    functions = [_dispatcher(active, index) for index in range(len(self.imports))]
                    self._linker = self.native.link(functions)
                return self._linker.instantiate(store, memory, failure)
            except NativeError as error:
                raise ValueError(f"the module cannot be instantiated: {error}") from error


def _dispatcher(active: Active, index: int) -> HostFunction:
    def call_host(*arguments: Number) -> Number | None:
        instance = active.instance
        if instance is None:
            raise RuntimeClosed("a guest function ran outside of any call")
        return (instance.functions or instance.provide_functions())[index](*arguments)

    return call_host


@final
class WasmtimeMemory(LimitedMemory):
    """Linear memory of one instance. wasmtime reserves its address range, so it never moves."""

    __slots__ = ("native",)

    def __init__(self, native: NativeMemory, limit: int) -> None:
        super().__init__(limit)
        self.native = native
        self._refresh()

    def _grow(self, pages: int) -> bool:
        return self.native.grow(pages)

    def _refresh(self) -> None:
        self.address, self.size = self.native.extent()


def _memory(store: Store, module: Module) -> NativeMemory:
    """The memory of a new instance of a memory module.

    The first one of a module that is in no file copies it into a memfd and seals that. Linux
    refuses to (EBUSY) for as long as another CPU holds on to pages that were just written,
    which on a machine with much else to do can outlast the kernel's own patience.
    """
    pauses = iter((0.05, 0.2, 1.0))
    while True:
        try:
            return store.memory(module)
        except NativeError as error:
            pause = next(pauses, None) if "memfd" in str(error) else None
            if pause is None:
                raise LimitExceeded(
                    f"this process has no room for another instance ({error}); close some, or "
                    "raise its limits of address space and mappings"
                ) from error
        time.sleep(pause)


@final
class WasmtimeInstance(EngineInstance):
    """One guest. Not thread-safe: its owner calls it from one thread at a time."""

    def __init__(
        self, engine: WasmtimeEngine, code: WasmtimeModule, memory: WasmtimeModule, limit: int
    ) -> None:
        super().__init__()
        self.engine = engine
        self.code = code
        self.reference = weakref.ref(self)
        self.store = engine.binding.store()
        self.memory = WasmtimeMemory(_memory(self.store, memory.native), limit)
        require_room(self.memory.size, limit)
        self.native = code.instantiate(self.store, self.memory.native, self.failure)

    def _import_names(self) -> Sequence[str]:
        return self.code.imports

    def function(self, name: str) -> GuestFunction:
        """See :meth:`dotnet_wasm_host.engines.base.Instance.function`."""
        return self.native.function(self, name)

    def bind(self, name: str, *arguments: int) -> Callable[[], None]:
        """See :meth:`dotnet_wasm_host.engines.base.Instance.bind`."""
        return self.native.bind(self, name, arguments)

    @property
    def code_linker(self) -> CodeLinker | None:
        """See :attr:`dotnet_wasm_host.engines.base.Instance.code_linker`."""
        # Not kept: it knows this object, and a cycle would keep the instance's address space.
        return self.native.code_linker(self.memory.native, self.failure)

    def globals(self) -> dict[str, int]:
        """See :meth:`dotnet_wasm_host.engines.base.Instance.globals`."""
        return self.native.globals()

    def set_globals(self, values: Mapping[str, int]) -> None:
        """See :meth:`dotnet_wasm_host.engines.base.Instance.set_globals`."""
        for name, value in values.items():
            self.native.set_global(name, value)

    def set_deadline(self, seconds: float | None) -> None:
        """See :meth:`dotnet_wasm_host.engines.base.Instance.set_deadline`."""
        self.store.set_deadline(self, seconds)

    def interrupt(self, interruption: Interruption) -> None:
        """See :meth:`dotnet_wasm_host.engines.base.Instance.interrupt`."""
        super().interrupt(interruption)
        self.engine.binding.alert()

    def close(self) -> None:
        """See :meth:`dotnet_wasm_host.engines.base.Instance.close`."""
        if not self.closed:
            self.store.set_deadline(self, None)
            super().close()

    def start_afresh(self) -> None:
        """See :meth:`WasmtimeEngine.start_afresh`: the parent's instances stay the parent's."""
        self.closed = True
        self.interruptions.clear()
        self.leave_native()

    def leave_native(self) -> None:
        """See :meth:`WasmtimeEngine.stop_guests`."""
        self.store.leak()

    def failure(self, stop: Stop) -> BaseException:
        """What to raise after a call that ended in ``stop``."""
        pending, self.pending = self.pending, None
        if pending is not None:
            return pending
        if not stop.trap:
            return GuestTrap(stop.message)
        if stop.interrupted:
            return InvocationTimeout(OVERRAN)
        frames = (f"  at function {index} + {offset:#x}" for index, offset in stop.frames)
        return GuestTrap(_cause(stop.message), "\n".join(frames))


def _cause(message: str) -> str:
    # wasmtime's message is a backtrace, then "Caused by:" and the causes, outermost first.
    _, _, causes = message.partition("Caused by:")
    lines = (line.strip() for line in (causes or message).splitlines())
    texts = [re.sub(r"^\d+: ", "", line).removeprefix("wasm trap: ") for line in lines if line]
    return "; ".join(texts)


def _raw_binding(active: Active, stack_bytes: int) -> Binding:
    from dotnet_wasm_host.engines.wasmtime.c_api import Api  # noqa: PLC0415
    from dotnet_wasm_host.engines.wasmtime.raw import RawBinding  # noqa: PLC0415

    # Parts of a binding only ever meet their like, which a protocol cannot say.
    return cast("Binding", RawBinding(Api(), active, stack_bytes))


def _public_binding(active: Active, stack_bytes: int) -> Binding:
    from dotnet_wasm_host.engines.wasmtime.public import PublicBinding  # noqa: PLC0415

    return cast("Binding", PublicBinding(active, stack_bytes))
