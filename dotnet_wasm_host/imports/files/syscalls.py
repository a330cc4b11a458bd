"""The ``__syscall_*`` imports: Linux system calls on files, as Emscripten hands them to its host.

Signatures are those of Linux for 32-bit machines. Each function returns its result or a negative
errno. Where the JavaScript of Emscripten does less than POSIX (``readlink`` of a relative link,
``rename`` over an open file, record locks), the functions here do what POSIX says.
"""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING, final

from dotnet_wasm_host.imports.files.descriptors import O_CREAT
from dotnet_wasm_host.imports.files.filesystem import AT_FDCWD
from dotnet_wasm_host.imports.files.layouts import DIRENT, FLOCK_TYPE, STAT, STATFS, TIMESPEC
from dotnet_wasm_host.imports.files.nodes import WRITE, FileNode
from dotnet_wasm_host.imports.files.paths import NAME_MAX
from dotnet_wasm_host.imports.files.results import read_path, syscall
from dotnet_wasm_host.imports.files.wasi_errno import Errno, FileSystemError
from dotnet_wasm_host.wasm import to_i32

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dotnet_wasm_host.engines.base import HostFunction
    from dotnet_wasm_host.imports.base import Caller
    from dotnet_wasm_host.imports.files.filesystem import FileSystem
    from dotnet_wasm_host.imports.files.nodes import Entry, Node, Stat

__all__ = ["DescriptorCalls", "PathCalls"]

# musl, include/fcntl.h.
_AT_SYMLINK_NOFOLLOW = 0x100
_AT_REMOVEDIR = 0x200
_AT_EACCESS = 0x200
_AT_NO_AUTOMOUNT = 0x800
_AT_EMPTY_PATH = 0x1000
_ACCESS_FLAGS = _AT_EACCESS | _AT_SYMLINK_NOFOLLOW | _AT_EMPTY_PATH
_STAT_FLAGS = _AT_SYMLINK_NOFOLLOW | _AT_NO_AUTOMOUNT | _AT_EMPTY_PATH
_TIMES_FLAGS = _AT_SYMLINK_NOFOLLOW | _AT_EMPTY_PATH

# musl, include/fcntl.h and arch/generic/bits/fcntl.h.
_F_DUPFD, _F_GETFD, _F_SETFD, _F_GETFL, _F_SETFL = 0, 1, 2, 3, 4
_F_GETLK, _F_SETLK, _F_SETLKW = 12, 13, 14
_F_DUPFD_CLOEXEC = 1030
_F_UNLCK = 2

# musl, arch/generic/bits/ioctl.h: 0x5401..0x5415 concern terminals.
_TERMINAL_REQUESTS = range(0x5401, 0x5416)
_FIONREAD = 0x541B

# musl, include/sys/stat.h.
_UTIME_NOW, _UTIME_OMIT = 0x3FFFFFFF, 0x3FFFFFFE
_NANOSECONDS = 1_000_000_000

_BLOCK_SIZE = 4096
# POSIX leaves st_blocks to the system; every C library takes 512 bytes.
_STAT_BLOCK = 512
# Linux, include/uapi/linux/magic.h: what .NET is to think of when it asks for the file system.
_TMPFS_MAGIC = 0x01021994
_MOST_U32 = 2**32 - 1
# Entries of one directory listing; 280 bytes each.
_MOST_ENTRIES = 1024


