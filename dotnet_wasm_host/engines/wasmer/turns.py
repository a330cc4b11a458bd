"""The turns that greenlets of one thread take with their guests.

wasmer keeps a list of the calls of a thread on that thread's stack, and finds there where a trap
goes to. Greenlets share a thread and move its stack away, so one may enter a guest only while
no other one of its thread is inside of one. (The same is so for wasmtime.)
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, final

from dotnet_wasm_host.engines.threads import LOOK_UP_PERIOD, ThreadLocal, gevent_events
from dotnet_wasm_host.errors import ThreadOccupied

if TYPE_CHECKING:
    from dotnet_wasm_host.engines.instance import EngineInstance

__all__ = ["Turns"]


@final
class Turns(ThreadLocal):
    """Which greenlets of the present thread are inside of guests: the last one goes first."""

    def __init__(self) -> None:
        self._inside: list[object] = []
        self._left: Any = None

    def enter(self, instance: EngineInstance) -> None:
        """Be inside of a guest; wait until other greenlets are not.

        Raises:
            ThreadOccupied: another greenlet is, and this one cannot wait for it.
            InvocationTimeout, InvocationCancelled: it waited for too long.
        """
        present = _present_greenlet()
        if self._inside and self._inside[-1] is not present:
            self._take_turn(instance, present)
        self._inside.append(present)

    def leave(self) -> None:
        """Be out of the guest that was entered last."""
        self._inside.pop()
        if self._left is not None:
            left, self._left = self._left, None
            left.set()

    def _take_turn(self, instance: EngineInstance, present: object) -> None:
        make_event = gevent_events()
        if make_event is None:
            raise ThreadOccupied
        while self._inside and self._inside[-1] is not present:
            if self._left is None:
                self._left = make_event()
            remaining = instance.deadline - time.monotonic()
            self._left.wait(min(max(remaining, 0), LOOK_UP_PERIOD))
            instance.look_up()


def _present_greenlet() -> object:
    greenlet = sys.modules.get("greenlet")
    return None if greenlet is None else greenlet.getcurrent()
