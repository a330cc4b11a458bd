"""What the host does on behalf of a guest, measured before it is done.

A guest pays for its own instructions with its deadline, and for its memory with its linear memory.
What the host does for it costs neither: a copy of a string, a log record, an argument that waits
for a thread. Every import group therefore charges here before it copies, decodes, keeps or logs,
and before each turn of a loop whose length a guest has chosen.

**Unit.** One byte that is copied or decoded is one unit. An item of a loop is :data:`ITEM` units
and a log record :data:`RECORD` units; both are about what a byte's share of time comes to.

What is done here holds the interpreter lock, for which every other tenant's thread waits. So after
each :data:`STRETCH` seconds the guest's thread rests for a moment.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, final

from dotnet_wasm_host.errors import LimitExceeded

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ITEM", "PORTION", "RECORD", "HostWork"]

#: Units for an item of a loop in Python: a slot, an entry of a list, a turn.
ITEM = 256
#: Units for a log record, handlers and formatting included.
RECORD = 32 * 1024
#: Units after which the deadline and cancellations are looked at, a tenth of a millisecond and
#: more.
PORTION = 64 << 10
#: Seconds of work after which a rest is due, and of the rest. Whoever waits for the interpreter
#: lock is woken when it is let go, which takes a part of a rest. Without one the thread that let
#: it go has it again before that. So has a guest that calls the host again and again, and whoever
#: was woken in vain begins to wait anew: the switch interval never comes to its end.
STRETCH, REST = 0.0005, 0.00005


@final
class HostWork:
    """The meter of one instance.

    Args:
        budget: units that one call may cost, ``Limits.host_work``.
        kept_budget: bytes that the instance may have the host keep for it at a time.
        look_up: raises what stops the guest, a deadline or a cancellation, if anything does.

    Attributes:
        spent: units since the last :meth:`begin`.
        allowance: what they may come to before the guest is stopped.
        kept: bytes that are kept for the instance now.
        stopped: an error of this meter is on its way out of the guest; nothing may hand it to
            the guest as one of its own.
    """

    __slots__ = ("_alarm", "_before", "_look_up", "_rested", "allowance", "budget", "kept",
                 "kept_budget", "spent", "stopped")  # fmt: skip

    def __init__(
        self, budget: int, kept_budget: int, look_up: Callable[[], object] | None = None
    ) -> None:
        self.budget: int = budget
        self.allowance: int = budget
        self.kept_budget: int = min(kept_budget, budget)
        self.spent: int = 0
        self.kept: int = 0
        self.stopped: bool = False
        self._look_up = look_up
        self._before = 0
        self._rested = 0.0
        self._alarm = min(PORTION, budget)

    @property
    def left(self) -> int:
        """Units that the present call may still cost."""
        return max(self.allowance - self.spent, 0)

    @property
    def total(self) -> int:
        """Units of all calls so far."""
        return self._before + self.spent

    def begin(self, waiting: int = 0) -> None:
        """A new call, with the whole budget. What is kept stays charged.

        Args:
            waiting: calls that have begun and wait in the guest. Nobody can say for which of them
                the guest does what, so they share what is left of their budgets.
        """
        left = min(max(self.allowance - self.spent, 0), waiting * self.budget)
        self._before += self.spent
        self.spent = 0
        self.stopped = False
        self.allowance = self.budget + left
        self._alarm = min(PORTION, self.allowance)

    def charge(self, units: int) -> None:
        """Announce work. Every :data:`PORTION` units the deadline is looked at.

        Raises:
            LimitExceeded: the call has cost more than its budget.
            InvocationTimeout, InvocationCancelled: the guest is to be stopped.
        """
        self.spent += units
        if self.spent > self._alarm:
            self._consider()

    def add(self, units: int) -> None:
        """Note work that no call waits for and that has a budget of its own, such as compiling."""
        self._before += units

    def charge_items(self, count: int) -> None:
        """Announce ``count`` items of a loop."""
        self.charge(count * ITEM)

    def charge_copy(self, size: int) -> None:
        """Announce a copy of ``size`` bytes from or to linear memory."""
        self.charge(size + ITEM)

    def keep(self, size: int) -> None:
        """Announce ``size`` bytes that the host will keep until :meth:`drop`.

        Raises:
            LimitExceeded: the instance has more kept than it may; nothing was added.
        """
        if not self.try_keep(size):
            self.stopped = True
            raise LimitExceeded(
                f"the host may keep {self.kept_budget} bytes for an instance; it keeps {self.kept} "
                f"and was asked for {size} more: have the function hold less at a time, or raise "
                "Limits(host_work=..., memory_bytes=...)",
                limit="host_work",
            )

    def try_keep(self, size: int) -> bool:
        """Like :meth:`keep`; False instead of an error."""
        if self.kept + size > self.kept_budget:
            return False
        self.kept += size
        return True

    def drop(self, size: int) -> None:
        """``size`` bytes are no longer kept."""
        self.kept -= size

    def offer_lock(self) -> None:
        """Rest, if the last time was long ago, so that others get the interpreter lock."""
        if time.perf_counter() - self._rested > STRETCH:
            time.sleep(REST)
            self._rested = time.perf_counter()

    def _consider(self) -> None:
        # What look_up raises must not come back to the guest as an exception of its own.
        self.stopped = True
        if self.spent > self.allowance:
            raise LimitExceeded(
                f"the call cost the host more than host_work={self.budget} units and was stopped: "
                "have the function pass less through the host in one call, or raise "
                "Limits(host_work=...)",
                limit="host_work",
            )
        self.offer_lock()
        if self._look_up is not None:
            self._look_up()
        self.stopped = False
        self._alarm = min(self.spent + PORTION, self.allowance)
