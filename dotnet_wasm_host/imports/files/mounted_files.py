"""Regular files of a mounted directory: found by name, and open."""

from __future__ import annotations

import os
import stat
from typing import final

from dotnet_wasm_host.imports.files.host_files import HAS_PROC, HostDescriptor, host_call
from dotnet_wasm_host.imports.files.mounted_base import (
    FILE_FLAGS,
    PERMISSIONS,
    MountedNode,
    NamedNode,
    by_descriptor,
    times_of,
)
from dotnet_wasm_host.imports.files.mounts import Inode, Mount, inode_of
from dotnet_wasm_host.imports.files.nodes import READ, WRITE, FileNode, Node
from dotnet_wasm_host.imports.files.wasi_errno import Errno, FileSystemError
from dotnet_wasm_host.overriding import override

__all__ = ["MountedFile", "OpenedFile"]

#: A descriptor of something that may be neither readable nor writable.
_PATH_ONLY = getattr(os, "O_PATH", os.O_RDONLY)
_FLAGS_OF = {0: _PATH_ONLY, READ: os.O_RDONLY, WRITE: os.O_WRONLY, READ | WRITE: os.O_RDWR}


@final
class MountedFile(NamedNode, FileNode):
    """A regular file that is not open."""

    __slots__ = ()

    @property
    @override
    def size(self) -> int:
        return self._found.st_size

    @override
    @host_call
    def open(self, access: int) -> Node:
        if access & WRITE:
            self.mount.require_writable()
        return OpenedFile(self.mount, self._opened(_FLAGS_OF[access & (READ | WRITE)]))

    @override
    @host_call
    def chmod(self, mode: int) -> None:
        self.mount.require_writable()
        descriptor = self._opened(_PATH_ONLY)
        if HAS_PROC:
            os.chmod(by_descriptor(descriptor), mode & PERMISSIONS)  # noqa: PTH101 - bytes
        else:
            os.fchmod(descriptor.number, mode & PERMISSIONS)

    @override
    def read(self, offset: int, size: int) -> bytes:
        raise FileSystemError(Errno.EBADF)

    @override
    def write(self, offset: int, data: bytes) -> int:
        raise FileSystemError(Errno.EBADF)

    def _opened(self, flags: int) -> HostDescriptor:
        where = self._where.descriptor.number
        descriptor = self.mount.descriptors.open(self._name, flags | FILE_FLAGS, at=where)
        # It may have been replaced since it was found.
        if not stat.S_ISREG(os.fstat(descriptor.number).st_mode):
            descriptor.close()
            raise FileSystemError(Errno.EACCES)
        return descriptor


@final
class OpenedFile(MountedNode, FileNode):
    """A regular file that is open, for one open description."""

    __slots__ = ("_descriptor", "_inode", "_users")

    def __init__(self, mount: Mount, descriptor: HostDescriptor) -> None:
        super().__init__(mount)
        self._descriptor = descriptor
        self._inode = inode_of(os.fstat(descriptor.number))
        self._users = 0

    @property
    def inode(self) -> Inode:
        """Which file it is."""
        return self._inode

    def _stat(self) -> os.stat_result:
        return os.fstat(self._descriptor.number)

    @property
    @override
    @host_call
    def size(self) -> int:
        return self._stat().st_size

    @override
    @host_call
    def read(self, offset: int, size: int) -> bytes:
        return os.pread(self._descriptor.number, size, offset)

    @override
    @host_call
    def write(self, offset: int, data: bytes) -> int:
        self.mount.require_writable()
        if not data:
            return 0
        additions = self.mount.additions
        length, end = self._stat().st_size, offset + len(data)
        if end > length:
            end = min(end, length + additions.room)
            if end <= offset:
                raise FileSystemError(Errno.ENOSPC)
        written = os.pwrite(self._descriptor.number, data[: end - offset], offset)
        if offset + written > length:
            additions.add(self._inode, offset + written - length)
        return written

    @override
    @host_call
    def truncate(self, size: int) -> None:
        self.mount.require_writable()
        additions = self.mount.additions
        growth = size - self._stat().st_size
        if growth > additions.room:
            raise FileSystemError(Errno.ENOSPC)
        os.ftruncate(self._descriptor.number, size)
        if growth > 0:
            additions.add(self._inode, growth)
        else:
            additions.cut(self._inode, -growth)

    @override
    @host_call
    def sync(self) -> None:
        os.fsync(self._descriptor.number)

    @override
    @host_call
    def chmod(self, mode: int) -> None:
        self.mount.require_writable()
        os.fchmod(self._descriptor.number, mode & PERMISSIONS)

    @override
    @host_call
    def set_times(self, atime: int | None, mtime: int | None) -> None:
        self.mount.require_writable()
        os.utime(self._descriptor.number, ns=times_of(self._stat(), atime, mtime))

    @override
    def acquire(self) -> None:
        self._users += 1
        users = self.mount.users
        users[self._inode] = users.get(self._inode, 0) + 1

    @override
    def release(self) -> None:
        self._users -= 1
        users = self.mount.users
        users[self._inode] -= 1
        if users[self._inode] == 0:
            del users[self._inode]
            if self._is_removed():
                self.mount.additions.forget(self._inode)
        if self._users == 0:
            self._descriptor.close()

    @host_call
    def _is_removed(self) -> bool:
        return self._stat().st_nlink == 0
