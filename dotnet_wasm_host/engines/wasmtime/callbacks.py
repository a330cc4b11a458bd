"""Functions that wasmtime calls: host functions, and the look at interruptions.

No Python exception crosses a guest's frames. A callback keeps what its function raised in the
instance's :class:`~.active.Presence`, answers with a trap that unwinds the guest, and whoever
called the guest raises what was kept.

ctypes drops what a callback raises itself and gives C a result that nobody wrote. So nothing can be
raised in a callback outside of its ``try``:

* The recursion limit has room for its frame and for what it calls: :func:`require_depth`, before a
  guest is entered.
* Signals and exceptions that other threads send are not looked at before its ``try``
  (:func:`make_opaque`). Behind it nothing is called, and Python looks only at calls and at loops.
  (But where a signal has ended a call inside of this one before its answer was replaced.)
* Functions that trace or profile do not see its frame: :mod:`.tracing`. What tools of
  :mod:`sys.monitoring` raise in it is caught there: :func:`make_opaque`.
"""

from __future__ import annotations

import ctypes
import struct
import sys
import threading
import time
from contextlib import suppress
from ctypes import c_uint64
from functools import partial
from types import FunctionType
from typing import TYPE_CHECKING, Any, TypeVar

from dotnet_wasm_host.engines.threads import current_thread
from dotnet_wasm_host.engines.wasmtime import tracing
from dotnet_wasm_host.engines.wasmtime.c_api import VAL_RAW_SIZE
from dotnet_wasm_host.engines.wasmtime.tracing import getprofile, gettrace
from dotnet_wasm_host.errors import LimitExceeded, RuntimeClosed

if TYPE_CHECKING:
    from collections.abc import Callable

    from dotnet_wasm_host.engines.base import HostFunction, Number
    from dotnet_wasm_host.engines.wasmtime.active import Active
    from dotnet_wasm_host.engines.wasmtime.c_api import Api, Signature
    from dotnet_wasm_host.engines.wasmtime.watch import Watch

__all__ = ["dispatcher", "host_callback", "look_up_callback", "make_opaque", "require_depth"]

_FORMATS = {"i32": "I", "i64": "q", "f32": "f", "f64": "d"}
_RESULTS = {"i32": struct.Struct("<I"), "i64": struct.Struct("<q"), "f64": struct.Struct("<d")}
#: How often a guest that runs lets Python handle signals, in seconds. Only the main thread does.
_SIGNAL_PERIOD = 0.05
#: How often it does in other threads, which only matters if the main thread calls it later on.
_IDLE_PERIOD = 1.0
#: wasmtime/store.h: the guest goes on for this many epochs, that is until the next wake-up.
_NEXT_EPOCH = 1
F = TypeVar("F", bound="Callable[..., object]")

#: Argument of RESUME "after a yield from" (:mod:`dis`): signals are not looked at.
_AFTER_YIELD_FROM = 2


