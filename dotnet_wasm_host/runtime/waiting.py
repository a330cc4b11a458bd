"""Calls of asynchronous functions that have begun and wait in the guest of a runtime."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, final

from dotnet_wasm_host.errors import InvocationCancelled, InvocationTimeout
from dotnet_wasm_host.overriding import override
from dotnet_wasm_host.runtime.cancellation import Covered

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterable

    from dotnet_wasm_host.engines.base import Interruption
    from dotnet_wasm_host.guest.guest import Guest
    from dotnet_wasm_host.guest.pending import PendingCall
    from dotnet_wasm_host.options import Limits
    from dotnet_wasm_host.runtime.current_guest import CurrentGuest
    from dotnet_wasm_host.runtime.event_count import EventCount

__all__ = ["CoveredCall", "WaitingCalls"]

#: Seconds that the guest always has for calls that wait, however late it is.
_SHORTEST_STEP = 0.1
_log = logging.getLogger(__name__)


@final
class WaitingCalls:
    """Lets the guest do what is due for calls that wait, until they have an outcome.

    Args:
        current: the guest.
        limits: time.
        lock: the runtime's, which is held but where a method says that it need not be.
        event_count: notified when something has arrived for the guest.
    """

    __slots__ = ("_current", "_event_count", "_limits", "_lock")

    def __init__(
        self, current: CurrentGuest, limits: Limits, lock: threading.RLock, event_count: EventCount
    ) -> None:
        self._current = current
        self._limits = limits
        self._lock = lock
        self._event_count = event_count

    def wait_for(self, call: PendingCall) -> bytes:
        """Let the guest go on until a call has an outcome. Others may enter while nothing is due.

        If that is interrupted, the call is cancelled: nobody will ask for its outcome.
        """
        try:
            while not call.outcome.done():
                if call.unwanted:
                    raise InvocationCancelled(
                        "the call was cancelled while it waited; call again if its result is needed"
                    )
                seen = self._event_count.count
                due = self.pump()
                if call.outcome.done():
                    break
                self._lock.release()
                try:
                    self._event_count.wait(seen, None if due is None else max(0.0, due))
                finally:
                    self._lock.acquire()
            return call.take()
        except BaseException:
            if not call.outcome.done():
                self._current.run(
                    lambda guest: guest.cancel(call), max(self._limits.cancellation_grace, 0.01)
                )
            raise

    def wait_for_all(self, begun: Iterable[bytes | PendingCall]) -> list[bytes]:
        """The results of calls, some of which have ended."""
        return [call if isinstance(call, bytes) else self.wait_for(call) for call in begun]

    def pump(self) -> float | None:
        """Let the guest do what is due. Seconds until there is more, ``None`` for no time soon."""
        current = self._current
        current.run(_step, self._longest(current.guest))
        guest = current.guest
        if not guest.pending and (current.worn or guest.abandoned):
            current.replace()
        due = current.guest.next_due()
        return None if due is None else due - time.monotonic()

    def _longest(self, guest: Guest) -> float | None:
        """Seconds that the guest may run on, whichever of the calls that wait it works for."""
        stops = [c.stop_at for c in guest.pending.values() if c.stop_at is not None]
        if not stops:
            return self._limits.timeout
        # Whoever comes late to an overdue call still has to cancel it and to look for its end.
        return max(min(stops) - time.monotonic(), _SHORTEST_STEP)

    # ---------------------------------------------------------------- from any thread

    @property
    def count(self) -> int:
        """Calls that wait."""
        guest = self._current.present
        return 0 if guest is None else len(guest.pending)

    def withdraw(self, call: PendingCall) -> None:
        """Cancel the token of a call, without waiting."""
        call.unwanted = True
        guest = self._current.present
        if guest is not None:
            guest.host.arrivals.post(lambda _: guest.cancel(call))

    def withdraw_all(self) -> bool:
        """Cancel the tokens of all that wait. False if there are none."""
        guest = self._current.present
        waiting = [] if guest is None else list(guest.pending.values())
        for call in waiting:
            self.withdraw(call)
        return bool(waiting)

    def interrupt(self, interruption: Interruption, call: PendingCall | None) -> None:
        """Stop a call where it waits, if it has begun to, or else where it runs."""
        if call is not None:
            self.withdraw(call)
        self._current.interrupt(interruption)

    def runs(self, call: PendingCall) -> bool:
        """True if the guest's code that runs now works for a call that waited."""
        return self._current.calling and self._current.guest.running_call is call

    def runs_alone(self, call: PendingCall) -> bool:
        """True if it runs, and no other call would be stopped with it."""
        return self.runs(call) and len(self._current.guest.pending) == 1


@final
class CoveredCall(Covered):
    """A call that a :class:`~dotnet_wasm_host.Cancellation` covers, from its beginning on."""

    __slots__ = ("_pending", "_waiting")

    def __init__(self, waiting: WaitingCalls) -> None:
        self._waiting = waiting
        self._pending: PendingCall | None = None

    def waits_as(self, pending: PendingCall) -> None:
        """It has begun, and waits in the guest from now on."""
        self._pending = pending

    @override
    def interrupt(self, interruption: Interruption) -> None:
        self._waiting.interrupt(interruption, self._pending)

    @override
    def runs(self) -> bool:
        # Until it waits, it holds the runtime: nothing else can run.
        return self._pending is None or self._waiting.runs(self._pending)


def _step(guest: Guest) -> None:
    try:
        guest.pump()
    except Exception as error:  # noqa: BLE001 - the calls that wait are told
        _blame(guest, error)


def _blame(guest: Guest, error: BaseException) -> None:
    """The guest died outside of any call's beginning: say so to the call that did it."""
    call = guest.running_call
    if isinstance(error, InvocationTimeout):
        now = time.monotonic()
        for overdue in guest.pending.values():
            if overdue.cancel_at is not None and overdue.cancel_at <= now:
                overdue.fail(error)
    if call is None and len(guest.pending) == 1:
        (call,) = guest.pending.values()
    if call is not None:
        call.fail(error)
    elif not guest.pending:
        _log.warning("background work of the guest failed: %s", str(error))
