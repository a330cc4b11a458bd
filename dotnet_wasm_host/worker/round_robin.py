"""Round robin on the event loop: one function's requests do not hold up another one's."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import final

from dotnet_wasm_host.errors import TooManyCalls

__all__ = ["RoundRobin"]

#: Calls that are begun between two looks at the network. A flood takes longer turns with more; with
#: four, it doubled the p99 of others.
AT_A_TIME = 2
#: How long a function that was called counts as one to take turns with.
SHARED_SECONDS = 1.0


@final
class RoundRobin:
    """Lets a few calls begin in each round of the event loop; functions take turns.

    The loop answers what is ready in order of arrival. A client that sends on sixty connections
    at once would put sixty calls before anybody else's; with turns it puts two, and since it
    gets two answers a round it has two new requests for the next one. The first call of a
    function in a round begins at once, whoever else waits. A function that is the only one
    called has nobody to take turns with, and no need to wait for them.

    Args:
        most_waiting: calls of one function that may wait for their turn.
    """

    def __init__(self, most_waiting: int) -> None:
        self._most_waiting = most_waiting
        self._left = AT_A_TIME
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}
        self._order: deque[str] = deque()
        self._scheduled = False
        #: Functions of which a call began in this round.
        self._served: set[str] = set()
        self._last_key = ""
        self._shared_until = 0.0

    def take(self, key: str) -> bool:
        """Begin a call of a function now, if it is its turn."""
        if key != self._last_key:
            self._last_key = key
            self._shared_until = time.monotonic() + SHARED_SECONDS
        elif not self._order and time.monotonic() > self._shared_until:
            return True
        if key in self._waiting or (key in self._served and (self._left <= 0 or self._order)):
            return False
        self._served.add(key)
        self._left -= 1
        if not self._scheduled:
            self._schedule()
        return True

    async def wait(self, key: str) -> None:
        """Wait for the function's turn. TooManyCalls if too many of its calls do already."""
        queue = self._waiting.get(key)
        if queue is None:
            queue = self._waiting[key] = deque()
            self._order.append(key)
        elif len(queue) >= self._most_waiting:
            raise TooManyCalls(f"{len(queue)} calls of {key!r} wait already; try again later")
        future = asyncio.get_running_loop().create_future()
        queue.append(future)
        if not self._scheduled:
            self._schedule()
        await future  # one that was cancelled is passed over when its turn comes

    def _schedule(self) -> None:
        self._scheduled = True
        asyncio.get_running_loop().call_soon(self._next_round)

    def _next_round(self) -> None:
        self._scheduled = False
        self._left = AT_A_TIME
        self._served.clear()
        while self._order and self._left > 0:
            key = self._order.popleft()
            queue = self._waiting[key]
            future = queue.popleft()
            if queue:
                self._order.append(key)
            else:
                del self._waiting[key]
            if not future.cancelled():
                future.set_result(None)
                self._served.add(key)
                self._left -= 1
        if self._served:
            self._schedule()
