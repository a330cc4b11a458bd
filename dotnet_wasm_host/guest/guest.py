"""The managed side, called: binds the entry points and moves frames."""

from __future__ import annotations

import logging
import time
from contextvars import copy_context
from typing import TYPE_CHECKING, TypeVar, final

from dotnet_wasm_host import abi
from dotnet_wasm_host.errors import (
    ArtifactError,
    DotnetHostError,
    FunctionNotLoaded,
    GuestOutOfMemory,
    GuestTrap,
    LimitExceeded,
    MemoryAccessError,
    StackTooSmall,
    ThreadOccupied,
)
from dotnet_wasm_host.guest.inner import InnerGuest
from dotnet_wasm_host.guest.layout import BUFFER_SIZE, GuestLayout
from dotnet_wasm_host.guest.library_use import LibraryUse
from dotnet_wasm_host.guest.pending import PendingCall
from dotnet_wasm_host.memory import buffer_of, bytes_at

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextvars import Context

    from typing_extensions import Buffer

    from dotnet_wasm_host.base_library.missing_api import MissingApiAdvice
    from dotnet_wasm_host.guest.deadlines import Deadlines
    from dotnet_wasm_host.guest.error_translator import ErrorTranslator
    from dotnet_wasm_host.guest.running_function import RunningFunction
    from dotnet_wasm_host.imports.host import Host

__all__ = ["Guest"]

#: What an answer may have besides results: errors with their texts, reports, results of a batch.
PROTOCOL_BYTES = 16 << 20
T = TypeVar("T")
# The hot path has no attribute look-ups that could be done once.
_OK = int(abi.Status.OK)
_pack_input = abi.FRAME_IN.pack_into
_unpack_frame = abi.FRAME.unpack_from
_log = logging.getLogger(__name__)
_INVOKE_JSEXPORT = "mono_wasm_invoke_jsexport"
#: Entry points that go on with calls which have begun.
_CONTINUATIONS = frozenset({"Cancel", "EndHostCall"})
#: Pieces of queued work done in a row before others get the instance.
_WORK_AT_ONCE = 64


