"""A directory of the host as a volume of the guest: what its nodes share.

No path of the guest's reaches the host's kernel. The guest's paths are resolved here
(``paths.py``), one name after the other, and each name is looked up in the descriptor of a
directory that was reached the same way, without following links (``openat`` with
``O_NOFOLLOW``). So a link inside is a path in the guest's own tree wherever it points, ``..`` is
the directory that the guest came from, and a link that is put in the way of a look-up makes it
fail instead of leading it elsewhere.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, final

from dotnet_wasm_host.imports.files.nodes import Usage
from dotnet_wasm_host.imports.files.volume import MAX_NODES, Volume
from dotnet_wasm_host.imports.files.wasi_errno import Errno, FileSystemError

if TYPE_CHECKING:
    from dotnet_wasm_host.imports.files.host_files import HostDescriptors

__all__ = [
    "DIRECTORY_FLAGS",
    "HAS_OPENAT",
    "Additions",
    "Inode",
    "Mount",
    "checks_access",
    "inode_of",
]

#: Whether names can be looked up in a directory that is held open.
HAS_OPENAT = os.open in os.supports_dir_fd and hasattr(os, "O_NOFOLLOW")
#: A directory to look names up in; where there is O_PATH, one that cannot be listed will do.
DIRECTORY_FLAGS = getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_PATH", 0)


def checks_access(directory: int) -> bool:
    """Whether ``faccessat`` answers for effective identities without following links."""
    return (
        os.access in os.supports_effective_ids
        and os.access in os.supports_follow_symlinks
        and os.access in os.supports_dir_fd
        # Some C libraries know the flags and fail with them: one can always see ".".
        and os.access(b".", os.F_OK, dir_fd=directory, effective_ids=True, follow_symlinks=False)
    )


class Inode(NamedTuple):
    """What is one thing on the host, whatever its names."""

    device: int
    number: int


def inode_of(found: os.stat_result) -> Inode:
    """The inode of a ``stat``."""
    return Inode(found.st_dev, found.st_ino)


@final
class Additions:
    """What a guest has added to the host's disk: it counts like files in memory.

    Bytes are given back when they are cut off or their file is gone. What was there before gives
    nothing back, so that a guest cannot buy room by deleting what it was lent.
    """

    __slots__ = ("_bytes", "_volume")

    def __init__(self, volume: Volume) -> None:
        self._volume = volume
        #: Bytes that were added to an inode; 0 for a directory that was made.
        self._bytes: dict[Inode, int] = {}

    @property
    def room(self) -> int:
        """Bytes that can still be added."""
        return self._volume.available

    def require_node(self) -> None:
        """ENOSPC if the guest has made as many files and directories as it may."""
        if len(self._bytes) >= MAX_NODES:
            raise FileSystemError(Errno.ENOSPC)

    def add(self, inode: Inode, count: int) -> None:
        """Charge ``count`` bytes: ENOSPC."""
        self._volume.charge(count)
        self._bytes[inode] = self._bytes.get(inode, 0) + count

    def cut(self, inode: Inode, count: int) -> None:
        """``count`` bytes are off; at most what was added comes back."""
        added = self._bytes.get(inode, 0)
        returned = min(added, count)
        if returned:
            self._volume.charge(-returned)
            self._bytes[inode] = added - returned

    def forget(self, inode: Inode) -> None:
        """The inode is gone."""
        self._volume.charge(-self._bytes.pop(inode, 0))


@final
@dataclass(slots=True, eq=False)
class Mount:
    """One mounted directory.

    Attributes:
        volume: whose capacity it shares.
        device: ``st_dev`` of its nodes.
        read_only: whether everything that changes something is refused with EROFS.
        descriptors: where its descriptors come from.
        additions: what the guest has added to it.
        users: open descriptions and mappings of files by inode.
        checks_access: whether the kernel can be asked for permissions without following links.
    """

    volume: Volume
    device: int
    read_only: bool
    descriptors: HostDescriptors
    additions: Additions
    users: dict[Inode, int]
    checks_access: bool = False

    @classmethod
    def of(
        cls, volume: Volume, device: int, descriptors: HostDescriptors, *, read_only: bool
    ) -> Mount:
        """A mount without a root."""
        return cls(
            volume,
            device,
            read_only,
            descriptors,
            Additions(volume),
            {},
        )

    def require_writable(self) -> None:
        """EROFS if the mount is read-only."""
        if self.read_only:
            raise FileSystemError(Errno.EROFS)

    def removed(self, found: os.stat_result) -> None:
        """A name of ``found``, as it was before, is gone; perhaps it was the last."""
        inode = inode_of(found)
        is_last = found.st_nlink <= 1 or stat.S_ISDIR(found.st_mode)
        if is_last and inode not in self.users:
            self.additions.forget(inode)

    def usage(self) -> Usage:
        """The guest's own quota: the host's disk is no concern of its."""
        volume = self.volume
        count = len(volume.nodes)
        return Usage(volume.capacity, volume.available, count, MAX_NODES - count)
