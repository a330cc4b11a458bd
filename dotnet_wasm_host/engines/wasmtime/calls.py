"""Calls of a guest's exported functions.

wasmtime's Python classes rebuild a function's type and box every value on every call (10-30 us).
``wasmtime_func_call_unchecked`` takes a preset array of ``wasmtime_val_raw_t`` instead (1 us).
"""

from __future__ import annotations

from ctypes import addressof, c_uint32, c_void_p
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol, final

from dotnet_wasm_host.engines.wasmtime import tracing
from dotnet_wasm_host.engines.wasmtime.c_api import VAL_RAW_SIZE
from dotnet_wasm_host.engines.wasmtime.callbacks import require_depth
from dotnet_wasm_host.engines.wasmtime.tracing import getprofile, gettrace
from dotnet_wasm_host.errors import GuestTrap, RuntimeClosed

if TYPE_CHECKING:
    import ctypes
    from collections.abc import Callable, Sequence

    from dotnet_wasm_host.engines.base import GuestFunction
    from dotnet_wasm_host.engines.wasmtime.active import Active, Presence
    from dotnet_wasm_host.engines.wasmtime.c_api import Extern, Stop
    from dotnet_wasm_host.engines.wasmtime.exports import Exports

__all__ = ["Call", "Callee", "bind_function", "guest_function"]

#: Elements of an argument array of c_uint32 that one value takes.
_STRIDE = VAL_RAW_SIZE // 4


class Callee(Protocol):
    """The instance that a call enters."""

    closed: bool
    active: Active
    presence: Presence
    exports: Exports

    def failure(self, stop: Stop) -> BaseException:
        """What to raise after a call that ended in ``stop``."""


@cache
def _array_type(length: int) -> type[ctypes.Array[c_uint32]]:
    """A type is a circle of objects: one that is made anew waits for the garbage collector."""
    return c_uint32 * length


def guest_function(instance: Callee, name: str) -> GuestFunction:
    """A callable for an exported function. KeyError if there is none of this name."""
    extern, signature = instance.exports.function(name)
    kinds = {*signature.params, *signature.results}
    if kinds - {"i32"}:
        raise KeyError(f"{name}: only i32 crosses this seam, not {sorted(kinds)}")
    count, has_result = len(signature.params), bool(signature.results)
    values = _array_type(_STRIDE * max(count, 1))()
    call = Call(instance, extern, values, max(count, int(has_result)))

    def call_guest(*arguments: int) -> int:
        if len(arguments) != count:
            raise TypeError(f"{name} takes {count} arguments, not {len(arguments)}")
        for index, argument in enumerate(arguments):
            values[_STRIDE * index] = argument  # ctypes takes an integer modulo 2**32
        call()
        return values[0] if has_result else 0

    return call_guest


def bind_function(instance: Callee, name: str, arguments: Sequence[int]) -> Callable[[], None]:
    """A callable for an exported function with fixed arguments."""
    extern, signature = instance.exports.function(name)
    if signature.results:
        # A result would overwrite the preset arguments.
        raise TypeError(f"{name} has a result and cannot be bound")
    values = _array_type(_STRIDE * max(len(arguments), 1))()
    for index, argument in enumerate(arguments):
        values[_STRIDE * index] = argument
    return Call(instance, extern, values, len(arguments)).__call__


@final
class Call:
    """One exported function with its argument array, ready to be entered."""

    __slots__ = (
        "_active", "_api", "_arguments", "_call", "_instance", "_keep", "_trap", "presence",
    )  # fmt: skip

    def __init__(self, instance: Callee, extern: Extern, values: Any, count: int) -> None:
        self._api = api = instance.exports.api
        self._call = api.call_prepared
        self._instance = instance
        self.presence: Presence = instance.presence
        self._active = instance.active
        self._trap = c_void_p()
        self._arguments = tuple(
            c_void_p.from_param(value)
            for value in (
                instance.exports.context, addressof(extern.of), addressof(values), count,
                addressof(self._trap),
            )
        )  # fmt: skip
        self._keep = (extern, values)

    def __call__(self) -> None:
        """Enter the guest. Raises what ended the call."""
        if self._instance.closed:
            raise RuntimeClosed("the instance is closed; make a new Runtime")
        require_depth()
        presence = self.presence
        if presence.tracing is None and (gettrace() or getprofile()):
            self._call_untraced()
            return
        active = self._active
        if active.presence is presence:
            error = self._call(*self._arguments)
        else:
            outer = active.enter(presence, _ENTER)
            try:
                error = self._call(*self._arguments)
            finally:
                active.leave(outer)
        # A pointer is true unless it is NULL.
        if error or self._trap:  # type: ignore[truthy-bool]
            self._raise(error)
        if presence.tracing is not None:
            tracing.put_back(presence)

    def _call_untraced(self) -> None:
        tracing.put_aside(self.presence)
        try:
            self()
        finally:
            tracing.put_back(self.presence)

    def _raise(self, error: int | None) -> None:
        self._active.renew()
        exception = self._instance.failure(self._api.ended(error, self._trap))
        try:
            if isinstance(exception, GuestTrap):
                raise exception from None
            raise exception
        finally:
            # The traceback holds this frame; the frame must not hold the exception, or the two
            # keep the instance until the garbage collector finds them.
            del exception


_ENTER = Call.__call__.__code__
