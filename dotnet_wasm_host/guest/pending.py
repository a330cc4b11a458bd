"""Calls that have begun in the guest and wait there."""

from __future__ import annotations

from concurrent.futures import Future
from contextvars import copy_context
from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Context
    from types import TracebackType

__all__ = ["PendingCall"]


@final
class PendingCall:
    """One call of an asynchronous handler.

    Attributes:
        call_id: the guest's name for it.
        function_id: the function, for messages.
        timeout: seconds it was given, or ``None``.
        cancel_at: ``time.monotonic()`` at which its token is cancelled, or ``None``.
        stop_at: when a call that has not ended by then is given up.
        cancelled: its token was cancelled.
        context: context variables of whoever began it, for host functions that it calls later.
        unwanted: nobody wants its outcome any more; who waits for it is to cancel it.
        outcome: the result, or the error, once there is one.
    """

    __slots__ = (
        "call_id",
        "cancel_at",
        "cancelled",
        "context",
        "function_id",
        "outcome",
        "stop_at",
        "timeout",
        "unwanted",
    )

    def __init__(self, call_id: int, function_id: str) -> None:
        self.call_id: int = call_id
        self.function_id: str = function_id
        self.context: Context = copy_context()
        self.timeout: float | None = None
        self.cancel_at: float | None = None
        self.stop_at: float | None = None
        self.cancelled: bool = False
        self.unwanted: bool = False
        self.outcome: Future[bytes] = Future()

    def set_timeout(self, timeout: float, started: float, grace: float) -> None:
        """Cancel ``timeout`` seconds after ``started``, give up ``grace`` seconds later."""
        self.timeout = timeout
        self.cancel_at = started + timeout
        self.stop_at = self.cancel_at + grace

    def due(self) -> float | None:
        """When something has to be done about it, whatever the guest does."""
        return self.stop_at if self.cancelled else self.cancel_at

    def finish(self, make: Callable[[], bytes]) -> None:
        """Set the outcome to what ``make`` returns or raises."""
        if self.outcome.done():
            return
        try:
            result = make()
        except BaseException as error:  # noqa: BLE001 - raised where the outcome is asked for
            self.fail(error)
        else:
            self.outcome.set_result(result)

    def take(self) -> bytes:
        """The outcome, as soon as there is one; an error is taken out, and asked for only once.

        Its frames are those of whoever waits for this call and holds it. If it held the error,
        the two would keep the instance until the garbage collector finds them.
        """
        error = self.outcome.exception()
        if error is None:
            return self.outcome.result()
        self.outcome = _TAKEN
        try:
            raise error
        finally:
            del error

    def fail(self, error: BaseException) -> None:
        """Set the outcome to an error, unless there is one already.

        Its outer frames are those of whoever let the guest go on. They hold this call and the
        instance, and the outcome holds the error. Those of a host function stay.
        """
        if not self.outcome.done():
            self.outcome.set_exception(error.with_traceback(_outside(error.__traceback__)))


#: What a call has instead of an outcome that was taken.
_TAKEN: Future[bytes] = Future()
_TAKEN.set_result(b"")


def _outside(traceback: TracebackType | None) -> TracebackType | None:
    """A traceback from the first frame on that is not of this package."""
    while traceback is not None and _is_ours(traceback):
        traceback = traceback.tb_next
    return traceback


def _is_ours(traceback: TracebackType) -> bool:
    module = traceback.tb_frame.f_globals.get("__name__", "")
    return isinstance(module, str) and module.startswith("dotnet_wasm_host.")