@final
class PathCalls:
    """System calls that name a file by its path.

    Args:
        caller: the instance that they serve.
        filesystem: its files.
    """

    __slots__ = ("_caller", "_filesystem")

    def __init__(self, caller: Caller, filesystem: FileSystem) -> None:
        self._caller = caller
        self._filesystem = filesystem

    def functions(self) -> Mapping[str, HostFunction]:
        """Import name to bound method."""
        return {
            "__syscall_chdir": self.chdir,
            "__syscall_chmod": self.chmod,
            "__syscall_faccessat": self.faccessat,
            "__syscall_getcwd": self.getcwd,
            "__syscall_lstat64": self.lstat64,
            "__syscall_mkdirat": self.mkdirat,
            "__syscall_newfstatat": self.newfstatat,
            "__syscall_openat": self.openat,
            "__syscall_readlinkat": self.readlinkat,
            "__syscall_renameat": self.renameat,
            "__syscall_rmdir": self.rmdir,
            "__syscall_stat64": self.stat64,
            "__syscall_symlink": self.symlink,
            "__syscall_unlinkat": self.unlinkat,
            "__syscall_utimensat": self.utimensat,
        }

    @syscall
    def openat(self, dirfd: int, path: int, flags: int, varargs: int) -> int:
        """Open a file; the mode is a vararg, there only with O_CREAT."""
        mode = self._caller.memory.read_u32(varargs) if flags & O_CREAT and varargs else 0
        return self._filesystem.open(self._path(path), flags, mode, _directory(dirfd))

    @syscall
    def stat64(self, path: int, buffer: int) -> int:
        """Attributes of a file."""
        return self._give_stat(self._filesystem.stat(self._path(path)), buffer)

    @syscall
    def lstat64(self, path: int, buffer: int) -> int:
        """Attributes of a file or of a symbolic link itself."""
        return self._give_stat(self._filesystem.stat(self._path(path), follow=False), buffer)

    @syscall
    def newfstatat(self, dirfd: int, path: int, buffer: int, flags: int) -> int:
        """Attributes of a file, by fstatat's rules."""
        _check_flags(flags, _STAT_FLAGS)
        return self._give_stat(self._node(dirfd, path, flags).stat(), buffer)

    @syscall
    def faccessat(self, dirfd: int, path: int, mode: int, flags: int) -> int:
        """Check permissions, or existence if ``mode`` is 0."""
        _check_flags(flags, _ACCESS_FLAGS)
        if mode & ~0o7:
            raise FileSystemError(Errno.EINVAL)
        node = self._node(dirfd, path, flags)
        if mode & WRITE and node.read_only:
            return -Errno.EROFS
        return 0 if node.permits(mode) else -Errno.EACCES

    @syscall
    def utimensat(self, dirfd: int, path: int, times: int, flags: int) -> int:
        """Set times; a null ``path`` means the descriptor, null ``times`` mean now."""
        _check_flags(flags, _TIMES_FLAGS)
        node = self._node(dirfd, path, flags) if path else self._filesystem.node(_directory(dirfd))
        if times:
            memory = self._caller.memory
            atime = self._time(*memory.read_struct(TIMESPEC, times))
            mtime = self._time(*memory.read_struct(TIMESPEC, times + TIMESPEC.size))
        else:
            atime = mtime = self._filesystem.host.now()
        node.set_times(atime, mtime)
        return 0

    @syscall
    def chmod(self, path: int, mode: int) -> int:
        """Set permission bits."""
        self._filesystem.find(self._path(path)).chmod(mode)
        return 0

    @syscall
    def chdir(self, path: int) -> int:
        """Set the current directory."""
        self._filesystem.chdir(self._path(path))
        return 0

    @syscall
    def getcwd(self, buffer: int, size: int) -> int:
        """Write the current directory's path; returns its length with the NUL."""
        if size == 0:
            raise FileSystemError(Errno.EINVAL)
        path = self._filesystem.getcwd() + b"\0"
        if len(path) > size:
            raise FileSystemError(Errno.ERANGE)
        self._caller.memory.write(buffer, path)
        return len(path)

    @syscall
    def mkdirat(self, dirfd: int, path: int, mode: int) -> int:
        """Make a directory."""
        self._filesystem.mkdir(self._path(path), mode, _directory(dirfd))
        return 0

    @syscall
    def rmdir(self, path: int) -> int:
        """Remove an empty directory."""
        self._filesystem.rmdir(self._path(path))
        return 0

    @syscall
    def unlinkat(self, dirfd: int, path: int, flags: int) -> int:
        """Remove a name, or with AT_REMOVEDIR an empty directory."""
        _check_flags(flags, _AT_REMOVEDIR)
        remove = self._filesystem.rmdir if flags else self._filesystem.unlink
        remove(self._path(path), _directory(dirfd))
        return 0

    @syscall
    def renameat(self, old_dirfd: int, old_path: int, new_dirfd: int, new_path: int) -> int:
        """Rename, in place of what has the new name."""
        old, new = self._path(old_path), self._path(new_path)
        self._filesystem.rename(old, new, _directory(old_dirfd), _directory(new_dirfd))
        return 0

    @syscall
    def symlink(self, target: int, path: int) -> int:
        """Make a symbolic link at ``path``."""
        self._filesystem.symlink(self._path(target), self._path(path))
        return 0

    @syscall
    def readlinkat(self, dirfd: int, path: int, buffer: int, size: int) -> int:
        """Write as much of a link's target as fits, without a NUL."""
        if to_i32(size) <= 0:
            raise FileSystemError(Errno.EINVAL)
        target = self._filesystem.readlink(self._path(path), _directory(dirfd))[:size]
        self._caller.memory.write(buffer, target)
        return len(target)

    def _path(self, ptr: int) -> bytes:
        return read_path(self._caller.memory, ptr)

    def _node(self, dirfd: int, path: int, flags: int) -> Node:
        name, at = self._path(path), _directory(dirfd)
        if name or not flags & _AT_EMPTY_PATH:
            return self._filesystem.find(name, at, follow=not flags & _AT_SYMLINK_NOFOLLOW)
        return self._filesystem.find(b".") if at == AT_FDCWD else self._filesystem.node(at)

    def _time(self, seconds: int, nanoseconds: int) -> int | None:
        if nanoseconds == _UTIME_NOW:
            return self._filesystem.host.now()
        if nanoseconds == _UTIME_OMIT:
            return None
        if not 0 <= nanoseconds < _NANOSECONDS:
            raise FileSystemError(Errno.EINVAL)
        return seconds * _NANOSECONDS + nanoseconds

    def _give_stat(self, attributes: Stat, buffer: int) -> int:
        self._caller.memory.write_struct(STAT, buffer, *_stat_fields(attributes))
        return 0


