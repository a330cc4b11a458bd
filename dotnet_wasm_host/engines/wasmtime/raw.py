"""wasmtime through its C API: the default.

The Python package's classes rebuild a function's type and box every value on every call
(10-30 us). ``wasmtime_func_call_unchecked`` takes a preset array instead (1 us). Values are
``wasmtime_val_raw_t``: a 16-byte little-endian union (wasmtime's ``include/wasmtime/val.h``).
"""

from __future__ import annotations

import ctypes
import math
import os
import struct
import threading
import time
from ctypes import addressof, byref, c_size_t, c_uint32, c_uint64, c_void_p
from typing import TYPE_CHECKING, Any, final

from dotnet_wasm_host.engines.threads import any_thread_is_in
from dotnet_wasm_host.engines.wasmtime.binding import NativeError, Signature, Stop
from dotnet_wasm_host.engines.wasmtime.c_api import (
    FUNCTION,
    GLOBAL,
    I32,
    MEMORY,
    Api,
    ByteVector,
    DeadlineCallback,
    Extern,
    HostCallback,
    Instance,
    Owned,
    Value,
)
from dotnet_wasm_host.engines.wasmtime.callbacks import enter_quietly
from dotnet_wasm_host.engines.wasmtime.watch import Watch
from dotnet_wasm_host.errors import GuestTrap, RuntimeClosed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from dotnet_wasm_host.engines.base import CodeLinker, GuestFunction, HostFunction
    from dotnet_wasm_host.engines.wasmtime.engine import Active, WasmtimeInstance

__all__ = ["RawBinding"]

VAL_RAW_SIZE = 16
_FORMATS = {"i32": "I", "i64": "q", "f32": "f", "f64": "d"}
_RESULTS = {"i32": struct.Struct("<I"), "i64": struct.Struct("<q"), "f64": struct.Struct("<d")}
_TRAP_MESSAGE = b"host function raised"
_ERROR_MESSAGE = b"interrupted"
#: How often a guest that runs lets Python handle signals, in seconds. Only the main thread does.
_SIGNAL_PERIOD = 0.05
#: How often it does in other threads, which only matters if the main thread calls it later on.
_IDLE_PERIOD = 1.0
#: wasmtime.h: the guest goes on for this many epochs, that is until the next wake-up.
_NEXT_EPOCH = 1
_I32_RANGE = 2**32


@final
class RawBinding:
    """See :class:`dotnet_wasm_host.engines.wasmtime.binding.Binding`."""

    name = "raw"

    def __init__(self, api: Api, active: Active, stack_bytes: int) -> None:
        self.api = api
        config = api.wasm_config_new()
        api.wasmtime_config_epoch_interruption_set(config, True)  # noqa: FBT003 - C
        api.wasmtime_config_max_wasm_stack_set(config, stack_bytes)
        api.wasmtime_config_memory_init_cow_set(config, True)  # noqa: FBT003 - C
        engine = Owned(api.wasm_engine_new_with_config(config), api.wasm_engine_delete)
        self.engine = engine
        self.active = active
        self.watch = Watch(lambda: api.wasmtime_engine_increment_epoch(engine.pointer))
        # Linkers and stores hold bare pointers to these; they live as long as the engine.
        self.look_up = DeadlineCallback(_look_up_callback(api, active, self.watch))
        self.callbacks: list[Any] = []

    def compile(self, wasm: bytes) -> RawModule:
        """See :class:`dotnet_wasm_host.engines.wasmtime.binding.Binding`."""
        module = c_void_p()
        self.api.check(
            self.api.wasmtime_module_new(self.engine.pointer, wasm, len(wasm), addressof(module))
        )
        return RawModule(self, module.value or 0)

    def load(self, path: Path) -> RawModule:
        """See :class:`dotnet_wasm_host.engines.wasmtime.binding.Binding`."""
        module = c_void_p()
        self.api.check(
            self.api.wasmtime_module_deserialize_file(
                self.engine.pointer, os.fsencode(path), addressof(module)
            )
        )
        return RawModule(self, module.value or 0)

    def store(self) -> RawStore:
        """See :class:`dotnet_wasm_host.engines.wasmtime.binding.Binding`."""
        return RawStore(self)

    def alert(self) -> None:
        """See :class:`dotnet_wasm_host.engines.wasmtime.binding.Binding`."""
        self.watch.ask(time.monotonic())

    def guests_run(self) -> bool:
        """See :class:`dotnet_wasm_host.engines.wasmtime.binding.Binding`."""
        return any_thread_is_in(_Call.__call__)

    def start_afresh(self) -> None:
        """See :class:`dotnet_wasm_host.engines.wasmtime.binding.Binding`."""
        self.watch.start_afresh()

    def leak(self) -> None:
        """See :class:`dotnet_wasm_host.engines.wasmtime.binding.Owner`."""
        self.engine.leak()


