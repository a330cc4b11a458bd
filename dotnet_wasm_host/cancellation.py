"""Stopping calls from outside."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, final

from dotnet_wasm_host.errors import InvocationCancelled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dotnet_wasm_host.engines.base import Interruption

__all__ = ["Cancellation"]


@final
class Cancellation:
    """Stops the calls that were given it, wherever they are. Thread-safe.

    A call that runs is stopped within milliseconds and raises
    :class:`~dotnet_wasm_host.InvocationCancelled`; its instance is replaced. One that has not
    begun does not begin. A call that is over is not touched, and neither is the next one of the
    same runtime. One cancellation may be given to many calls; it cannot be undone::

        stop = Cancellation()
        threading.Timer(5, stop.cancel).start()
        runtime.invoke("report", payload, cancellation=stop)
    """

    __slots__ = ("_calls", "_cancelled", "_lock")

    def __init__(self) -> None:
        # A signal handler may cancel while its own thread is in one of the blocks below.
        self._lock = threading.RLock()
        self._cancelled = False
        self._calls: dict[object, Callable[[Interruption], object]] = {}

    @property
    def cancelled(self) -> bool:
        """True after :meth:`cancel`."""
        return self._cancelled

    def cancel(self) -> None:
        """Stop the calls. Returns at once; each raises in the thread that made it."""
        with self._lock:
            self._cancelled = True
            for call, interrupt in self._calls.items():
                interrupt(partial(self._verdict, call))

    def require(self) -> None:
        """InvocationCancelled if it was cancelled."""
        if self._cancelled:
            raise InvocationCancelled("the call was cancelled before it began")

    @contextmanager
    def covering(self, interrupt: Callable[[Interruption], object]) -> Iterator[None]:
        """Cover a call; ``interrupt`` reaches the guest that carries it out."""
        call = object()
        with self._lock:
            self.require()
            self._calls[call] = interrupt
        try:
            yield
        finally:
            with self._lock:
                del self._calls[call]

    def _verdict(self, call: object) -> InvocationCancelled | None:
        """What to raise in the guest, which may be in a later call by now."""
        return InvocationCancelled("the call was cancelled") if call in self._calls else None
