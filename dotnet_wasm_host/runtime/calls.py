"""Calls of functions: begun, counted, and stopped while they run."""

from __future__ import annotations

import time
import weakref
from functools import partial
from typing import TYPE_CHECKING, final

from dotnet_wasm_host.errors import (
    InvocationCancelled,
    InvocationError,
    MarshallingError,
    MarshallingTypeError,
    is_crash,
)
from dotnet_wasm_host.guest.pending import PendingCall
from dotnet_wasm_host.options import LONGEST_TIMEOUT
from dotnet_wasm_host.runtime.waiting import CoveredCall

if TYPE_CHECKING:
    from collections.abc import Iterable
    from concurrent.futures import Future

    from typing_extensions import Buffer

    from dotnet_wasm_host.options import Limits
    from dotnet_wasm_host.runtime.cancellation import Cancellation
    from dotnet_wasm_host.runtime.current_guest import CurrentGuest
    from dotnet_wasm_host.runtime.functions import Functions, LoadedEntry
    from dotnet_wasm_host.runtime.waiting import WaitingCalls

__all__ = ["Calls"]


@final
class Calls:
    """Begins calls in the present guest. The runtime holds its lock, but for :meth:`cancel`.

    Args:
        current: the guest.
        functions: what can be called.
        waiting: what becomes of calls that wait.
        limits: time and sizes.

    Attributes:
        invocations, failed: calls that were made, and that raised.
    """

    __slots__ = ("__weakref__", "_current", "_functions", "_limits", "_timeout", "_waiting",
                 "failed", "invocations")  # fmt: skip

    def __init__(
        self, current: CurrentGuest, functions: Functions, waiting: WaitingCalls, limits: Limits
    ) -> None:
        self._current = current
        self._functions = functions
        self._waiting = waiting
        self._limits = limits
        self._timeout = limits.timeout
        self.invocations: int = 0
        self.failed: int = 0

    def begin(
        self, entry: LoadedEntry, payload: Buffer, timeout: float | None
    ) -> bytes | PendingCall:
        """Call a function; if it waits, the caller must visit the guest until it has ended."""
        current, handle = self._current, entry.handle
        if handle is None or current.calling:
            return self._load_and_begin(entry, payload, timeout)
        seconds = self._timeout if timeout is None else _check_timeout(timeout)
        guest = current.guest
        started = 0.0
        self.invocations += 1  # also tells cancel() one call from the next
        current.calling = True
        try:
            if seconds is not None:
                started = time.monotonic()
                guest.host.instance.set_deadline(seconds)
            result = guest.invoke(entry.function_id, handle, payload)
        except BaseException as error:
            self.failed += 1
            if is_crash(error):
                entry.crashes += 1
            raise
        finally:
            current.calling = False
            if seconds is not None:
                guest.host.instance.set_deadline(None)
            if guest.broken:
                current.replace()
        if type(result) is PendingCall:
            result.outcome.add_done_callback(partial(self._count, entry))
            if seconds is not None:
                result.set_timeout(seconds, started, self._limits.cancellation_grace)
                guest.watch(result)
        return result

    def _load_and_begin(
        self, entry: LoadedEntry, payload: Buffer, timeout: float | None
    ) -> bytes | PendingCall:
        """The first call of a function in a fresh guest, and the first after a crash."""
        self._current.require_idle()
        seconds = self._timeout if timeout is None else _check_timeout(timeout)
        start = time.monotonic()
        try:
            self._functions.handle(entry, seconds)
        except BaseException:
            self.invocations += 1
            self.failed += 1
            raise
        if seconds is not None:
            # A reload is a part of the call. It has taken less than all of its time.
            seconds = max(seconds - (time.monotonic() - start), 0.001)
        try:
            result = self.begin(entry, payload, seconds)
        except InvocationError as error:
            if not is_crash(error):
                entry.crashes = 0  # it failed without killing its instance
            raise
        if type(result) is not PendingCall:
            entry.crashes = 0
        return result

    def _count(self, entry: LoadedEntry, outcome: Future[bytes]) -> None:
        """A call that waited has ended."""
        error = outcome.exception()
        self.failed += error is not None
        if is_crash(error):
            entry.crashes += 1
        elif error is None or isinstance(error, InvocationError):
            entry.crashes = 0

    # ---------------------------------------------------------------- other ways to call

    def invoke_covered(
        self,
        function_id: str,
        payload: Buffer,
        timeout: float | None,
        cancellation: Cancellation,
    ) -> bytes:
        """Call a function, which ``cancellation`` may stop, and wait for it."""
        call = CoveredCall(self._waiting)
        with cancellation.covering(call):
            result = self.begin(self._functions.entry(function_id), payload, timeout)
            if type(result) is not PendingCall:
                return result
            call.waits_as(result)
            result.unwanted |= cancellation.cancelled
            return self._waiting.wait_for(result)

    def invoke_many(self, function_id: str, payloads: Iterable[Buffer]) -> list[bytes]:
        """Call a function for each payload, with as few crossings to the guest as can be."""
        if self._functions.entry(function_id).function.is_async:
            return self._invoke_together(function_id, payloads)
        if self._timeout is not None:  # each has the deadline
            begun = (self.begin(self._functions.entry(function_id), p, None) for p in payloads)
            return self._waiting.wait_for_all(begun)
        from dotnet_wasm_host.runtime.batches import batches

        results: list[bytes] = []
        for batch in batches(payloads, self._limits.payload_bytes):
            # Looked up for each batch: the payloads' iterator may have changed what is loaded.
            results += self._invoke_batch(self._functions.entry(function_id), batch)
        return results

    def _invoke_together(self, function_id: str, payloads: Iterable[Buffer]) -> list[bytes]:
        """Begin all calls of an asynchronous function, then wait for them."""
        begun: list[bytes | PendingCall] = []
        try:
            for payload in payloads:
                begun.append(self.begin(self._functions.entry(function_id), payload, None))  # noqa: PERF401
            return self._waiting.wait_for_all(begun)
        except BaseException:
            for call in begun:
                if not isinstance(call, bytes) and not call.outcome.done():
                    self._waiting.withdraw(call)  # nobody will ask for it
            raise

    def _invoke_batch(self, entry: LoadedEntry, batch: list[bytes]) -> list[bytes]:
        self._current.require_idle()
        handle = self._functions.handle(entry)
        results: list[bytes] = []
        while len(results) < len(batch):
            some, error = self._invoke_some(entry.function_id, handle, batch[len(results) :])
            self.invocations += len(some)
            if error is not None:
                self.invocations += 1
                self.failed += 1
                if is_crash(error):
                    entry.crashes += 1
                try:
                    raise error
                finally:
                    del error  # its traceback holds this frame
            results += some
        entry.crashes = 0
        return results

    def _invoke_some(
        self, function_id: str, handle: int, payloads: list[bytes]
    ) -> tuple[list[bytes], BaseException | None]:
        try:
            return self._current.run(lambda guest: guest.invoke_many(function_id, handle, payloads))
        except BaseException as error:  # noqa: BLE001 - counted, then raised
            return [], error

    # ---------------------------------------------------------------- stopping

    def cancel(self) -> bool:
        """Stop what the guest is doing, from any thread. False if that is nothing."""
        number = self._number()
        if not self._current.calling:
            return False
        # What waits to be asked must not keep the runtime alive.
        method = weakref.WeakMethod(self._verdict)
        self._current.interrupt(lambda: (verdict := method()) and verdict(number))
        return True

    def _number(self) -> int:
        """Tells whatever the guest does now from what it does next."""
        return self.invocations + self._current.operations

    def _verdict(self, number: int) -> InvocationCancelled | None:
        """What to raise in the guest if ``number`` still runs, as it did for cancel()."""
        return None if self._number() != number else InvocationCancelled("the call was cancelled")


def _check_timeout(seconds: float) -> float:
    if not isinstance(seconds, (int, float)):
        raise MarshallingTypeError(
            f"timeout is seconds, not {type(seconds).__name__}; give a number, or None"
        )
    if not seconds > 0:
        raise MarshallingError(f"timeout is {seconds}; give seconds above zero, or None")
    return min(seconds, LONGEST_TIMEOUT)
