"""The guest as a process: its end, its entropy, and the sockets it does not have."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from dotnet_wasm_host.errors import GuestTerminated
from dotnet_wasm_host.imports.files.results import syscall
from dotnet_wasm_host.imports.files.wasi_errno import Errno
from dotnet_wasm_host.options import MIB
from dotnet_wasm_host.wasm import to_i32

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import NoReturn

    from dotnet_wasm_host.engines.base import HostFunction
    from dotnet_wasm_host.imports.base import Caller
    from dotnet_wasm_host.imports.files.devices import HostEnds
    from dotnet_wasm_host.imports.files.filesystem import FileSystem

__all__ = ["Entropy", "Process", "Sockets"]

#: 128 + SIGABRT, as a shell shows it.
_ABORTED = 134
#: .NET's own browser host answers so.
_PROCESS_ID = 42
# Bytes of entropy fetched at a time.
_ENTROPY_CHUNK = MIB


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
        raise GuestTerminated(to_i32(code))

    def abort(self) -> NoReturn:
        """End the guest in disorder.

        Raises:
            GuestTerminated: always.
        """
        raise GuestTerminated(
            _ABORTED, "the guest aborted, as after Environment.FailFast", is_exit=False
        )

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
