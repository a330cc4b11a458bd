"""Which instance a thread is inside of, and the turns that greenlets of one thread take."""

from __future__ import annotations

import time
import weakref
from typing import TYPE_CHECKING, Any, final

from dotnet_wasm_host.engines.threads import (
    LOOK_UP_PERIOD,
    ThreadLocal,
    current_thread,
    gevent_events,
    is_below,
    stack_size,
)
from dotnet_wasm_host.engines.wasmtime.c_api import Owned
from dotnet_wasm_host.errors import StackTooSmall, ThreadOccupied

if TYPE_CHECKING:
    from types import CodeType

    from dotnet_wasm_host.engines.instance import EngineInstance
    from dotnet_wasm_host.engines.wasmtime.c_api import Api

    Referent = weakref.ref[EngineInstance]
else:
    Referent = weakref.ref

__all__ = ["HOST_STACK", "Active", "Presence"]

#: Bytes of stack that host functions need when the guest has used all of its own: Python, and
#: what a user's stream or clock does.
HOST_STACK = 256 * 1024


@final
class Presence(Referent):
    """A weak reference to an instance; each instance has one, so identity tells them apart.

    Attributes:
        busy: in which thread the guest has called the host: Python runs there, and could switch to
            another greenlet. 0 for none.
        pending: what a callback raised, on its way through the guest's frames.
        tracing: functions that trace and profile, while they are put aside (:mod:`.tracing`).
        left: an event of gevent's that is set when the host returns to the guest.
    """

    __slots__ = ("busy", "left", "pending", "tracing")

    def __init__(self, instance: EngineInstance) -> None:
        super().__init__(instance)  # type: ignore[call-arg]
        self.busy: int = 0
        self.pending: BaseException | None = None
        self.tracing: tuple[Any, Any] | None = None
        self.left: Any = None

    def leave_host(self) -> None:
        """Whoever waits may look whether it is its turn, once this greenlet is done or waits."""
        left, self.left = self.left, None
        left.set()


@final
class Active(ThreadLocal):
    """Which instance the present thread is inside of.

    Host functions are defined once for an engine, not once for an instance: this is how they
    find the instance that calls them.

    Whoever enters an instance leaves behind what was here before, so a call inside of another
    one, in a signal handler or finalizer say, disturbs nobody. Only where nothing was here the
    instance stays, until it is collected: most threads call one instance again and again, and
    then have nothing to change.

    wasmtime keeps a list of the calls of a thread on that thread's stack. Greenlets share a
    thread and move its stack away, so a greenlet may enter a guest only while no other one of
    its thread is inside of one.

    Attributes:
        presence: of the instance.
        trap, error: what the next callback that fails has to answer with. Made beforehand: a
            callback that calls nothing once its function has raised cannot be interrupted there.
    """

    presence: Presence | None = None

    def __init__(self, api: Api, stack_bytes: int) -> None:
        # Runs once in each thread that calls a guest. A guest that runs past the end of its
        # thread's stack would take the process with it.
        size, needed = stack_size(), stack_bytes + HOST_STACK
        if size is not None and size < needed:
            raise StackTooSmall(size, needed)
        self._api = api
        self.trap: Owned = Owned(0, None)
        self.error: Owned = Owned(0, None)
        self.renew()

    def renew(self) -> None:
        """Replace what a callback has answered with."""
        api = self._api
        if self.trap.delete is None:
            self.trap = Owned(api.new_trap(), api.wasm_trap_delete)
        if self.error.delete is None:
            self.error = Owned(api.new_error(), api.wasmtime_error_delete)

    @property
    def instance(self) -> EngineInstance | None:
        """The instance itself."""
        return None if self.presence is None else self.presence()

    def enter(self, presence: Presence, call: CodeType) -> Presence | None:
        """Be inside of an instance. Gives what :meth:`leave` needs.

        ``call`` is the code of the method that enters guests.
        """
        self.renew()  # a signal may have ended the call that should have
        outer = self.presence
        if outer is not None and outer.busy and not self._may_enter(call):
            self._take_turn(presence, call)
            outer = self.presence
        self.presence = presence
        return outer

    def leave(self, outer: Presence | None) -> None:
        """Be where the thread was before."""
        if outer is not None and outer() is not None:
            self.presence = outer

    def _may_enter(self, call: CodeType) -> bool:
        """Whether no other greenlet of this thread is inside of a guest."""
        presence = self.presence
        instance = None if presence is None else presence()
        # A guest that was discarded while an exception unwound it is busy for ever.
        if presence is None or instance is None or instance.closed:
            return True
        if presence.busy != current_thread():  # This thread was inside of it before.
            return True
        return is_below(call, presence)

    def _take_turn(self, presence: Presence, call: CodeType) -> None:
        """Wait until the other greenlets of this thread are out of their guests."""
        make_event = gevent_events()
        if make_event is None:
            raise ThreadOccupied
        instance = presence()
        assert instance is not None, "its call holds it"
        while not self._may_enter(call):
            other = self.presence
            assert other is not None, "it would not be in the way"
            if other.left is None:
                other.left = make_event()
            remaining = instance.deadline - time.monotonic()
            other.left.wait(min(max(remaining, 0), LOOK_UP_PERIOD))
            instance.look_up()
