"""A POSIX-like file system for one guest: paths, open files and the descriptor table.

Pure Python; it knows nothing of guest memory. Failures are
:class:`~dotnet_wasm_host.imports.files.wasi_errno.FileSystemError`. The semantics are Linux's for
an unprivileged user who owns every file (so the owner's permission bits count), with the limits
that Linux has; ``tests/unit/test_filesystem.py`` compares the two.

Paths are bytes. ``at`` is the descriptor of the directory where a relative path starts.
"""

from __future__ import annotations

from os import fspath
from typing import TYPE_CHECKING, final

from dotnet_wasm_host.errors import LimitExceeded
from dotnet_wasm_host.imports.files.descriptors import (
    O_ACCMODE,
    O_CREAT,
    O_DIRECTORY,
    O_EXCL,
    O_NOFOLLOW,
    O_PATH,
    O_RDONLY,
    O_RDWR,
    O_TRUNC,
    O_WRONLY,
    Descriptors,
)
from dotnet_wasm_host.imports.files.devices import (
    HostEnds,
    InputDevice,
    NullDevice,
    OutputDevice,
    RandomDevice,
    ZeroDevice,
)
from dotnet_wasm_host.imports.files.host_files import HostDescriptors
from dotnet_wasm_host.imports.files.mounted_nodes import mount_root
from dotnet_wasm_host.imports.files.mounts import Mount
from dotnet_wasm_host.imports.files.nodes import (
    EXECUTE,
    READ,
    WRITE,
    DirectoryNode,
    FileNode,
    LinkNode,
    Node,
    Stat,
)
from dotnet_wasm_host.imports.files.paths import PATH_MAX, Place, resolve
from dotnet_wasm_host.imports.files.volume import Directory, RegularFile, Volume
from dotnet_wasm_host.imports.files.wasi_errno import Errno, FileSystemError
from dotnet_wasm_host.options import host_directory

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dotnet_wasm_host.options import HostDirectory, Limits, WasiOptions

__all__ = ["AT_FDCWD", "Errno", "FileSystem", "FileSystemError"]

#: "The current directory" in the place of a directory's descriptor.
AT_FDCWD = -100
# Flags that concern only the opening.
_CREATION_FLAGS = O_CREAT | O_EXCL | O_TRUNC | O_NOFOLLOW
_ACCESS_OF = {O_RDONLY: READ, O_WRONLY: WRITE, O_RDWR: READ | WRITE}


