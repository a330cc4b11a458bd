"""The side of a runtime that a scheduler of calls sees: what a pool does, and users do not."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from dotnet_wasm_host.runtime.waiting import CoveredCall

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from typing_extensions import Buffer

    from dotnet_wasm_host.engines.base import Interruption
    from dotnet_wasm_host.guest.pending import PendingCall
    from dotnet_wasm_host.runtime.cancellation import Cancellation
    from dotnet_wasm_host.runtime.current_guest import CurrentGuest
    from dotnet_wasm_host.runtime.event_count import EventCount
    from dotnet_wasm_host.runtime.functions import LoadedEntry
    from dotnet_wasm_host.runtime.waiting import WaitingCalls

    Begin = Callable[[LoadedEntry, Buffer, float | None], bytes | PendingCall]

__all__ = ["CallPort"]


@final
class CallPort:
    """Begins calls and lets them wait, where ``Runtime.invoke`` would block its thread.

    Args:
        entry, begin: find a function, and begin a call of it.
        waiting: the calls that wait.
        current: the guest of the moment.
        lock: held while anything is done with the guest.
        event_count: notified when something has arrived for the guest.
    """

    __slots__ = ("_begin", "_current", "_entry", "_waiting", "event_count", "lock")

    def __init__(
        self,
        entry: Callable[[str], LoadedEntry],
        begin: Begin,
        waiting: WaitingCalls,
        current: CurrentGuest,
        lock: threading.RLock,
        event_count: EventCount,
    ) -> None:
        self._entry = entry
        self._begin = begin
        self._waiting = waiting
        self._current = current
        self.lock: threading.RLock = lock
        self.event_count: EventCount = event_count

    def begin(
        self,
        function_id: str,
        payload: Buffer,
        timeout: float | None,
        cancellation: Cancellation | None,
    ) -> bytes | PendingCall:
        """Like ``Runtime.invoke``, but a call that waits is handed out.

        Somebody must :meth:`attend` until it has an outcome. ``cancellation`` is heeded until
        it waits; afterwards :meth:`interrupt` it.
        """
        with self.lock:
            if cancellation is None:
                return self._begin(self._entry(function_id), payload, timeout)
            with cancellation.covering(CoveredCall(self._waiting)):
                return self._begin(self._entry(function_id), payload, timeout)

    def attend(self) -> float | None:
        """Let the guest do what is due for calls that wait.

        Seconds until there is more to do; ``None`` if only a notification of
        :attr:`event_count` can tell.
        """
        with self.lock:
            guest = self._current.present
            if guest is None or not (guest.pending or guest.host.arrivals.waiting):
                return None
            return self._waiting.pump()

    @property
    def calls_waiting(self) -> int:
        """Calls of asynchronous functions that have begun and wait."""
        return self._waiting.count

    @property
    def recycles(self) -> int:
        """Times the instance was replaced; as in ``Runtime.stats``, without asking the guest."""
        return self._current.recycles

    def interrupt(self, interruption: Interruption, waiting: PendingCall | None) -> None:
        """Stop a call where it waits, if it has begun to, or else where it runs."""
        self._waiting.interrupt(interruption, waiting)

    def runs_alone(self, call: PendingCall) -> bool:
        """True if a call that waited runs, and no other call would be stopped with it."""
        return self._waiting.runs_alone(call)