@final
class DescriptorCalls:
    """System calls on open files.

    Args:
        caller: the instance that they serve.
        filesystem: its descriptors.
    """

    __slots__ = ("_caller", "_filesystem")

    def __init__(self, caller: Caller, filesystem: FileSystem) -> None:
        self._caller = caller
        self._filesystem = filesystem

    def functions(self) -> Mapping[str, HostFunction]:
        """Import name to bound method."""
        return {
            "__syscall_fadvise64": self.fadvise64,
            "__syscall_fchmod": self.fchmod,
            "__syscall_fcntl64": self.fcntl64,
            "__syscall_fstat64": self.fstat64,
            "__syscall_fstatfs64": self.fstatfs64,
            "__syscall_ftruncate64": self.ftruncate64,
            "__syscall_getdents64": self.getdents64,
            "__syscall_ioctl": self.ioctl,
        }

    @syscall
    def fstat64(self, fd: int, buffer: int) -> int:
        """Attributes of an open file."""
        attributes = self._filesystem.node(fd).stat()
        self._caller.memory.write_struct(STAT, buffer, *_stat_fields(attributes))
        return 0

    @syscall
    def fstatfs64(self, fd: int, size: int, buffer: int) -> int:
        """How full the file system is; ``size`` is what the caller takes for the structure's."""
        usage = self._filesystem.node(fd).usage()
        if size != STATFS.size:
            raise FileSystemError(Errno.EINVAL)
        blocks = min(usage.capacity // _BLOCK_SIZE, _MOST_U32)
        free = min(usage.available // _BLOCK_SIZE, _MOST_U32)
        nodes = usage.nodes + usage.nodes_available
        self._caller.memory.write_struct(
            STATFS,
            buffer,
            _TMPFS_MAGIC,
            _BLOCK_SIZE,
            blocks,
            free,
            free,
            nodes,
            usage.nodes_available,
            0,
            0,
            NAME_MAX,
            _BLOCK_SIZE,
            0,
        )
        return 0

    @syscall
    def fchmod(self, fd: int, mode: int) -> int:
        """Set permission bits of an open file."""
        self._filesystem.node(fd).chmod(mode)
        return 0

    @syscall
    def ftruncate64(self, fd: int, size: int) -> int:
        """Cut or extend an open file."""
        self._filesystem.truncate(fd, size)
        return 0

    @syscall
    def fadvise64(self, fd: int, offset: int, length: int, advice: int) -> int:
        """Take advice; there is nothing to use it for."""
        self._filesystem.node(fd)
        return 0

    @syscall
    def getdents64(self, fd: int, buffer: int, size: int) -> int:
        """Write the next entries of a directory; returns their bytes, 0 at the end."""
        count = min(size // DIRENT.size, _MOST_ENTRIES)
        entries = self._filesystem.entries(fd, count)
        if not count:
            # Nothing written would look like the end.
            raise FileSystemError(Errno.EINVAL)
        records = b"".join(map(_dirent, entries))
        self._caller.memory.write(buffer, records)
        if entries:
            self._filesystem.seek(fd, entries[-1].cookie, 0)
        return len(records)

    @syscall
    def fcntl64(self, fd: int, command: int, varargs: int) -> int:
        """Duplicate, flags and locks; locks are granted, as no other process could hold one."""
        filesystem, memory = self._filesystem, self._caller.memory
        filesystem.node(fd)
        if command in {_F_DUPFD, _F_DUPFD_CLOEXEC}:
            return filesystem.dup(fd, memory.read_i32(varargs))
        if command == _F_GETFL:
            return filesystem.flags(fd)
        if command == _F_SETFL:
            filesystem.set_flags(fd, memory.read_u32(varargs))
        elif command == _F_GETLK:
            memory.write_struct(FLOCK_TYPE, memory.read_u32(varargs), _F_UNLCK)
        elif command not in {_F_GETFD, _F_SETFD, _F_SETLK, _F_SETLKW}:
            raise FileSystemError(Errno.EINVAL)
        return 0

    @syscall
    def ioctl(self, fd: int, request: int, varargs: int) -> int:
        """FIONREAD on files; no descriptor is a terminal."""
        filesystem, memory = self._filesystem, self._caller.memory
        node = filesystem.node(fd)
        if request in _TERMINAL_REQUESTS:
            raise FileSystemError(Errno.ENOTTY)
        if request != _FIONREAD:
            raise FileSystemError(Errno.EINVAL)
        if not isinstance(node, FileNode) or not node.seekable:
            raise FileSystemError(Errno.ENOTTY)
        left = max(node.size - filesystem.seek(fd, 0, 1), 0)
        memory.write_i32(memory.read_u32(varargs), min(left, 2**31 - 1))
        return 0


def _directory(dirfd: int) -> int:
    return to_i32(dirfd)


def _check_flags(flags: int, known: int) -> None:
    if flags & ~known:
        raise FileSystemError(Errno.EINVAL)


def _stat_fields(attributes: Stat) -> tuple[int, ...]:
    user = group = 0
    return (
        attributes.device,
        attributes.mode,
        attributes.links,
        user,
        group,
        attributes.rdev,
        attributes.size,
        _BLOCK_SIZE,
        -(-attributes.size // _BLOCK_SIZE) * (_BLOCK_SIZE // _STAT_BLOCK),
        *divmod(attributes.atime, _NANOSECONDS),
        *divmod(attributes.mtime, _NANOSECONDS),
        *divmod(attributes.ctime, _NANOSECONDS),
        attributes.ino,
    )


def _dirent(entry: Entry) -> bytes:
    # DT_* of dirent.h are the S_IF* of stat.h, shifted.
    kind = stat.S_IFMT(entry.mode) >> 12
    return DIRENT.pack(entry.ino, entry.cookie, DIRENT.size, kind, entry.name)
