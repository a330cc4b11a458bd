"""wasmtime's C API for the hot path. The only file that reaches below wasmtime's public API.

The public classes rebuild a function's type and box every value on every call (10-30 us).
``wasmtime_func_call_unchecked`` takes a preset array instead (1 us). Values are
``wasmtime_val_raw_t``: a 16-byte little-endian union (wasmtime's ``include/wasmtime/val.h``).
"""

from __future__ import annotations

import contextlib
import ctypes
import math
import struct
import threading
import time
from ctypes import c_size_t, c_uint32, c_uint64, c_void_p
from typing import TYPE_CHECKING, Any, final

import wasmtime
from wasmtime import _ffi as ffi

from dotnet_wasm_host.engines.quiet_entry import enter_quietly
from dotnet_wasm_host.engines.threads import any_thread_is_in
from dotnet_wasm_host.engines.watch import Watch
from dotnet_wasm_host.errors import GuestTrap, RuntimeClosed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from wasmtime._managed import Managed

    from dotnet_wasm_host.engines.base import GuestFunction, HostFunction
    from dotnet_wasm_host.engines.wasmtime import Active, WasmtimeEngine, WasmtimeInstance

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


def _prototype(name: str, result: Any, *arguments: Any) -> Any:
    # Indexing gives a function object of our own; attribute access would share wasmtime-py's.
    function = ffi.dll[name]
    function.restype = result
    function.argtypes = list(arguments)
    return function


_call_unchecked = _prototype(
    "wasmtime_func_call_unchecked", c_void_p, c_void_p, c_void_p, c_void_p, c_size_t, c_void_p
)
_trap_new = _prototype("wasmtime_trap_new", c_void_p, ctypes.c_char_p, c_size_t)
_export_get = _prototype(
    "wasmtime_instance_export_get",
    ctypes.c_bool, c_void_p, c_void_p, ctypes.c_char_p, c_size_t, c_void_p,
)  # fmt: skip
_global_set = _prototype("wasmtime_global_set", c_void_p, c_void_p, c_void_p, c_void_p)
_define_unchecked = _prototype(
    "wasmtime_linker_define_func_unchecked",
    c_void_p, c_void_p, ctypes.c_char_p, c_size_t, ctypes.c_char_p, c_size_t,
    c_void_p, c_void_p, c_void_p, c_void_p,
)  # fmt: skip
_Callback = ctypes.CFUNCTYPE(c_void_p, c_void_p, c_void_p, c_void_p, c_size_t)
_error_new = _prototype("wasmtime_error_new", c_void_p, ctypes.c_char_p)
_deadline_callback = _prototype(
    "wasmtime_store_epoch_deadline_callback", None, c_void_p, c_void_p, c_void_p, c_void_p
)
_DeadlineCallback = ctypes.CFUNCTYPE(c_void_p, c_void_p, c_void_p, c_void_p, c_void_p)


@final
class RawBinding:
    """Calls through the C API with preset arrays."""

    name = "raw"

    def __init__(self, engine: WasmtimeEngine) -> None:
        self._active = engine.active
        self._watch = Watch(engine.native.increment_epoch)
        # Linkers and stores hold bare pointers to these; they live as long as the engine.
        self._look_up = _DeadlineCallback(_look_up_callback(engine.active, self._watch))
        self._callbacks: list[Any] = []

    def define(
        self, linker: wasmtime.Linker, declared: wasmtime.ImportType, function: HostFunction
    ) -> None:
        """See :class:`dotnet_wasm_host.engines.wasmtime.Binding`."""
        signature = declared.type
        assert isinstance(signature, wasmtime.FuncType)
        callback = _Callback(_host_callback(self._active, signature, function))
        self._callbacks.append(callback)
        module, name = declared.module.encode(), str(declared.name).encode()
        error = _define_unchecked(
            linker.ptr(), module, len(module), name, len(name),
            signature.ptr(), ctypes.cast(callback, c_void_p), None, None,
        )  # fmt: skip
        if error:
            raise _error(error)

    def function(self, instance: WasmtimeInstance, name: str) -> GuestFunction:
        """See :class:`dotnet_wasm_host.engines.wasmtime.Binding`."""
        signature = instance.code.signature(name)
        kinds = [str(kind) for kind in (*signature.params, *signature.results)]
        if set(kinds) - {"i32"}:
            raise KeyError(f"{name}: only i32 crosses the raw binding, not {kinds}")
        count, has_result = len(signature.params), bool(signature.results)
        values = (c_uint32 * (4 * max(count, 1)))()
        call = _Call(instance, name, values, max(count, int(has_result)))

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
        """See :class:`dotnet_wasm_host.engines.wasmtime.Binding`."""
        signature = instance.code.signature(name)
        if signature.results:
            # A result would overwrite the preset arguments.
            raise TypeError(f"{name} has a result and cannot be bound")
        values = (c_uint32 * (4 * max(len(arguments), 1)))()
        for index, argument in enumerate(arguments):
            values[4 * index] = argument
        return _Call(instance, name, values, len(arguments)).__call__

    def set_global(self, instance: WasmtimeInstance, name: str, value: int) -> None:
        """See :class:`dotnet_wasm_host.engines.wasmtime.Binding`."""
        extern = _export(instance, name, ffi.WASMTIME_EXTERN_GLOBAL)
        val = ffi.wasmtime_val_t(kind=ffi.WASMTIME_I32.value)
        val.of.i32 = value  # ctypes takes an integer modulo 2**32
        error = _global_set(
            instance.store._context(), ctypes.addressof(extern.of.global_), ctypes.byref(val)
        )
        if error:
            raise _error(error)

    def supervise(self, instance: WasmtimeInstance) -> None:
        """See :class:`dotnet_wasm_host.engines.wasmtime.Binding`.

        A new store's deadline is the epoch it was made in: the guest looks up when it starts.
        """
        _deadline_callback(instance.store.ptr(), self._look_up, None, None)

    def set_deadline(self, instance: WasmtimeInstance, seconds: float | None) -> None:
        """See :class:`dotnet_wasm_host.engines.wasmtime.Binding`."""
        if seconds is None:
            instance.deadline = math.inf
            return
        instance.deadline = at = time.monotonic() + seconds
        if at < self._watch.next:
            self._watch.ask(at)

    def alert(self) -> None:
        """See :class:`dotnet_wasm_host.engines.wasmtime.Binding`."""
        self._watch.ask(time.monotonic())

    def guests_run(self) -> bool:
        """See :class:`dotnet_wasm_host.engines.wasmtime.Binding`."""
        return any_thread_is_in(_Call.__call__)

    def start_afresh(self) -> None:
        """See :class:`dotnet_wasm_host.engines.wasmtime.Binding`."""
        self._watch.start_afresh()

    def leave(self, native: Managed[Any]) -> None:
        """See :class:`dotnet_wasm_host.engines.wasmtime.Binding`."""
        with contextlib.suppress(ValueError):  # closed already
            native._consume()


