"""The interface between the file system and what its paths lead to.

:class:`~dotnet_wasm_host.imports.files.filesystem.FileSystem` resolves paths, checks permissions
and keeps descriptors; it knows files only by the classes here. A kind of node is one that lives in
memory (``volume.py``), one that is a device (``devices.py``), or one that is backed by anything
else. Nodes of one *volume* share a :attr:`Node.device`; links and renames stay inside a volume.

Names, link targets and paths are bytes, as POSIX has them. Times are nanoseconds since the epoch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

from dotnet_wasm_host.imports.files.wasi_errno import Errno, FileSystemError

__all__ = [
    "EXECUTE",
    "READ",
    "WRITE",
    "DirectoryNode",
    "Entry",
    "FileNode",
    "LinkNode",
    "Node",
    "Stat",
    "Usage",
]

#: What a permission is asked for; POSIX R_OK, W_OK, X_OK.
READ, WRITE, EXECUTE = 4, 2, 1


class Stat(NamedTuple):
    """POSIX ``struct stat`` without what the guest has only one of (user, group)."""

    device: int
    ino: int
    mode: int
    links: int
    rdev: int
    size: int
    atime: int
    mtime: int
    ctime: int


class Entry(NamedTuple):
    """One name in a directory.

    ``cookie`` is the position *after* this entry; it stays valid however the directory changes.
    """

    cookie: int
    name: bytes
    ino: int
    mode: int


class Usage(NamedTuple):
    """How full a volume is: POSIX ``statvfs`` in bytes and nodes."""

    capacity: int
    available: int
    nodes: int
    nodes_available: int


class Node(ABC):
    """Anything that a path can lead to."""

    __slots__ = ()

    @property
    def read_only(self) -> bool:
        """Whether changes are refused with EROFS, whatever the permissions."""
        return False

    @property
    @abstractmethod
    def mode(self) -> int:
        """File type and permission bits, ``stat.S_IF*`` and 0o7777."""

    @property
    @abstractmethod
    def device(self) -> int:
        """Number of the volume."""

    @abstractmethod
    def stat(self) -> Stat:
        """The attributes at this moment."""

    @abstractmethod
    def chmod(self, mode: int) -> None:
        """Set the permission bits (0o7777)."""

    @abstractmethod
    def set_times(self, atime: int | None, mtime: int | None) -> None:
        """Set access and modification time; ``None`` leaves one as it is."""

    @abstractmethod
    def usage(self) -> Usage:
        """How full the node's volume is."""

    @abstractmethod
    def acquire(self) -> None:
        """Keep the node alive without a name: it is open, mapped, or somebody's directory."""

    @abstractmethod
    def release(self) -> None:
        """Undo one :meth:`acquire`; without names and users the node is gone."""

    def open(self, access: int) -> Node:
        """What a new open description refers to; ``access`` (READ, WRITE) has been permitted."""
        return self

    def permits(self, access: int) -> bool:
        """Whether the guest, who owns every node, has all of READ, WRITE, EXECUTE asked for."""
        return self.mode >> 6 & access == access


class FileNode(Node):
    """Something that is read and written: a regular file, a device, a stream."""

    __slots__ = ()

    #: Whether there are positions; without them ``offset`` is 0 and means nothing.
    seekable = True

    @property
    @abstractmethod
    def size(self) -> int:
        """Length in bytes; 0 where there is none."""

    @abstractmethod
    def read(self, offset: int, size: int) -> bytes:
        """At most ``size`` bytes; none at the end of the file."""

    @abstractmethod
    def write(self, offset: int, data: bytes) -> int:
        """Write at ``offset``, with zeros up to it if need be; returns the bytes written."""

    def truncate(self, size: int) -> None:
        """Cut or extend to ``size``."""
        raise FileSystemError(Errno.EINVAL)

    def sync(self) -> None:
        """Hand everything written on to where it goes; for most nodes it is there already."""


class LinkNode(Node):
    """A symbolic link."""

    __slots__ = ()

    @property
    @abstractmethod
    def target(self) -> bytes:
        """The path that the link stands for."""


class DirectoryNode(Node):
    """A directory. Callers have checked permissions and names before they change it."""

    __slots__ = ()

    @property
    @abstractmethod
    def parent(self) -> DirectoryNode:
        """The directory above; the root of a file system is its own parent."""

    @property
    @abstractmethod
    def name(self) -> bytes:
        """The directory's name in its parent."""

    @property
    @abstractmethod
    def is_removed(self) -> bool:
        """Whether ``rmdir`` took it away while something still uses it."""

    @property
    @abstractmethod
    def is_empty(self) -> bool:
        """Whether it has no names but ``.`` and ``..``."""

    @abstractmethod
    def find(self, name: bytes) -> Node | None:
        """The node of that name."""

    @abstractmethod
    def entries(self, after: int, count: int) -> list[Entry]:
        """At most ``count`` entries behind the cookie ``after``; 0 is the start.

        ``.`` and ``..`` come first. An entry that stays in the directory is given exactly once
        between a start and the end, whatever else is added or removed meanwhile.
        """

    @abstractmethod
    def create_file(self, name: bytes, mode: int) -> FileNode:
        """A new, empty regular file."""

    @abstractmethod
    def create_directory(self, name: bytes, mode: int) -> None:
        """A new, empty directory."""

    @abstractmethod
    def create_link(self, name: bytes, target: bytes) -> None:
        """A new symbolic link."""

    @abstractmethod
    def remove(self, name: bytes) -> None:
        """Take a name away; of a directory only if it is empty."""

    @abstractmethod
    def move(self, name: bytes, to: DirectoryNode, new_name: bytes) -> None:
        """Rename, in place of what ``new_name`` names now. ``to`` is on the same volume."""
