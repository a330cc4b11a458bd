"""Open files and the table of descriptors that stand for them."""

from __future__ import annotations

from typing import NamedTuple, final

from dotnet_wasm_host.imports.files.nodes import DirectoryNode, Entry, FileNode, Node
from dotnet_wasm_host.imports.files.wasi_errno import Errno, FileSystemError

__all__ = ["MAX_DESCRIPTORS", "MAX_OFFSET", "Descriptors", "Mapped", "OpenFile"]

MAX_DESCRIPTORS = 1024
#: Largest size and offset. Emscripten's JavaScript cannot tell larger integers apart either.
MAX_OFFSET = 2**53 - 1

# musl, arch/generic/bits/fcntl.h.
O_RDONLY, O_WRONLY, O_RDWR, O_ACCMODE = 0, 1, 2, 3
O_CREAT = 0o100
O_EXCL = 0o200
O_TRUNC = 0o1000
O_APPEND = 0o2000
O_NONBLOCK = 0o4000
O_DIRECTORY = 0o200000
O_NOFOLLOW = 0o400000
O_PATH = 0o10000000

# The flags that can be changed after the opening.
_STATUS_FLAGS = O_APPEND | O_NONBLOCK
_SEEK_SET, _SEEK_CUR, _SEEK_END = 0, 1, 2


@final
class OpenFile:
    """An open file description (POSIX.1-2017 3.258); ``dup`` makes descriptors share one."""

    __slots__ = ("flags", "node", "position", "users")

    def __init__(self, node: Node, flags: int) -> None:
        self.node: Node = node
        self.flags: int = flags
        #: Offset in a file, cookie in a directory.
        self.position: int = 0
        #: Number of descriptors.
        self.users: int = 0
        node.acquire()

    @property
    def is_readable(self) -> bool:
        """Whether the flags it was opened with allow reading."""
        return self.flags & O_ACCMODE != O_WRONLY and not self.flags & O_PATH

    @property
    def is_writable(self) -> bool:
        """Whether the flags it was opened with allow writing."""
        return self.flags & O_ACCMODE != O_RDONLY and not self.flags & O_PATH


class Mapped(NamedTuple):
    """A part of a file that the guest has mapped, shared and writable."""

    node: FileNode
    offset: int
    length: int


