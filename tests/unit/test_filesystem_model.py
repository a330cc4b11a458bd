"""Every operation of the file system, done beside Linux's own."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import sys
import tempfile
from collections import Counter
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
)

from dotnet_wasm_host.imports.files import descriptors as guest
from dotnet_wasm_host.imports.files.filesystem import FileSystem
from dotnet_wasm_host.imports.files.nodes import DirectoryNode, Stat
from dotnet_wasm_host.imports.files.volume import MAX_NODES, Directory, RegularFile, Symlink
from dotnet_wasm_host.imports.files.wasi_errno import Errno, FileSystemError
from dotnet_wasm_host.options import Limits, WasiOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LINUX_FLAGS = {
    guest.O_APPEND: os.O_APPEND,
    guest.O_CREAT: os.O_CREAT,
    guest.O_EXCL: os.O_EXCL,
    guest.O_TRUNC: os.O_TRUNC,
    guest.O_DIRECTORY: getattr(os, "O_DIRECTORY", 0),
    guest.O_NOFOLLOW: getattr(os, "O_NOFOLLOW", 0),
}
IS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0
NOBODY = 65534


class LinuxFiles:
    """A directory of the host, used as an unprivileged user."""

    def __init__(self) -> None:
        shared = Path("/dev/shm")
        parent = shared if os.access(shared, os.W_OK | os.X_OK) else None
        self.top = Path(tempfile.mkdtemp(dir=parent))
        self.base = self.top / "base"
        self.base.mkdir()
        self.base.chmod(0o777)
        self.cwd = os.open(self.base, os.O_RDONLY)
        if IS_ROOT:
            os.chown(self.base, NOBODY, NOBODY)
            self.top.chmod(0o755)
        (self.base / "probe").mkdir()
        self.counts_subdirectories = self.base.stat().st_nlink == 3
        (self.base / "probe").rmdir()

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Be in the current directory of the model, without privileges and umask."""
        before = os.open(".", os.O_RDONLY)
        umask = os.umask(0)
        os.fchdir(self.cwd)
        if IS_ROOT:
            os.seteuid(NOBODY)
        try:
            yield
        finally:
            if IS_ROOT:
                os.seteuid(0)
            os.fchdir(before)
            os.close(before)
            os.umask(umask)

    def chdir(self, path: bytes) -> None:
        os.chdir(path)
        if IS_ROOT:
            os.seteuid(0)
        os.close(self.cwd)
        self.cwd = os.open(".", os.O_RDONLY)

    def getcwd(self) -> bytes:
        return os.getcwdb()

    def close(self) -> None:
        os.close(self.cwd)
        for folder, _, _ in os.walk(self.top):
            Path(folder).chmod(0o700)
        shutil.rmtree(self.top)


name_parts = st.sampled_from([b"a", b"b", b"c"])
# ".." comes only right behind a name and links never lead to the top directory itself, so no
# path leaves it. No name is too long: which of two errors comes first then is Linux's affair.
odd_parts = st.one_of(
    name_parts.map(lambda name: name + b"/.."), st.sampled_from([b".", b"n" * 255])
)
plain_paths = st.lists(name_parts, min_size=1, max_size=3).map(b"/".join)
odd_paths = st.builds(
    lambda parts, separator, end: separator.join(parts) + end,
    st.lists(st.one_of(name_parts, odd_parts), min_size=1, max_size=4),
    st.sampled_from([b"/", b"//"]),
    st.sampled_from([b"", b"/", b"/."]),
)
relative_paths = st.one_of(name_parts, plain_paths, plain_paths, odd_paths)
paths = st.tuples(st.sampled_from([False, False, False, True]), relative_paths)
targets = st.tuples(
    st.sampled_from([False, False, False, True]),
    st.builds(
        lambda parts, end: b"/".join(parts) + end,
        st.lists(name_parts, min_size=1, max_size=3),
        st.sampled_from([b"", b"", b"/"]),
    ),
)
file_modes = st.sampled_from([0o777, 0o755, 0o644, 0o600, 0o400, 0o200, 0o000])
directory_modes = st.sampled_from(
    [0o777, 0o755, 0o700, 0o500] + ([0o600, 0o400, 0o300, 0o000] if IS_ROOT else [])
)
open_flags = st.builds(
    lambda access, flags: access | sum(flags),
    st.sampled_from([guest.O_RDONLY, guest.O_WRONLY, guest.O_RDWR]),
    st.sets(st.sampled_from(sorted(LINUX_FLAGS)), max_size=3),
    # What Linux does with this pair has changed over time.
).filter(lambda flags: not (flags & guest.O_CREAT and flags & guest.O_DIRECTORY))
small = st.integers(0, 20)
contents = st.binary(max_size=20)