@final
class RawModule(Owned):
    """See :class:`dotnet_wasm_host.engines.wasmtime.binding.Module`."""

    __slots__ = ("_binding", "_imported_names", "_imports", "signatures")

    def __init__(self, binding: RawBinding, pointer: int) -> None:
        super().__init__(pointer, binding.api.wasmtime_module_delete)
        self._binding = binding
        self._imports: tuple[str, ...] | None = None
        self._imported_names: tuple[tuple[str, str], ...] | None = None
        #: Of the exported functions that somebody has asked for: asking for all of them would
        #: take a new process some milliseconds.
        self.signatures: dict[str, Signature] = {}

    @property
    def imports(self) -> Sequence[str]:
        """See :class:`dotnet_wasm_host.engines.wasmtime.binding.Module`."""
        if self._imports is None:
            with self._binding.api.imported_functions(self.pointer) as declared:
                self._imports = tuple(name.decode() for _space, name, _type in declared)
        return self._imports

    @property
    def imported_names(self) -> Sequence[tuple[str, str]]:
        """Module and name of everything that is imported, in module order."""
        if self._imported_names is None:
            names = self._binding.api.imported_names(self.pointer)
            self._imported_names = tuple((s.decode(), n.decode()) for s, n in names)
        return self._imported_names

    def serialize(self) -> bytes:
        """See :class:`dotnet_wasm_host.engines.wasmtime.binding.Module`."""
        api, vector = self._binding.api, ByteVector()
        api.check(api.wasmtime_module_serialize(self.pointer, byref(vector)))
        return api.take(vector)

    def link(self, functions: Sequence[HostFunction]) -> RawLinker:
        """See :class:`dotnet_wasm_host.engines.wasmtime.binding.Module`."""
        return RawLinker(self._binding, self, functions)


@final
class RawLinker(Owned):
    """See :class:`dotnet_wasm_host.engines.wasmtime.binding.Linker`."""

    __slots__ = ("_api", "_module")

    def __init__(
        self, binding: RawBinding, module: RawModule, functions: Sequence[HostFunction]
    ) -> None:
        self._api = api = binding.api
        self._module = module
        super().__init__(
            api.wasmtime_linker_new(binding.engine.pointer), api.wasmtime_linker_delete
        )
        # The memory is the one import that differs from instance to instance.
        api.wasmtime_linker_allow_shadowing(self.pointer, True)  # noqa: FBT003 - C
        with api.imported_functions(module.pointer) as declared:
            for (space, name, functype), function in zip(declared, functions, strict=True):
                signature = api.signature(functype)
                callback = HostCallback(_host_callback(binding, signature, function))
                binding.callbacks.append(callback)
                error = api.wasmtime_linker_define_func_unchecked(
                    self.pointer, space, len(space), name, len(name),
                    functype, callback, None, None,
                )  # fmt: skip
                api.check(error)

    def instantiate(
        self, store: RawStore, memory: RawMemory, failure: Callable[[Stop], BaseException]
    ) -> RawExports:
        """See :class:`dotnet_wasm_host.engines.wasmtime.binding.Linker`."""
        api, instance, trap = self._api, Instance(), c_void_p()
        api.check(
            api.wasmtime_linker_define(
                self.pointer, store.context, b"env", 3, b"memory", 6, byref(memory.extern)
            )
        )
        error = api.wasmtime_linker_instantiate(
            self.pointer, store.context, self._module.pointer, byref(instance), byref(trap)
        )
        if trap.value:
            raise failure(api.stop(trap.value))
        api.check(error)
        return RawExports(api, store, instance, self._module.signatures)


