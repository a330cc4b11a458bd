"""Calls of host functions by one guest.

The C# half is ``runtime_artifacts/guest/MinimalRuntime/HostCalls.cs``; the two change together.
"""

from __future__ import annotations

import struct
from concurrent.futures import CancelledError, Future
from contextvars import copy_context
from enum import IntEnum
from typing import TYPE_CHECKING, Any, final

from dotnet_wasm_host.abi import pack_fields
from dotnet_wasm_host.errors import HostFunctionMissing, MemoryAccessError
from dotnet_wasm_host.imports.callables import CALLABLES_NAME, begin_callable, call_callable
from dotnet_wasm_host.imports.host_functions import LentFunctions, as_bytes
from dotnet_wasm_host.memory import bytes_at

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextvars import Context

    from dotnet_wasm_host.engines.base import LinearMemory
    from dotnet_wasm_host.imports.arrivals import Arrivals, GuestEnd
    from dotnet_wasm_host.imports.host_work import HostWork

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
#: What a call costs beside its bytes, and what one that waits takes beside its argument.
_CALL_UNITS = 256
_CALL_BYTES = 1024
_SHOWN_NAME = 100
#: Most characters that the guest is told of an exception.
_LONGEST_MESSAGE = 16 * 1024


_NOTHING: tuple[Future[Any] | None, int] = (None, 0)
_NO_ERROR: tuple[BaseException | None, int] = (None, 0)


class _Status(IntEnum):
    RETURNED = 0
    RAISED = 1
    BEGUN = 2


