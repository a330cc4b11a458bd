"""The default engine: wasmtime.

How calls cross is a binding's business: :mod:`~dotnet_wasm_host.engines.wasmtime_raw` goes through
the C API, and :mod:`~dotnet_wasm_host.engines.wasmtime_public`, for ``WasmtimeEngine(raw=False)``,
through the Python classes that everything else here uses as well.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import re
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any, Protocol, final

import wasmtime

from dotnet_wasm_host.engines.instance import (
    OVERRAN,
    EngineInstance,
    LimitedMemory,
    require_room,
)
from dotnet_wasm_host.engines.process import follow_process, wait_for_guests
from dotnet_wasm_host.engines.threads import stack_size
from dotnet_wasm_host.errors import GuestTrap, InvocationTimeout, RuntimeClosed, StackTooSmall
from dotnet_wasm_host.options import DEFAULT_STACK_BYTES, MAX_STACK_BYTES, MIN_STACK_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from wasmtime._managed import Managed

    from dotnet_wasm_host.engines.base import (
        CompiledModule,
        GuestFunction,
        HostFunction,
        Interruption,
        Number,
    )

__all__ = ["WasmtimeEngine"]

#: Stack that host functions need when the guest has used all of its own: Python, and what a
#: user's stream or clock does.
HOST_STACK = 256 * 1024
_I32_RANGE = 2**32


class Binding(Protocol):
    """How calls cross between Python and wasmtime."""

    name: str

    def define(
        self, linker: wasmtime.Linker, declared: wasmtime.ImportType, function: HostFunction
    ) -> None:
        """Define a host function on the linker."""

    def function(self, instance: WasmtimeInstance, name: str) -> GuestFunction:
        """A callable for an exported function."""

    def bind(
        self, instance: WasmtimeInstance, name: str, arguments: Sequence[int]
    ) -> Callable[[], None]:
        """A callable for an exported function with fixed arguments."""

    def set_global(self, instance: WasmtimeInstance, name: str, value: int) -> None:
        """Set an exported i32 global. KeyError if there is none of this name."""

    def supervise(self, instance: WasmtimeInstance) -> None:
        """Make a new instance one that can be interrupted."""

    def set_deadline(self, instance: WasmtimeInstance, seconds: float | None) -> None:
        """See :meth:`dotnet_wasm_host.engines.base.Instance.set_deadline`."""

    def alert(self) -> None:
        """Have guests look at their interruptions as soon as can be."""

    def guests_run(self) -> bool:
        """True while a thread is inside of a guest."""

    def start_afresh(self) -> None:
        """This is the child of a fork now: no thread of the parent's exists."""

    def leave(self, native: Managed[Any]) -> None:
        """Let a native object live on without its Python owner, where that can be done."""


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
        config = wasmtime.Config()
        config.epoch_interruption = True
        config.max_wasm_stack = stack_bytes
        config.memory_init_cow = True
        self.stack_bytes = stack_bytes
        self.active = Active(stack_bytes)
        self.native = wasmtime.Engine(config)
        self.binding: Binding = _raw_binding(self) if raw else _public_binding(self)
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
        self.binding.leave(self.native)

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
            return self._module(wasmtime.Module(self.native, wasm))
        except wasmtime.WasmtimeError as error:
            raise ValueError(f"not a valid WebAssembly module: {error}") from error

    def load(self, path: Path) -> WasmtimeModule:
        """See :meth:`dotnet_wasm_host.engines.base.Engine.load`."""
        try:
            return self._module(wasmtime.Module.deserialize_file(self.native, str(path)))
        except wasmtime.WasmtimeError as error:
            raise ValueError(f"{path} was not compiled by this engine: {error}") from error

    def _module(self, native: wasmtime.Module) -> WasmtimeModule:
        module = WasmtimeModule(self, native)
        self._natives.add(module)
        return module

    def instantiate(
        self, code: CompiledModule, memory: CompiledModule, *, memory_limit: int
    ) -> WasmtimeInstance:
        """See :meth:`dotnet_wasm_host.engines.base.Engine.instantiate`."""
        if not isinstance(code, WasmtimeModule) or not isinstance(memory, WasmtimeModule):
            raise TypeError("both modules must come from this engine")
        if self._exiting:
            raise RuntimeClosed("the interpreter is shutting down")
        instance = WasmtimeInstance(self, code, memory, memory_limit)
        self._natives.add(instance)
        return instance


