"""An event count: any thread notifies it, waiting needs no lock of the caller's and no CPU."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["EventCount"]


@final
class EventCount:
    """Counts notifications, so that none between a look and a wait is lost.

    Attributes:
        on_notify: called at every notification, in the thread that notifies, for whoever watches
            many event counts.
    """

    __slots__ = ("_condition", "_count", "on_notify")

    def __init__(self) -> None:
        self._condition = threading.Condition(threading.Lock())
        self._count = 0
        self.on_notify: Callable[[], object] | None = None

    @property
    def count(self) -> int:
        """How many notifications there were."""
        return self._count

    def notify(self) -> None:
        """Wake everybody who waits. Never blocks for long."""
        with self._condition:
            self._count += 1
            self._condition.notify_all()
        if self.on_notify is not None:
            self.on_notify()

    def wait(self, seen: int, timeout: float | None) -> None:
        """Wait until there were more than ``seen`` notifications, or for ``timeout`` seconds."""
        with self._condition:
            if self._count == seen:
                self._condition.wait(timeout)
