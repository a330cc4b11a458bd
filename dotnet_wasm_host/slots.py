"""A limited number of places that waiting keys take in turns."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, final

from dotnet_wasm_host.errors import LimitExceeded, RuntimeClosed

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["FairSlots", "Ticket"]


@final
class Ticket:
    """A place that was asked for. ``grant`` is called once, when it is there."""

    __slots__ = ("grant", "granted", "key", "refuse")

    def __init__(
        self, key: str, grant: Callable[[], object], refuse: Callable[[BaseException], object]
    ) -> None:
        self.key = key
        self.grant = grant
        self.refuse = refuse
        self.granted = False


@final
class FairSlots:
    """Hands out ``count`` places. Keys that wait take turns, each in order of arrival.

    So a key that asks a thousand times delays another one by one call, not by a thousand.

    Args:
        count: places that may be taken at the same time.
        max_waiting: tickets that may wait; one more is refused with ``LimitExceeded``.
    """

    def __init__(self, count: int, max_waiting: int) -> None:
        self._free = count
        self._max_waiting = max_waiting
        self._count = count
        self._waiting: dict[str, deque[Ticket]] = {}
        self._turns: deque[str] = deque()
        self._waiting_count = 0
        self._closed = False
        self._lock = threading.Lock()
        self._idle = threading.Condition(self._lock)

    @property
    def waiting(self) -> int:
        """Tickets that wait."""
        return self._waiting_count

    @property
    def taken(self) -> int:
        """Places that are taken."""
        return self._count - self._free

    def acquire(self, key: str) -> None:
        """Take a place, waiting for it if need be."""
        with self._lock:
            if self._take():
                return
            ready = threading.Event()
            refusal: list[BaseException] = []

            def refuse(error: BaseException) -> None:
                refusal.append(error)
                ready.set()

            ticket = Ticket(key, ready.set, refuse)
            self._enqueue(ticket)
        try:
            ready.wait()
        except BaseException:
            self.cancel(ticket)
            raise
        if refusal:
            raise refusal[0]

    def request(
        self, key: str, grant: Callable[[], object], refuse: Callable[[BaseException], object]
    ) -> Ticket:
        """Ask for a place without waiting: ``grant`` is called when it is taken."""
        ticket = Ticket(key, grant, refuse)
        with self._lock:
            if not self._take():
                self._enqueue(ticket)
                return ticket
            ticket.granted = True
        grant()
        return ticket

    def cancel(self, ticket: Ticket) -> bool:
        """Stop waiting. If the place had come already it is given back, and False returned."""
        with self._lock:
            queue = self._waiting.get(ticket.key)
            if queue is not None and ticket in queue:
                queue.remove(ticket)
                self._waiting_count -= 1
                if not queue:
                    self._drop(ticket.key)
                return True
        if ticket.granted:
            self.release()
        return False

    def release(self) -> None:
        """Give a place back; the next key in turn takes it."""
        with self._lock:
            ticket = self._next()
            if ticket is None:
                self._free += 1
                self._idle.notify_all()
                return
        ticket.grant()

    def close(self) -> None:
        """Refuse everyone who waits or comes, and wait until all places are free."""
        with self._lock:
            self._closed = True
            refused = [ticket for queue in self._waiting.values() for ticket in queue]
            self._waiting.clear()
            self._turns.clear()
            self._waiting_count = 0
        for ticket in refused:
            ticket.refuse(RuntimeClosed("the pool was closed while the call waited"))
        with self._idle:
            self._idle.wait_for(lambda: self._free == self._count)

    def _take(self) -> bool:
        if self._closed:
            raise RuntimeClosed("the pool is closed; make a new one")
        if self._free == 0:
            return False
        self._free -= 1
        return True

    def _enqueue(self, ticket: Ticket) -> None:
        if self._waiting_count >= self._max_waiting:
            raise LimitExceeded(
                f"{self._waiting_count} calls wait already, as many as max_waiting allows"
            )
        queue = self._waiting.get(ticket.key)
        if queue is None:
            queue = self._waiting[ticket.key] = deque()
            self._turns.append(ticket.key)
        queue.append(ticket)
        self._waiting_count += 1

    def _next(self) -> Ticket | None:
        if not self._turns:
            return None
        key = self._turns.popleft()
        queue = self._waiting[key]
        ticket = queue.popleft()
        ticket.granted = True
        self._waiting_count -= 1
        if queue:
            self._turns.append(key)
        else:
            del self._waiting[key]
        return ticket

    def _drop(self, key: str) -> None:
        del self._waiting[key]
        self._turns.remove(key)