def _export(instance: WasmtimeInstance, name: str, kind: ctypes.c_uint8) -> Any:
    extern = ffi.wasmtime_extern_t()
    encoded = name.encode()
    found = _export_get(
        instance.store._context(), ctypes.byref(instance.native._instance),
        encoded, len(encoded), ctypes.byref(extern),
    )  # fmt: skip
    if not found or int(extern.kind) != kind.value:
        raise KeyError(name)
    return extern


def _error(pointer: int) -> wasmtime.WasmtimeError:
    error_type = ctypes.POINTER(ffi.wasmtime_error_t)
    return wasmtime.WasmtimeError._from_ptr(ctypes.cast(pointer, error_type))


def _look_up_callback(active: Active, watch: Watch) -> Callable[..., Any]:
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
            return int(_error_new(_ERROR_MESSAGE))
        return None

    return enter_quietly(look_up)


def _keep(active: Active, error: BaseException) -> None:
    # wasmtime carries no Python exception across guest frames; the instance does.
    instance = active.instance
    if instance is not None:
        instance.pending = error


def _host_callback(
    active: Active, signature: wasmtime.FuncType, function: HostFunction
) -> Callable[..., Any]:
    params = [str(kind) for kind in signature.params]
    layout = struct.Struct("<" + "".join(_padded(_FORMATS[kind]) for kind in params))
    size, unpack, string_at = layout.size, layout.unpack, ctypes.string_at
    results = [str(kind) for kind in signature.results]

    if not results:

        def callback(_env: int, _caller: int, values: int, _count: int) -> int | None:
            try:
                function(*unpack(string_at(values, size)))
            except BaseException as error:  # noqa: BLE001 - the instance keeps it
                _keep(active, error)
                return int(_trap_new(_TRAP_MESSAGE, len(_TRAP_MESSAGE)))
            return None

        return enter_quietly(callback)

    (kind,) = results
    pack, width, i32 = _RESULTS[kind].pack, _RESULTS[kind].size, kind == "i32"

    def callback_with_result(_env: int, _caller: int, values: int, _count: int) -> int | None:
        try:
            result: Any = function(*unpack(string_at(values, size)))
            ctypes.memmove(values, pack(int(result or 0) & 0xFFFFFFFF if i32 else result), width)
        except BaseException as error:  # noqa: BLE001 - the instance keeps it
            _keep(active, error)
            return int(_trap_new(_TRAP_MESSAGE, len(_TRAP_MESSAGE)))
        return None

    return enter_quietly(callback_with_result)


def _padded(code: str) -> str:
    return f"{code}{VAL_RAW_SIZE - struct.calcsize('<' + code)}x"


class _Call:
    """One exported function with its argument array, ready to be entered."""

    __slots__ = ("_active", "_arguments", "_instance", "_keep", "_reference", "_trap")

    def __init__(self, instance: WasmtimeInstance, name: str, values: Any, count: int) -> None:
        extern = _export(instance, name, ffi.WASMTIME_EXTERN_FUNC)
        self._instance = instance
        self._reference = instance.reference
        self._active = instance.engine.active
        context = ctypes.cast(instance.store._context(), c_void_p)
        self._trap = c_void_p()
        # Objects of their types cross faster than numbers do.
        self._arguments = (
            context, c_void_p(ctypes.addressof(extern.of.func)),
            c_void_p(ctypes.addressof(values)), c_size_t(count),
            c_void_p(ctypes.addressof(self._trap)),
        )  # fmt: skip
        self._keep = (extern, values)

    def __call__(self) -> None:
        if self._instance.closed:
            raise RuntimeClosed("the instance is closed")
        active = self._active
        if active.reference is self._reference:
            error = _call_unchecked(*self._arguments)
        else:
            outer = active.enter(self._instance)
            try:
                error = _call_unchecked(*self._arguments)
            finally:
                active.leave(outer)
        if error or self._trap.value:
            self._raise(error)

    def _raise(self, error: int | None) -> None:
        failure: wasmtime.Trap | wasmtime.WasmtimeError
        if error:
            failure = _error(error)
        else:
            pointer = ctypes.cast(self._trap.value or 0, ctypes.POINTER(ffi.wasm_trap_t))
            self._trap.value = None
            failure = wasmtime.Trap._from_ptr(pointer)
        exception = self._instance.failure(failure)
        try:
            if isinstance(exception, GuestTrap):
                raise exception from None
            raise exception
        finally:
            # The traceback holds this frame; the frame must not hold the exception, or the two
            # keep the instance until the garbage collector finds them.
            del exception