def make_opaque(function: F, *, guarded: bool = False) -> F:
    """Have Python do nothing else at the entry and at the end of ``function``, only in its body.

    Since Python 3.11 a signal that came while C code ran is handled by the first instruction of
    the next Python function, ``RESUME``. In a callback of C that is before any ``try``: what the
    handler raises, KeyboardInterrupt for example, would be printed and dropped by ctypes.

    Args:
        function: what is changed, and returned.
        guarded: it is one ``try``, whose handler is to have what is raised before and behind it.
    """
    if sys.version_info >= (3, 11) and isinstance(function, FunctionType):
        from opcode import opmap

        code = bytearray(function.__code__.co_code)
        entry = next(i for i in range(0, len(code), 2) if code[i] == opmap["RESUME"])
        code[entry + 1] = _AFTER_YIELD_FROM
        table = function.__code__.co_exceptiontable
        if sys.version_info >= (3, 12) and guarded:
            table = _widened(table, entry // 2)
        function.__code__ = function.__code__.replace(co_code=bytes(code), co_exceptiontable=table)
    return function


def _widened(table: bytes, start: int) -> bytes:
    """An exception table whose first handler is for all instructions from ``start`` on up to it.

    A tool of :mod:`sys.monitoring` may raise at the first instruction and at a return, outside of
    the ``try``. CPython's ``InternalDocs/exception_handling.md`` has the format: start, size,
    target (in instructions) and depth of each entry, six bits a byte, the most significant first.
    """
    numbers: list[int] = []
    goes_on = False
    for byte in table:
        if not goes_on:
            numbers.append(0)
        numbers[-1] = numbers[-1] << 6 | byte & 0x3F
        goes_on = bool(byte & 0x40)
    numbers[:2] = start, numbers[2] - start
    encoded = bytearray()
    for index, number in enumerate(numbers):
        digits = [number >> shift & 0x3F for shift in range(0, 24, 6)]
        while len(digits) > 1 and not digits[-1]:
            digits.pop()
        first = len(encoded)
        encoded += bytes(digit | 0x40 for digit in reversed(digits))
        encoded[-1] &= 0x3F
        if index % 4 == 0:
            encoded[first] |= 0x80
    return bytes(encoded)


if sys.version_info >= (3, 12):
    # Only Python's frames count. A callback has one.
    def require_depth() -> None:
        """RecursionError if a callback would be too deep."""
        _be_deeper()

    def _be_deeper() -> None:
        pass

else:
    # Calls of C functions count, too: of the engine, of the callback, of what it calls; isinstance
    # counts one for each tuple, and is the fastest that does.
    require_depth: Callable[[], object] = partial(isinstance, None, ((((((int,),),),),),))


def dispatcher(active: Active, index: int) -> HostFunction:
    """The host function of an import: it calls the function that the active instance has for it."""

    def call_host(*arguments: Number) -> Number | None:
        presence = active.presence
        instance = None if presence is None else presence()
        if presence is None or instance is None:
            raise RuntimeClosed("a guest function ran outside of any call; use Runtime.invoke")
        functions = instance.functions or instance.provide_functions()
        outer, presence.busy = presence.busy, current_thread()
        try:
            if presence.tracing is not None:
                tracing.put_back(presence)
            return functions[index](*arguments)
        finally:
            presence.busy = outer
            if presence.left is not None and not outer:
                presence.leave_host()
            if gettrace() or getprofile():
                tracing.put_aside(presence)

    return make_opaque(call_host)


def look_up_callback(api: Api, active: Active, watch: Watch) -> Callable[..., Any]:
    """What wasmtime calls when the epoch of a guest that runs is over."""
    new_error = api.new_error

    def look_up() -> None:
        presence = active.presence
        instance = None if presence is None else presence()
        if presence is None or instance is None:
            # A module is linked, and nobody is to be stopped. Whoever calls the guest next would
            # believe that it looks up at once, so it has to.
            with suppress(LimitExceeded):
                watch.ask(time.monotonic())
            return
        outer, presence.busy = presence.busy, current_thread()
        try:
            # Python handles its signals on the way; what a handler raises arrives here, too.
            if presence.tracing is not None:
                tracing.put_back(presence)
            instance.look_up()
        finally:
            presence.busy = outer
            if presence.left is not None and not outer:
                presence.leave_host()
            if gettrace() or getprofile():
                tracing.put_aside(presence)
        in_main = current_thread() == threading.main_thread().ident
        period = _SIGNAL_PERIOD if in_main else _IDLE_PERIOD
        with suppress(LimitExceeded):  # Without a thread nobody interrupts guests.
            watch.ask(min(instance.deadline, time.monotonic() + period))

    def callback(_context: int, _data: int, delta: int, _kind: int) -> int | None:
        try:
            c_uint64.from_address(delta).value = _NEXT_EPOCH
            look_up()
        except BaseException as error:  # noqa: BLE001 - whoever called the guest raises it
            if active.presence is not None:
                active.presence.pending = error
            spare = active.error
            if spare.delete is None:
                return new_error()
            spare.delete = None
            return spare.pointer
        return None

    return make_opaque(callback, guarded=True)


def host_callback(
    api: Api, active: Active, signature: Signature, function: HostFunction
) -> Callable[..., Any]:
    """What wasmtime calls for an import; arguments and result are ``wasmtime_val_raw_t``."""
    layout = struct.Struct("<" + "".join(_padded(_FORMATS[kind]) for kind in signature.params))
    new_trap = api.new_trap
    size, unpack, string_at = layout.size, layout.unpack, ctypes.string_at

    if not signature.results:

        def callback(_env: int, _caller: int, values: int, _count: int) -> int | None:
            try:
                function(*unpack(string_at(values, size)))
            except BaseException as error:  # noqa: BLE001 - whoever called the guest raises it
                if active.presence is not None:
                    active.presence.pending = error
                spare = active.trap
                if spare.delete is None:
                    return new_trap()
                spare.delete = None
                return spare.pointer
            return None

        return make_opaque(callback, guarded=True)

    (kind,) = signature.results
    pack, width, i32 = _RESULTS[kind].pack, _RESULTS[kind].size, kind == "i32"

    def callback_with_result(_env: int, _caller: int, values: int, _count: int) -> int | None:
        try:
            result: Any = function(*unpack(string_at(values, size)))
            ctypes.memmove(values, pack(int(result or 0) & 0xFFFFFFFF if i32 else result), width)
        except BaseException as error:  # noqa: BLE001 - whoever called the guest raises it
            if active.presence is not None:
                active.presence.pending = error
            spare = active.trap
            if spare.delete is None:
                return new_trap()
            spare.delete = None
            return spare.pointer
        return None

    return make_opaque(callback_with_result, guarded=True)


def _padded(code: str) -> str:
    return f"{code}{VAL_RAW_SIZE - struct.calcsize('<' + code)}x"
