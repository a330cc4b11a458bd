"""Threads of the operating system that run guests: how much stack they have, which there are.

gevent and eventlet replace what :mod:`threading` and :mod:`_thread` offer by greenlets, which take
turns in one thread. An engine's work is bound to real threads: while a guest runs, no greenlet
gets a turn.
"""

from __future__ import annotations

import _thread
import ctypes
import sys
from ctypes import byref, c_size_t, c_void_p
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from dotnet_wasm_host.errors import LimitExceeded

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable
    from types import CodeType, FrameType

__all__ = [
    "LOOK_UP_PERIOD", "ThreadLocal", "allocate_lock", "any_thread_is_in", "can_start_threads",
    "current_thread", "gevent_events", "is_below", "no_thread", "stack_bounds", "stack_size",
    "start", "start_thread",
]  # fmt: skip

#: Seconds after which a greenlet that waits for its turn looks for a deadline or cancellation.
LOOK_UP_PERIOD = 0.1
#: ``pthread_attr_t`` has 56 bytes on 64-bit Linux, fewer or as many elsewhere. A type that is made
#: for each thread would be garbage for the collector, and so would a library.
_Attributes = ctypes.c_char * 256


def _unpatched(name: str) -> Any:  # noqa: ANN401 - a function or a class
    """What :mod:`_thread` offers as ``name``, whatever was put in its place before this import."""
    monkey, patcher = sys.modules.get("gevent.monkey"), sys.modules.get("eventlet.patcher")
    if monkey is not None:
        return monkey.get_original("_thread", name)
    return getattr(_thread if patcher is None else patcher.original("_thread"), name)


allocate_lock: Callable[[], _thread.LockType] = _unpatched("allocate_lock")
current_thread: Callable[[], int] = _unpatched("get_ident")
start_thread: Callable[[Callable[[], object], tuple[()]], int] = _unpatched("start_new_thread")
if TYPE_CHECKING:
    ThreadLocal = _thread._local  # noqa: SLF001 - threading.local before anybody replaces it
else:
    ThreadLocal = _unpatched("_local")


def stack_size() -> int | None:
    """Bytes of stack that the calling thread was given; ``None`` if it is not known."""
    try:
        if sys.platform == "win32":
            return _windows()
        if sys.platform == "darwin":
            return _darwin()
        return stack_bounds(_c_library())[1]
    except (AttributeError, OSError):  # another C library
        return None


@cache
def _c_library() -> ctypes.CDLL:
    return ctypes.CDLL(None)


def stack_bounds(library: ctypes.CDLL) -> tuple[int, int]:
    """Lowest address and size of the calling thread's stack, from the C library of Linux.

    OSError if the thread has none that is known, AttributeError if it is another C library.
    """
    library.pthread_self.restype = c_void_p
    attributes = _Attributes()
    if library.pthread_getattr_np(c_void_p(library.pthread_self()), attributes):
        raise OSError("the thread has no attributes")
    low, size = c_void_p(), c_size_t()
    failed = library.pthread_attr_getstack(attributes, byref(low), byref(size))
    library.pthread_attr_destroy(attributes)
    if failed:
        raise OSError("the thread's stack is not known")
    return low.value or 0, size.value


def _darwin() -> int:
    library = _c_library()
    library.pthread_self.restype = c_void_p
    library.pthread_get_stacksize_np.restype = c_size_t
    return int(library.pthread_get_stacksize_np(c_void_p(library.pthread_self())))


def _windows() -> int:
    low, high = c_size_t(), c_size_t()
    kernel = ctypes.CDLL("kernel32")
    kernel.GetCurrentThreadStackLimits(byref(low), byref(high))
    return high.value - low.value


def no_thread(name: str, error: RuntimeError) -> LimitExceeded:
    """What to raise where a thread cannot be started."""
    return LimitExceeded(
        f"expected room for one more thread, {name!r}, found none ({error}); raise the limit of "
        "processes and threads (ulimit -u, pids.max)"
    )


def start(thread: threading.Thread) -> None:
    """Start a thread. LimitExceeded if the process can have no more."""
    try:
        thread.start()
    except RuntimeError as error:
        raise no_thread(thread.name, error) from error


def can_start_threads(count: int) -> bool:
    """Whether the process may have so many more threads at once (``ulimit -u``, ``pids.max``).

    Nobody can tell but by starting them. They end before this returns, or right after.
    """
    gate = allocate_lock()
    gate.acquire()
    ends = []
    try:
        for _ in range(count):
            end = allocate_lock()
            end.acquire()

            def wait(end: _thread.LockType = end) -> None:
                with gate:
                    pass
                end.release()

            start_thread(wait, ())
            ends.append(end)
    except RuntimeError:
        return False
    finally:
        gate.release()
        for end in ends:
            end.acquire()
    return True


def gevent_events() -> Callable[[], Any] | None:
    """The class of gevent's events, if the present greenlet can wait for one."""
    gevent = sys.modules.get("gevent")
    hub = None if gevent is None else sys.modules["gevent._hub_local"].get_hub_if_exists()
    if hub is None or gevent is None or gevent.getcurrent() is hub:
        return None
    make_event: Callable[[], Any] = import_module("gevent.event").Event
    return make_event


def any_thread_is_in(*functions: Callable[..., object] | CodeType) -> bool:
    """Whether a thread other than this one is inside of a Python function. Slow; for exits."""
    codes = [getattr(function, "__code__", function) for function in functions]
    own = current_thread()
    for ident, top in sys._current_frames().items():  # noqa: SLF001 - its documented name
        frame: FrameType | None = top if ident != own else None
        while frame is not None:
            if frame.f_code in codes:
                return True
            frame = frame.f_back
    return False


def is_below(code: CodeType, presence: object) -> bool:
    """Whether the caller's stack has a frame of ``code`` whose ``self`` is of ``presence``.

    That is so for what was called from there, and not so for another greenlet of the thread.
    """
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - its documented name
    while frame is not None:
        if frame.f_code is code and frame.f_locals["self"].presence is presence:
            return True
        frame = frame.f_back
    return False