@final
class RawStore(Owned):
    """See :class:`dotnet_wasm_host.engines.wasmtime.binding.Store`."""

    __slots__ = ("_api", "_watch", "context")

    def __init__(self, binding: RawBinding) -> None:
        self._api = api = binding.api
        self._watch = binding.watch
        pointer = api.wasmtime_store_new(binding.engine.pointer, None, None)
        super().__init__(pointer, api.wasmtime_store_delete)
        self.context: int = api.wasmtime_store_context(pointer)
        # Its deadline is the epoch it was made in: the guest looks up when it starts.
        api.wasmtime_store_epoch_deadline_callback(pointer, binding.look_up, None, None)

    def memory(self, module: RawModule) -> RawMemory:
        """See :class:`dotnet_wasm_host.engines.wasmtime.binding.Store`."""
        api, instance, trap = self._api, Instance(), c_void_p()
        error = api.wasmtime_instance_new(
            self.context, module.pointer, None, 0, byref(instance), byref(trap)
        )
        if trap.value:
            raise NativeError(api.stop(trap.value).message)
        api.check(error)
        return RawMemory(api, self, RawExports(api, self, instance, {}).get("memory", MEMORY))

    def set_deadline(self, instance: WasmtimeInstance, seconds: float | None) -> None:
        """See :class:`dotnet_wasm_host.engines.wasmtime.binding.Store`."""
        if seconds is None:
            instance.deadline = math.inf
            return
        instance.deadline = at = time.monotonic() + seconds
        if at < self._watch.next:
            self._watch.ask(at)


@final
class RawMemory:
    """See :class:`dotnet_wasm_host.engines.wasmtime.binding.NativeMemory`."""

    __slots__ = ("_api", "_store", "extern")

    def __init__(self, api: Api, store: RawStore, extern: Extern) -> None:
        self._api = api
        self._store = store
        self.extern = extern

    def grow(self, pages: int) -> bool:
        """See :class:`dotnet_wasm_host.engines.wasmtime.binding.NativeMemory`."""
        before = c_uint64()
        error = self._api.wasmtime_memory_grow(
            self._store.context, addressof(self.extern.of), pages, byref(before)
        )
        if error:
            self._api.wasmtime_error_delete(error)
        return not error

    def extent(self) -> tuple[int, int]:
        """See :class:`dotnet_wasm_host.engines.wasmtime.binding.NativeMemory`."""
        context, memory = self._store.context, addressof(self.extern.of)
        address = self._api.wasmtime_memory_data(context, memory) or 0
        return address, self._api.wasmtime_memory_data_size(context, memory)


