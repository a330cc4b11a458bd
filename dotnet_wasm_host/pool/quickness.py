"""Which functions are so quick that their calls may run on the event loop itself."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, TypeVar, final

from dotnet_wasm_host.errors import InvocationTimeout

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Buffer

T = TypeVar("T")

__all__ = ["FIRST_TRIAL", "OVERRUN_SECONDS", "Quickness"]

#: A call that took less than this in a thread is quick. Handing it to a thread and back costs
#: 30 us of processor time or more.
QUICK_SECONDS = 0.0005
#: Processor time that a call on the event loop may take, on average. Wall time says nothing: a
#: busy machine stops threads for milliseconds that are not the call's fault, and a guest that
#: sleeps spins, so its processor time shows that.
FAIR_SECONDS = 0.0002
#: What calls may take beyond that before their function goes back to threads: a guest's garbage
#: collection is forgiven, being slow is not.
DEBT_SECONDS = 0.01
#: A call on the event loop is stopped after this, and done again in a thread.
OVERRUN_SECONDS = 0.05
#: Calls in threads before a function is tried on the event loop; doubled after each time it was
#: too slow there.
FIRST_TRIAL = 64
#: Calls whose processor time is looked at after one took longer than is fair. Asking for it costs
#: as much as a part of a short call; while the wall clock shows a fair time, it cannot be more.
WATCHED = 256


@final
class Quickness:
    """What is known of one version of a function.

    A function that is quick in threads is called on the event loop from then on, until it is
    slow there. So that one that turns bad holds up others once, and not for long, its calls on
    the loop are stopped after 50 ms; such a version is never called there again.
    """

    __slots__ = ("_best", "_calls", "_debt", "_needed", "_watched", "inline")

    def __init__(self) -> None:
        #: Whether its next call may run on the event loop.
        self.inline: bool = False
        self._calls = 0
        self._best = math.inf
        self._needed: float = FIRST_TRIAL
        self._debt = 0.0
        self._watched = 0

    def call(
        self,
        invoke: Callable[[T, Buffer, float], bytes | None],
        function: T,
        payload: Buffer,
        most: float | None,
    ) -> bytes | None:
        """Call the function on the event loop; ``None`` if it is to be called in a thread instead.

        Args:
            invoke: calls it in this thread if there is a place; its last argument is a deadline.
            function: which.
            payload: what it gets.
            most: seconds that the call may take in a thread; ``None`` for any time.

        Raises:
            InvocationTimeout: it took as long as it may take in a thread, too.
        """
        deadline = OVERRUN_SECONDS if most is None else min(most, OVERRUN_SECONDS)
        watched = self._watched
        processor = time.thread_time() if watched else 0.0
        started = time.perf_counter()
        try:
            return invoke(function, payload, deadline)
        except InvocationTimeout:
            # Of a call that nobody watched one cannot tell whether it was the machine; the next is.
            self.overran(time.thread_time() - processor if watched else 0.0)
            self._watched = WATCHED
            if most is not None and most <= OVERRUN_SECONDS:
                raise
            # Whatever it did is gone with its instance: this is as if it had not been called.
            return None
        finally:
            if watched:
                self._watched -= 1
                self.took_inline(time.thread_time() - processor)
            elif time.perf_counter() - started > FAIR_SECONDS:
                self._watched = WATCHED

    def took_in_thread(self, seconds: float) -> None:
        """A call in a thread succeeded; ``inf`` if it was one that went on without its thread."""
        if seconds == math.inf:
            self.overran()  # it would wait on the event loop
            return
        self._calls += 1
        # The best of many: the others may have waited for the processor or the interpreter lock.
        self._best = min(self._best, seconds)
        if self._calls >= self._needed:
            self.inline = self._best < QUICK_SECONDS
            self._calls, self._best, self._debt = 0, math.inf, 0.0

    def took_inline(self, processor_seconds: float) -> None:
        """A call on the event loop ended."""
        self._debt = max(0.0, self._debt + processor_seconds - FAIR_SECONDS)
        if self._debt > DEBT_SECONDS and self.inline:
            self.inline = False
            self._needed *= 2

    def overran(self, processor_seconds: float = OVERRUN_SECONDS) -> None:
        """A call on the event loop had to be stopped."""
        self.inline = False
        # With little time of the processor it was the machine that was busy, not the call.
        self._needed = math.inf if processor_seconds > OVERRUN_SECONDS / 4 else 2 * self._needed
