"""Which functions are so quick that their calls may run on the event loop itself."""

from __future__ import annotations

import math
from typing import final

__all__ = ["OVERRUN_SECONDS", "Quickness"]

#: A call that took less than this in a thread is quick. Handing it to a thread and back costs
#: 30 us of processor time or more.
QUICK_SECONDS = 0.0005
#: The means of calls on the event loop above which they go back to threads. Processor time is
#: what a call takes from others; the other is for calls that sleep, and larger, because a busy
#: machine may stop a thread for milliseconds that are not the call's fault.
SLOW_PROCESSOR_SECONDS = 0.0002
SLOW_SECONDS = 0.002
#: A call on the event loop is stopped after this, and done again in a thread.
OVERRUN_SECONDS = 0.05
#: Calls in threads before a function is tried on the event loop; doubled after each time it was
#: too slow there.
FIRST_TRIAL = 64
#: Weight of the last call in the mean.
WEIGHT = 0.2


@final
class Quickness:
    """What is known of one version of a function.

    A function that is quick in threads is called on the event loop from then on, until it is
    slow there. So that one that turns bad holds up others once, and not for long, its calls on
    the loop are stopped after 50 ms; such a version is never called there again.
    """

    __slots__ = ("_best", "_calls", "_mean", "_needed", "_processor_mean", "inline")

    def __init__(self) -> None:
        #: Whether its next call may run on the event loop.
        self.inline = False
        self._calls = 0
        self._best = math.inf
        self._needed: float = FIRST_TRIAL
        self._mean = self._processor_mean = 0.0

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
            self._calls, self._best = 0, math.inf
            self._mean = self._processor_mean = 0.0

    def took_inline(self, seconds: float, processor_seconds: float) -> None:
        """A call on the event loop ended."""
        self._mean += (seconds - self._mean) * WEIGHT
        self._processor_mean += (processor_seconds - self._processor_mean) * WEIGHT
        slow = self._mean > SLOW_SECONDS or self._processor_mean > SLOW_PROCESSOR_SECONDS
        if slow and self.inline:
            self.inline = False
            self._needed *= 2

    def overran(self) -> None:
        """A call on the event loop had to be stopped."""
        self.inline = False
        self._needed = math.inf
