"""Which instance a thread is inside of."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, final

from dotnet_wasm_host.engines.threads import stack_size
from dotnet_wasm_host.errors import StackTooSmall

if TYPE_CHECKING:
    import weakref

    from dotnet_wasm_host.engines.instance import EngineInstance

__all__ = ["HOST_STACK", "Active"]

#: Bytes of stack that host functions need when the guest has used all of its own: Python, and
#: what a user's stream or clock does.
HOST_STACK = 256 * 1024


@final
class Active(threading.local):
    """Which instance the present thread is inside of.

    Host functions are defined once for an engine, not once for an instance: this is how they
    find the instance that calls them.

    Whoever enters an instance leaves behind what was here before, so a call inside of another
    one, in a signal handler or finalizer say, disturbs nobody. Only where nothing was here the
    instance stays, until it is collected: most threads call one instance again and again, and
    then have nothing to change.

    Attributes:
        reference: to the instance; each instance has one reference object, so that identity of
            references is identity of instances.
    """

    reference: weakref.ref[EngineInstance] | None = None

    def __init__(self, stack_bytes: int) -> None:
        # Runs once in each thread that calls a guest. A guest that runs past the end of its
        # thread's stack would take the process with it.
        size, needed = stack_size(), stack_bytes + HOST_STACK
        if size is not None and size < needed:
            raise StackTooSmall(size, needed)

    @property
    def instance(self) -> EngineInstance | None:
        """The instance itself."""
        return None if self.reference is None else self.reference()

    def enter(self, reference: weakref.ref[EngineInstance]) -> weakref.ref[EngineInstance] | None:
        """Be inside of an instance. Gives what :meth:`leave` needs."""
        outer, self.reference = self.reference, reference
        return outer

    def leave(self, outer: weakref.ref[EngineInstance] | None) -> None:
        """Be where the thread was before."""
        if outer is not None and outer() is not None:
            self.reference = outer
