"""Turns on the event loop: what one client asks for does not hold up what others ask for."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import final

from dotnet_wasm_host.errors import TooManyCalls

__all__ = ["FairTurns"]

#: Who may wait at the same time: of one client, and of all together.
WAITING_PER_CLIENT = 16
WAITING = 128


@final
class FairTurns:
    """Hands out ``places``; clients that wait take turns, and so do the functions of each.

    A client that asks for twenty things delays another one by one of them, whatever it names
    them. It belongs to the event loop::

        await turns.take(client, function_id)
        try:
            await work()
        finally:
            turns.give_back()

    Args:
        places: what may go on at the same time.
        what: the things that are done here, in the plural, for messages.
    """

    def __init__(self, places: int, what: str) -> None:
        self._free = places
        self._what = what
        self._waiting: dict[str, dict[str, deque[asyncio.Future[None]]]] = {}
        self._count = 0

    async def take(self, client: str, function_id: str) -> None:
        """Wait for a place. TooManyCalls if too many wait already."""
        if self._free:
            self._free -= 1
            return
        future = self._enqueue(client, function_id)
        try:
            await future
        except asyncio.CancelledError:
            if future.cancelled():
                self._leave(client, function_id, future)
            else:  # the place came in the same moment
                self.give_back()
            raise

    def give_back(self) -> None:
        """The next one in turn has the place."""
        while self._waiting:
            client, functions = next(iter(self._waiting.items()))
            function_id, queue = next(iter(functions.items()))
            # Both go to the end of their lines.
            del self._waiting[client], functions[function_id]
            future = queue.popleft()
            self._count -= 1
            if queue:
                functions[function_id] = queue
            if functions:
                self._waiting[client] = functions
            if not future.cancelled():
                future.set_result(None)
                return
        self._free += 1

    def _enqueue(self, client: str, function_id: str) -> asyncio.Future[None]:
        own = sum(map(len, self._waiting.get(client, {}).values()))
        if own >= WAITING_PER_CLIENT:
            raise TooManyCalls(
                f"{own} {self._what} of this client wait, as many as may; ask again later"
            )
        if self._count >= WAITING:
            raise TooManyCalls(f"{self._count} {self._what} wait, as many as may; ask again later")
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        functions = self._waiting.setdefault(client, {})
        functions.setdefault(function_id, deque()).append(future)
        self._count += 1
        return future

    def _leave(self, client: str, function_id: str, future: asyncio.Future[None]) -> None:
        functions = self._waiting.get(client, {})
        queue = functions.get(function_id, deque())
        if future not in queue:  # its turn was passed over already
            return
        queue.remove(future)
        self._count -= 1
        if not queue:
            del functions[function_id]
        if not functions:
            del self._waiting[client]