class WasmtimeModule:
    """A compiled module; a code module also carries the linker with its host functions."""

    def __init__(self, engine: WasmtimeEngine, native: wasmtime.Module) -> None:
        self.native = native
        self._engine = engine
        self._lock = threading.Lock()
        self._linker: wasmtime.Linker | None = None
        self._imports: tuple[str, ...] | None = None
        self._signatures: dict[str, wasmtime.FuncType] | None = None

    @property
    def imports(self) -> Sequence[str]:
        """Names of the imported functions, in module order."""
        if self._imports is None:
            self._imports = tuple(
                str(i.name) for i in self.native.imports if isinstance(i.type, wasmtime.FuncType)
            )
        return self._imports

    def signature(self, export: str) -> wasmtime.FuncType:
        """Type of an exported function. KeyError if there is none of this name."""
        if self._signatures is None:
            self._signatures = {
                e.name: e.type for e in self.native.exports if isinstance(e.type, wasmtime.FuncType)
            }
        return self._signatures[export]

    def start_afresh(self) -> None:
        """See :meth:`WasmtimeEngine.start_afresh`."""
        self._lock = threading.Lock()

    def stop(self) -> None:
        """See :meth:`WasmtimeEngine.stop_guests`: nothing runs in a module."""

    def leave_native(self) -> None:
        """See :meth:`WasmtimeEngine.stop_guests`."""
        self._signatures = None
        self._engine.binding.leave(self.native)
        if self._linker is not None:
            self._engine.binding.leave(self._linker)

    def serialize(self) -> bytes:
        """See :meth:`dotnet_wasm_host.engines.base.CompiledModule.serialize`."""
        return bytes(self.native.serialize())

    def instantiate(self, store: wasmtime.Store, memory: wasmtime.Memory) -> wasmtime.Instance:
        """Instantiate this code module on a memory of the same store."""
        # The memory is the one import that differs from instance to instance, so it shadows
        # the last one's definition; nobody else may come between that and its use.
        with self._lock:
            if self._linker is None:
                self._linker = self._make_linker()
            self._linker.define(store, "env", "memory", memory)
            return self._linker.instantiate(store, self.native)

    def _make_linker(self) -> wasmtime.Linker:
        linker = wasmtime.Linker(self._engine.native)
        linker.allow_shadowing = True
        functions = (i for i in self.native.imports if isinstance(i.type, wasmtime.FuncType))
        for index, declared in enumerate(functions):
            function = _dispatcher(self._engine.active, index)
            self._engine.binding.define(linker, declared, function)
        return linker


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

    __slots__ = ("_memory", "_store")

    def __init__(self, store: wasmtime.Store, memory: wasmtime.Memory, limit: int) -> None:
        super().__init__(limit)
        self._store = store
        self._memory = memory
        self._refresh()

    def _grow(self, pages: int) -> bool:
        try:
            self._memory.grow(self._store, pages)
        except wasmtime.WasmtimeError:
            return False
        return True

    def _refresh(self) -> None:
        self.address = ctypes.addressof(self._memory.data_ptr(self._store).contents)
        self.size = self._memory.data_len(self._store)


