"""The imports of ``wasi_snapshot_preview1``: environment, and reading and writing descriptors.

Specification: https://github.com/WebAssembly/WASI/blob/snapshot-01/phases/snapshot/docs.md.
Each function returns 0 or a positive errno.
"""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING, final

from dotnet_wasm_host.imports.files.layouts import FDSTAT, IOVEC, POINTER
from dotnet_wasm_host.imports.files.results import wasi_call
from dotnet_wasm_host.imports.files.wasi_errno import Errno, FileSystemError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dotnet_wasm_host.engines.base import HostFunction
    from dotnet_wasm_host.imports.base import Caller
    from dotnet_wasm_host.imports.files.filesystem import FileSystem
    from dotnet_wasm_host.memory import Memory

__all__ = ["Wasi"]

#: Most buffers in one call (Linux and musl: IOV_MAX).
IOV_MAX = 1024
#: Most bytes that one call moves. Host code cannot be interrupted at a deadline, so a call does
#: what POSIX allows any call to do: it reads or writes less than it was asked to.
MAX_TRANSFER = 16 * 1024 * 1024

# __wasi_filetype_t.
_FILETYPE_UNKNOWN = 0
_FILETYPES = {stat.S_IFCHR: 2, stat.S_IFDIR: 3, stat.S_IFREG: 4, stat.S_IFLNK: 7}


@final
class Wasi:
    """The ten WASI functions that the .NET module imports.

    Args:
        caller: the instance that they serve.
        filesystem: its descriptors.
        environment: its environment variables, all of them.
    """

    __slots__ = ("_caller", "_environment", "_filesystem")

    def __init__(
        self, caller: Caller, filesystem: FileSystem, environment: Mapping[str, str]
    ) -> None:
        self._caller = caller
        self._filesystem = filesystem
        self._environment = tuple(
            f"{name}={value}\0".encode(errors="surrogateescape")
            for name, value in environment.items()
        )

    def functions(self) -> Mapping[str, HostFunction]:
        """Import name to bound method."""
        return {
            "environ_get": self.environ_get,
            "environ_sizes_get": self.environ_sizes_get,
            "fd_close": self.fd_close,
            "fd_fdstat_get": self.fd_fdstat_get,
            "fd_pread": self.fd_pread,
            "fd_pwrite": self.fd_pwrite,
            "fd_read": self.fd_read,
            "fd_seek": self.fd_seek,
            "fd_sync": self.fd_sync,
            "fd_write": self.fd_write,
        }

    @wasi_call
    def environ_sizes_get(self, count: int, size: int) -> int:
        """Number of environment variables, and bytes that they take with their NULs."""
        memory = self._caller.memory
        memory.write_u32(count, len(self._environment))
        memory.write_u32(size, sum(map(len, self._environment)))
        return 0

    @wasi_call
    def environ_get(self, environ: int, buffer: int) -> int:
        """Pointers to the variables at ``environ``, the variables at ``buffer``."""
        memory = self._caller.memory
        pointers = bytearray()
        end = buffer
        for variable in self._environment:
            pointers += POINTER.pack(end % 2**32)
            end += len(variable)
        memory.write(environ, pointers)
        memory.write(buffer, b"".join(self._environment))
        return 0

    @wasi_call
    def fd_close(self, fd: int) -> int:
        """Close a descriptor."""
        self._filesystem.close(fd)
        return 0

    @wasi_call
    def fd_sync(self, fd: int) -> int:
        """Bring what was written to where it belongs."""
        self._filesystem.sync(fd)
        return 0

    @wasi_call
    def fd_fdstat_get(self, fd: int, buffer: int) -> int:
        """File type. Emscripten has no flags and no rights here, and asks for neither."""
        mode = self._filesystem.node(fd).mode
        filetype = _FILETYPES.get(stat.S_IFMT(mode), _FILETYPE_UNKNOWN)
        self._caller.memory.write_struct(FDSTAT, buffer, filetype, 0, 0, 0)
        return 0

    @wasi_call
    def fd_seek(self, fd: int, offset: int, whence: int, new_offset: int) -> int:
        """Move the position; ``whence`` is 0, 1 or 2 as in C."""
        self._caller.memory.write_i64(new_offset, self._filesystem.seek(fd, offset, whence))
        return 0

    @wasi_call
    def fd_write(self, fd: int, iovs: int, count: int, written: int) -> int:
        """Write buffers at the position."""
        memory = self._caller.memory
        write = self._filesystem.write
        total = _gather(memory, iovs, count, lambda data, _: write(fd, data))
        memory.write_u32(written, total)
        return 0

    @wasi_call
    def fd_pwrite(self, fd: int, iovs: int, count: int, offset: int, written: int) -> int:
        """Write buffers at ``offset``."""
        memory = self._caller.memory
        write = self._filesystem.pwrite
        total = _gather(memory, iovs, count, lambda data, done: write(fd, data, offset + done))
        memory.write_u32(written, total)
        return 0

    @wasi_call
    def fd_read(self, fd: int, iovs: int, count: int, read_count: int) -> int:
        """Read into buffers from the position on."""
        memory = self._caller.memory
        read = self._filesystem.read
        total = _scatter(memory, iovs, count, lambda size, _: read(fd, size))
        memory.write_u32(read_count, total)
        return 0

    @wasi_call
    def fd_pread(self, fd: int, iovs: int, count: int, offset: int, read_count: int) -> int:
        """Read into buffers from ``offset`` on."""
        memory = self._caller.memory
        read = self._filesystem.pread
        total = _scatter(memory, iovs, count, lambda size, done: read(fd, size, offset + done))
        memory.write_u32(read_count, total)
        return 0


def _vectors(memory: Memory, iovs: int, count: int) -> list[tuple[int, int]]:
    """The buffers as pointer and length, checked before any of them is used.

    There is always one, so that an empty call still learns of a bad descriptor; together they
    have at most :data:`MAX_TRANSFER` bytes.
    """
    if count > IOV_MAX:
        raise FileSystemError(Errno.EINVAL)
    vectors: list[tuple[int, int]] = []
    room, limit = MAX_TRANSFER, memory.size
    for ptr, length in IOVEC.iter_unpack(memory.read(iovs, count * IOVEC.size)):
        if ptr + length > limit:
            raise FileSystemError(Errno.EFAULT)
        vectors.append((ptr, min(length, room)))
        room -= vectors[-1][1]
    return vectors or [(0, 0)]


def _gather(memory: Memory, iovs: int, count: int, write: Callable[[bytes, int], int]) -> int:
    """Write buffers until one is not taken whole; the number of bytes written.

    ``write`` is given the bytes, and how many went before. An error counts only if nothing did.
    """
    total = 0
    for ptr, length in _vectors(memory, iovs, count):
        try:
            written = write(memory.read(ptr, length), total)
        except FileSystemError:
            if total:
                break
            raise
        total += written
        if written < length:
            break
    return total


def _scatter(memory: Memory, iovs: int, count: int, read: Callable[[int, int], bytes]) -> int:
    """Fill buffers until one is not filled; the number of bytes read."""
    total = 0
    for ptr, length in _vectors(memory, iovs, count):
        try:
            data = read(length, total)
        except FileSystemError:
            if total:
                break
            raise
        memory.write(ptr, data)
        total += len(data)
        if len(data) < length:
            break
    return total
