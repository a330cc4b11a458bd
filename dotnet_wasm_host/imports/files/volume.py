"""Files, directories and symbolic links that live in memory, under one quota.

A volume keeps its nodes in a flat table by inode number, and directories hold numbers. Nothing
is nested, so however deep a guest nests its directories, the volume can be pickled.
"""

from __future__ import annotations

import stat
from bisect import bisect_right
from operator import itemgetter
from typing import TYPE_CHECKING, final

from dotnet_wasm_host.imports.files.nodes import (
    DirectoryNode,
    Entry,
    FileNode,
    LinkNode,
    Node,
    Stat,
    Usage,
)
from dotnet_wasm_host.imports.files.wasi_errno import Errno, FileSystemError
from dotnet_wasm_host.overriding import override

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "FREE_NODES",
    "MAX_NODES",
    "NODE_BYTES",
    "Directory",
    "RegularFile",
    "Symlink",
    "Volume",
    "VolumeNode",
]

#: Most nodes that a volume holds; each costs the host about 1 KiB.
MAX_NODES = 65_536
#: What a node counts for beside its content, from the 1,025th node on: few small files are free,
#: so that a small quota is one of content.
NODE_BYTES = 1024
FREE_NODES = 1024
#: What the file system says a directory's size is, as Emscripten does.
DIRECTORY_SIZE = 4096

_PERMISSIONS = 0o7777
# "." and ".." have the first two cookies of every directory.
_DOT, _DOT_DOT, _FIRST_NAME = 1, 2, 3
# Spent entries that a directory's order may carry before it is rewritten.
_SPENT_ENTRIES = 32
_cookie_of = itemgetter(0)


@final
class Volume:
    """The nodes of one in-memory file system, and what they may take.

    Args:
        now: nanoseconds since the epoch, for the times of nodes.
        capacity: bytes of file content and link targets, and of :data:`NODE_BYTES` for each node
            past the first :data:`FREE_NODES`.
    """

    __slots__ = ("capacity", "covers", "last_ino", "nodes", "now", "used")

    #: ``st_dev`` of every node; Emscripten's MEMFS has the same.
    device = 1

    def __init__(self, now: Callable[[], int], capacity: int) -> None:
        self.now: Callable[[], int] = now
        self.capacity: int = capacity
        self.used: int = 0
        self.nodes: dict[int, VolumeNode] = {}
        #: Directories of other volumes, by the inode number of the one they are mounted on.
        self.covers: dict[int, DirectoryNode] = {}
        self.last_ino: int = 0

    @property
    def available(self) -> int:
        """Bytes that can still be written."""
        return self.capacity - self.used

    def enroll(self, node: VolumeNode, size: int) -> int:
        """An inode number, never used before, and ``size`` bytes for a new node."""
        if len(self.nodes) >= MAX_NODES:
            raise FileSystemError(Errno.ENOSPC)
        self.charge(size + (NODE_BYTES if len(self.nodes) >= FREE_NODES else 0))
        self.last_ino += 1
        self.nodes[self.last_ino] = node
        return self.last_ino

    def dismiss(self, ino: int, size: int) -> None:
        """Give back the place of a node and its ``size`` bytes."""
        if len(self.nodes) > FREE_NODES:
            size += NODE_BYTES
        del self.nodes[ino]
        self.charge(-size)

    def charge(self, count: int) -> None:
        """Take ``count`` bytes of the capacity, or give ``-count`` back."""
        if count > self.available:
            raise FileSystemError(Errno.ENOSPC)
        self.used += count