@final
class RawExports:
    """See :class:`dotnet_wasm_host.engines.wasmtime.binding.Exports`."""

    __slots__ = ("_api", "_native", "_signatures", "_store")

    def __init__(
        self, api: Api, store: RawStore, native: Instance, signatures: dict[str, Signature]
    ) -> None:
        self._api = api
        self._store = store
        self._native = native
        self._signatures = signatures

    def get(self, name: str, kind: int) -> Extern:
        """An export of a kind. KeyError if there is none of this name."""
        extern, encoded = Extern(), name.encode()
        found = self._api.wasmtime_instance_export_get(
            self._store.context, byref(self._native), encoded, len(encoded), byref(extern)
        )
        if not found or extern.kind != kind:
            raise KeyError(name)
        return extern

    def _function(self, name: str) -> tuple[Extern, Signature]:
        extern = self.get(name, FUNCTION)
        signature = self._signatures.get(name)
        if signature is None:
            signature = self._api.function_signature(self._store.context, extern)
            self._signatures[name] = signature
        return extern, signature

    def function(self, instance: WasmtimeInstance, name: str) -> GuestFunction:
        """See :class:`dotnet_wasm_host.engines.wasmtime.binding.Exports`."""
        extern, signature = self._function(name)
        kinds = {*signature.params, *signature.results}
        if kinds - {"i32"}:
            raise KeyError(f"{name}: only i32 crosses the raw binding, not {sorted(kinds)}")
        count, has_result = len(signature.params), bool(signature.results)
        values = (c_uint32 * (4 * max(count, 1)))()
        call = self._call(instance, extern, values, max(count, int(has_result)))

        def call_guest(*arguments: int) -> int:
            if len(arguments) != count:
                raise TypeError(f"{name} takes {count} arguments, not {len(arguments)}")
            for index, argument in enumerate(arguments):
                values[4 * index] = argument  # ctypes takes an integer modulo 2**32
            call()
            return values[0] if has_result else 0

        return call_guest

    def bind(
        self, instance: WasmtimeInstance, name: str, arguments: Sequence[int]
    ) -> Callable[[], None]:
        """See :class:`dotnet_wasm_host.engines.wasmtime.binding.Exports`."""
        extern, signature = self._function(name)
        if signature.results:
            # A result would overwrite the preset arguments.
            raise TypeError(f"{name} has a result and cannot be bound")
        values = (c_uint32 * (4 * max(len(arguments), 1)))()
        for index, argument in enumerate(arguments):
            values[4 * index] = argument
        return self._call(instance, extern, values, len(arguments)).__call__

    def _call(self, instance: WasmtimeInstance, extern: Extern, values: Any, count: int) -> _Call:
        return _Call(self._api, instance, self._store.context, extern, values, count)

    def code_linker(
        self, memory: RawMemory, failure: Callable[[Stop], BaseException]
    ) -> CodeLinker | None:
        """See :class:`dotnet_wasm_host.engines.wasmtime.binding.Exports`."""
        from dotnet_wasm_host.engines.wasmtime.code_linker import RawCodeLinker  # noqa: PLC0415 - often unused

        try:
            return RawCodeLinker(self._api, self._store.context, self, memory, failure)
        except KeyError:
            return None

    def globals(self) -> dict[str, int]:
        """See :class:`dotnet_wasm_host.engines.wasmtime.binding.Exports`."""
        api, context = self._api, self._store.context
        found: dict[str, int] = {}
        start, size, extern, value = c_void_p(), c_size_t(), Extern(), Value()
        index = 0
        while api.wasmtime_instance_export_nth(
            context, byref(self._native), index, byref(start), byref(size), byref(extern)
        ):
            index += 1
            if extern.kind == GLOBAL:
                api.wasmtime_global_get(context, addressof(extern.of), byref(value))
                if value.kind == I32:
                    name = ctypes.string_at(start.value or 0, size.value).decode()
                    found[name] = value.i32 % _I32_RANGE
        return found

    def set_global(self, name: str, value: int) -> None:
        """See :class:`dotnet_wasm_host.engines.wasmtime.binding.Exports`."""
        extern = self.get(name, GLOBAL)
        # ctypes takes an integer modulo 2**32.
        native = Value(kind=I32, i32=value)
        self._api.check(
            self._api.wasmtime_global_set(self._store.context, addressof(extern.of), byref(native))
        )


