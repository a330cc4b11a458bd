"""Stopping calls from outside."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Protocol, final

from dotnet_wasm_host.errors import InvocationCancelled
from dotnet_wasm_host.uncopyable import Uncopyable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dotnet_wasm_host.engines.base import Interruption

__all__ = ["Cancellation"]


class Covered(Protocol):
    """A call that a cancellation covers."""

    __slots__ = ()

    def interrupt(self, interruption: Interruption) -> None:
        """Have ``interruption`` asked in the guest that carries the call out, if it runs."""

    def runs(self) -> bool:
        """Asked in the guest: whether what runs there is this call."""


@final
class Cancellation(Uncopyable):
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
        self._calls: set[Covered] = set()

    @property
    def cancelled(self) -> bool:
        """True after :meth:`cancel`."""
        return self._cancelled

    def cancel(self) -> None:
        """Stop the calls. Returns at once; each raises in the thread that made it."""
        with self._lock:
            self._cancelled = True
            for call in self._calls:
                call.interrupt(partial(self._verdict, call))

    def require(self) -> None:
        """InvocationCancelled if it was cancelled."""
        if self._cancelled:
            raise InvocationCancelled(
                "the call was cancelled before it began; call again if its result is needed"
            )

    @contextmanager
    def covering(self, call: Covered) -> Iterator[None]:
        """Cover a call as long as the ``with`` block lasts."""
        with self._lock:
            self.require()
            self._calls.add(call)
        try:
            yield
        finally:
            with self._lock:
                self._calls.remove(call)

    def _verdict(self, call: Covered) -> InvocationCancelled | None:
        """What to raise in the guest, which may be in another call by now."""
        if call in self._calls and call.runs():
            return InvocationCancelled("the call was cancelled")
        return None
