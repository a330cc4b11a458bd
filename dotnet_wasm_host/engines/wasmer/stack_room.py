"""How much stack the present thread has left.

For an engine whose guests run on it without a limit of their own. Their own overflow is a trap;
but a host function that is called when next to nothing is left would overflow it in Python.
"""

from __future__ import annotations

import ctypes
import platform
import sys
from ctypes import c_uint64, c_void_p
from typing import TYPE_CHECKING, final

from dotnet_wasm_host.engines.threads import ThreadLocal, stack_bounds

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["StackRoom"]

#: Where ``ucontext_t`` holds the stack pointer: glibc, ``sys/ucontext.h``.
_STACK_POINTER_AT = {"x86_64": 160, "aarch64": 432}
#: Python's thousand frames of recursion, and what a user's stream or clock does.
_RESERVE = 1024 * 1024
#: ``ucontext_t`` has 968 bytes on x86-64 and 4,560 on arm64.
_CONTEXT_SIZE = 8192


@final
class StackRoom(ThreadLocal):
    """Each thread's own.

    Attributes:
        size: bytes of stack the thread was given; None where nobody can tell.
        reserve: how many of them belong to host functions.
        left: gives how many of them are left. Takes half a microsecond.
    """

    size: int | None = None
    reserve: int = 0
    left: Callable[[], int]

    def __init__(self) -> None:
        self.left = _unknown
        offset = _STACK_POINTER_AT.get(platform.machine())
        if sys.platform != "linux" or offset is None:
            return
        # Without giving up the GIL: that would cost more than the call.
        library = ctypes.PyDLL(None)
        try:
            low, size = stack_bounds(library)
            get_context = library.getcontext
        except (AttributeError, OSError):  # another C library
            return
        get_context.argtypes = (c_void_p,)
        context = (ctypes.c_char * _CONTEXT_SIZE)()
        pointer = c_uint64.from_buffer(context, offset)
        argument = c_void_p(ctypes.addressof(context))

        def left() -> int:
            get_context(argument)
            return pointer.value - low

        if 0 < left() <= size:
            self.size, self.left = size, left
            self.reserve = min(_RESERVE, size // 4)


def _unknown() -> int:
    return sys.maxsize
