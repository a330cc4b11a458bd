"""A bell: rung by any thread, waited for without a lock held and without burning CPU."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Wakeup"]


@final
class Wakeup:
    """Counts how often it was rung, so that no ring between a look and a wait is lost.

    Attributes:
        on_ring: called at every ring from the ringing thread, for whoever watches many bells.
    """

    __slots__ = ("_condition", "_rung", "on_ring")

    def __init__(self) -> None:
        self._condition = threading.Condition(threading.Lock())
        self._rung = 0
        self.on_ring: Callable[[], object] | None = None

    @property
    def rung(self) -> int:
        """How often it was rung."""
        return self._rung

    def ring(self) -> None:
        """Wake everybody who waits. Never blocks for long."""
        with self._condition:
            self._rung += 1
            self._condition.notify_all()
        if self.on_ring is not None:
            self.on_ring()

    def wait(self, seen: int, timeout: float | None) -> None:
        """Wait until it has been rung more often than ``seen``, or ``timeout`` seconds."""
        with self._condition:
            if self._rung == seen:
                self._condition.wait(timeout)
