"""What other threads bring for a guest, which only the thread that runs it may hand over."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Protocol, final

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Arrivals", "GuestEnd"]


class GuestEnd(Protocol):
    """The guest, as actions see it."""

    def end_host_call(self, number: int, error: int, output: bytes, *, cancelled: bool) -> None:
        """Tell it that a host function that it began has ended."""


if TYPE_CHECKING:
    #: Something to do on the guest's thread.
    Action = Callable[[GuestEnd], object]


@final
class Arrivals:
    """A queue from any thread to the one that runs the guest.

    A host operation that ends (a response came, a coroutine returned) posts an action; whoever
    owns the guest is woken, enters it when no call runs, and carries the actions out in order.

    Args:
        wake: called after every post, from the posting thread; must not block.
        ring: likewise, for a guest that waits in the middle of a call.
    """

    __slots__ = ("_actions", "_ring", "_wake")

    def __init__(
        self,
        wake: Callable[[], object] | None = None,
        ring: Callable[[], object] | None = None,
    ) -> None:
        self._actions: deque[Action] | None = deque()
        self._wake = wake
        self._ring = ring

    def post(self, action: Action) -> None:
        """Have ``action`` done on the guest's thread; dropped if the guest is gone."""
        actions = self._actions
        if actions is None:
            return
        actions.append(action)
        self.notify()
        if self._ring is not None:
            self._ring()

    def notify(self) -> None:
        """Ask for a visit to the guest."""
        if self._wake is not None:
            self._wake()

    def take(self) -> Action | None:
        """The next action, or ``None``."""
        return self._actions.popleft() if self._actions else None

    @property
    def waiting(self) -> bool:
        """Whether there is anything to do."""
        return bool(self._actions)

    def close(self) -> None:
        """The guest is gone: drop what waits and what comes."""
        self._actions = None