@final
class Guest:
    """One running .NET. Not thread-safe: the runtime that owns it holds a lock.

    Methods raise typed errors for what the guest reports. Anything that unwinds the guest
    (trap, exit, deadline, an exception of a host function) sets :attr:`broken`: the instance
    must then be discarded.

    Attributes:
        pending: calls that wait in the guest, by the guest's name for them.
        abandoned: calls that were given up and may still run on.
        needs: what functions need of the base library and the image lacks.
        function_ids: the guest's handles of functions to their ids.
    """

    def __init__(
        self,
        host: Host,
        layout: GuestLayout,
        running: RunningFunction,
        *,
        payload_limit: int,
        result_limit: int,
        grace: float = 0.0,
        advice: MissingApiAdvice | None = None,
    ) -> None:
        self.host = host
        self.layout = layout
        self._buffer = layout.buffer
        self.broken: bool = False
        self.pending: dict[int, PendingCall] = {}
        self.abandoned: int = 0
        self._running = running
        self.function_ids: dict[int, str] = running.ids
        # One or none, taken by pop(): its frames lead to those here, which must not hold it.
        self._cause: list[BaseException | None] = []
        self._deadlines: Deadlines | None = None
        self._grace = grace
        self._advice = advice
        self.needs: LibraryUse = LibraryUse()
        self._payload_limit = payload_limit
        self._result_limit = result_limit
        self._linear = host.instance.memory
        self._heap = host.heap
        self._mono = host.mono
        self._work = host.work
        self._entries: dict[str, Callable[[], None]] = {}
        self._invoke = self._entry("Invoke")
        host.waits.guest = InnerGuest(host.proxy, layout)
        self._bind_frame()

    def _bind_frame(self) -> None:
        end = max(self.layout.frame + abi.FRAME_SIZE, self.layout.buffer + BUFFER_SIZE)
        if min(self.layout.frame, self.layout.buffer) <= 0 or end > self._linear.size:
            raise ArtifactError("the image's frame or buffer is not inside its memory; rebuild it")
        self._size = self._linear.size
        # One view of everything: slices of it copy faster than ctypes does, bounds included.
        self._view = bytes_at(self._linear.address, self._size)
        self._frame = self._view[self.layout.frame : self.layout.frame + abi.FRAME_SIZE]
        self._buffer_view = self._view[self.layout.buffer : self.layout.buffer + BUFFER_SIZE]

    def _entry(self, name: str) -> Callable[[], None]:
        entry = self._entries.get(name)
        if entry is None:
            entry = self._entries[name] = self.host.instance.bind(
                _INVOKE_JSEXPORT, self.layout.methods[name], self.layout.frame
            )
        return entry

    # ---------------------------------------------------------------- calls

    def invoke(  # noqa: C901 - the hot path is one function
        self, function_id: str, handle: int, payload: Buffer
    ) -> bytes | PendingCall:
        """Run the handler of ``handle``; ``function_id`` is for error messages.

        An asynchronous handler that waits gives a :class:`PendingCall`: :meth:`pump` until it
        has an outcome.
        """
        block = self._send(handle, payload)
        self._heap.refused = False
        if self._work.spent:
            self.host.begin_call(len(self.pending))
        try:
            self._invoke()
        except BaseException as error:  # noqa: BLE001 - whatever it is, the guest is unwound
            raise self._broke(error) from None
        if self._heap.refused and not self.pending:
            # Memory never shrinks, and a collection needs some: the next call might die of what
            # this one did, even if it caught its OutOfMemoryException.
            self.broken = True
        if self._linear.size != self._size:
            self._bind_frame()
        call_id, _, _, status, output, length = _unpack_frame(self._frame)
        if status == _OK:
            if length > self._result_limit:
                self._free(block)
                self._run_background_work()
                raise self._too_large(function_id, length)
            end = output + length
            if length < 0 or end > self._size:
                raise self.lied(MemoryAccessError(output, length, self._size))
            result = self._view[output:end].tobytes()
            if block:
                self._free(block)
            if self._mono.has_work:
                self._run_background_work()
            return result
        if status == abi.Status.PENDING:
            self._free(block)
            call = self.pending[call_id] = PendingCall(call_id, function_id)
            return call
        record = self._output(output, length)
        self._cause[:] = [self._host_error()]
        self._free(block)
        self._run_background_work()
        raise self.invocation_error(function_id, status, record, self._cause.pop())

    def invoke_many(
        self, function_id: str, handle: int, payloads: Sequence[bytes]
    ) -> tuple[list[bytes], BaseException | None]:
        """Run the handler for the first payloads in one call of the guest.

        Returns the results of as many as it got through, one at least, or the error that ended
        it with empty results for the calls before.
        """
        request = abi.pack_fields(len(payloads), *payloads)
        completed, status, output = self.request("InvokeMany", request, handle)
        if status != abi.Status.OK:
            before = [b""] * min(max(completed, 0), len(payloads) - 1)
            return before, self.invocation_error(function_id, status, output, self._cause.pop())
        results = self.decode(lambda: abi.unpack_results(output))
        if not 0 < len(results) <= len(payloads):
            raise self.lied(GuestTrap(f"{len(results)} results for {len(payloads)} payloads"))
        for index, result in enumerate(results):
            if len(result) > self._result_limit:
                return results[:index], self._too_large(function_id, len(result))
        return results, None

    def _too_large(self, function_id: str, length: int) -> LimitExceeded:
        return LimitExceeded(
            f"function {function_id!r} returned {length} bytes; result_bytes is "
            f"{self._result_limit}",
            limit="result_bytes",
        )

    def initialize(self) -> None:
        """Prepare the managed side of an image that is being built."""
        _, status, output = self.request("Initialize", b"")
        if status != abi.Status.OK:
            raise self.invocation_error("(initialize)", status, output)

    def heap_bytes(self) -> int:
        """Live bytes of the managed heap."""
        _, status, output = self.request("Inspect", b"")
        if status != abi.Status.OK:
            raise self.invocation_error("(inspect)", status, output)
        return self.decode(lambda: abi.RecordReader(output).int64())

    def rest(self) -> None:
        """Collect garbage and drop random state, so that memory can be frozen."""
        _, status, output = self.request("Rest", b"")
        if status != abi.Status.OK:
            raise self.invocation_error("(rest)", status, output)

    def close(self) -> None:
        """Let the instance go."""
        self._cause.clear()
        self.host.close()

    # ---------------------------------------------------------------- frames

    def request(self, name: str, request: bytes, handle: int = 0) -> tuple[int, int, bytes]:
        """Call an entry point other than Invoke.

        Returns:
            The handle in the frame, the status, and a copy of the answer.
        """
        block = self._place(handle, memoryview(request))
        self._heap.refused = False
        if name in _CONTINUATIONS:
            self._resume()
        else:
            self.host.begin_call(len(self.pending))
        try:
            self._entry(name)()
        except BaseException as error:  # noqa: BLE001 - whatever it is, the guest is unwound
            raise self._broke(error) from None
        if self._linear.size != self._size:
            self._bind_frame()
        out_handle, _, _, status, output, length = _unpack_frame(self._frame)
        answer = self._output(output, length)
        self._cause[:] = () if status == _OK else (self._host_error(),)
        self._free(block)
        self._run_background_work()
        return out_handle, status, answer

    def _resume(self) -> None:
        """The guest is entered for calls that wait. They go on with what is left to them."""
        if self.pending:
            self.host.output.begin()
        else:
            self.host.begin_call(0)

    def _run_background_work(self) -> None:
        """Finalizers and queued work items, for which there is no other thread."""
        if not self._mono.has_work:
            return
        try:
            self._run_due()
            if self._mono.finished_calls:
                self.host.arrivals.notify()
        except DotnetHostError as error:
            # The call before it has its result; only the instance is lost. A record of the log
            # may live long, and the error's traceback would keep the instance alive.
            _log.warning("background work of the guest failed: %s", str(self._broke(error)))
        except BaseException:
            self.broken = True
            raise

    def _run_due(self) -> None:
        take_due, call = self._mono.take_due, self.host.call
        for _ in range(_WORK_AT_ONCE):
            export = take_due()
            if export is None:
                return
            call(export)

    # ---------------------------------------------------------------- calls that wait

    def watch(self, call: PendingCall) -> None:
        """Heed the deadline of a call."""
        if self._deadlines is None:
            from dotnet_wasm_host.guest.deadlines import Deadlines

            self._deadlines = Deadlines()
        self._deadlines.watch(call)

    def next_due(self) -> float | None:
        """``time.monotonic()`` at which :meth:`pump` has something to do; ``None`` for never."""
        mono = self._mono
        if mono.background_work or mono.finished_calls or self.host.arrivals.waiting:
            return 0.0
        timer = mono.timer_at
        deadline = None if self._deadlines is None else self._deadlines.next()
        if timer is None or deadline is None:
            return timer if deadline is None else deadline
        return min(timer, deadline)

    def pump(self) -> None:
        """Do what is due: what has arrived, timers, queued work; collect the calls it ended."""
        abi.CONTEXT.pack_into(self._frame, abi.FRAME.size, 0, abi.NO_FUNCTION, 0)
        self._heap.refused = False
        self._resume()
        take, calls = self.host.arrivals.take, self.host.calls
        calls.context = self._running_context
        try:
            while (action := take()) is not None:
                action(self)
            self._run_due()
        except BaseException as error:  # noqa: BLE001 - whatever it is, the guest is unwound
            raise self._broke(error) from None
        finally:
            calls.context = None
        if self._deadlines is not None:
            self._heed_deadlines(self._deadlines)
        if self._linear.size != self._size:
            self._bind_frame()
        if self._mono.finished_calls:
            self._mono.finished_calls = False
            while self._collect():
                pass

    def cancel(self, call: PendingCall) -> None:
        """Cancel the token of a call; it has the grace period to end."""
        if call.cancelled or self.pending.get(call.call_id) is not call:
            return
        call.cancelled = True
        stop_at = time.monotonic() + self._grace
        call.stop_at = stop_at if call.stop_at is None else min(call.stop_at, stop_at)
        self.watch(call)
        _, status, record = self.request("Cancel", b"", call.call_id)
        if status == abi.Status.HANDLER_THREW:
            thrown = self.decode(lambda: abi.decode_error(record))
            said = self.errors.sentence(thrown)
            _log.warning("%r threw when it was cancelled: %s", call.function_id, said)

    def end_host_call(self, number: int, error: int, output: bytes, *, cancelled: bool) -> None:
        """Tell the guest that a host function it began has ended."""
        request = abi.pack_fields(error, int(cancelled), output)
        self.request("EndHostCall", request, number)

    def _running_context(self) -> Context:
        call = self.running_call
        return copy_context() if call is None else call.context.copy()

    @property
    def running_call(self) -> PendingCall | None:
        """The call that runs, or ran last; for blame."""
        call_id, _, _ = abi.CONTEXT.unpack_from(self._frame, abi.FRAME.size)
        return self.pending.get(call_id)

    def _heed_deadlines(self, deadlines: Deadlines) -> None:
        now = time.monotonic()
        for call in deadlines.pass_by(now):
            if not call.cancelled:
                self.cancel(call)
            elif call.stop_at is not None and call.stop_at <= now:
                del self.pending[call.call_id]
                self.abandoned += 1
                how = "did not end when its token was cancelled"
                call.fail(self.errors.of_stop(call, how))

    def _collect(self) -> bool:
        """Settle one call that has ended; False if there is none."""
        _pack_input(self._frame, 0, 0, 0, 0)
        try:
            self._entry("Collect")()
        except BaseException as error:  # noqa: BLE001 - whatever it is, the guest is unwound
            raise self._broke(error) from None
        if self._linear.size != self._size:
            self._bind_frame()
        call_id, _, _, status, output, length = _unpack_frame(self._frame)
        if status == abi.Status.PENDING:
            return False
        call = self.pending.pop(call_id, None)
        if call is not None:
            call.finish(lambda: self._outcome(call, status, output, length))
        return True

    def _outcome(self, call: PendingCall, status: int, output: int, length: int) -> bytes:
        if status == _OK and length > self._result_limit:
            raise self._too_large(call.function_id, length)
        answer = self._output(output, length)
        if status == _OK:
            return answer
        error = self.invocation_error(call.function_id, status, answer, self._host_error())
        raise self.errors.of_wait(call, error)

    def _send(self, handle: int, payload: Buffer) -> int:
        """Like :meth:`_place`, checked against the limit, with a short way for small bytes."""
        if type(payload) is bytes:
            size = len(payload)
            if size <= BUFFER_SIZE and size <= self._payload_limit:
                self._buffer_view[:size] = payload
                _pack_input(self._frame, 0, handle, self._buffer, size)
                return 0
        view = buffer_of(payload, "payload")
        if view.nbytes > self._payload_limit:
            raise LimitExceeded(
                f"the payload has {view.nbytes} bytes; give at most "
                f"payload_bytes={self._payload_limit}, or raise that",
                limit="payload_bytes",
            )
        return self._place(handle, view)

    def _place(self, handle: int, data: memoryview) -> int:
        """Fill the frame. Returns the block to free after the call, 0 if none was needed."""
        size, block = data.nbytes, 0
        if size > BUFFER_SIZE:
            block = self.heap_call("malloc", size)
            if block == 0:
                raise _no_room(size)
        pointer = block or self.layout.buffer
        self.host.memory.write(pointer, data)
        if self._linear.size != self._size:
            self._bind_frame()
        _pack_input(self._frame, 0, handle, pointer, size)
        return block

    def _free(self, block: int) -> None:
        if block:
            self.heap_call("free", block)

    def heap_call(self, export: str, *arguments: int) -> int:
        """``malloc`` or ``free``, which a guest can break like anything else in its memory."""
        try:
            return self.host.call(export, *arguments)
        except BaseException as error:  # noqa: BLE001 - a deadline may end this call too
            raise self._broke(error) from None

    def _output(self, output: int, length: int) -> bytes:
        """An answer of the protocol: a result, or what goes with it."""
        if length > self._result_limit + PROTOCOL_BYTES:
            raise self.lied(
                LimitExceeded(
                    f"the guest answered with {length} bytes; result_bytes is "
                    f"{self._result_limit} and nothing that goes with results is that large",
                    limit="result_bytes",
                )
            )
        if length < 0 or output + length > self._size:
            raise self.lied(MemoryAccessError(output, length, self._size))
        return self._view[output : output + length].tobytes()

    # ---------------------------------------------------------------- errors

    @property
    def errors(self) -> ErrorTranslator:
        """Makes Python errors of what the guest reports."""
        from dotnet_wasm_host.guest.error_translator import ErrorTranslator

        return ErrorTranslator(self.host, self._advice, self.needs)

    def _broke(self, error: BaseException) -> BaseException:
        if isinstance(error, (StackTooSmall, ThreadOccupied)):
            return error  # the guest was not entered
        self.broken = True
        return self.errors.of_death(error, self._running())

    def lied(self, error: DotnetHostError) -> DotnetHostError:
        """``error``, after noting that the guest broke its contract and must be replaced."""
        self.broken = True
        return error

    def decode(self, decode: Callable[[], T]) -> T:
        """What ``decode`` gives. GuestTrap, and the guest is broken, if the record is malformed."""
        try:
            return decode()
        except abi.MalformedRecord as error:
            raise self.lied(GuestTrap(f"the guest's answer is malformed: {error}")) from error

    def _host_error(self) -> BaseException | None:
        """The exception of a host function that is behind the error the guest reports."""
        number = abi.CONTEXT.unpack_from(self._frame, abi.FRAME.size)[2]
        return self.host.calls.take_error(number) if number else None

    def invocation_error(
        self, function_id: str, status: int, record: bytes, cause: BaseException | None = None
    ) -> BaseException:
        """The error to raise for a call that ended with ``status`` and ``record``."""
        if status == abi.Status.NOT_LOADED:
            return FunctionNotLoaded(function_id)
        if status != abi.Status.HANDLER_THREW:
            return self.lied(GuestTrap(f"the guest answered with unknown status {status}"))
        thrown = self.decode(lambda: abi.decode_error(record))
        return self.errors.of_call(function_id, thrown, cause)


def _no_room(size: int) -> GuestOutOfMemory:
    error = GuestOutOfMemory(f"linear memory has no room for a payload of {size} bytes")
    error.survived = True
    return error
