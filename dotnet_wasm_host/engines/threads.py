"""Threads that run guests: how much stack they have, and whether there are any."""

from __future__ import annotations

import ctypes
import sys
import threading
from ctypes import byref, c_size_t, c_void_p
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType, FrameType

__all__ = ["any_thread_is_in", "stack_size"]

#: ``pthread_attr_t`` has 56 bytes on 64-bit Linux, fewer or as many elsewhere.
_ATTRIBUTES_SIZE = 256


def stack_size() -> int | None:
    """Bytes of stack that the calling thread was given; ``None`` where nobody can tell."""
    try:
        if sys.platform == "win32":
            return _windows()
        if sys.platform == "darwin":
            return _darwin()
        return _pthreads()
    except (AttributeError, OSError):  # another C library
        return None


def _pthreads() -> int | None:
    library = ctypes.CDLL(None)
    library.pthread_self.restype = c_void_p
    attributes = ctypes.create_string_buffer(_ATTRIBUTES_SIZE)
    if library.pthread_getattr_np(c_void_p(library.pthread_self()), attributes):
        return None
    start, size = c_void_p(), c_size_t()
    failed = library.pthread_attr_getstack(attributes, byref(start), byref(size))
    library.pthread_attr_destroy(attributes)
    return None if failed else size.value


def _darwin() -> int:
    library = ctypes.CDLL(None)
    library.pthread_self.restype = c_void_p
    library.pthread_get_stacksize_np.restype = c_size_t
    return int(library.pthread_get_stacksize_np(c_void_p(library.pthread_self())))


def _windows() -> int:
    low, high = c_size_t(), c_size_t()
    kernel = ctypes.CDLL("kernel32")
    kernel.GetCurrentThreadStackLimits(byref(low), byref(high))
    return high.value - low.value


def any_thread_is_in(*functions: Callable[..., object] | CodeType) -> bool:
    """Whether a thread other than this one is inside of a Python function. Slow; for exits."""
    codes = [getattr(function, "__code__", function) for function in functions]
    own = threading.get_ident()
    for ident, top in sys._current_frames().items():  # noqa: SLF001 - its documented name
        frame: FrameType | None = top if ident != own else None
        while frame is not None:
            if frame.f_code in codes:
                return True
            frame = frame.f_back
    return False
