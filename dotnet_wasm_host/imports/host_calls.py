"""Calls of host functions by one guest.

The C# half is ``runtime_artifacts/guest/MinimalRuntime/HostCalls.cs``; the two change together.
"""

from __future__ import annotations

import ctypes
import struct
from concurrent.futures import CancelledError, Future
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Protocol, final

from dotnet_wasm_host.abi import pack_fields
from dotnet_wasm_host.errors import HostFunctionMissing, MemoryAccessError
from dotnet_wasm_host.imports.host_functions import HostFunctions, as_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dotnet_wasm_host.engines.base import LinearMemory
    from dotnet_wasm_host.imports.arrivals import Arrivals

__all__ = ["HostCalls"]

#: Name, NameLength (UTF-16 units), Input, InputLength, Output, OutputCapacity, Number.
_IN = struct.Struct("<7I")
#: Number, Status, OutputLength: behind the first six.
_OUT = struct.Struct("<3I")
_OUT_OFFSET = 24
_SIZE = _OUT_OFFSET + _OUT.size
_unpack, _pack = _IN.unpack_from, _OUT.pack_into
#: Exceptions kept for the case that the guest lets them through to its caller.
_KEPT_ERRORS = 64


class _Status(IntEnum):
    RETURNED = 0
    RAISED = 1
    BEGUN = 2


class GuestEnd(Protocol):
    """Who tells the guest that a call has ended."""

    def end_host_call(self, number: int, error: int, output: bytes, *, cancelled: bool) -> None:
        """Call the guest."""


