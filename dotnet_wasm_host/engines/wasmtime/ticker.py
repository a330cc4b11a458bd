"""Wall-clock deadlines for engines that interrupt guest code by counting ticks."""

from __future__ import annotations

import math
import os
import threading
import time
from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Ticker"]

#: Thirty years, where a float still counts ticks; nothing waits longer.
_LONGEST = 1e9


@final
class Ticker:
    """Calls ``tick`` every ``period`` seconds, but only while a deadline is armed.

    One thread for one engine, started by the first deadline. Ticks belong to points in time that
    are a period apart. One comes at its point or later, never earlier; points that were missed
    have none. So n ticks in a row take at least n - 2 whole periods, however late the first is.
    """

    def __init__(self, tick: Callable[[], object], period: float = 0.002) -> None:
        self.period = period
        self._tick = tick
        self._armed = 0
        self._condition = threading.Condition(threading.Lock())
        self._thread: threading.Thread | None = None
        self._pid = os.getpid()

    def ticks(self, seconds: float) -> int:
        """How many ticks pass before ``seconds`` are certainly over."""
        return math.ceil(min(seconds, _LONGEST) / self.period) + 2

    def arm(self) -> None:
        """A deadline is running: tick until as many :meth:`disarm` calls."""
        if self._pid != os.getpid():
            # Threads do not survive fork(); locks may have been held by one of them.
            self._condition = threading.Condition(threading.Lock())
            self._thread, self._armed, self._pid = None, 0, os.getpid()
        with self._condition:
            self._armed += 1
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="dotnet_wasm_host ticker", daemon=True
                )
                self._thread.start()
            elif self._armed == 1:
                self._condition.notify()

    def disarm(self) -> None:
        """That deadline is over."""
        with self._condition:
            self._armed = max(0, self._armed - 1)

    def _run(self) -> None:
        point = 0.0
        while True:
            with self._condition:
                while self._armed == 0:
                    self._condition.wait()
            now = time.monotonic()
            point += self.period
            if point <= now:
                point = now + self.period
            time.sleep(point - now)
            self._tick()
