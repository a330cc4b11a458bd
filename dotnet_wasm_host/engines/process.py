"""What happens to the process, and what it means for guests: forks, its end, its limits."""

from __future__ import annotations

import atexit
import ctypes
import os
import sys
import time
import weakref
from typing import TYPE_CHECKING, Protocol

from dotnet_wasm_host.errors import EngineUnavailable

if sys.platform != "win32":
    import resource

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "Follower", "descriptor_limit", "follow_process", "require_main_interpreter",
    "wait_for_guests",
]  # fmt: skip

#: Seconds that an exit of the interpreter waits for guests in daemon threads to stop.
EXIT_PATIENCE = 2.0
_PAUSE = 0.002


class Follower(Protocol):
    """An engine that has to know."""

    def start_afresh(self) -> None:
        """This is the child of a fork: locks may have been held by threads that are no more."""

    def stop_guests(self) -> None:
        """The interpreter exits: no guest may run any longer."""


def require_main_interpreter() -> None:
    """EngineUnavailable in a subinterpreter, as mod_wsgi and PEP 734 make them.

    What an engine calls back by ctypes comes into the main interpreter, whoever entered the guest.
    """
    python = ctypes.pythonapi
    for function in (python.PyInterpreterState_Get, python.PyInterpreterState_Main):
        function.restype = ctypes.c_void_p
    if python.PyInterpreterState_Get() != python.PyInterpreterState_Main():
        raise EngineUnavailable(
            "expected the main interpreter of the process, found a subinterpreter, into which "
            "guests cannot call; with mod_wsgi set WSGIApplicationGroup %{GLOBAL}, otherwise use "
            "threads or processes"
        )


def follow_process(engine: Follower) -> None:
    """Tell an engine of forks and of the exit, without keeping it alive until then."""
    reference = weakref.ref(engine)

    def in_child() -> None:
        follower = reference()
        if follower is not None:
            follower.start_afresh()

    def at_exit() -> None:
        follower = reference()
        if follower is not None:
            follower.stop_guests()

    atexit.register(at_exit)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=in_child)


def wait_for_guests(run: Callable[[], bool], alert: Callable[[], object] | None = None) -> None:
    """Wait until no thread is inside of a guest any more, which ``run`` tells.

    Threads that still run are daemons. One that came back from its guest while the interpreter is
    being taken down would be ended with the engine's frames on its stack, and that would end the
    process. ``alert`` has guests look up, where that
    takes somebody.
    """
    patience = time.monotonic() + EXIT_PATIENCE
    while run() and time.monotonic() < patience:
        if alert is not None:
            alert()
        time.sleep(_PAUSE)


def descriptor_limit() -> int:
    """How many descriptors the process may have open; 1,024 where it cannot be asked."""
    if sys.platform == "win32":
        return 1024
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 1 << 20 if soft == resource.RLIM_INFINITY else soft