def _instantiate_memory(store: wasmtime.Store, module: wasmtime.Module) -> wasmtime.Instance:
    """An instance of a memory module.

    The first one of a module that is in no file copies it into a memfd and seals that. Linux
    refuses to (EBUSY) for as long as another CPU holds on to pages that were just written,
    which on a machine with much else to do can outlast the kernel's own patience.
    """
    for pause in (0.05, 0.2, 1.0):
        try:
            return wasmtime.Instance(store, module, [])
        except wasmtime.WasmtimeError as error:
            if "memfd" not in str(error):
                raise
        time.sleep(pause)
    return wasmtime.Instance(store, module, [])


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
        self.store = wasmtime.Store(engine.native)
        self.deadline_armed = False
        engine.binding.supervise(self)
        image = _instantiate_memory(self.store, memory.native)
        linear = image.exports(self.store)["memory"]
        if not isinstance(linear, wasmtime.Memory):
            raise TypeError("the memory module exports no memory")
        self.memory = WasmtimeMemory(self.store, linear, limit)
        require_room(self.memory.size, limit)
        self.native = code.instantiate(self.store, linear)

    def _import_names(self) -> Sequence[str]:
        return self.code.imports

    def function(self, name: str) -> GuestFunction:
        """See :meth:`dotnet_wasm_host.engines.base.Instance.function`."""
        return self.engine.binding.function(self, name)

    def bind(self, name: str, *arguments: int) -> Callable[[], None]:
        """See :meth:`dotnet_wasm_host.engines.base.Instance.bind`."""
        return self.engine.binding.bind(self, name, arguments)

    def globals(self) -> dict[str, int]:
        """See :meth:`dotnet_wasm_host.engines.base.Instance.globals`."""
        return {
            name: int(item.value(self.store)) % _I32_RANGE
            for name, item in self.native.exports(self.store).items()
            if isinstance(item, wasmtime.Global)
        }

    def set_globals(self, values: Mapping[str, int]) -> None:
        """See :meth:`dotnet_wasm_host.engines.base.Instance.set_globals`."""
        for name, value in values.items():
            self.engine.binding.set_global(self, name, value)

    def set_deadline(self, seconds: float | None) -> None:
        """See :meth:`dotnet_wasm_host.engines.base.Instance.set_deadline`."""
        self.engine.binding.set_deadline(self, seconds)

    def interrupt(self, interruption: Interruption) -> None:
        """See :meth:`dotnet_wasm_host.engines.base.Instance.interrupt`."""
        super().interrupt(interruption)
        self.engine.binding.alert()

    def close(self) -> None:
        """See :meth:`dotnet_wasm_host.engines.base.Instance.close`."""
        if not self.closed:
            self.engine.binding.set_deadline(self, None)
            super().close()

    def start_afresh(self) -> None:
        """See :meth:`WasmtimeEngine.start_afresh`: the parent's instances stay the parent's."""
        self.closed = True
        self.interruptions.clear()
        self.leave_native()

    def leave_native(self) -> None:
        """See :meth:`WasmtimeEngine.stop_guests`."""
        self.engine.binding.leave(self.store)

    def failure(self, trap: wasmtime.Trap | wasmtime.WasmtimeError) -> BaseException:
        """What to raise after a call ended in ``trap``."""
        pending, self.pending = self.pending, None
        if pending is not None:
            return pending
        if isinstance(trap, wasmtime.WasmtimeError):
            return GuestTrap(str(trap))
        if trap.trap_code is wasmtime.TrapCode.INTERRUPT:
            return InvocationTimeout(OVERRAN)
        return GuestTrap(_cause(trap), _backtrace(trap))


def _cause(trap: wasmtime.Trap) -> str:
    # wasmtime's message is a backtrace, then "Caused by:" and the causes, outermost first.
    _, _, causes = trap.message.partition("Caused by:")
    lines = (line.strip() for line in (causes or trap.message).splitlines())
    texts = [re.sub(r"^\d+: ", "", line).removeprefix("wasm trap: ") for line in lines if line]
    return "; ".join(texts)


def _backtrace(trap: wasmtime.Trap) -> str:
    # Deep recursion has tens of thousands of frames, all alike.
    frames = trap.frames[:32]
    return "\n".join(f"  at function {f.func_index} + {f.func_offset:#x}" for f in frames)


def _raw_binding(engine: WasmtimeEngine) -> Binding:
    from dotnet_wasm_host.engines.wasmtime_raw import RawBinding  # noqa: PLC0415

    return RawBinding(engine)


def _public_binding(engine: WasmtimeEngine) -> Binding:
    from dotnet_wasm_host.engines.wasmtime_public import PublicBinding  # noqa: PLC0415

    return PublicBinding(engine)