class LinuxComparison(RuleBasedStateMachine):
    """Every operation is done twice and has to end alike."""

    files = Bundle("files")

    def __init__(self) -> None:
        super().__init__()
        self.linux = LinuxFiles()
        self.base = os.fsencode(self.linux.base)
        self.fs = self.make_ours()
        self.fs.chdir(self.base)
        self.open: set[tuple[int, int]] = set()

    def make_ours(self) -> FileSystem:
        """A file system with an empty directory at the base."""
        fs = FileSystem(WasiOptions(), Limits(files_bytes=1_000_000))
        for parent in [*reversed(self.linux.base.parents), self.linux.base]:
            if str(parent) != "/":
                try:
                    fs.mkdir(os.fsencode(parent))
                except FileSystemError as error:
                    assert error.errno is Errno.EEXIST
        return fs

    def privileges(self) -> AbstractContextManager[object]:
        """What our operations run with."""
        return nullcontext()

    @initialize()
    def plant(self) -> None:
        for path in (b"a", b"b", b"b/a", b"b/a/c"):
            self.mkdir((False, path), 0o777)
        for path, target in (b"b/b", (True, b"a")), (b"a/a", (False, b"b")), (b"c", (False, b"x")):
            self.symlink(target, (False, path))

    def teardown(self) -> None:
        try:
            for _, linux_fd in self.open:
                os.close(linux_fd)
            self.every_node_and_byte_is_accounted_for()
            self.check_links()
            assert self.tree(self.base) == linux_tree(self.base)
        finally:
            self.linux.close()

    def path(self, choice: tuple[bool, bytes]) -> bytes:
        is_absolute, relative = choice
        return self.base + b"/" + relative if is_absolute else relative

    def both(self, ours: Callable[[], object], theirs: Callable[[], object]) -> Any:
        """The result both give, or ``None`` where both fail for the same reason."""
        our_error = their_error = our_result = their_result = None
        with self.privileges():
            try:
                our_result = ours()
            except FileSystemError as error:
                our_error = error.errno.name
        with self.linux.entered():
            try:
                their_result = theirs()
            except OSError as error:
                their_error = errno.errorcode[error.errno or 0]
        assert our_error == their_error
        return our_result, their_result

    def same(self, ours: Callable[[], object], theirs: Callable[[], object]) -> None:
        our_result, their_result = self.both(ours, theirs)
        assert our_result == their_result

    def tree(self, path: bytes) -> dict[bytes, object]:
        """All that is below ``path``, whatever the permissions."""
        found: dict[bytes, object] = {}

        def visit(node: object, path: bytes) -> None:
            if isinstance(node, DirectoryNode):
                found[path] = stat.S_IMODE(node.mode)
                for entry in node.entries(2, MAX_NODES):
                    visit(node.find(entry.name), path + b"/" + entry.name)
            elif isinstance(node, RegularFile):
                found[path] = stat.S_IMODE(node.mode), node.read(0, node.size)
            elif isinstance(node, Symlink):
                found[path] = node.target

        visit(self.fs.find(path), path)
        return found

    def check_links(self) -> None:
        """What fsck would do: all nodes are reachable, or in use, and know their links."""
        names: Counter[int] = Counter()
        subdirectories: Counter[int] = Counter()
        nodes = self.fs._volume.nodes
        for directory in nodes.values():
            if isinstance(directory, Directory):
                for entry in directory.entries(2, MAX_NODES):
                    names[entry.ino] += 1
                    if stat.S_ISDIR(entry.mode):
                        subdirectories[directory.ino] += 1
                        child = nodes[entry.ino]
                        assert isinstance(child, Directory)
                        assert child.parent is directory
                        assert child.name == entry.name
        root = self.fs.stat(b"/").ino
        for ino, node in nodes.items():
            is_named = names[ino] == 1 or ino == root
            assert is_named or (names[ino] == 0 and node.users)
            if isinstance(node, Directory):
                assert node.links == (2 + subdirectories[ino] if is_named else 0)
            else:
                assert node.links == names[ino]

    def our_attributes(self, attributes: Stat) -> tuple[int, ...]:
        return self.comparable(attributes.mode, attributes.size, attributes.links)

    def linux_attributes(self, result: os.stat_result) -> tuple[int, ...]:
        return self.comparable(result.st_mode, result.st_size, result.st_nlink)

    def comparable(self, mode: int, size: int, links: int) -> tuple[int, ...]:
        if stat.S_ISDIR(mode):
            size = 0
            links = links if self.linux.counts_subdirectories else 0
        return mode, size, links

    @rule(path=paths, mode=directory_modes)
    def mkdir(self, path: tuple[bool, bytes], mode: int) -> None:
        where = self.path(path)
        self.same(lambda: self.fs.mkdir(where, mode), lambda: os.mkdir(where, mode))

    @rule(path=paths)
    def rmdir(self, path: tuple[bool, bytes]) -> None:
        where = self.path(path)
        self.same(lambda: self.fs.rmdir(where), lambda: os.rmdir(where))

    @rule(path=paths)
    def unlink(self, path: tuple[bool, bytes]) -> None:
        where = self.path(path)
        self.same(lambda: self.fs.unlink(where), lambda: os.unlink(where))

    @rule(old=paths, new=paths)
    def rename(self, old: tuple[bool, bytes], new: tuple[bool, bytes]) -> None:
        source, target = self.path(old), self.path(new)
        self.same(lambda: self.fs.rename(source, target), lambda: os.rename(source, target))

    @rule(old=plain_paths, new=plain_paths)
    def rename_plainly(self, old: bytes, new: bytes) -> None:
        self.rename((False, old), (False, new))

    @rule(link_target=targets, path=paths)
    def symlink(self, link_target: tuple[bool, bytes], path: tuple[bool, bytes]) -> None:
        leads_to, where = self.path(link_target), self.path(path)
        self.same(lambda: self.fs.symlink(leads_to, where), lambda: os.symlink(leads_to, where))

    @rule(path=paths)
    def readlink(self, path: tuple[bool, bytes]) -> None:
        where = self.path(path)
        self.same(lambda: self.fs.readlink(where), lambda: os.readlink(where))

    @rule(path=paths, follow=st.booleans())
    def stat(self, path: tuple[bool, bytes], follow: bool) -> None:
        where = self.path(path)
        self.same(
            lambda: self.our_attributes(self.fs.stat(where, follow=follow)),
            lambda: self.linux_attributes(os.stat(where, follow_symlinks=follow)),
        )

    @rule(path=paths, mode=st.one_of(file_modes, directory_modes))
    def chmod(self, path: tuple[bool, bytes], mode: int) -> None:
        where = self.path(path)

        def ours() -> None:
            node = self.fs.find(where)
            # Without privileges, the comparison itself needs to get into directories.
            if IS_ROOT or not isinstance(node, DirectoryNode):
                node.chmod(mode)

        def theirs() -> None:
            if IS_ROOT or not stat.S_ISDIR(os.stat(where).st_mode):
                os.chmod(where, mode)

        self.same(ours, theirs)

    @rule(path=paths, mode=st.integers(0, 7))
    def access(self, path: tuple[bool, bytes], mode: int) -> None:
        where = self.path(path)

        def ours() -> bool:
            try:
                return self.fs.find(where).permits(mode)
            except FileSystemError:
                return False

        self.same(ours, lambda: os.access(where, mode, effective_ids=True))

    @rule(path=paths, atime=st.integers(-(2**33), 2**33), mtime=st.integers(0, 2**60))
    def utimens(self, path: tuple[bool, bytes], atime: int, mtime: int) -> None:
        where = self.path(path)

        def ours() -> tuple[int, int]:
            self.fs.find(where).set_times(atime, mtime)
            attributes = self.fs.stat(where)
            return attributes.atime, attributes.mtime

        def theirs() -> tuple[int, int]:
            os.utime(where, ns=(atime, mtime))
            result = os.stat(where)
            return result.st_atime_ns, result.st_mtime_ns

        self.same(ours, theirs)

    @rule(path=paths)
    def chdir(self, path: tuple[bool, bytes]) -> None:
        where = self.path(path)
        self.same(lambda: self.fs.chdir(where), lambda: self.linux.chdir(where))

    @rule()
    def chdir_to_the_top(self) -> None:
        self.same(lambda: self.fs.chdir(self.base), lambda: self.linux.chdir(self.base))

    @rule()
    def getcwd(self) -> None:
        self.same(self.fs.getcwd, self.linux.getcwd)

    def our_names(self, path: bytes) -> list[bytes]:
        fd = self.fs.open(path, guest.O_RDONLY | guest.O_DIRECTORY)
        try:
            return sorted(entry.name for entry in self.fs.entries(fd, 1000)[2:])
        finally:
            self.fs.close(fd)

    @rule(path=paths)
    def list_directory(self, path: tuple[bool, bytes]) -> None:
        where = self.path(path)
        self.same(
            lambda: self.our_names(where),
            lambda: sorted(os.listdir(where)),
        )

    @rule(target=files, path=paths, flags=open_flags, mode=file_modes)
    def open_file(self, path: tuple[bool, bytes], flags: int, mode: int) -> Any:
        where = self.path(path)
        linux_flags = flags & guest.O_ACCMODE
        for ours, theirs in LINUX_FLAGS.items():
            if flags & ours:
                linux_flags |= theirs
        return self.opened(
            self.both(
                lambda: self.fs.open(where, flags, mode), lambda: os.open(where, linux_flags, mode)
            )
        )

    @rule(target=files, name=name_parts, flags=st.sampled_from([0, guest.O_APPEND]))
    def make_file(self, name: bytes, flags: int) -> Any:
        linux_flags = os.O_CREAT | os.O_RDWR | LINUX_FLAGS.get(flags, 0)
        return self.opened(
            self.both(
                lambda: self.fs.open(name, guest.O_CREAT | guest.O_RDWR | flags),
                lambda: os.open(name, linux_flags, 0o666),
            )
        )

    @rule(target=files, file=files)
    def dup(self, file: Any) -> Any:
        ours, theirs = file
        return self.opened(self.both(lambda: self.fs.dup(ours), lambda: os.dup(theirs)))

    def opened(self, file: Any) -> Any:
        if file == (None, None):
            return multiple()
        self.open.add(file)
        return file

    @rule()
    def use_no_descriptor(self) -> None:
        self.same(lambda: self.fs.close(5000), lambda: os.close(5000))
        self.same(lambda: self.fs.read(5000, 1), lambda: os.read(5000, 1))
        self.same(lambda: self.fs.pwrite(5000, b"", -1), lambda: os.pwrite(5000, b"", -1))
        self.same(lambda: self.fs.truncate(5000, -1), lambda: os.ftruncate(5000, -1))

    @rule(file=consumes(files))
    def close(self, file: Any) -> None:
        ours, theirs = file
        self.open.discard(file)
        self.same(lambda: self.fs.close(ours), lambda: os.close(theirs))

    @rule(file=files, size=small)
    def read(self, file: Any, size: int) -> None:
        ours, theirs = file
        self.same(lambda: self.fs.read(ours, size), lambda: os.read(theirs, size))

    @rule(file=files, data=contents)
    def write(self, file: Any, data: bytes) -> None:
        ours, theirs = file
        self.same(lambda: self.fs.write(ours, data), lambda: os.write(theirs, data))

    @rule(file=files, size=small, offset=st.integers(-1, 30))
    def pread(self, file: Any, size: int, offset: int) -> None:
        ours, theirs = file
        self.same(lambda: self.fs.pread(ours, size, offset), lambda: os.pread(theirs, size, offset))

    @rule(file=files, data=contents, offset=st.integers(-1, 30))
    def pwrite(self, file: Any, data: bytes, offset: int) -> None:
        ours, theirs = file
        # Here Linux is the one that differs from POSIX.
        if self.fs.flags(ours) & guest.O_APPEND:
            return
        self.same(
            lambda: self.fs.pwrite(ours, data, offset), lambda: os.pwrite(theirs, data, offset)
        )

    @rule(file=files, offset=st.integers(-10, 30), whence=st.integers(0, 2))
    def seek(self, file: Any, offset: int, whence: int) -> None:
        ours, theirs = file
        # A directory's positions are its file system's own.
        if isinstance(self.fs.node(ours), DirectoryNode):
            return
        self.same(
            lambda: self.fs.seek(ours, offset, whence), lambda: os.lseek(theirs, offset, whence)
        )

    @rule(file=files, size=st.integers(-1, 30))
    def truncate(self, file: Any, size: int) -> None:
        ours, theirs = file
        self.same(lambda: self.fs.truncate(ours, size), lambda: os.ftruncate(theirs, size))

    @rule(file=files)
    def fstat(self, file: Any) -> None:
        ours, theirs = file
        self.same(
            lambda: self.our_attributes(self.fs.node(ours).stat()),
            lambda: self.linux_attributes(os.fstat(theirs)),
        )

    @rule(file=files)
    def list_open_directory(self, file: Any) -> None:
        ours, theirs = file
        # With other descriptors the guest's and Python's way to list do not fail alike.
        if isinstance(self.fs.node(ours), DirectoryNode):

            def names_of_ours() -> list[bytes]:
                return sorted(entry.name for entry in self.fs.entries(ours, 1000)[2:])

            self.same(
                names_of_ours, lambda: sorted(os.fsencode(name) for name in os.listdir(theirs))
            )

    @invariant()
    def every_node_and_byte_is_accounted_for(self) -> None:
        volume = self.fs._volume
        sizes = [
            node.size for node in volume.nodes.values() if isinstance(node, RegularFile | Symlink)
        ]
        assert volume.used == sum(sizes)
        assert all(node.links or node.users for node in volume.nodes.values())


def linux_tree(path: bytes) -> dict[bytes, object]:
    found: dict[bytes, object] = {}
    for folder, directories, files in os.walk(path):
        found[folder] = stat.S_IMODE(os.lstat(folder).st_mode)
        for name in directories + files:
            below = folder + b"/" + name
            if os.path.islink(below):
                found[below] = os.readlink(below)
            elif os.path.isfile(below):
                mode = stat.S_IMODE(os.lstat(below).st_mode)
                os.chmod(below, 0o600)
                found[below] = mode, Path(os.fsdecode(below)).read_bytes()
    return found


TestLinuxComparison = pytest.mark.skipif(sys.platform != "linux", reason="compares with Linux")(
    LinuxComparison.TestCase
)
TestLinuxComparison.settings = settings(
    max_examples=200,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
