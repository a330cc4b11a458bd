"""What the nodes of a mounted directory have in common, and those that are never open."""

from __future__ import annotations

import os
from abc import abstractmethod
from typing import TYPE_CHECKING, Protocol, final

from dotnet_wasm_host.imports.files.host_files import host_call
from dotnet_wasm_host.imports.files.nodes import WRITE, FileNode, LinkNode, Node, Stat, Usage
from dotnet_wasm_host.imports.files.wasi_errno import Errno, FileSystemError
from dotnet_wasm_host.overriding import override

if TYPE_CHECKING:
    from dotnet_wasm_host.imports.files.host_files import HostDescriptor
    from dotnet_wasm_host.imports.files.mounts import Mount

__all__ = [
    "FILE_FLAGS",
    "NOFOLLOW",
    "PERMISSIONS",
    "MountedLink",
    "MountedNode",
    "NamedNode",
    "SpecialFile",
    "by_descriptor",
    "times_of",
]

NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
# Should a device or a pipe get in the way after all: do not wait, do not take a terminal.
FILE_FLAGS = NOFOLLOW | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)
# Set-user-ID and the like would mean something on the host.
PERMISSIONS = 0o777


class Place(Protocol):
    """The directory in which a name was found."""

    mount: Mount
    descriptor: HostDescriptor

    def allows(self, name: bytes, access: int) -> bool:
        """Whether the host's kernel grants this process ``access`` to what is at ``name``."""


class MountedNode(Node):
    """What all nodes of a mount have: attributes are the host's."""

    __slots__ = ("mount",)

    def __init__(self, mount: Mount) -> None:
        self.mount: Mount = mount

    @abstractmethod
    def _stat(self) -> os.stat_result:
        """The host's attributes at this moment. OSError."""

    @property
    @override
    def device(self) -> int:
        return self.mount.device

    @property
    @override
    def read_only(self) -> bool:
        return self.mount.read_only

    @property
    @override
    @host_call
    def mode(self) -> int:
        return self._stat().st_mode

    @override
    @host_call
    def stat(self) -> Stat:
        found = self._stat()
        return Stat(
            device=self.mount.device,
            ino=found.st_ino,
            mode=found.st_mode,
            links=found.st_nlink,
            rdev=0,
            size=found.st_size,
            atime=found.st_atime_ns,
            mtime=found.st_mtime_ns,
            ctime=found.st_ctime_ns,
        )

    @override
    def usage(self) -> Usage:
        return self.mount.usage()

    @override
    def acquire(self) -> None:
        pass

    @override
    def release(self) -> None:
        pass


class NamedNode(MountedNode):
    """Something that was found in a directory and is not open: whatever has the name."""

    __slots__ = ("_found", "_name", "_where")

    def __init__(self, where: Place, name: bytes, found: os.stat_result) -> None:
        super().__init__(where.mount)
        self._where = where
        self._name = name
        self._found = found

    def _stat(self) -> os.stat_result:
        return self._found

    @override
    @host_call
    def permits(self, access: int) -> bool:
        if access & WRITE and self.mount.read_only:
            return False
        return self._where.allows(self._name, access)

    @override
    def chmod(self, mode: int) -> None:
        self.mount.require_writable()
        raise FileSystemError(Errno.ENOTSUP)

    @override
    @host_call
    def set_times(self, atime: int | None, mtime: int | None) -> None:
        self.mount.require_writable()
        os.utime(
            self._name,
            ns=times_of(self._found, atime, mtime),
            dir_fd=self._where.descriptor.number,
            follow_symlinks=False,
        )


@final
class MountedLink(NamedNode, LinkNode):
    """A symbolic link. Its target is a path of the guest's, wherever it leads on the host."""

    __slots__ = ("target",)

    target: bytes

    def __init__(self, where: Place, name: bytes, found: os.stat_result) -> None:
        super().__init__(where, name, found)
        self.target = os.readlink(name, dir_fd=where.descriptor.number)


@final
class SpecialFile(NamedNode, FileNode):
    """A device, a pipe or a socket of the host: can be seen, and removed, but not opened."""

    __slots__ = ()

    seekable = False

    @property
    @override
    def size(self) -> int:
        return 0

    @override
    def open(self, access: int) -> Node:
        raise FileSystemError(Errno.EACCES)

    @override
    def read(self, offset: int, size: int) -> bytes:
        raise FileSystemError(Errno.EACCES)

    @override
    def write(self, offset: int, data: bytes) -> int:
        raise FileSystemError(Errno.EACCES)


def by_descriptor(descriptor: HostDescriptor) -> bytes:
    """A path that leads to an open file, whatever its name is now (proc(5))."""
    return b"/proc/self/fd/%d" % descriptor.number


def times_of(found: os.stat_result, atime: int | None, mtime: int | None) -> tuple[int, int]:
    """Both times, those that are not given as they are."""
    return (
        found.st_atime_ns if atime is None else atime,
        found.st_mtime_ns if mtime is None else mtime,
    )
