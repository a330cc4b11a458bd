"""A guest that waits: its thread sleeps here, and what arrives meanwhile is handed to it.

The C# half is ``runtime_artifacts/guest/CoreLibrary/HostWaits.cs``; the two change together. It
does queued work and timers itself and comes here when there is neither.
"""

from __future__ import annotations

import math
import time
from enum import IntEnum
from typing import TYPE_CHECKING, Protocol, final

from dotnet_wasm_host.imports.host_work import ITEM

if TYPE_CHECKING:
    from collections.abc import Callable

    from dotnet_wasm_host.imports.arrivals import Action, Arrivals
    from dotnet_wasm_host.imports.base import Caller

__all__ = ["InnerGuest", "Waits"]

_FOREVER = 0xFFFF_FFFF


class _Answer(IntEnum):
    TIME_IS_OVER = 0
    DELIVERED = 1
    NOTHING_COMES = 2


class InnerGuest(Protocol):
    """A guest that is in the middle of a call."""

    def carry_out(self, action: Action) -> None:
        """Do it, and leave no trace of that in what the call uses."""


@final
class Waits:
    """The waits of one instance.

    Args:
        caller: the instance.
        arrivals: what is handed to it.
        sleep: lets so many seconds pass, or fewer; raises what stops the guest.
        is_awaited: whether the host still owes it an answer.

    Attributes:
        guest: carries out what arrives. ``None`` while an image is built.
    """

    def __init__(
        self,
        caller: Caller,
        arrivals: Arrivals,
        sleep: Callable[[float], None],
        is_awaited: Callable[[], bool],
    ) -> None:
        self._caller = caller
        self._arrivals = arrivals
        self._sleep = sleep
        self._is_awaited = is_awaited
        self.guest: InnerGuest | None = None

    def wait(self, address: int) -> None:
        """Sleep for the milliseconds at ``address``; what came of it is written behind them."""
        memory = self._caller.memory
        milliseconds = memory.read_u32(address)
        has_no_end = milliseconds == _FOREVER
        end = math.inf if has_no_end else time.monotonic() + milliseconds / 1000
        while (answer := self._look(end)) is None:
            self._sleep(end - time.monotonic())
        memory.write_u32(address + 4, answer)

    def _look(self, end: float) -> _Answer | None:
        """What came of a wait until ``end``; ``None`` if it goes on."""
        if self._deliver():
            return _Answer.DELIVERED
        if time.monotonic() >= end:
            return _Answer.TIME_IS_OVER
        if math.isinf(end) and not self._is_awaited():
            return _Answer.NOTHING_COMES
        return None

    def _deliver(self) -> bool:
        """Hand over what has arrived. False if that is nothing."""
        if self.guest is None or not self._arrivals.waiting:
            return False
        while (action := self._arrivals.take()) is not None:
            self._caller.work.charge(ITEM)
            self.guest.carry_out(action)
        return True