class VolumeNode(Node):
    """What all nodes of a volume have."""

    __slots__ = ("_volume", "atime", "ctime", "ino", "links", "mode", "mtime", "users")

    mode: int
    rdev = 0

    def __init__(self, volume: Volume, mode: int, size: int = 0) -> None:
        self._volume = volume
        self.mode = mode
        #: Names that lead here.
        self.links: int = 0
        #: Open descriptions, mappings and current directories.
        self.users: int = 0
        self.atime: int = volume.now()
        self.mtime: int = self.atime
        self.ctime: int = self.atime
        self.ino: int = volume.enroll(self, size)

    @property
    @override
    def device(self) -> int:
        return self._volume.device

    @property
    def size(self) -> int:
        """Bytes of content."""
        return 0

    @override
    def stat(self) -> Stat:
        return Stat(
            device=self.device,
            ino=self.ino,
            mode=self.mode,
            links=self.links,
            rdev=self.rdev,
            size=self.size,
            atime=self.atime,
            mtime=self.mtime,
            ctime=self.ctime,
        )

    @override
    def chmod(self, mode: int) -> None:
        self.mode = stat.S_IFMT(self.mode) | mode & _PERMISSIONS
        self.ctime = self._volume.now()

    @override
    def set_times(self, atime: int | None, mtime: int | None) -> None:
        if atime is not None:
            self.atime = atime
        if mtime is not None:
            self.mtime = mtime
        self.ctime = self._volume.now()

    @override
    def usage(self) -> Usage:
        volume = self._volume
        count = len(volume.nodes)
        return Usage(volume.capacity, volume.available, count, MAX_NODES - count)

    @override
    def acquire(self) -> None:
        self.users += 1

    @override
    def release(self) -> None:
        self.users -= 1
        self.forget_if_unused()

    def forget_if_unused(self) -> None:
        """Give the node's place and bytes back once it has neither names nor users."""
        if self.links == 0 and self.users == 0:
            self._volume.dismiss(self.ino, self._charged())

    def _charged(self) -> int:
        return 0

    def _modified(self) -> None:
        self.mtime = self.ctime = self._volume.now()

    def _accessed(self) -> None:
        # As Linux's "relatime": the first access after a change counts. It keeps the clock out
        # of repeated reads.
        if self.atime <= self.mtime:
            self.atime = self._volume.now()


@final
class RegularFile(VolumeNode, FileNode):
    """A file's content. Given content is shared with the giver until the first change."""

    __slots__ = ("_data",)

    def __init__(self, volume: Volume, permissions: int, data: bytes = b"") -> None:
        super().__init__(volume, stat.S_IFREG | permissions & _PERMISSIONS, len(data))
        self._data: bytes | bytearray = data

    @property
    @override
    def size(self) -> int:
        return len(self._data)

    @override
    def read(self, offset: int, size: int) -> bytes:
        self._accessed()
        with memoryview(self._data) as view:
            return bytes(view[offset : offset + size])

    @override
    def write(self, offset: int, data: bytes) -> int:
        if not data:
            return 0
        content = self._own()
        length, end = len(content), offset + len(data)
        if end > length:
            end = min(end, length + self._volume.available)
            if end <= offset:
                raise FileSystemError(Errno.ENOSPC)
            self._volume.charge(end - length)
            data = data[: end - offset]
            if offset > length:
                content.extend(bytes(offset - length))
        content[offset:end] = data
        self._modified()
        return len(data)

    @override
    def truncate(self, size: int) -> None:
        content = self._own()
        growth = size - len(content)
        self._volume.charge(growth)
        if growth > 0:
            content.extend(bytes(growth))
        else:
            del content[size:]
        self._modified()

    def _own(self) -> bytearray:
        if not isinstance(self._data, bytearray):
            self._data = bytearray(self._data)
        return self._data

    def _charged(self) -> int:
        return len(self._data)


@final
class Symlink(VolumeNode, LinkNode):
    """A symbolic link; its target counts against the quota."""

    __slots__ = ("target",)

    target: bytes

    def __init__(self, volume: Volume, target: bytes) -> None:
        super().__init__(volume, stat.S_IFLNK | 0o777, len(target))
        self.target = target

    @property
    @override
    def size(self) -> int:
        return len(self.target)

    def _charged(self) -> int:
        return len(self.target)