@final
class HostCalls:
    """The calls of one instance.

    Args:
        linear: the instance's memory.
        functions: what it may call.
        arrivals: where calls that ended on other threads wait for the guest's.

    Attributes:
        guest: set by the guest; a weak reference.
    """

    def __init__(
        self, linear: LinearMemory, functions: HostFunctions | None, arrivals: Arrivals
    ) -> None:
        self._linear = linear
        self._address = 0
        self._view = memoryview(b"")
        self._functions = functions
        self._by_name: Mapping[bytes, Callable[[bytes], Any]] = (
            functions.by_utf16 if functions is not None else {}
        )
        self._arrivals = arrivals
        self._held = b""
        self._errors: dict[int, BaseException] = {}
        self._last_error = 0
        self._running: dict[int, Future[Any]] = {}
        self.guest: GuestEnd | None = None

    def call(self, address: int) -> None:
        """Call a function and write its result, or what it raised, into the guest's memory."""
        name, argument, output, capacity, _ = self._read(address)
        try:
            function = self._by_name[name]
            result = function(argument)
            if type(result) is not bytes:
                result = as_bytes(result, _text(name))
            status, number = _Status.RETURNED, 0
        except Exception as error:  # noqa: BLE001 - it goes on in the guest
            status, number, result = _Status.RAISED, *self._keep(self._plain(error, name))
        self._answer(address, output, capacity, status, number, result)

    def begin(self, address: int) -> None:
        """Begin a call that ends later."""
        name, argument, output, capacity, call_id = self._read(address)
        try:
            function = self._by_name[name]
            assert self._functions is not None
            future = self._functions.begin(function, argument)
        except Exception as error:  # noqa: BLE001 - it goes on in the guest
            number, record = self._keep(self._plain(error, name))
            self._answer(address, output, capacity, _Status.RAISED, number, record)
            return
        self._answer(address, output, capacity, _Status.BEGUN, call_id, b"")
        self._running[call_id] = future
        arrivals, text = self._arrivals, _text(name)
        future.add_done_callback(lambda done: arrivals.post(lambda: self._end(call_id, done, text)))

    def cancel(self, call_id: int) -> None:
        """The guest no longer waits for a call."""
        future = self._running.pop(call_id, None)
        if future is not None:
            future.cancel()

    def take(self, target: int) -> None:
        """Write the result that was too large for its call to where the guest has made room."""
        held, self._held = self._held, b""
        view, end = self._memory(), target + len(held)
        if end > len(view):
            raise MemoryAccessError(target, len(held), len(view))
        view[target:end] = held

    def take_error(self, number: int) -> BaseException | None:
        """The exception that the guest let through, and forget the others."""
        error = self._errors.pop(number, None)
        if not self._running:
            self._errors.clear()
        return error

    def close(self) -> None:
        """The guest is gone."""
        self._view = memoryview(b"")
        self._errors.clear()
        running, self._running = self._running, {}
        for future in running.values():
            future.cancel()

    def _end(self, call_id: int, future: Future[Any], name: str) -> None:
        if self._running.pop(call_id, None) is None or self.guest is None:
            return
        number, cancelled = 0, False
        try:
            # Not result(): raising it here would tie this instance to the future's error.
            error = future.exception()
            output = b"" if error is not None else as_bytes(future.result(), name)
        except CancelledError:
            error, output, cancelled = None, b"", True
        except Exception as unfit:  # noqa: BLE001 - it goes on in the guest
            error, output = unfit, b""
        if error is not None:
            number, output = self._keep(error)
        self.guest.end_host_call(call_id, number, output, cancelled=cancelled)

    def _read(self, address: int) -> tuple[bytes, bytes, int, int, int]:
        view = self._memory()
        size = len(view)
        if address + _SIZE > size:
            raise MemoryAccessError(address, _SIZE, size)
        name, units, argument, length, output, capacity, number = _unpack(view, address)
        name_end, end = name + 2 * units, argument + length
        if name_end > size or end > size or output + capacity > size:
            raise MemoryAccessError(max(name, argument, output), max(2 * units, length), size)
        return view[name:name_end].tobytes(), view[argument:end].tobytes(), output, capacity, number

    def _answer(
        self, address: int, output: int, capacity: int, status: int, number: int, result: bytes
    ) -> None:
        view, length = self._memory(), len(result)
        if length <= capacity:
            view[output : output + length] = result
        else:
            self._held = result
        _pack(view, address + _OUT_OFFSET, number, status, length)

    def _memory(self) -> memoryview:
        """All of linear memory. One view of it copies faster than ctypes does."""
        linear = self._linear
        if linear.address != self._address or linear.size != len(self._view):
            self._address = linear.address
            whole = (ctypes.c_ubyte * linear.size).from_address(linear.address)
            self._view = memoryview(whole).cast("B")
        return self._view

    def _plain(self, error: Exception, name: bytes) -> Exception:
        if not isinstance(error, KeyError) or name in self._by_name:
            return error
        known = ", ".join(map(repr, self._functions.names)) if self._functions else "none"
        return HostFunctionMissing(
            f"there is no host function {_text(name)!r}; the runtime was given: {known}"
        )

    def _keep(self, error: BaseException) -> tuple[int, bytes]:
        """Remember an exception; its number, and what the guest is told of it."""
        self._last_error += 1
        if len(self._errors) >= _KEPT_ERRORS:
            del self._errors[next(iter(self._errors))]
        # Our own frames hold the instance; the function's are what its author looks for.
        trace = error.__traceback__
        while trace is not None and trace.tb_frame.f_globals is globals():
            trace = trace.tb_next
        error.__traceback__ = trace
        self._errors[self._last_error] = error
        return self._last_error, pack_fields(_type_name(error).encode(), _message(error))


def _text(name: bytes) -> str:
    return name.decode("utf-16-le", errors="replace")


def _type_name(error: BaseException) -> str:
    kind = type(error)
    if kind.__module__ == "builtins":
        return kind.__qualname__
    return f"{kind.__module__}.{kind.__qualname__}"


def _message(error: BaseException) -> bytes:
    try:
        return str(error).encode(errors="replace")
    except Exception as second:  # noqa: BLE001 - __str__ is anybody's
        return f"(str() raised {type(second).__name__})".encode()
