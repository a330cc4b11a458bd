"""What an instance is, whichever engine it is of: host functions, orders to stop, a limit."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from typing import TYPE_CHECKING

from dotnet_wasm_host.engines.threads import allocate_lock
from dotnet_wasm_host.errors import (
    InvocationCancelled,
    InvocationTimeout,
    LimitExceeded,
    RuntimeClosed,
)
from dotnet_wasm_host.wasm import PAGE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from dotnet_wasm_host.engines.base import CodeLinker, HostFunction, Interruption

__all__ = ["OVERRAN", "EngineInstance", "LimitedMemory", "require_room"]

#: Python handles signals between two sleeps of the main thread.
_LONGEST_IN_MAIN_THREAD = 0.05
#: ``threading.TIMEOUT_MAX`` is smaller on some platforms; whoever sleeps looks again.
_LONGEST_SLEEP = 3600.0
OVERRAN = (
    "the call ran past its deadline and was stopped; give it a longer timeout, or have it do less"
)


def require_room(needed: int, limit: int) -> None:
    """LimitExceeded if an image starts with more bytes of memory than an instance may have."""
    if needed > limit:
        raise LimitExceeded(
            f"the image needs {needed} bytes of linear memory to start, more than "
            f"memory_bytes={limit}; raise it",
            limit="memory_bytes",
        )


class LimitedMemory(ABC):
    """Linear memory that never grows past ``limit`` bytes.

    Attributes:
        address, size: see :class:`~dotnet_wasm_host.engines.base.LinearMemory`.
    """

    __slots__ = ("_limit", "address", "size")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.address: int = 0
        self.size: int = 0

    def grow(self, pages: int) -> bool:
        """Grow by ``pages`` of 64 KiB. False, and nothing changed, past the limit."""
        if pages < 0 or self.size + pages * PAGE > self._limit or not self._grow(pages):
            return False
        self._refresh()
        return True

    @abstractmethod
    def _grow(self, pages: int) -> bool:
        """Have the engine grow it. False if that failed."""

    @abstractmethod
    def _refresh(self) -> None:
        """Ask the engine for address and size."""


class EngineInstance(ABC):
    """The part of an instance that has nothing native.

    Closing drops the host functions and refuses further calls; the native memory goes when
    the last reference does, so a view or a call that is still running stays valid.

    Attributes:
        closed: calls are refused.
        deadline: ``time.monotonic()`` at which the guest is stopped.
        interruptions: what it is to ask itself when it looks up.
    """

    def __init__(self) -> None:
        self.closed: bool = False
        self.deadline: float = math.inf
        self.interruptions: deque[Interruption] = deque()
        #: The functions behind the imports, in their order; empty until one is called.
        self.functions: Sequence[HostFunction] = ()
        self._provide: Callable[[], Mapping[str, HostFunction]] | None = None
        # Held but for moments: released to wake the thread that sleeps, which takes it again.
        self._bell = allocate_lock()
        self._bell.acquire()

    @abstractmethod
    def _import_names(self) -> Sequence[str]:
        """Names of the imported functions, in module order."""

    def attach(self, provide: Callable[[], Mapping[str, HostFunction]]) -> None:
        """Give the instance its host functions, made by ``provide`` when one is called first."""
        self._provide = provide

    def provide_functions(self) -> Sequence[HostFunction]:
        """Fill :attr:`functions`, when the guest first calls one of them."""
        if self.closed or self._provide is None:
            raise RuntimeClosed("the instance is closed; make a new Runtime")
        provided = self._provide()
        self.functions = [provided[name] for name in self._import_names()]
        return self.functions

    @property
    def code_linker(self) -> CodeLinker | None:
        """Adds code to the instance. None where the engine gives no access to tables."""
        return None

    def interrupt(self, interruption: Interruption) -> None:
        """Ask ``interruption`` in the guest's thread whether to stop it. From any thread."""
        self.interruptions.append(interruption)
        self.wake()

    def sleep(self, seconds: float) -> None:
        """Let time pass in the guest's thread, until it is to stop or :meth:`wake`."""
        self.look_up()
        in_main = threading.current_thread() is threading.main_thread()
        longest = _LONGEST_IN_MAIN_THREAD if in_main else _LONGEST_SLEEP
        left = min(seconds, self.deadline - time.monotonic(), longest)
        self._bell.acquire(True, max(left, 0.0))  # noqa: FBT003 - its parameters have no names
        self.look_up()

    def wake(self) -> None:
        """End the sleep that goes on, or the next one. From any thread."""
        with contextlib.suppress(RuntimeError):  # it is awake
            self._bell.release()

    def look_up(self) -> None:
        """Raise what stops the guest, if anything does. In the thread that runs it."""
        while self.interruptions:
            error = self.interruptions.popleft()()
            if error is not None:
                try:
                    raise error
                finally:
                    del error  # its traceback holds this frame
        if time.monotonic() >= self.deadline:
            raise InvocationTimeout(OVERRAN)

    def stop(self) -> None:
        """The interpreter exits."""
        self.closed = True
        self.interrupt(lambda: InvocationCancelled("the interpreter is shutting down"))

    def close(self) -> None:
        """Refuse further calls and drop the host functions. Idempotent."""
        self.closed = True
        self.functions = ()
        self._provide = None
        self.interruptions.clear()