@final
class HostCalls:
    """The calls of one instance.

    Args:
        linear: the instance's memory.
        functions: what it may call.
        arrivals: where calls that ended on other threads wait for the guest's.
        work: what it costs.

    Attributes:
        context: gives the context variables of the call that runs, while calls that waited go on;
            otherwise those of the thread are the call's own.
    """

    def __init__(
        self,
        linear: LinearMemory,
        functions: LentFunctions | None,
        arrivals: Arrivals,
        work: HostWork,
    ) -> None:
        self._linear = linear
        self._work = work
        self.context: Callable[[], Context] | None = None
        self._address = 0
        self._view = memoryview(b"")
        self._functions = functions
        self._by_name: Mapping[bytes, Callable[[bytes], Any]] = {
            CALLABLES_NAME: lambda argument: call_callable(argument, work),
            **({} if functions is None else functions.by_utf16),
        }
        self._longest_name = max(map(len, self._by_name))
        self._arrivals = arrivals
        self._held = b""
        self._errors: dict[int, tuple[BaseException, int]] = {}
        self._last_error = 0
        self._running: dict[int, tuple[Future[Any], int]] = {}

    @property
    def are_awaited(self) -> bool:
        """Whether a call that has begun is still to end."""
        return bool(self._running)

    def call(self, address: int) -> None:
        """Call a function and write its result, or what it raised, into the guest's memory."""
        name, argument, output, capacity, _ = self._read(address)
        try:
            function = self._by_name[name]
            if self.context is None:
                result = function(argument)
            else:
                result = self.context().run(function, argument)
            if type(result) is not bytes:
                result = as_bytes(result, _text(name))
            status, number = _Status.RETURNED, 0
        except Exception as error:  # noqa: BLE001 - it goes on in the guest
            # Without a name here: its frames lead to this one.
            kept = self._keep(self._plain(error, name), len(argument))
            status, number, result = _Status.RAISED, *kept
        self._answer(address, output, capacity, status, number, result)

    def begin(self, address: int) -> None:
        """Begin a call that ends later."""
        name, argument, output, capacity, call_id = self._read(address)
        size = len(argument) + _CALL_BYTES
        self._work.keep(size)
        try:
            context = copy_context() if self.context is None else self.context()
            if name == CALLABLES_NAME:
                future: Future[Any] = context.run(begin_callable, argument, self._work)
            elif self._functions is None:
                raise self._missing(name)
            else:
                function = self._functions.by_utf16[name]
                future = context.run(self._functions.begin, function, argument)
        except Exception as error:  # noqa: BLE001 - it goes on in the guest
            self._work.drop(size)
            number, record = self._keep(self._plain(error, name), len(argument))
            self._answer(address, output, capacity, _Status.RAISED, number, record)
            return
        self._answer(address, output, capacity, _Status.BEGUN, call_id, b"")
        self.cancel(call_id)  # one whose number the guest has used again
        self._running[call_id] = future, size
        arrivals, text = self._arrivals, _text(name)
        future.add_done_callback(
            lambda done: arrivals.post(lambda guest: self._end(guest, call_id, done, text))
        )

    def cancel(self, call_id: int) -> None:
        """The guest no longer waits for a call."""
        future, size = self._running.pop(call_id, _NOTHING)
        self._work.drop(size)
        if future is not None:
            future.cancel()

    def take(self, target: int) -> None:
        """Write the result that was too large for its call to where the guest has made room."""
        held, self._held = self._held, b""
        view, end = self._memory(), target + len(held)
        if end > len(view):
            raise MemoryAccessError(target, len(held), len(view))
        self._work.charge(len(held))
        view[target:end] = held

    def take_error(self, number: int) -> BaseException | None:
        """The exception that the guest let through, and forget the others."""
        error, size = self._errors.pop(number, _NO_ERROR)
        self._work.drop(size)
        if not self._running:
            while self._errors:
                self._forget_error()
        return error

    def close(self) -> None:
        """The guest is gone."""
        self._view = memoryview(b"")
        self._errors.clear()
        running, self._running = self._running, {}
        for future, _ in running.values():
            future.cancel()

    def _end(self, guest: GuestEnd, call_id: int, future: Future[Any], name: str) -> None:
        begun, size = self._running.get(call_id, _NOTHING)
        if begun is not future:
            return
        del self._running[call_id]
        self._work.drop(size)
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
            number, output = self._keep(error, size)
        guest.end_host_call(call_id, number, output, cancelled=cancelled)

    def _read(self, address: int) -> tuple[bytes, bytes, int, int, int]:
        view = self._memory()
        size = len(view)
        if address + _SIZE > size:
            raise MemoryAccessError(address, _SIZE, size)
        name, units, argument, length, output, capacity, number = _unpack(view, address)
        name_end, end = name + 2 * units, argument + length
        if name_end > size or end > size or output + capacity > size:
            raise MemoryAccessError(max(name, argument, output), max(2 * units, length), size)
        # A name that is longer than all that there are is none of them; its beginning says so.
        name_end = min(name_end, name + self._longest_name + 2 * _SHOWN_NAME)
        self._work.charge(name_end - name + length + _CALL_UNITS)
        return view[name:name_end].tobytes(), view[argument:end].tobytes(), output, capacity, number

    def _answer(
        self, address: int, output: int, capacity: int, status: int, number: int, result: bytes
    ) -> None:
        view, length = self._memory(), len(result)
        self._work.charge(length)
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
            self._view = bytes_at(linear.address, linear.size)
        return self._view

    def _plain(self, error: Exception, name: bytes) -> Exception:
        if not isinstance(error, KeyError) or name in self._by_name:
            return error
        return self._missing(name)

    def _missing(self, name: bytes) -> HostFunctionMissing:
        known = self._functions.listed if self._functions else "none"
        return HostFunctionMissing(
            f"there is no host function {_text(name)!r}; the runtime was given: {known}"
        )

    def _keep(self, error: BaseException, argument_size: int) -> tuple[int, bytes]:
        """Remember an exception. Returns its number and its description for the guest.

        Its frames hold the argument, so that is what it is taken to weigh.
        """
        self._last_error += 1
        message = _message(error)
        size = argument_size + len(message) + _CALL_BYTES
        if len(self._errors) >= _KEPT_ERRORS:
            self._forget_error()
        while self._errors and self._work.kept + size > self._work.kept_budget:
            self._forget_error()
        # Our own frames hold the instance; the function's are what its author looks for.
        trace = error.__traceback__
        while trace is not None and trace.tb_frame.f_globals is globals():
            trace = trace.tb_next
        error.__traceback__ = trace
        if self._work.try_keep(size):
            self._errors[self._last_error] = error, size
        return self._last_error, pack_fields(_type_name(error).encode(), message)

    def _forget_error(self) -> None:
        _, size = self._errors.pop(next(iter(self._errors)))
        self._work.drop(size)


def _text(name: bytes) -> str:
    text = name.decode("utf-16-le", errors="replace")
    return text if len(text) <= _SHOWN_NAME else f"{text[:_SHOWN_NAME]}..."


def _type_name(error: BaseException) -> str:
    kind = type(error)
    if kind.__module__ == "builtins":
        return kind.__qualname__
    return f"{kind.__module__}.{kind.__qualname__}"


def _message(error: BaseException) -> bytes:
    try:
        return str(error)[:_LONGEST_MESSAGE].encode(errors="replace")
    except Exception as second:  # noqa: BLE001 - __str__ is anybody's
        return f"(str() raised {type(second).__name__})".encode()
