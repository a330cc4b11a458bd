"""The side of a runtime that a scheduler of calls sees: what a pool does, and users do not."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from dotnet_wasm_host.runtime.observing import Figures
from dotnet_wasm_host.runtime.waiting import CoveredCall

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from typing_extensions import Buffer

    from dotnet_wasm_host.engines.base import Interruption
    from dotnet_wasm_host.guest.pending import PendingCall
    from dotnet_wasm_host.jit.reports import JitStats
    from dotnet_wasm_host.runtime.cancellation import Cancellation
    from dotnet_wasm_host.runtime.compilation import Compilation
    from dotnet_wasm_host.runtime.current_guest import CurrentGuest
    from dotnet_wasm_host.runtime.event_count import EventCount
    from dotnet_wasm_host.runtime.functions import Functions, LoadedEntry
    from dotnet_wasm_host.runtime.waiting import WaitingCalls

    Begin = Callable[[LoadedEntry, Buffer, float | None], bytes | PendingCall]

__all__ = ["CallPort"]


@final
class CallPort:
    """Begins calls and lets them wait, where ``Runtime.invoke`` would block its thread.

    Args:
        functions: what can be called.
        begin: begins a call of a function.
        waiting: the calls that wait.
        current: the guest of the moment.
        lock: held while anything is done with the guest.
        event_count: notified when something has arrived for the guest.
        compilation: of methods that run often; ``None`` if they are not compiled.
    """

    __slots__ = (
        "__weakref__", "_begin", "_compilation", "_current", "_entry", "_functions", "_waiting",
        "event_count", "lock",
    )  # fmt: skip

    def __init__(
        self,
        functions: Functions,
        begin: Begin,
        waiting: WaitingCalls,
        current: CurrentGuest,
        lock: threading.RLock,
        event_count: EventCount,
        compilation: Compilation | None,
    ) -> None:
        self._functions, self._entry = functions, functions.entry
        self._begin = begin
        self._waiting = waiting
        self._current = current
        self._compilation = compilation
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

    @property
    def host_work(self) -> int:
        """Units that the host has worked; as in ``Runtime.stats``, also of a closed runtime."""
        return self._current.host_work

    @property
    def jit(self) -> JitStats | None:
        """Machine code of the present instance; ``None`` if nothing is compiled."""
        return None if self._compilation is None else self._compilation.stats

    def figures(self) -> Figures:
        """For an observer, from any thread: nothing is asked of the guest."""
        guest, jit = self._current.present, self.jit
        return Figures(
            running=int(self._current.calling),
            waiting=self._waiting.count,
            instances=int(guest is not None),
            suspended=self._functions.suspended,
            linear_memory_bytes=0 if guest is None else guest.host.memory.size,
            jit_methods=0 if jit is None else jit.methods,
            jit_code_bytes=0 if jit is None else jit.code_bytes,
            recycles=self._current.recycles,
            host_work=self._current.host_work,
        )

    def interrupt(self, interruption: Interruption, waiting: PendingCall | None) -> None:
        """Stop a call where it waits, if it has begun to, or else where it runs."""
        self._waiting.interrupt(interruption, waiting)

    def runs_alone(self, call: PendingCall) -> bool:
        """True if a call that waited runs, and no other call would be stopped with it."""
        return self._waiting.runs_alone(call)