@final
class Directory(VolumeNode, DirectoryNode):
    """A directory.

    Every name has a cookie that grows with each new name. Listing walks the cookies, so a
    listing that was interrupted goes on where it was, whatever happened to the names.
    """

    __slots__ = ("_last_cookie", "_names", "_order", "_parent_ino", "name")

    name: bytes

    def __init__(self, volume: Volume, permissions: int) -> None:
        super().__init__(volume, stat.S_IFDIR | permissions & _PERMISSIONS)
        # Its name and its own "."; a root has ".." for the name it lacks.
        self.links: int = 2
        self.name = b""
        self._parent_ino = self.ino
        #: Name to cookie and inode number, in the order of the cookies.
        self._names: dict[bytes, tuple[int, int]] = {}
        #: The same cookies and names, for bisection; may hold names that are gone.
        self._order: list[tuple[int, bytes]] = []
        self._last_cookie = _FIRST_NAME - 1

    @property
    @override
    def size(self) -> int:
        return DIRECTORY_SIZE

    @property
    @override
    def parent(self) -> Directory:
        parent = self._volume.nodes.get(self._parent_ino)
        # The parent of a removed directory may be gone itself.
        if not isinstance(parent, Directory):
            raise FileSystemError(Errno.ENOENT)
        return parent

    @property
    @override
    def is_removed(self) -> bool:
        return self.links == 0

    @property
    @override
    def is_empty(self) -> bool:
        return not self._names

    @override
    def find(self, name: bytes) -> Node | None:
        held = self._names.get(name)
        if held is None:
            return None
        return self._volume.covers.get(held[1]) or self._volume.nodes[held[1]]

    @override
    def entries(self, after: int, count: int) -> list[Entry]:
        self._accessed()
        found: list[Entry] = []
        if after < _DOT:
            found.append(Entry(_DOT, b".", self.ino, self.mode))
        if after < _DOT_DOT:
            found.append(Entry(_DOT_DOT, b"..", self._parent_ino, self.mode))
        order, names, nodes = self._order, self._names, self._volume.nodes
        index = bisect_right(order, after, key=_cookie_of)
        while len(found) < count and index < len(order):
            cookie, name = order[index]
            held = names.get(name)
            if held is not None and held[0] == cookie:
                found.append(Entry(cookie, name, held[1], nodes[held[1]].mode))
            index += 1
        return found[:count]

    @override
    def create_file(self, name: bytes, mode: int) -> RegularFile:
        node = RegularFile(self._volume, mode)
        self.adopt(name, node)
        return node

    @override
    def create_directory(self, name: bytes, mode: int) -> None:
        self.adopt(name, Directory(self._volume, mode))

    @override
    def create_link(self, name: bytes, target: bytes) -> None:
        self.adopt(name, Symlink(self._volume, target))

    def adopt(self, name: bytes, node: VolumeNode) -> None:
        """Give a node of this volume that has no name a name here."""
        held = self._names.get(name)
        if held is None:
            self._last_cookie += 1
            cookie = self._last_cookie
            self._order.append((cookie, name))
        else:
            # Whoever lists the directory sees the name once, so it keeps its place.
            cookie = held[0]
            self._unlink(self._volume.nodes[held[1]])
        self._names[name] = cookie, node.ino
        if isinstance(node, Directory):
            node.name = name
            node._parent_ino = self.ino  # noqa: SLF001 - one of our own kind
            self.links += 1
        else:
            node.links += 1
        self._modified()

    @override
    def remove(self, name: bytes) -> None:
        self._unlink(self._give_up(name))
        self._modified()

    @override
    def move(self, name: bytes, to: DirectoryNode, new_name: bytes) -> None:
        if not isinstance(to, Directory):
            raise FileSystemError(Errno.EXDEV)
        node = self._give_up(name)
        if isinstance(node, Directory):
            self.links -= 1
        else:
            node.links -= 1
        to.adopt(new_name, node)
        self._modified()
        node.ctime = self.ctime

    def _give_up(self, name: bytes) -> VolumeNode:
        _, ino = self._names.pop(name)
        if len(self._order) > 2 * len(self._names) + _SPENT_ENTRIES:
            self._order = [(cookie, name) for name, (cookie, _) in self._names.items()]
        return self._volume.nodes[ino]

    def _unlink(self, node: VolumeNode) -> None:
        if isinstance(node, Directory):
            node.links = 0
            self.links -= 1
        else:
            node.links -= 1
            node.ctime = self._volume.now()
        node.forget_if_unused()
