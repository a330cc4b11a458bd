"""When guests that run have to look up: a deadline, a cancellation, a signal."""

from __future__ import annotations

import math
import threading
import time
from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Watch"]

#: Pauses between a wake-up and the ones that repeat it, in seconds. A guest that was just on its
#: way out of a look-up misses the first; it would have to be on its way for longer than all of
#: these to miss them all.
_ECHOES = (0.003, 0.05, 1.0)
#: threading.TIMEOUT_MAX is smaller on some platforms; nothing needs to sleep for longer at once.
_LONGEST_WAIT = 3600.0


@final
class Watch:
    """Calls ``wake`` at the points in time that were asked for, and is quiet otherwise.

    Every guest of an engine looks up at its first check after a wake-up, in the thread that runs
    it, and says when it wants to be woken next. So only guests that run ask; once none does,
    the watch falls asleep. Guests that are called later find that they missed the last
    wake-up, look up at once and start it again. A call therefore costs nothing more
    for being watched.

    Attributes:
        next: when the next wake-up comes (``time.monotonic``). While the watch is asleep,
            before all times: nobody needs to ask, because whoever is called will look up.
    """

    def __init__(self, wake: Callable[[], object]) -> None:
        self._wake = wake
        self.start_afresh()

    def start_afresh(self) -> None:
        """Forget everything. In the child of a fork: its threads, and what they held, are gone."""
        self._condition = threading.Condition(threading.Lock())
        self._thread: threading.Thread | None = None
        self._due = math.inf
        self.next: float = -math.inf

    def ask(self, at: float) -> None:
        """Have every guest that runs look up at ``at``, or earlier; ``inf`` for no need."""
        with self._condition:
            if at >= self._due:
                return
            self._due = at
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="dotnet_wasm_host watch", daemon=True
                )
                self._thread.start()
            if not self.next <= at or self.next == -math.inf:
                self.next = at
                self._condition.notify()

    def _run(self) -> None:
        echoes = iter(_ECHOES)
        while True:
            with self._condition:
                while (pause := self.next - time.monotonic()) > 0 or self.next == -math.inf:
                    self._condition.wait(min(pause, _LONGEST_WAIT) if pause > 0 else None)
                if self._due <= time.monotonic():
                    echoes = iter(_ECHOES)
                # Guests that still run ask again when they look up.
                self._due = self.next = math.inf
            self._wake()
            with self._condition:
                echo = next(echoes, None)
                if echo is not None:
                    self.next = min(self._due, time.monotonic() + echo)
                elif self._due == math.inf:
                    self.next = -math.inf
