"""Directories of a mount: the host's files, one name at a time."""

from __future__ import annotations

import os
import stat
from bisect import bisect_right
from typing import TYPE_CHECKING, final
from weakref import WeakValueDictionary

from dotnet_wasm_host.imports.files.host_files import HAS_PROC, HostDescriptor, host_call
from dotnet_wasm_host.imports.files.mounted_base import (
    FILE_FLAGS,
    NOFOLLOW,
    PERMISSIONS,
    MountedLink,
    MountedNode,
    SpecialFile,
    by_descriptor,
    times_of,
)
from dotnet_wasm_host.imports.files.mounted_files import MountedFile, OpenedFile
from dotnet_wasm_host.imports.files.mounts import (
    DIRECTORY_FLAGS,
    HAS_OPENAT,
    Inode,
    Mount,
    checks_access,
    inode_of,
)
from dotnet_wasm_host.imports.files.nodes import (
    WRITE,
    DirectoryNode,
    Entry,
    FileNode,
    Node,
)
from dotnet_wasm_host.imports.files.wasi_errno import Errno, FileSystemError
from dotnet_wasm_host.overriding import override

if TYPE_CHECKING:
    from dotnet_wasm_host.imports.files.volume import Directory

__all__ = ["MountedDirectory", "mount_root"]

# "." and ".." have the first two cookies of every directory.
_DOT, _DOT_DOT, _FIRST_NAME = 1, 2, 3