def _look_up_callback(api: Api, active: Active, watch: Watch) -> Callable[..., Any]:
    def look_up(_context: int, _data: int, delta: int, _kind: int) -> int | None:
        try:
            c_uint64.from_address(delta).value = _NEXT_EPOCH
            instance = active.instance
            if instance is None:
                return None
            # Python handles its signals on the way; what a handler raises arrives here, too.
            instance.look_up()
            in_main = threading.get_ident() == threading.main_thread().ident
            period = _SIGNAL_PERIOD if in_main else _IDLE_PERIOD
            watch.ask(min(instance.deadline, time.monotonic() + period))
        except BaseException as error:  # noqa: BLE001 - the instance keeps it
            _keep(active, error)
            return int(api.wasmtime_error_new(_ERROR_MESSAGE))
        return None

    return enter_quietly(look_up)


def _keep(active: Active, error: BaseException) -> None:
    # wasmtime carries no Python exception across guest frames; the instance does.
    instance = active.instance
    if instance is not None:
        instance.pending = error


def _host_callback(
    binding: RawBinding, signature: Signature, function: HostFunction
) -> Callable[..., Any]:
    active, trap_new = binding.active, binding.api.wasmtime_trap_new
    layout = struct.Struct("<" + "".join(_padded(_FORMATS[kind]) for kind in signature.params))
    size, unpack, string_at = layout.size, layout.unpack, ctypes.string_at

    if not signature.results:

        def callback(_env: int, _caller: int, values: int, _count: int) -> int | None:
            try:
                function(*unpack(string_at(values, size)))
            except BaseException as error:  # noqa: BLE001 - the instance keeps it
                _keep(active, error)
                return int(trap_new(_TRAP_MESSAGE, len(_TRAP_MESSAGE)))
            return None

        return enter_quietly(callback)

    (kind,) = signature.results
    pack, width, i32 = _RESULTS[kind].pack, _RESULTS[kind].size, kind == "i32"

    def callback_with_result(_env: int, _caller: int, values: int, _count: int) -> int | None:
        try:
            result: Any = function(*unpack(string_at(values, size)))
            ctypes.memmove(values, pack(int(result or 0) & 0xFFFFFFFF if i32 else result), width)
        except BaseException as error:  # noqa: BLE001 - the instance keeps it
            _keep(active, error)
            return int(trap_new(_TRAP_MESSAGE, len(_TRAP_MESSAGE)))
        return None

    return enter_quietly(callback_with_result)


def _padded(code: str) -> str:
    return f"{code}{VAL_RAW_SIZE - struct.calcsize('<' + code)}x"


class _Call:
    """One exported function with its argument array, ready to be entered."""

    __slots__ = (
        "_active", "_api", "_arguments", "_call", "_instance", "_keep", "_reference", "_trap",
    )  # fmt: skip

    def __init__(
        self,
        api: Api,
        instance: WasmtimeInstance,
        context: int,
        extern: Extern,
        values: Any,
        count: int,
    ) -> None:
        self._api = api
        self._call = api.wasmtime_func_call_unchecked
        self._instance = instance
        self._reference = instance.reference
        self._active = instance.engine.active
        self._trap = c_void_p()
        # Objects of their types cross faster than numbers do.
        self._arguments = (
            c_void_p(context), c_void_p(addressof(extern.of)),
            c_void_p(addressof(values)), c_size_t(count), c_void_p(addressof(self._trap)),
        )  # fmt: skip
        self._keep = (extern, values)

    def __call__(self) -> None:
        if self._instance.closed:
            raise RuntimeClosed("the instance is closed")
        active = self._active
        if active.reference is self._reference:
            error = self._call(*self._arguments)
        else:
            outer = active.enter(self._instance)
            try:
                error = self._call(*self._arguments)
            finally:
                active.leave(outer)
        if error or self._trap.value:
            self._raise(error)

    def _raise(self, error: int | None) -> None:
        if error:
            stop = Stop(self._api.error_message(error))
        else:
            stop = self._api.stop(self._trap.value or 0)
            self._trap.value = None
        exception = self._instance.failure(stop)
        try:
            if isinstance(exception, GuestTrap):
                raise exception from None
            raise exception
        finally:
            # The traceback holds this frame; the frame must not hold the exception, or the two
            # keep the instance until the garbage collector finds them.
            del exception
