"""When something has to be done about calls that wait."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dotnet_wasm_host.guest.pending import PendingCall

__all__ = ["Deadlines"]


@final
class Deadlines:
    """Calls that wait, by the time at which they are to be cancelled or given up."""

    __slots__ = ("_queue", "_watched")

    def __init__(self) -> None:
        self._queue: list[tuple[float, int, PendingCall]] = []
        self._watched = 0

    def watch(self, call: PendingCall) -> None:
        """Heed the next deadline of a call, if it has one."""
        due = call.due()
        if due is not None:
            self._watched += 1  # breaks ties: calls have no order
            heapq.heappush(self._queue, (due, self._watched, call))

    def next(self) -> float | None:
        """The earliest one of a call that has not ended."""
        while self._queue and self._queue[0][2].outcome.done():
            heapq.heappop(self._queue)
        return self._queue[0][0] if self._queue else None

    def pass_by(self, now: float) -> Iterator[PendingCall]:
        """Calls that have not ended although it is ``now``; each is forgotten."""
        while self._queue and self._queue[0][0] <= now:
            _, _, call = heapq.heappop(self._queue)
            if not call.outcome.done():
                yield call
