"""The guest that a runtime has now, and how it gets the next one."""

from __future__ import annotations

import weakref
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol, TypeVar, final

from dotnet_wasm_host.errors import DotnetHostError, InstanceLost, RuntimeClosed

if TYPE_CHECKING:
    from collections.abc import Callable

    from dotnet_wasm_host.engines.base import Interruption
    from dotnet_wasm_host.guest.guest import Guest
    from dotnet_wasm_host.images.frozen import Guard
    from dotnet_wasm_host.options import Limits
    from dotnet_wasm_host.runtime.event_count import EventCount

    Start = Callable[[Guard], Guest]

__all__ = ["CurrentGuest", "Tenant"]

T = TypeVar("T")


class Tenant(Protocol):
    """Something of a runtime's that lives in its guest."""

    __slots__ = ()

    def evicted(self) -> None:
        """The guest is about to go, with everything inside."""

    def move_in(self) -> None:
        """There is a fresh guest."""


@final
class CurrentGuest:
    """One guest after the other: whichever breaks is replaced by a fresh one of the image.

    Not thread-safe but for :meth:`interrupt`: the runtime holds its lock.

    Args:
        start: makes a fresh guest; it takes what carries out ``malloc`` and ``free`` for users
            of the guest's memory.
        limits: how long it may run, and how much it may leave behind.
        event_count: notified for those that wait in a guest that goes away.

    Attributes:
        guest: the present one; no attribute any more after :meth:`close`.
        calling: code of it runs, or a host function that it called.
        tenants: what is told when it is replaced.
        worn: it is to be replaced as soon as no call waits in it.
        operations: how often its code was entered, calls of functions left out.
        recycles: how often it was replaced.
        unloads: how often something inside was unloaded.
        leaked: bytes of its memory that unloading did not give back, an estimate.
    """

    __slots__ = ("__weakref__", "_event_count", "_former_work", "_limits", "_start", "calling",
                 "guest", "leaked", "operations", "recycles", "tenants", "unloads",
                 "worn")  # fmt: skip

    def __init__(self, start: Start, limits: Limits, event_count: EventCount) -> None:
        self._start = start
        self._limits = limits
        self._event_count = event_count
        self.calling: bool = False
        self.tenants: tuple[Tenant, ...] = ()
        self.worn: bool = False
        self.operations: int = 0
        self.recycles: int = 0
        self.unloads: int = 0
        self.leaked: int = 0
        self._former_work = 0
        self.guest: Guest = self._fresh()

    @property
    def present(self) -> Guest | None:
        """The guest, ``None`` after :meth:`close`. From any thread."""
        return getattr(self, "guest", None)

    @property
    def host_work(self) -> int:
        """Units that the host has worked for this guest and those before it."""
        guest = self.present
        return self._former_work + (0 if guest is None else guest.host.work.total)

    def run(self, operation: Callable[[Guest], T], timeout: float | None = None) -> T:
        """Carry out an operation other than a call of a function, within a deadline."""
        if self.guest.broken:
            self.replace()
        guest, seconds = self.guest, self._limits.timeout if timeout is None else timeout
        self.operations += 1
        self.calling = True
        try:
            if seconds is not None:
                guest.host.instance.set_deadline(seconds)
            return operation(guest)
        finally:
            self.calling = False
            if seconds is not None:
                guest.host.instance.set_deadline(None)
            if guest.broken:
                self.replace()

    def replace(self) -> None:
        """Throw the guest away and take a fresh one."""
        # In this order: a Ctrl-C in between leaves a broken guest, which whoever comes replaces.
        for tenant in self.tenants:
            tenant.evicted()
        old, self.guest = self.guest, self._fresh()
        self._former_work += old.host.work.total
        self._let_go(old)
        self.worn = False
        self.recycles += 1
        self.leaked = 0
        for tenant in self.tenants:
            tenant.move_in()

    def count_leak(self, size: int) -> None:
        """Unloading has left ``size`` bytes behind; when it is too much, start afresh."""
        self.unloads += 1
        self.leaked += size
        if self.leaked > self._limits.leaked_bytes:
            if self.guest.pending:
                self.worn = True
            else:
                self.replace()

    def interrupt(self, interruption: Interruption) -> None:
        """Ask ``interruption`` in the guest, whether to stop it. From any thread."""
        with suppress(AttributeError, RuntimeClosed):  # closed meanwhile
            self.guest.host.instance.interrupt(interruption)

    def require_idle(self) -> None:
        """DotnetHostError while code of the guest runs, which can only be on this thread."""
        if self.calling:
            raise DotnetHostError(
                "the runtime is in the middle of a call on this thread (a host function, stream, "
                "clock or random source of it called back into it); use another Runtime, or a "
                "RuntimePool"
            )

    def close(self, error: DotnetHostError) -> None:
        """Let the guest go for good; ``error`` is what those get that wait in it."""
        for tenant in self.tenants:
            tenant.evicted()
        self._let_go(self.guest, error)
        self._former_work = self.host_work
        del self.guest  # a closed runtime may be kept, its tens of megabytes not
        self.tenants = ()  # they know this object: nothing should wait for the garbage collector

    def _fresh(self) -> Guest:
        method = weakref.WeakMethod(self._heap_call)
        return self._start(lambda export, argument: (call := method()) and call(export, argument))

    def _heap_call(self, export: str, argument: int) -> int:
        """A user's malloc or free: code of the guest like any other, with the same deadline."""
        if self.calling:  # a host function of a call, whose deadline holds
            return self.guest.host.call(export, argument)
        return self.run(lambda guest: guest.heap_call(export, argument))

    def _let_go(self, guest: Guest, error: DotnetHostError | None = None) -> None:
        """Close a guest and tell those that wait in it."""
        pending, guest.pending = guest.pending, {}
        guest.close()
        for call in pending.values():
            call.fail(
                error or InstanceLost(call.function_id, "another call broke it, or it was replaced")
            )
        if pending:
            self._event_count.notify()