@final
class MountedDirectory(MountedNode, DirectoryNode):
    """A directory, held open for as long as anything refers to it."""

    __slots__ = ("__weakref__", "_cookies", "_known", "_order", "_parent", "descriptor", "name")

    name: bytes

    def __init__(
        self,
        mount: Mount,
        descriptor: HostDescriptor,
        parent: MountedDirectory | Directory,
        name: bytes,
        known: WeakValueDictionary[Inode, MountedDirectory],
    ) -> None:
        super().__init__(mount)
        # Those in use; a directory is one node, by whatever way it was found.
        self._known = known
        known[inode_of(os.fstat(descriptor.number))] = self
        self.descriptor: HostDescriptor = descriptor
        self.name = name
        self._parent = parent
        self._cookies: dict[bytes, int] = {}
        self._order: list[tuple[int, Entry]] = []

    @property
    @override
    def parent(self) -> DirectoryNode:
        return self._parent

    @property
    @override
    def is_removed(self) -> bool:
        return self._nlink() == 0

    @host_call
    def _nlink(self) -> int:
        return self._stat().st_nlink

    @property
    @override
    @host_call
    def is_empty(self) -> bool:
        try:
            listing = self._listed()
        except PermissionError:
            # To remove a directory one need not read it: the kernel will see for itself.
            return True
        with os.scandir(listing.number) as entries:
            return next(entries, None) is None

    def _stat(self) -> os.stat_result:
        return os.fstat(self.descriptor.number)

    @override
    @host_call
    def permits(self, access: int) -> bool:
        if access & WRITE and self.mount.read_only:
            return False
        path, at = self._itself()
        return not self.mount.checks_access or os.access(
            path, access, dir_fd=at, effective_ids=True
        )

    def allows(self, name: bytes, access: int) -> bool:
        """Whether the host's kernel grants this process ``access`` to what is at ``name``."""
        return not self.mount.checks_access or os.access(
            name,
            access,
            dir_fd=self.descriptor.number,
            effective_ids=True,
            follow_symlinks=False,
        )

    @override
    @host_call
    def chmod(self, mode: int) -> None:
        self.mount.require_writable()
        path, at = self._itself()
        os.chmod(path, mode & PERMISSIONS, dir_fd=at)

    @override
    @host_call
    def set_times(self, atime: int | None, mtime: int | None) -> None:
        self.mount.require_writable()
        path, at = self._itself()
        os.utime(path, ns=times_of(self._stat(), atime, mtime), dir_fd=at)

    @override
    @host_call
    def find(self, name: bytes) -> Node | None:
        try:
            found = os.stat(name, dir_fd=self.descriptor.number, follow_symlinks=False)
            return self._node(name, found)
        except FileNotFoundError:
            return None

    def _node(self, name: bytes, found: os.stat_result) -> Node:
        kind = stat.S_IFMT(found.st_mode)
        if kind == stat.S_IFDIR:
            return self._directory(name, found)
        if kind == stat.S_IFREG:
            return MountedFile(self, name, found)
        if kind == stat.S_IFLNK:
            return MountedLink(self, name, found)
        return SpecialFile(self, name, found)

    def _directory(self, name: bytes, found: os.stat_result) -> MountedDirectory:
        known = self._known.get(inode_of(found))
        if known is None:
            descriptor = self._open(name, DIRECTORY_FLAGS | NOFOLLOW)
            known = self._known.get(inode_of(os.fstat(descriptor.number)))
            if known is None:
                return MountedDirectory(self.mount, descriptor, self, name, self._known)
        known.put(self, name)
        return known

    def put(self, parent: MountedDirectory, name: bytes) -> None:
        """It was found there now. ESTALE if the host made a circle of what the guest holds."""
        above: DirectoryNode = parent
        while isinstance(above, MountedDirectory):
            if above is self:
                raise FileSystemError(Errno.ESTALE)
            above = above.parent
        self._parent = parent
        self.name = name

    @override
    def entries(self, after: int, count: int) -> list[Entry]:
        if after < _FIRST_NAME:
            self._list()
        found: list[Entry] = []
        mode = stat.S_IFDIR
        if after < _DOT:
            found.append(Entry(_DOT, b".", self.stat().ino, mode))
        if after < _DOT_DOT:
            found.append(Entry(_DOT_DOT, b"..", self._parent.stat().ino, mode))
        index = bisect_right(self._order, after, key=lambda held: held[0])
        found += [entry for _, entry in self._order[index : index + max(count - len(found), 0)]]
        return found[:count]

    @host_call
    def _list(self) -> None:
        """Number the names there are. A name keeps its number for as long as it stays."""
        listing = self._listed()
        with os.scandir(listing.number) as entries:
            present = {os.fsencode(e.name): (e.inode(), _kind(e)) for e in entries}
        last = max(self._cookies.values(), default=_FIRST_NAME - 1)
        cookies = {name: number for name, number in self._cookies.items() if name in present}
        for name in present:
            if name not in cookies:
                last += 1
                cookies[name] = last
        self._cookies = cookies
        self._order = [
            (cookie, Entry(cookie, name, *present[name])) for name, cookie in cookies.items()
        ]

    def _listed(self) -> HostDescriptor:
        path, at = self._itself()
        return self.mount.descriptors.open(path, os.O_RDONLY | os.O_DIRECTORY, at=at)

    def _itself(self) -> tuple[bytes, int | None]:
        """The directory as a path and the descriptor where it starts; nothing is followed."""
        if HAS_PROC:
            return by_descriptor(self.descriptor), None
        return b".", self.descriptor.number

    def _open(self, name: bytes, flags: int, mode: int = 0) -> HostDescriptor:
        return self.mount.descriptors.open(name, flags, mode, at=self.descriptor.number)

    @override
    @host_call
    def create_file(self, name: bytes, mode: int) -> FileNode:
        self.mount.require_writable()
        self.mount.additions.require_node()
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | FILE_FLAGS
        file = OpenedFile(self.mount, self._open(name, flags, mode & PERMISSIONS))
        self.mount.additions.add(file.inode, 0)
        return file

    @override
    @host_call
    def create_directory(self, name: bytes, mode: int) -> None:
        self.mount.require_writable()
        self.mount.additions.require_node()
        os.mkdir(name, mode & PERMISSIONS, dir_fd=self.descriptor.number)
        found = os.stat(name, dir_fd=self.descriptor.number, follow_symlinks=False)
        self.mount.additions.add(inode_of(found), 0)

    @override
    def create_link(self, name: bytes, target: bytes) -> None:
        self.mount.require_writable()
        # It would be a path of the guest's, which the host's programs would take for theirs.
        raise FileSystemError(Errno.EPERM)

    @override
    @host_call
    def remove(self, name: bytes) -> None:
        self.mount.require_writable()
        where = self.descriptor.number
        found = os.stat(name, dir_fd=where, follow_symlinks=False)
        if stat.S_ISDIR(found.st_mode):
            os.rmdir(name, dir_fd=where)
        else:
            os.unlink(name, dir_fd=where)
        self.mount.removed(found)

    @override
    @host_call
    def move(self, name: bytes, to: DirectoryNode, new_name: bytes) -> None:
        self.mount.require_writable()
        if not isinstance(to, MountedDirectory) or to.mount is not self.mount:
            raise FileSystemError(Errno.EXDEV)
        moved = self.find(name)
        where, there = self.descriptor.number, to.descriptor.number
        try:
            replaced = os.stat(new_name, dir_fd=there, follow_symlinks=False)
        except FileNotFoundError:
            replaced = None
        os.rename(name, new_name, src_dir_fd=where, dst_dir_fd=there)
        if isinstance(moved, MountedDirectory):
            moved.put(to, new_name)
        if replaced is not None:
            self.mount.removed(replaced)


def mount_root(
    mount: Mount, host_path: str | os.PathLike[str], above: Directory, name: bytes
) -> MountedDirectory:
    """The top of a mount; the one place where a path of the host's, the user's, is opened."""
    if not HAS_OPENAT:
        raise ValueError(
            "directories can be mounted only where names are looked up by directory descriptor, "
            "which this platform's Python cannot do; give WasiOptions.files instead"
        )
    descriptor = mount.descriptors.open(os.fsencode(host_path), DIRECTORY_FLAGS)
    mount.checks_access = checks_access(descriptor.number)
    return MountedDirectory(mount, descriptor, above, name, WeakValueDictionary())


def _kind(entry: os.DirEntry[str]) -> int:
    if entry.is_symlink():
        return stat.S_IFLNK
    if entry.is_dir(follow_symlinks=False):
        return stat.S_IFDIR
    if entry.is_file(follow_symlinks=False):
        return stat.S_IFREG
    # A device, a pipe or a socket: the guest can ask which.
    return 0
