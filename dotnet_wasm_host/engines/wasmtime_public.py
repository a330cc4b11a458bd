"""Calls through wasmtime's documented Python classes, ten times slower than the C API below them.

They show what is in the API and what only in the C API: both bindings pass the same tests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

import wasmtime

from dotnet_wasm_host.engines.deadline import Ticker
from dotnet_wasm_host.engines.threads import any_thread_is_in
from dotnet_wasm_host.errors import RuntimeClosed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from wasmtime._managed import Managed

    from dotnet_wasm_host.engines.base import GuestFunction, HostFunction, Number
    from dotnet_wasm_host.engines.wasmtime import WasmtimeEngine, WasmtimeInstance

__all__ = ["PublicBinding"]

#: An epoch that is never reached.
NEVER = 2**62
I32_SIGN = 2**31
I32_RANGE = 2**32


@final
class PublicBinding:
    """Calls through wasmtime's Python classes.

    They give a store a deadline in epochs and nothing else, so the epoch is a clock here, and an
    interruption is noticed where the guest calls the host.
    """

    name = "public"

    def __init__(self, engine: WasmtimeEngine) -> None:
        self._active = engine.active
        self._ticker = Ticker(engine.native.increment_epoch)

    def define(
        self, linker: wasmtime.Linker, declared: wasmtime.ImportType, function: HostFunction
    ) -> None:
        """See :class:`dotnet_wasm_host.engines.wasmtime.Binding`."""
        signature = declared.type
        assert isinstance(signature, wasmtime.FuncType)
        narrow = [str(kind) == "i32" for kind in signature.params]
        i32_result = [str(kind) for kind in signature.results] == ["i32"]

        def call_host(*arguments: Number) -> Number | None:
            instance = self._active.instance
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

        linker.define_func(declared.module, str(declared.name), signature, call_host)

    def function(self, instance: WasmtimeInstance, name: str) -> GuestFunction:
        """See :class:`dotnet_wasm_host.engines.wasmtime.Binding`."""
        item = instance.native.exports(instance.store)[name]
        if not isinstance(item, wasmtime.Func):
            raise KeyError(name)
        active = instance.engine.active

        def call_guest(*arguments: int) -> int:
            if instance.closed:
                raise RuntimeClosed("the instance is closed")
            outer = active.enter(instance)
            try:
                result = item(instance.store, *map(_to_signed, arguments))
            except (wasmtime.Trap, wasmtime.WasmtimeError) as trap:
                raise instance.failure(trap) from None
            except BaseException:  # noqa: BLE001 - replaced by the right one
                # wasmtime-py keeps the last host exception in a module global that threads
                # share; the instance's own record is the right one.
                raise instance.failure(wasmtime.WasmtimeError("lost exception")) from None
            finally:
                active.leave(outer)
            return int(result or 0) % I32_RANGE

        return call_guest

    def bind(
        self, instance: WasmtimeInstance, name: str, arguments: Sequence[int]
    ) -> Callable[[], None]:
        """See :class:`dotnet_wasm_host.engines.wasmtime.Binding`."""
        call_guest = self.function(instance, name)

        def call_bound() -> None:
            call_guest(*arguments)

        return call_bound

    def set_global(self, instance: WasmtimeInstance, name: str, value: int) -> None:
        """See :class:`dotnet_wasm_host.engines.wasmtime.Binding`."""
        item = instance.native.exports(instance.store)[name]
        if not isinstance(item, wasmtime.Global):
            raise KeyError(name)
        item.set_value(instance.store, wasmtime.Val.i32(_to_signed(value)))

    def supervise(self, instance: WasmtimeInstance) -> None:
        """See :class:`dotnet_wasm_host.engines.wasmtime.Binding`."""
        instance.store.set_epoch_deadline(NEVER)

    def set_deadline(self, instance: WasmtimeInstance, seconds: float | None) -> None:
        """See :class:`dotnet_wasm_host.engines.wasmtime.Binding`."""
        if instance.deadline_armed:
            self._ticker.disarm()
            instance.deadline_armed = False
        if seconds is None:
            instance.store.set_epoch_deadline(NEVER)
            return
        instance.store.set_epoch_deadline(self._ticker.ticks(seconds))
        self._ticker.arm()
        instance.deadline_armed = True

    def alert(self) -> None:
        """See :class:`dotnet_wasm_host.engines.wasmtime.Binding`.

        There is no way; guests look up where they call the host.
        """

    def guests_run(self) -> bool:
        """See :class:`dotnet_wasm_host.engines.wasmtime.Binding`."""
        return any_thread_is_in(wasmtime.Func.__call__)

    def start_afresh(self) -> None:
        """See :class:`dotnet_wasm_host.engines.wasmtime.Binding`: the ticker notices by itself."""

    def leave(self, native: Managed[Any]) -> None:
        """See :class:`dotnet_wasm_host.engines.wasmtime.Binding`.

        The public API can only free it, which a store may not survive.
        """
        if not isinstance(native, wasmtime.Store):
            native.close()


def _to_signed(value: int) -> int:
    """The i32 that has the low 32 bits of ``value``."""
    return (value + I32_SIGN) % I32_RANGE - I32_SIGN
