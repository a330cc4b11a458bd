"""When guests that run have to look up: a deadline, a cancellation, a signal."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, final

from dotnet_wasm_host.engines.threads import allocate_lock, no_thread, start_thread

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Watch"]

#: Pauses between a wake-up and the ones that repeat it, in seconds. A guest that was just on its
#: way out of a look-up misses the first; it would have to be on its way for longer than all of
#: these to miss them all.
_ECHOES = (0.003, 0.05, 1.0)
#: _thread.TIMEOUT_MAX is smaller on some platforms; nothing needs to sleep for longer at once.
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
        self._lock = allocate_lock()
        # Released to wake the thread, which takes it again: what a condition of threading does,
        # with locks that no greenlet library has put others in place of.
        self._bell = allocate_lock()
        self._bell.acquire()
        self._runs = False
        self._due = math.inf
        self.next: float = -math.inf

    def ask(self, at: float) -> None:
        """Have every guest that runs look up at ``at``, or earlier; ``inf`` for no need.

        LimitExceeded if the process can have no thread for it.
        """
        with self._lock:
            if at >= self._due:
                return
            if not self._runs:
                self._start()
            self._due = at
            if not self.next <= at or self.next == -math.inf:
                self.next = at
                self._ring()

    def _start(self) -> None:
        try:
            start_thread(self._run, ())
        except RuntimeError as error:
            raise no_thread("dotnet_wasm_host watch", error) from error
        self._runs = True

    def _ring(self) -> None:
        if self._bell.locked():
            self._bell.release()

    def _run(self) -> None:
        bell = self._bell
        echoes = iter(_ECHOES)
        while True:
            while (pause := self._pause()) != 0:
                bell.acquire(True, pause)  # noqa: FBT003 - its parameters have no names
            with self._lock:
                if self._due <= time.monotonic():
                    echoes = iter(_ECHOES)
                # Guests that still run ask again when they look up.
                self._due = self.next = math.inf
            self._wake()
            with self._lock:
                echo = next(echoes, None)
                if echo is not None:
                    self.next = min(self._due, time.monotonic() + echo)
                elif self._due == math.inf:
                    self.next = -math.inf

    def _pause(self) -> float:
        """Seconds to the next wake-up; -1 for none until the bell rings."""
        with self._lock:
            if self.next == -math.inf:
                return -1
            return min(max(self.next - time.monotonic(), 0), _LONGEST_WAIT)
