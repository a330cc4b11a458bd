"""Descriptors of the host, counted and closed, and its errors in the guest's numbers."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar, final
from weakref import WeakSet

from dotnet_wasm_host.engines.process import descriptor_limit
from dotnet_wasm_host.imports.files.wasi_errno import Errno, FileSystemError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "HAS_PROC",
    "HostDescriptor",
    "HostDescriptors",
    "host_call",
]

#: Whether a file can be named by its descriptor, for what O_PATH descriptors are not good for
#: (Linux, proc_pid_fd(5)).
HAS_PROC = Path("/proc/self/fd").is_dir()

P = ParamSpec("P")
R = TypeVar("R")


def host_call(function: Callable[P, R]) -> Callable[P, R]:
    """A function that asks the host's kernel: what that says reaches the guest."""

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except OSError as error:
            raise FileSystemError(_errno_of(error)) from None
        except (ValueError, OverflowError):
            # A name with a NUL, a time that the host cannot express.
            raise FileSystemError(Errno.EINVAL) from None

    return call


def _errno_of(error: OSError) -> Errno:
    name = errno.errorcode.get(error.errno or 0, "")
    if name == "EOPNOTSUPP":
        name = "ENOTSUP"
    return Errno.__members__.get(name, Errno.EIO)


#: Numbers of the descriptors that all guests of this process hold: open files, and every directory
#: between a mounted one and one that is in use. Half of what the process may open is for them; the
#: rest is for connections, requests and files of its own.
_held_by_guests: set[int] = set()


@final
class HostDescriptor:
    """A descriptor that is closed with its last reference, or with all others."""

    __slots__ = ("__weakref__", "number")

    def __init__(self, number: int) -> None:
        self.number: int = number
        _held_by_guests.add(number)

    def fileno(self) -> int:
        """The number; -1, which every call refuses, after :meth:`close`."""
        return self.number

    def close(self) -> None:
        """Close it. Idempotent."""
        number, self.number = self.number, -1
        if number >= 0:
            # Before it is closed: another thread may get the same number right after.
            _held_by_guests.discard(number)
            # The descriptor is gone whatever close() reports (Linux, close(2)).
            with suppress(OSError):
                os.close(number)

    def __del__(self) -> None:
        self.close()


@final
class HostDescriptors:
    """All descriptors of one instance.

    An instance may open another as long as it holds fewer than are left to all: one that keeps
    what it opens gets half of them, the next half of the rest, and there is always room for others
    (Choudhury and Hahne, Dynamic Queue Length Thresholds, 1998).
    """

    __slots__ = ("_closed", "_held")

    def __init__(self) -> None:
        self._held: WeakSet[HostDescriptor] = WeakSet()
        self._closed = False

    def open(
        self, path: bytes, flags: int, mode: int = 0, *, at: int | None = None
    ) -> HostDescriptor:
        """``openat``. OSError of the host; ENFILE if the instance holds as many as it may."""
        if self._closed:
            raise OSError(errno.EBADF, "the instance is closed")
        if len(self._held) >= descriptor_limit() // 2 - len(_held_by_guests):
            raise OSError(errno.ENFILE, "the instance holds as many descriptors as it may")
        descriptor = HostDescriptor(os.open(path, flags, mode, dir_fd=at))
        self._held.add(descriptor)
        return descriptor

    def __len__(self) -> int:
        return len(self._held)

    def close(self) -> None:
        """Close all of them; no more can be opened."""
        self._closed = True
        for descriptor in list(self._held):
            descriptor.close()