class Descriptors:
    """The descriptor table of one guest, and everything that is done by descriptor."""

    __slots__ = ("_open", "mappings")

    def __init__(self) -> None:
        self._open: dict[int, OpenFile] = {}
        #: Mappings by guest address. Kept here because a snapshot of the guest needs them.
        self.mappings: dict[int, Mapped] = {}

    def install(self, fd: int, node: Node, flags: int) -> None:
        """Open ``node`` as the free descriptor ``fd``. Its permissions have been checked."""
        file = OpenFile(node, flags)
        file.users = 1
        self._open[fd] = file

    def free_descriptor(self, lowest: int = 0) -> int:
        """The lowest free descriptor from ``lowest`` on. EMFILE if there is none."""
        for fd in range(lowest, MAX_DESCRIPTORS):
            if fd not in self._open:
                return fd
        raise FileSystemError(Errno.EMFILE)

    def close(self, fd: int) -> None:
        """Free the descriptor."""
        file = self._file(fd)
        del self._open[fd]
        file.users -= 1
        if file.users == 0:
            file.node.release()

    def dup(self, fd: int, lowest: int = 0) -> int:
        """A second descriptor, the lowest free one from ``lowest``, for the same open file."""
        file = self._file(fd)
        if not 0 <= lowest < MAX_DESCRIPTORS:
            raise FileSystemError(Errno.EINVAL)
        new = self.free_descriptor(lowest)
        self._open[new] = file
        file.users += 1
        return new

    def read(self, fd: int, size: int) -> bytes:
        """At most ``size`` bytes from the position on; none at the end of the file."""
        file = self._file(fd)
        node = self._readable(file)
        data = node.read(file.position, size)
        if node.seekable:
            file.position += len(data)
        return data

    def pread(self, fd: int, size: int, offset: int) -> bytes:
        """At most ``size`` bytes at ``offset``."""
        _check_offset(offset)
        file = self._file(fd)
        node = self._readable(file)
        if not node.seekable:
            raise FileSystemError(Errno.ESPIPE)
        return node.read(offset, size)

    def write(self, fd: int, data: bytes) -> int:
        """Write at the position, or at the end with O_APPEND; the number of bytes written."""
        file = self._file(fd)
        node = self._writable(file)
        if not node.seekable:
            return node.write(0, data)
        offset = node.size if file.flags & O_APPEND else file.position
        _check_extent(offset, len(data))
        written = node.write(offset, data)
        # Nothing written leaves the position alone, with O_APPEND too.
        if written:
            file.position = offset + written
        return written

    def pwrite(self, fd: int, data: bytes, offset: int) -> int:
        """Write at ``offset``, with O_APPEND too: as POSIX and Emscripten, unlike Linux."""
        _check_offset(offset)
        file = self._file(fd)
        node = self._writable(file)
        if not node.seekable:
            raise FileSystemError(Errno.ESPIPE)
        _check_extent(offset, len(data))
        return node.write(offset, data)

    def seek(self, fd: int, offset: int, whence: int) -> int:
        """Move the position; ``whence`` is 0, 1 or 2 for start, position, end.

        A directory's positions are the cookies of its entries.
        """
        file = self._file(fd)
        node = file.node
        if file.flags & O_PATH:
            raise FileSystemError(Errno.EBADF)
        if isinstance(node, FileNode) and not node.seekable:
            raise FileSystemError(Errno.ESPIPE)
        if whence == _SEEK_CUR:
            offset += file.position
        elif whence == _SEEK_END and isinstance(node, FileNode):
            offset += node.size
        elif whence != _SEEK_SET:
            raise FileSystemError(Errno.EINVAL)
        if not 0 <= offset <= MAX_OFFSET:
            raise FileSystemError(Errno.EINVAL)
        file.position = offset
        return offset

    def truncate(self, fd: int, size: int) -> None:
        """Cut or extend the open file to ``size`` bytes."""
        _check_offset(size)
        file = self._file(fd)
        node = file.node
        if not file.is_writable or not isinstance(node, FileNode):
            raise FileSystemError(Errno.EINVAL)
        _check_extent(0, size)
        node.truncate(size)

    def sync(self, fd: int) -> None:
        """Hand on what was written: standard streams are flushed."""
        node = self._file(fd).node
        if isinstance(node, FileNode):
            node.sync()

    def entries(self, fd: int, count: int) -> list[Entry]:
        """At most ``count`` entries of the open directory from the position on.

        The position stays; :meth:`seek` to the last entry's cookie to go on.
        """
        file = self._file(fd)
        node = file.node
        if not isinstance(node, DirectoryNode):
            raise FileSystemError(Errno.ENOTDIR)
        if not file.is_readable:
            raise FileSystemError(Errno.EBADF)
        if node.is_removed:
            raise FileSystemError(Errno.ENOENT)
        return node.entries(file.position, count)

    def node(self, fd: int) -> Node:
        """What the descriptor is open on."""
        return self._file(fd).node

    def flags(self, fd: int) -> int:
        """Access mode and status flags."""
        return self._file(fd).flags

    def set_flags(self, fd: int, flags: int) -> None:
        """Set the status flags (O_APPEND, O_NONBLOCK); others stay as they are."""
        file = self._file(fd)
        file.flags = file.flags & ~_STATUS_FLAGS | flags & _STATUS_FLAGS

    def mappable(self, fd: int, *, shared_write: bool) -> FileNode:
        """The regular file behind ``fd``, if it may be mapped: EACCES, ENODEV."""
        file = self._file(fd)
        if not file.is_readable or (shared_write and not file.is_writable):
            raise FileSystemError(Errno.EACCES)
        if not isinstance(file.node, FileNode) or not file.node.seekable:
            raise FileSystemError(Errno.ENODEV)
        return file.node

    def _file(self, fd: int) -> OpenFile:
        file = self._open.get(fd)
        if file is None:
            raise FileSystemError(Errno.EBADF)
        return file

    @staticmethod
    def _readable(file: OpenFile) -> FileNode:
        if not file.is_readable:
            raise FileSystemError(Errno.EBADF)
        if not isinstance(file.node, FileNode):
            raise FileSystemError(Errno.EISDIR)
        return file.node

    @staticmethod
    def _writable(file: OpenFile) -> FileNode:
        if not file.is_writable or not isinstance(file.node, FileNode):
            raise FileSystemError(Errno.EBADF)
        return file.node


def _check_offset(offset: int) -> None:
    if offset < 0:
        raise FileSystemError(Errno.EINVAL)


def _check_extent(offset: int, length: int) -> None:
    if offset + length > MAX_OFFSET:
        raise FileSystemError(Errno.EFBIG)
