"""A limited number of places that waiting keys take in turns."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections import deque
from typing import final

from dotnet_wasm_host.errors import RuntimeClosed, TooManyCalls

__all__ = ["FairSlots", "Ticket"]


class Ticket(ABC):
    """A place that was asked for. One of its methods is called, once, in any thread."""

    __slots__ = ("granted", "key")

    def __init__(self, key: str) -> None:
        self.key: str = key
        self.granted: bool = False

    @abstractmethod
    def grant(self) -> None:
        """The place is there."""

    @abstractmethod
    def refuse(self, error: BaseException) -> None:
        """It will never be."""


@final
class _Thread(Ticket):
    """A thread that waits for its place."""

    __slots__ = ("_ready", "_refusal")

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self._ready: threading.Event | None = None
        self._refusal: BaseException | None = None

    def expect(self) -> None:
        """Before the ticket is put into the queue."""
        self._ready = threading.Event()

    def wait(self) -> None:
        assert self._ready is not None
        self._ready.wait()
        if self._refusal is not None:
            raise self._refusal

    def grant(self) -> None:
        assert self._ready is not None
        self._ready.set()

    def refuse(self, error: BaseException) -> None:
        assert self._ready is not None
        self._refusal = error
        self._ready.set()


@final
class FairSlots:
    """Hands out ``count`` places. Keys that wait take turns, each in order of arrival.

    So a key that asks a thousand times delays another one by one call, not by a thousand. A key
    with a limit of its own never holds more places than that, so it cannot hold them all.

    Args:
        count: places that may be taken at the same time.
        max_waiting: tickets that may wait; one more is refused with ``TooManyCalls``.
        max_waiting_per_key: the same for the tickets of one key.
    """

    def __init__(
        self, count: int, max_waiting: int, max_waiting_per_key: int | None = None
    ) -> None:
        self._free = count
        self._max_waiting = max_waiting
        self._max_waiting_per_key = (
            max_waiting if max_waiting_per_key is None else max_waiting_per_key
        )
        self._count = count
        self._limits: dict[str, int] = {}
        self._running: dict[str, int] = {}
        self._waiting: dict[str, deque[Ticket]] = {}
        #: The keys that wait and are below their limit.
        self._round_robin: deque[str] = deque()
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

    def load(self, key: str) -> tuple[int, int]:
        """Places that a key holds, and its tickets that wait."""
        with self._lock:
            return self._running.get(key, 0), len(self._waiting.get(key, ()))

    def limit(self, key: str, places: int | None) -> None:
        """How many places a key may hold at the same time; ``None`` for all of them."""
        granted = []
        with self._lock:
            if places is None or places >= self._count:
                self._limits.pop(key, None)
            else:
                self._limits[key] = places
            if key in self._waiting:
                if key in self._round_robin:
                    self._round_robin.remove(key)
                if self._below_limit(key):
                    self._round_robin.append(key)
            while (ticket := self._next()) is not None:
                granted.append(ticket)
        for ticket in granted:
            ticket.grant()

    def acquire(self, key: str) -> Ticket:
        """Take a place, waiting for it if need be. The ticket is what to release."""
        ticket = _Thread(key)
        with self._lock:
            if self._take(key):
                ticket.granted = True
                return ticket
            ticket.expect()
            self._enqueue(ticket)
        try:
            ticket.wait()
        except BaseException:
            self.cancel(ticket)
            raise
        return ticket

    def acquire_now(self, key: str) -> bool:
        """Take a place if one is free now; :meth:`give_back` returns it."""
        # As _take(), in a piece: it is a part of the shortest way of a call.
        with self._lock:
            if self._closed:
                raise RuntimeClosed("the pool is closed; make a new one")
            running = self._running.get(key, 0)
            if not self._free or running >= self._limits.get(key, self._count):
                return False
            self._free -= 1
            self._running[key] = running + 1
            return True

    def request(self, ticket: Ticket) -> None:
        """Ask for a place without waiting: the ticket's ``grant`` is called when it is taken."""
        with self._lock:
            if not self._take(ticket.key):
                self._enqueue(ticket)
                return
            ticket.granted = True
        ticket.grant()

    def cancel(self, ticket: Ticket) -> bool:
        """Stop waiting. If the place had come already it is given back, and False returned."""
        if self.withdraw(ticket):
            return True
        if ticket.granted:
            self.release(ticket)
        return False

    def withdraw(self, ticket: Ticket) -> bool:
        """Stop waiting. False if the ticket does not wait: it was granted or refused."""
        with self._lock:
            queue = self._waiting.get(ticket.key)
            if queue is None or ticket not in queue:
                return False
            queue.remove(ticket)
            self._waiting_count -= 1
            if not queue:
                del self._waiting[ticket.key]
                if ticket.key in self._round_robin:
                    self._round_robin.remove(ticket.key)
            return True

    def release(self, ticket: Ticket) -> None:
        """Give a place back; the next key in turn takes it."""
        self.give_back(ticket.key)

    def give_back(self, key: str) -> None:
        """The same for a place that a key has without a ticket."""
        with self._lock:
            if not self._waiting_count and not self._closed:
                self._free += 1
                running = self._running[key] - 1
                if running:
                    self._running[key] = running
                else:
                    del self._running[key]
                return
        following = self._free_place(key)
        if following is not None:
            following.grant()

    def hand_over(self, ticket: Ticket) -> Ticket | None:
        """Give a place back, and get the ticket that has it now: the caller must grant it."""
        return self._free_place(ticket.key)

    def _free_place(self, key: str) -> Ticket | None:
        with self._lock:
            self._free += 1
            running = self._running[key] - 1
            if running:
                self._running[key] = running
            else:
                del self._running[key]
            if self._closed:
                self._idle.notify_all()
                return None
            if not self._waiting_count:
                return None
            if key in self._waiting and running + 1 == self._limits.get(key):
                self._round_robin.append(key)
            return self._next()

    def close(self) -> None:
        """Refuse everyone who waits or comes, and wait until all places are free."""
        with self._lock:
            self._closed = True
            refused = [ticket for queue in self._waiting.values() for ticket in queue]
            self._waiting.clear()
            self._round_robin.clear()
            self._waiting_count = 0
        for ticket in refused:
            ticket.refuse(RuntimeClosed("the pool was closed while the call waited"))
        with self._idle:
            self._idle.wait_for(lambda: self._free == self._count)

    def _take(self, key: str) -> bool:
        if self._closed:
            raise RuntimeClosed("the pool is closed; make a new one")
        if self._free == 0 or not self._below_limit(key):
            return False
        self._free -= 1
        self._running[key] = self._running.get(key, 0) + 1
        return True

    def _below_limit(self, key: str) -> bool:
        limit = self._limits.get(key)
        return limit is None or self._running.get(key, 0) < limit

    def _enqueue(self, ticket: Ticket) -> None:
        key = ticket.key
        queue = self._waiting.get(key)
        if self._waiting_count >= self._max_waiting:
            raise TooManyCalls(
                f"{self._waiting_count} calls wait already, as many as max_waiting allows; try "
                "again later, or raise max_waiting",
                limit="max_waiting",
            )
        if len(queue or ()) >= self._max_waiting_per_key:
            raise TooManyCalls(
                f"{self._max_waiting_per_key} calls of {key!r} wait already, as many as "
                "max_waiting_per_function allows; try again later, or raise that",
                limit="max_waiting_per_function",
            )
        if queue is None:
            queue = self._waiting[key] = deque()
            if self._below_limit(key):
                self._round_robin.append(key)
        queue.append(ticket)
        self._waiting_count += 1

    def _next(self) -> Ticket | None:
        if not self._round_robin or self._free == 0:
            return None
        key = self._round_robin.popleft()
        queue = self._waiting[key]
        ticket = queue.popleft()
        ticket.granted = True
        self._free -= 1
        self._running[key] = self._running.get(key, 0) + 1
        self._waiting_count -= 1
        if not queue:
            del self._waiting[key]
        elif self._below_limit(key):
            self._round_robin.append(key)
        return ticket
