"""What Emscripten's runtime gives a guest beside files: time, memory, entropy, an end.

A group for each concern. The contract is the JavaScript that .NET ships beside its module; the
signatures are those of the module's imports.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from dotnet_wasm_host.errors import GuestTerminated
from dotnet_wasm_host.imports.results import signed, syscall
from dotnet_wasm_host.imports.wasi_errno import Errno
from dotnet_wasm_host.options import MIB, WASM_PAGE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import NoReturn

    from dotnet_wasm_host.engines.base import HostFunction, LinearMemory
    from dotnet_wasm_host.imports.base import Caller
    from dotnet_wasm_host.imports.devices import HostEnds
    from dotnet_wasm_host.imports.filesystem import FileSystem
    from dotnet_wasm_host.options import Clock

__all__ = ["Clocks", "Entropy", "Heap", "Process", "Sockets"]

#: 128 + SIGABRT, as a shell shows it.
_ABORTED = 134
#: .NET's own browser host answers so.
_PROCESS_ID = 42
# Bytes of entropy fetched at a time.
_ENTROPY_CHUNK = MIB


@final
class Clocks:
    """The wall clock and the monotonic clock, in milliseconds.

    Args:
        clock: where the time comes from.
    """

    __slots__ = ("_monotonic", "_time")

    def __init__(self, clock: Clock) -> None:
        self._time = clock.time
        self._monotonic = clock.monotonic

    def functions(self) -> Mapping[str, HostFunction]:
        """Import name to bound method."""
        return {
            "_emscripten_get_now_is_monotonic": self.is_monotonic,
            "emscripten_date_now": self.date_now,
            "emscripten_get_now": self.now,
            "emscripten_get_now_res": self.resolution,
        }

    def date_now(self) -> float:
        """Milliseconds since the epoch."""
        return self._time() * 1000.0

    def now(self) -> float:
        """Milliseconds since some fixed point."""
        return self._monotonic() * 1000.0

    def resolution(self) -> float:
        """Nanoseconds between two readings that differ."""
        return 1.0

    def is_monotonic(self) -> int:
        """Whether :meth:`now` never goes back."""
        return 1


@final
class Heap:
    """Growth of linear memory.

    Args:
        linear: the memory.
        limit: size in bytes that it may reach.

    Attributes:
        limit: the same, in whole pages.
        refused: the guest wanted more than that.
    """

    __slots__ = ("_linear", "limit", "refused")

    # Emscripten's defaults for MEMORY_GROWTH_GEOMETRIC_STEP and MEMORY_GROWTH_GEOMETRIC_CAP.
    _STEP = 0.2
    _CAP = 96 * MIB

    def __init__(self, linear: LinearMemory, limit: int) -> None:
        self._linear = linear
        self.limit = limit - limit % WASM_PAGE
        self.refused = False

    def functions(self) -> Mapping[str, HostFunction]:
        """Import name to bound method."""
        return {
            "emscripten_get_heap_max": self.maximum,
            "emscripten_resize_heap": self.resize,
        }

    def maximum(self) -> int:
        """Bytes that the memory may reach. .NET sizes its garbage collector by it."""
        return self.limit

    def resize(self, requested: int) -> int:
        """Grow to ``requested`` bytes, or some more so that it is not soon asked again.

        Returns 1, or 0 if the limit forbids it.
        """
        size = self._linear.size
        if requested > self.limit:
            self.refused = True
            return 0
        if requested <= size:
            return 1
        for cut in (1, 2, 4):
            generous = min(int(size * (1 + self._STEP / cut)), requested + self._CAP)
            target = min(max(requested, generous), self.limit)
            if self._linear.grow(-(-(target - size) // WASM_PAGE)):
                return 1
        self.refused = True
        return 0


@final
class Entropy:
    """Random numbers.

    Args:
        caller: the instance that they are for.
        host: where they come from, ``FileSystem.host``.
    """

    __slots__ = ("_caller", "_host")

    def __init__(self, caller: Caller, host: HostEnds) -> None:
        self._caller = caller
        self._host = host

    def functions(self) -> Mapping[str, HostFunction]:
        """Import name to bound method."""
        return {"mono_wasm_browser_entropy": self.fill}

    def fill(self, ptr: int, length: int) -> int:
        """Fill a buffer; 0, or -1 if it is not inside memory."""
        memory = self._caller.memory
        if ptr + length > memory.size:
            return -1
        for start in range(ptr, ptr + length, _ENTROPY_CHUNK):
            count = min(_ENTROPY_CHUNK, ptr + length - start)
            memory.write(start, self._host.entropy(count))
        return 0


@final
class Process:
    """The guest as a process: its number and its end."""

    __slots__ = ()

    def functions(self) -> Mapping[str, HostFunction]:
        """Import name to bound method."""
        return {
            "abort": self.abort,
            "emscripten_force_exit": self.exit,
            "exit": self.exit,
            "mono_wasm_process_current_pid": self.process_id,
        }

    def exit(self, code: int) -> NoReturn:
        """End the guest.

        Raises:
            GuestTerminated: always.
        """
        raise GuestTerminated(signed(code))

    def abort(self) -> NoReturn:
        """End the guest in disorder.

        Raises:
            GuestTerminated: always.
        """
        raise GuestTerminated(_ABORTED, "the guest aborted, as after Environment.FailFast")

    def process_id(self) -> int:
        """``Environment.ProcessId``."""
        return _PROCESS_ID


@final
class Sockets:
    """There are none: every address family is unsupported, and no descriptor is a socket.

    Args:
        filesystem: the descriptors.
    """

    __slots__ = ("_filesystem",)

    def __init__(self, filesystem: FileSystem) -> None:
        self._filesystem = filesystem

    def functions(self) -> Mapping[str, HostFunction]:
        """Import name to bound method."""
        return {
            "__syscall_connect": self.refuse,
            "__syscall_recvfrom": self.refuse,
            "__syscall_sendto": self.refuse,
            "__syscall_socket": self.socket,
        }

    def socket(self, *_arguments: int) -> int:
        """Make a socket: EAFNOSUPPORT."""
        return -Errno.EAFNOSUPPORT

    @syscall
    def refuse(self, fd: int, *_arguments: int) -> int:
        """Do something with a socket: EBADF or ENOTSOCK."""
        self._filesystem.node(fd)
        return -Errno.ENOTSOCK