@final
class FileSystem(Descriptors):
    """The files of one guest.

    Everything but :attr:`host` and mounted directories can be pickled; a pickle that is restored
    has default ends, until ``host.attach(options)`` gives it others.

    Args:
        options: files, clock, entropy and standard streams.
        limits: ``files_bytes`` is the most that files and link targets may take together.

    Raises:
        LimitExceeded: ``options.files`` take more than ``limits.files_bytes``.
        ValueError: ``options.files`` name the same path twice, a directory, or a path below a
            file, or ``options.directories`` what cannot be mounted.
    """

    __slots__ = ("_cwd", "_host_descriptors", "_root", "_volume", "host")

    def __init__(self, options: WasiOptions, limits: Limits) -> None:
        self._host_descriptors: HostDescriptors | None = None
        super().__init__()
        self.host: HostEnds = HostEnds(options)
        self._volume = Volume(self.host.now, limits.files_bytes)
        self._root: DirectoryNode = self._plant(self._volume)
        self._cwd: DirectoryNode = self._root
        self._cwd.acquire()
        self._give_files(options.files)
        for guest_path, directory in options.directories.items():
            self._mount(guest_path, directory)
        self.install(0, InputDevice(self._volume, self.host), O_RDONLY)
        for fd, is_error in ((1, False), (2, True)):
            node = OutputDevice(self._volume, self.host, is_error=is_error)
            self.install(fd, node, O_WRONLY)

    def _plant(self, volume: Volume) -> Directory:
        root = Directory(volume, 0o755)
        dev = Directory(volume, 0o755)
        root.adopt(b"dev", dev)
        root.adopt(b"tmp", Directory(volume, 0o777))
        root.adopt(b"home", Directory(volume, 0o755))
        dev.adopt(b"null", NullDevice(volume))
        dev.adopt(b"zero", ZeroDevice(volume))
        dev.adopt(b"random", RandomDevice(volume, self.host))
        dev.adopt(b"urandom", RandomDevice(volume, self.host))
        return root

    def _give_files(self, files: Mapping[str, bytes]) -> None:
        name = ""
        try:
            for name, data in files.items():
                self._give_file(name.encode(errors="surrogateescape"), bytes(data))
        except FileSystemError as error:
            if error.errno is Errno.ENOSPC:
                raise LimitExceeded(
                    f"file {name!r} of {len(files[name])} bytes does not fit: the files of a "
                    f"guest may take {self._volume.capacity} bytes; raise Limits(files_bytes=...)",
                    limit="files_bytes",
                ) from None
            raise ValueError(f"file {name!r} cannot be made: {error}; give another path") from None

    def _give_file(self, path: bytes, data: bytes) -> None:
        self._make_parents(path)
        place = self._place(path, AT_FDCWD, follow=False)
        if place.slash:
            raise FileSystemError(Errno.EISDIR)
        if place.node is not None or not isinstance(place.directory, Directory):
            raise FileSystemError(Errno.EEXIST)
        place.directory.adopt(place.name, RegularFile(self._volume, 0o644, data))

    def _mount(self, guest_path: str, directory: HostDirectory) -> None:
        """Cover an empty directory of the volume, made if it is not there, with a host's."""
        host_path, read_only = host_directory(directory)
        path = guest_path.rstrip("/").encode(errors="surrogateescape")
        volume = self._volume
        descriptors = self._host_descriptors = self._host_descriptors or HostDescriptors()
        try:
            self._make_parents(path + b"/")
            place = self._place(path, AT_FDCWD, follow=False)
            covered, above = place.node, place.directory
            if not isinstance(covered, Directory) or not isinstance(above, Directory):
                raise FileSystemError(Errno.ENOTDIR)
            if not covered.is_empty:
                raise FileSystemError(Errno.ENOTEMPTY)
            mount = Mount.of(
                volume,
                volume.device + 1 + len(volume.covers),
                descriptors,
                read_only=read_only,
            )
            volume.covers[covered.ino] = mount_root(mount, host_path, above, place.name)
        except (FileSystemError, OSError) as error:
            self.close_host()
            reason = error.strerror if isinstance(error, OSError) else error
            raise ValueError(
                f"directory {fspath(host_path)!r} cannot be mounted at {guest_path!r}: "
                f"{reason}; choose another path"
            ) from None

    def _make_parents(self, path: bytes) -> None:
        end = path.find(b"/", 1)
        while end > 0:
            try:
                self.mkdir(path[:end], 0o755)
            except FileSystemError as error:
                if error.errno is not Errno.EEXIST:
                    raise
            end = path.find(b"/", end + 1)

    def open(self, path: bytes, flags: int, mode: int = 0o666, at: int = AT_FDCWD) -> int:
        """The lowest free descriptor, for the file at ``path``. There is no umask."""
        if flags & O_PATH:
            flags &= O_PATH | O_DIRECTORY | O_NOFOLLOW
        if flags & O_ACCMODE == O_ACCMODE or (flags & O_CREAT and flags & O_DIRECTORY):
            raise FileSystemError(Errno.EINVAL)
        fd = self.free_descriptor()
        node = self._create(path, flags, mode, at) if flags & O_CREAT else None
        if node is None:
            follow = not flags & O_NOFOLLOW or path.endswith(b"/")
            node = self._place(path, at, follow=follow).existing()
            node = node.open(self._checked_access(node, flags))
            if flags & O_TRUNC and isinstance(node, FileNode) and node.seekable:
                node.truncate(0)
        self.install(fd, node, flags & ~_CREATION_FLAGS)
        return fd

    def _create(self, path: bytes, flags: int, mode: int, at: int) -> Node | None:
        """The file that ``O_CREAT`` makes, or ``None`` if there is something already."""
        follow = not flags & (O_EXCL | O_NOFOLLOW)
        place = self._place(path, at, follow=follow, creating=True)
        if place.slash and place.is_named:
            raise FileSystemError(Errno.EISDIR)
        if place.node is None:
            place.check_alterable()
            return place.directory.create_file(place.name, mode)
        if flags & O_EXCL:
            raise FileSystemError(Errno.EEXIST)
        if isinstance(place.node, DirectoryNode):
            raise FileSystemError(Errno.EISDIR)
        return None

    @staticmethod
    def _checked_access(node: Node, flags: int) -> int:
        """READ and WRITE as the opening needs them, if the node permits it."""
        is_directory = isinstance(node, DirectoryNode)
        if flags & O_DIRECTORY and not is_directory:
            raise FileSystemError(Errno.ENOTDIR)
        if isinstance(node, LinkNode):
            raise FileSystemError(Errno.ELOOP)
        if flags & O_PATH:
            return 0
        access = _ACCESS_OF[flags & O_ACCMODE]
        if flags & O_TRUNC:
            access |= WRITE
        if is_directory and access & WRITE:
            raise FileSystemError(Errno.EISDIR)
        if node.read_only and access & WRITE:
            raise FileSystemError(Errno.EROFS)
        if not node.permits(access):
            raise FileSystemError(Errno.EACCES)
        return access

    def close_host(self) -> None:
        """Close what is open on the host; mounted directories are gone for the guest."""
        if self._host_descriptors is not None:
            self._host_descriptors.close()
            self._volume.covers.clear()

    def __del__(self) -> None:
        if hasattr(self, "_host_descriptors"):  # not there if __init__ failed
            self.close_host()
        if hasattr(self, "_volume"):
            # Its nodes know it, too: without this their content would wait for the collector.
            self._volume.nodes.clear()

    def flush(self) -> None:
        """Flush standard output and standard error, whatever the guest did to descriptors."""
        self.host.stdout.flush()
        self.host.stderr.flush()

    def find(self, path: bytes, at: int = AT_FDCWD, *, follow: bool = True) -> Node:
        """The node at ``path``; ``follow=False`` for a symbolic link itself."""
        return self._place(path, at, follow=follow or path.endswith(b"/")).existing()

    def stat(self, path: bytes, at: int = AT_FDCWD, *, follow: bool = True) -> Stat:
        """Attributes of what is at ``path``."""
        return self.find(path, at, follow=follow).stat()

    def chdir(self, path: bytes) -> None:
        """Make ``path`` the current directory."""
        node = self.find(path)
        if not isinstance(node, DirectoryNode):
            raise FileSystemError(Errno.ENOTDIR)
        if not node.permits(EXECUTE):
            raise FileSystemError(Errno.EACCES)
        node.acquire()
        self._cwd.release()
        self._cwd = node

    def getcwd(self) -> bytes:
        """Absolute path of the current directory. ENOENT if it was removed."""
        names: list[bytes] = []
        length = 0
        directory = self._cwd
        while directory is not self._root:
            if directory.is_removed:
                raise FileSystemError(Errno.ENOENT)
            names.append(directory.name)
            length += len(directory.name) + 1
            if length >= PATH_MAX:
                raise FileSystemError(Errno.ENAMETOOLONG)
            directory = directory.parent
        return b"/" + b"/".join(reversed(names))

    def mkdir(self, path: bytes, mode: int = 0o777, at: int = AT_FDCWD) -> None:
        """Make a directory. There is no umask."""
        place = self._place(path, at, follow=False)
        if place.node is not None:
            raise FileSystemError(Errno.EEXIST)
        place.check_alterable()
        # POSIX leaves set-user-ID and set-group-ID to the system; Linux ignores them here.
        place.directory.create_directory(place.name, mode & 0o1777)

    def symlink(self, target: bytes, path: bytes, at: int = AT_FDCWD) -> None:
        """Make a symbolic link at ``path``; ``target`` need not exist."""
        if not target:
            raise FileSystemError(Errno.ENOENT)
        if len(target) >= PATH_MAX:
            raise FileSystemError(Errno.ENAMETOOLONG)
        place = self._place(path, at, follow=False)
        if place.node is not None:
            raise FileSystemError(Errno.EEXIST)
        if place.slash:
            raise FileSystemError(Errno.ENOENT)
        place.check_alterable()
        place.directory.create_link(place.name, target)

    def readlink(self, path: bytes, at: int = AT_FDCWD) -> bytes:
        """The target of a symbolic link. EINVAL for anything else."""
        node = self.find(path, at, follow=False)
        if not isinstance(node, LinkNode):
            raise FileSystemError(Errno.EINVAL)
        return node.target

    def unlink(self, path: bytes, at: int = AT_FDCWD) -> None:
        """Remove a name that is not a directory's; the file goes with its last use."""
        place = self._place(path, at, follow=False)
        if not place.is_named:
            raise FileSystemError(Errno.EISDIR)
        node = place.node
        if place.slash and isinstance(node, DirectoryNode):
            raise FileSystemError(Errno.EISDIR)
        place.existing()
        place.check_alterable()
        if isinstance(node, DirectoryNode):
            raise FileSystemError(Errno.EISDIR)
        place.directory.remove(place.name)

    def rmdir(self, path: bytes, at: int = AT_FDCWD) -> None:
        """Remove an empty directory."""
        place = self._place(path, at, follow=False)
        if not place.is_named:
            reason = {b"..": Errno.ENOTEMPTY, b".": Errno.EINVAL}.get(place.name, Errno.EBUSY)
            raise FileSystemError(reason)
        if place.node is None:
            raise FileSystemError(Errno.ENOENT)
        if place.is_mount_point:
            raise FileSystemError(Errno.EBUSY)
        place.check_alterable()
        if not isinstance(place.node, DirectoryNode):
            raise FileSystemError(Errno.ENOTDIR)
        if not place.node.is_empty:
            raise FileSystemError(Errno.ENOTEMPTY)
        place.directory.remove(place.name)

    def rename(
        self, old: bytes, new: bytes, old_at: int = AT_FDCWD, new_at: int = AT_FDCWD
    ) -> None:
        """Give a node another name, in place of a file or an empty directory that has it."""
        source = self._place(old, old_at, follow=False)
        target = self._place(new, new_at, follow=False)
        if source.directory.device != target.directory.device:
            raise FileSystemError(Errno.EXDEV)
        if not (source.is_named and target.is_named):
            raise FileSystemError(Errno.EBUSY)
        if source.is_mount_point or target.is_mount_point:
            raise FileSystemError(Errno.EBUSY)
        node = source.node
        if node is None:
            raise FileSystemError(Errno.ENOENT)
        if (source.slash or target.slash) and not isinstance(node, DirectoryNode):
            raise FileSystemError(Errno.ENOTDIR)
        if node in self._line(target.directory):
            raise FileSystemError(Errno.EINVAL)
        if target.node is not None and target.node in self._line(source.directory):
            raise FileSystemError(Errno.ENOTEMPTY)
        if node is not target.node:
            _check_movable(node, source, target)
            source.directory.move(source.name, target.directory, target.name)

    def _line(self, directory: DirectoryNode) -> list[DirectoryNode]:
        """The directory and everything above it."""
        line = [directory]
        while directory is not self._root and not directory.is_removed:
            directory = directory.parent
            line.append(directory)
        return line

    def _place(self, path: bytes, at: int, *, follow: bool, creating: bool = False) -> Place:
        start: Node = self._cwd
        if at != AT_FDCWD and not path.startswith(b"/"):
            start = self._file(at).node
        charge = self.host.charge_steps
        return resolve(path, start, self._root, charge, follow=follow, creating=creating)


def _check_movable(node: Node, source: Place, target: Place) -> None:
    """Whether permissions, and what is at the target, let ``node`` go there."""
    source.check_alterable()
    target.check_alterable()
    is_directory = isinstance(node, DirectoryNode)
    replaced = target.node
    if replaced is not None and isinstance(replaced, DirectoryNode) != is_directory:
        raise FileSystemError(Errno.ENOTDIR if is_directory else Errno.EISDIR)
    # Its ".." changes, which is a write to the directory itself.
    if is_directory and source.directory is not target.directory and not node.permits(WRITE):
        raise FileSystemError(Errno.EACCES)
    if isinstance(replaced, DirectoryNode) and not replaced.is_empty:
        raise FileSystemError(Errno.ENOTEMPTY)
