"""Path resolution: from a path to a node, as POSIX.1-2017 4.13 and Linux have it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, final

from dotnet_wasm_host.imports.files.nodes import EXECUTE, WRITE, DirectoryNode, LinkNode, Node
from dotnet_wasm_host.imports.files.wasi_errno import Errno, FileSystemError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["NAME_MAX", "PATH_MAX", "SYMLOOP_MAX", "Place", "resolve"]

#: Longest name, in bytes.
NAME_MAX = 255
#: Longest path, in bytes, with the NUL that ends it.
PATH_MAX = 4096
#: Most symbolic links on the way to one node (Linux: MAXSYMLINKS).
SYMLOOP_MAX = 40

_SPECIAL = (b"", b".", b"..")


class Place(NamedTuple):
    """Where a path ends.

    Attributes:
        directory: the directory that holds the last name.
        name: the last name; empty for a root, and possibly ``.`` or ``..``.
        node: what is there, or ``None``.
        slash: whether a ``/`` follows the last name, which asks for a directory.
    """

    directory: DirectoryNode
    name: bytes
    node: Node | None
    slash: bool

    @property
    def is_named(self) -> bool:
        """Whether the last name is one that can be made and removed."""
        return self.name not in _SPECIAL

    @property
    def is_mount_point(self) -> bool:
        """Whether the node is the top of another volume."""
        return self.node is not None and self.node.device != self.directory.device

    def existing(self) -> Node:
        """The node. ENOENT without one, ENOTDIR if the path asks for a directory in vain."""
        if self.node is None:
            raise FileSystemError(Errno.ENOENT)
        if self.slash and not isinstance(self.node, DirectoryNode):
            raise FileSystemError(Errno.ENOTDIR)
        return self.node

    def check_alterable(self) -> None:
        """Whether names can be added to and taken from the directory: ENOENT, EROFS, EACCES."""
        if self.directory.is_removed:
            raise FileSystemError(Errno.ENOENT)
        if self.directory.read_only:
            raise FileSystemError(Errno.EROFS)
        if not self.directory.permits(WRITE | EXECUTE):
            raise FileSystemError(Errno.EACCES)


def resolve(
    path: bytes,
    start: Node,
    root: DirectoryNode,
    charge: Callable[[int], object],
    *,
    follow: bool,
    creating: bool = False,
) -> Place:
    """Walk ``path`` from ``start``, or from ``root`` if it is absolute.

    ``charge`` is told of names before they are looked up, those of symbolic links included.

    ``follow`` says what to do about a symbolic link at the very end; if a file is to be created
    there, one with a slash behind it is not followed. The last name may be missing, every other
    must lead to a directory that can be searched.
    """
    walk = _Walk(path, start, root, charge)
    while walk.pending:
        directory = _searchable(walk.current)
        name = walk.pending.pop()
        node = _step(directory, name)
        is_followed = follow and not (creating and walk.slash)
        if isinstance(node, LinkNode) and (walk.pending or is_followed):
            walk.follow(node, directory)
        elif not walk.pending:
            return Place(directory, name, node, walk.slash)
        elif node is None:
            raise FileSystemError(Errno.ENOENT)
        else:
            walk.current = node
    # There were nothing but slashes, in the path or in a link at its end.
    return Place(root, b"", root, walk.slash)


@final
class _Walk:
    """The way that is left to go.

    Attributes:
        current: where the walk stands.
        pending: names still to take, the next one last.
        slash: whether a ``/`` ends the way.
    """

    __slots__ = ("_charge", "_links", "_root", "current", "pending", "slash")

    def __init__(
        self, path: bytes, start: Node, root: DirectoryNode, charge: Callable[[int], object]
    ) -> None:
        if not path:
            raise FileSystemError(Errno.ENOENT)
        if len(path) >= PATH_MAX:
            raise FileSystemError(Errno.ENAMETOOLONG)
        self._root = root
        self._charge = charge
        self._links = 0
        self.pending: list[bytes] = []
        self.slash = False
        self.current: Node = start
        self._take(path, start)

    def follow(self, link: LinkNode, directory: DirectoryNode) -> None:
        """Go the way of a link that was found in ``directory`` before the rest."""
        self._links += 1
        if self._links > SYMLOOP_MAX:
            raise FileSystemError(Errno.ELOOP)
        self._take(link.target, directory)

    def _take(self, path: bytes, start: Node) -> None:
        self.current = self._root if path.startswith(b"/") else start
        if not self.pending and path.endswith(b"/"):
            self.slash = True
        names = [name for name in reversed(path.split(b"/")) if name]
        self._charge(len(names))
        self.pending += names


def _searchable(node: Node) -> DirectoryNode:
    if not isinstance(node, DirectoryNode):
        raise FileSystemError(Errno.ENOTDIR)
    if not node.permits(EXECUTE):
        raise FileSystemError(Errno.EACCES)
    return node


def _step(directory: DirectoryNode, name: bytes) -> Node | None:
    if len(name) > NAME_MAX:
        raise FileSystemError(Errno.ENAMETOOLONG)
    if name == b".":
        return directory
    if name == b"..":
        return directory.parent
    return directory.find(name)
