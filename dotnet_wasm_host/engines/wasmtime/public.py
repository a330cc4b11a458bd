"""wasmtime through its Python package's documented classes, ten times slower than its C API.

They show what is in the package's API and what only in the API below it: both bindings pass the
same tests.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, final

import wasmtime

from dotnet_wasm_host.engines.threads import any_thread_is_in
from dotnet_wasm_host.engines.wasmtime.binding import FRAMES, NativeError, Signature, Stop
from dotnet_wasm_host.engines.wasmtime.ticker import Ticker
from dotnet_wasm_host.errors import RuntimeClosed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from dotnet_wasm_host.engines.base import GuestFunction, HostFunction, Number
    from dotnet_wasm_host.engines.wasmtime.engine import Active, WasmtimeInstance

__all__ = ["PublicBinding"]

#: An epoch that is never reached.
NEVER = 2**62
I32_SIGN = 2**31
I32_RANGE = 2**32


@final
class PublicBinding:
    """See :class:`dotnet_wasm_host.engines.wasmtime.binding.Binding`.

    The classes give a store a deadline in epochs and nothing else, so the epoch is a clock here,
    and an interruption is noticed where the guest calls the host.
    """

    name = "public"

    def __init__(self, active: Active, stack_bytes: int) -> None:
        config = wasmtime.Config()
        config.epoch_interruption = True
        config.max_wasm_stack = stack_bytes
        config.memory_init_cow = True
        self.active = active
        self.native = wasmtime.Engine(config)
        self.ticker = Ticker(self.native.increment_epoch)

    def compile(self, wasm: bytes) -> PublicModule:
        """See :class:`dotnet_wasm_host.engines.wasmtime.binding.Binding`."""
        try:
            return PublicModule(self, wasmtime.Module(self.native, wasm))
        except wasmtime.WasmtimeError as error:
            raise NativeError(str(error)) from error

    def load(self, path: Path) -> PublicModule:
        """See :class:`dotnet_wasm_host.engines.wasmtime.binding.Binding`."""
        try:
            native = wasmtime.Module.deserialize_file(self.native, str(path))
        except wasmtime.WasmtimeError as error:
            raise NativeError(str(error)) from error
        return PublicModule(self, native)

    def store(self) -> PublicStore:
        """See :class:`dotnet_wasm_host.engines.wasmtime.binding.Binding`."""
        return PublicStore(self)

    def alert(self) -> None:
        """See :class:`dotnet_wasm_host.engines.wasmtime.binding.Binding`.

        There is no way; guests look up where they call the host.
        """

    def guests_run(self) -> bool:
        """See :class:`dotnet_wasm_host.engines.wasmtime.binding.Binding`."""
        return any_thread_is_in(wasmtime.Func.__call__)

    def start_afresh(self) -> None:
        """See :class:`dotnet_wasm_host.engines.wasmtime.binding.Binding`.

        The ticker notices by itself.
        """

    def leak(self) -> None:
        """See :class:`dotnet_wasm_host.engines.wasmtime.binding.Binding`.

        The classes can only free what they own.
        """
        self.native.close()


@final
class PublicModule:
    """See :class:`dotnet_wasm_host.engines.wasmtime.binding.Module`."""

    def __init__(self, binding: PublicBinding, native: wasmtime.Module) -> None:
        self.native = native
        self._binding = binding

    @property
    def imports(self) -> Sequence[str]:
        """See :class:`dotnet_wasm_host.engines.wasmtime.binding.Module`."""
        return [str(item.name) for item, _type in _imported_functions(self.native)]

    def serialize(self) -> bytes:
        """See :class:`dotnet_wasm_host.engines.wasmtime.binding.Module`."""
        return bytes(self.native.serialize())

    def link(self, functions: Sequence[HostFunction]) -> PublicLinker:
        """See :class:`dotnet_wasm_host.engines.wasmtime.binding.Module`."""
        return PublicLinker(self._binding, self, functions)

    def leak(self) -> None:
        """See :meth:`PublicBinding.leak`."""
        self.native.close()


@final
class PublicLinker:
    """See :class:`dotnet_wasm_host.engines.wasmtime.binding.Linker`."""

    def __init__(
        self, binding: PublicBinding, module: PublicModule, functions: Sequence[HostFunction]
    ) -> None:
        self._active = binding.active
        self._module = module
        self._native = wasmtime.Linker(binding.native)
        self._native.allow_shadowing = True
        declared = _imported_functions(module.native)
        for (item, functype), function in zip(declared, functions, strict=True):
            caller = _host_callback(binding.active, _signature(functype), function)
            self._native.define_func(item.module, str(item.name), functype, caller)

    def instantiate(
        self, store: PublicStore, memory: PublicMemory, failure: Callable[[Stop], BaseException]
    ) -> PublicExports:
        """See :class:`dotnet_wasm_host.engines.wasmtime.binding.Linker`."""
        self._native.define(store.native, "env", "memory", memory.native)
        try:
            native = self._native.instantiate(store.native, self._module.native)
        except wasmtime.Trap as trap:
            raise failure(_stop(trap)) from None
        except wasmtime.WasmtimeError as error:
            raise NativeError(str(error)) from error
        return PublicExports(store, native)

    def leak(self) -> None:
        """See :meth:`PublicBinding.leak`."""
        self._native.close()


@final
class PublicStore:
    """See :class:`dotnet_wasm_host.engines.wasmtime.binding.Store`."""

    def __init__(self, binding: PublicBinding) -> None:
        self.native = wasmtime.Store(binding.native)
        self.native.set_epoch_deadline(NEVER)
        self._ticker = binding.ticker
        self._armed = False

    def memory(self, module: PublicModule) -> PublicMemory:
        """See :class:`dotnet_wasm_host.engines.wasmtime.binding.Store`."""
        try:
            image = wasmtime.Instance(self.native, module.native, [])
        except (wasmtime.Trap, wasmtime.WasmtimeError) as error:
            raise NativeError(str(error)) from error
        memory = image.exports(self.native)["memory"]
        if not isinstance(memory, wasmtime.Memory):
            raise KeyError("memory")
        return PublicMemory(self, memory)

    def set_deadline(self, instance: WasmtimeInstance, seconds: float | None) -> None:
        """See :class:`dotnet_wasm_host.engines.wasmtime.binding.Store`."""
        if self._armed:
            self._ticker.disarm()
            self._armed = False
        if seconds is None:
            self.native.set_epoch_deadline(NEVER)
            return
        self.native.set_epoch_deadline(self._ticker.ticks(seconds))
        self._ticker.arm()
        self._armed = True

    def leak(self) -> None:
        """See :meth:`PublicBinding.leak`: a store may not survive to be freed."""


@final
class PublicMemory:
    """See :class:`dotnet_wasm_host.engines.wasmtime.binding.NativeMemory`."""

    def __init__(self, store: PublicStore, native: wasmtime.Memory) -> None:
        self.native = native
        self._store = store

    def grow(self, pages: int) -> bool:
        """See :class:`dotnet_wasm_host.engines.wasmtime.binding.NativeMemory`."""
        try:
            self.native.grow(self._store.native, pages)
        except wasmtime.WasmtimeError:
            return False
        return True

    def extent(self) -> tuple[int, int]:
        """See :class:`dotnet_wasm_host.engines.wasmtime.binding.NativeMemory`."""
        store = self._store.native
        return ctypes.addressof(self.native.data_ptr(store).contents), self.native.data_len(store)


@final
class PublicExports:
    """See :class:`dotnet_wasm_host.engines.wasmtime.binding.Exports`."""

    def __init__(self, store: PublicStore, native: wasmtime.Instance) -> None:
        self._store = store.native
        self._native = native

    def function(self, instance: WasmtimeInstance, name: str) -> GuestFunction:
        """See :class:`dotnet_wasm_host.engines.wasmtime.binding.Exports`."""
        store, item = self._store, self._native.exports(self._store)[name]
        if not isinstance(item, wasmtime.Func):
            raise KeyError(name)
        active = instance.engine.active

        def call_guest(*arguments: int) -> int:
            if instance.closed:
                raise RuntimeClosed("the instance is closed")
            outer = active.enter(instance)
            try:
                result = item(store, *map(_to_signed, arguments))
            except (wasmtime.Trap, wasmtime.WasmtimeError) as trap:
                raise instance.failure(_stop(trap)) from None
            except BaseException:  # noqa: BLE001 - replaced by the right one
                # wasmtime-py keeps the last host exception in a module global that threads
                # share; the instance's own record is the right one.
                raise instance.failure(Stop("lost exception")) from None
            finally:
                active.leave(outer)
            return int(result or 0) % I32_RANGE

        return call_guest

    def bind(
        self, instance: WasmtimeInstance, name: str, arguments: Sequence[int]
    ) -> Callable[[], None]:
        """See :class:`dotnet_wasm_host.engines.wasmtime.binding.Exports`."""
        call_guest = self.function(instance, name)

        def call_bound() -> None:
            call_guest(*arguments)

        return call_bound

    def code_linker(self, _memory: PublicMemory, _failure: Callable[[Stop], BaseException]) -> None:
        """See :class:`dotnet_wasm_host.engines.wasmtime.binding.Exports`: not offered here."""
        return None  # noqa: RET501 - what the protocol wants

    def globals(self) -> dict[str, int]:
        """See :class:`dotnet_wasm_host.engines.wasmtime.binding.Exports`."""
        return {
            name: int(item.value(self._store)) % I32_RANGE
            for name, item in self._native.exports(self._store).items()
            if isinstance(item, wasmtime.Global)
        }

    def set_global(self, name: str, value: int) -> None:
        """See :class:`dotnet_wasm_host.engines.wasmtime.binding.Exports`."""
        item = self._native.exports(self._store)[name]
        if not isinstance(item, wasmtime.Global):
            raise KeyError(name)
        item.set_value(self._store, wasmtime.Val.i32(_to_signed(value)))


def _imported_functions(
    module: wasmtime.Module,
) -> list[tuple[wasmtime.ImportType, wasmtime.FuncType]]:
    return [
        (item, item.type) for item in module.imports if isinstance(item.type, wasmtime.FuncType)
    ]


def _signature(functype: wasmtime.FuncType) -> Signature:
    return Signature(tuple(map(str, functype.params)), tuple(map(str, functype.results)))


def _stop(trap: wasmtime.Trap | wasmtime.WasmtimeError) -> Stop:
    if isinstance(trap, wasmtime.WasmtimeError):
        return Stop(str(trap))
    frames = [(frame.func_index, frame.func_offset) for frame in trap.frames[:FRAMES]]
    interrupted = trap.trap_code is wasmtime.TrapCode.INTERRUPT
    return Stop(trap.message, trap=True, interrupted=interrupted, frames=frames)


def _host_callback(
    active: Active, signature: Signature, function: HostFunction
) -> Callable[..., Number | None]:
    narrow = [kind == "i32" for kind in signature.params]
    i32_result = signature.results == ("i32",)

    def call_host(*arguments: Number) -> Number | None:
        instance = active.instance
        assert instance is not None
        try:
            result = function(
                *(a % I32_RANGE if n else a for a, n in zip(arguments, narrow, strict=True))
            )
            instance.look_up()
        except BaseException as error:
            # wasmtime carries no Python exception across guest frames; the instance does.
            instance.pending = error
            raise
        return _to_signed(int(result or 0)) if i32_result else result

    return call_host


def _to_signed(value: int) -> int:
    """The i32 that has the low 32 bits of ``value``."""
    return (value + I32_SIGN) % I32_RANGE - I32_SIGN
