from __future__ import annotations

import io
import pickle
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from dotnet_wasm_host.errors import LimitExceeded
from dotnet_wasm_host.imports.files import descriptors as guest
from dotnet_wasm_host.imports.files.filesystem import FileSystem
from dotnet_wasm_host.imports.files.nodes import EXECUTE, READ, WRITE
from dotnet_wasm_host.imports.files.volume import MAX_NODES, Directory
from dotnet_wasm_host.imports.files.wasi_errno import Errno, FileSystemError
from dotnet_wasm_host.options import Limits, WasiOptions
from tests.unit.fake_guest import FakeClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CREATE = guest.O_CREAT | guest.O_RDWR


def make(limit: int = 1_000_000, **options: Any) -> FileSystem:
    return FileSystem(WasiOptions(**options), Limits(files_bytes=limit))


@pytest.fixture
def fs() -> FileSystem:
    return make()


@contextmanager
def fails(code: Errno) -> Iterator[None]:
    with pytest.raises(FileSystemError) as caught:
        yield
    assert caught.value.errno is code


def content(fs: FileSystem, path: bytes) -> bytes:
    fd = fs.open(path, guest.O_RDONLY)
    try:
        return fs.read(fd, 10_000_000)
    finally:
        fs.close(fd)


def write_file(fs: FileSystem, path: bytes, data: bytes = b"") -> None:
    fd = fs.open(path, CREATE | guest.O_TRUNC)
    assert fs.write(fd, data) == len(data)
    fs.close(fd)


def names(fs: FileSystem, path: bytes) -> list[bytes]:
    fd = fs.open(path, guest.O_RDONLY | guest.O_DIRECTORY)
    try:
        return [entry.name for entry in fs.entries(fd, MAX_NODES)]
    finally:
        fs.close(fd)


# What there is at first


def test_the_first_tree(fs: FileSystem) -> None:
    assert sorted(names(fs, b"/")) == [b".", b"..", b"dev", b"home", b"tmp"]
    assert {b"null", b"zero", b"urandom"} <= set(names(fs, b"/dev"))
    assert fs.getcwd() == b"/"


def test_files_of_the_options() -> None:
    fs = make(files={"/data/in/a.txt": b"alpha", "/b": b"", "/tmp/\u00fc": b"x"})
    assert content(fs, b"/data/in/a.txt") == b"alpha"
    assert content(fs, b"/b") == b""
    assert content(fs, "/tmp/\u00fc".encode()) == b"x"
    assert stat.S_IMODE(fs.stat(b"/b").mode) == 0o644
    assert stat.S_IMODE(fs.stat(b"/data/in").mode) == 0o755


def test_changing_a_given_file_leaves_the_giver_alone() -> None:
    given = b"original"
    fs = make(files={"/f": given})
    fd = fs.open(b"/f", guest.O_RDWR)
    fs.write(fd, b"CHANGED!")
    assert content(fs, b"/f") == b"CHANGED!"
    assert given == b"original"


@pytest.mark.parametrize(
    "files",
    [
        {"/a": b"", "/a/b": b""},
        {"/a/b": b"", "/a": b""},
        {"/a": b"", "//a": b""},
        {"/": b""},
        {"/a/": b""},
        {"/tmp": b""},
        {"/" + "n" * 256: b""},
    ],
)
def test_files_that_cannot_be(files: dict[str, bytes]) -> None:
    with pytest.raises(ValueError, match="cannot be made"):
        make(files=files)


def test_files_over_the_quota() -> None:
    make(limit=10, files={"/a": b"12345", "/b": b"12345"})
    with pytest.raises(LimitExceeded, match="'/b' of 6 bytes"):
        make(limit=10, files={"/a": b"12345", "/b": b"123456"})


# Streams and devices


def test_standard_streams() -> None:
    out, err = io.BytesIO(), io.BytesIO()
    fs = make(stdin=b"input", stdout=out, stderr=err)
    assert [fs.read(0, 3), fs.read(0, 10), fs.read(0, 10)] == [b"inp", b"ut", b""]
    assert fs.write(1, b"to out") == 6
    assert fs.write(2, b"to err") == 6
    assert (out.getvalue(), err.getvalue()) == (b"to out", b"to err")
    for fd in range(3):
        assert stat.S_ISCHR(fs.node(fd).mode)
        with fails(Errno.ESPIPE):
            fs.seek(fd, 0, 0)
    with fails(Errno.EBADF):
        fs.write(0, b"x")
    with fails(Errno.EBADF):
        fs.read(1, 1)
    with fails(Errno.ESPIPE):
        fs.pwrite(1, b"x", 0)
    with fails(Errno.ESPIPE):
        fs.pread(0, 1, 0)


def test_an_error_of_a_stream_of_the_user_comes_out_unchanged() -> None:
    class Broken(io.BytesIO):
        def write(self, _: object) -> int:
            raise error

    error = ConnectionResetError("the user's own")
    fs = make(stdout=Broken())
    with pytest.raises(ConnectionResetError) as caught:
        fs.write(1, b"x")
    assert caught.value is error


def test_closing_the_last_descriptor_of_a_stream_flushes_it() -> None:
    class Stream(io.BytesIO):
        flushed = 0

        def flush(self) -> None:
            self.flushed += 1

    out = Stream()
    fs = make(stdout=out)
    copy = fs.dup(1)
    fs.close(1)
    assert out.flushed == 0
    fs.close(copy)
    assert out.flushed == 1
    fs.flush()
    assert out.flushed == 2
    assert not out.closed


def test_a_stream_that_has_nothing_yet() -> None:
    class Stream(io.BytesIO):
        def read1(self, _: int | None = -1) -> None:  # type: ignore[override]
            return None

    with fails(Errno.EAGAIN):
        make(stdin=Stream()).read(0, 1)


def test_reading_no_bytes_does_not_wait() -> None:
    class Stream(io.BytesIO):
        def read1(self, _: int | None = -1) -> bytes:
            raise AssertionError("it would have waited")

    assert make(stdin=Stream()).read(0, 0) == b""


def test_devices() -> None:
    fs = make(random=lambda count: b"\x07" * count)
    null, zero, random = (
        fs.open(path, guest.O_RDWR) for path in (b"/dev/null", b"/dev/zero", b"/dev/urandom")
    )
    assert fs.write(null, b"gone") == 4
    assert fs.read(null, 10) == b""
    assert fs.read(zero, 3) == b"\0\0\0"
    assert fs.read(random, 3) == b"\x07\x07\x07"
    assert 0 < len(fs.read(zero, 2**40)) < 2**24
    assert fs.stat(b"/dev/null").rdev == 0x103
    with fails(Errno.EINVAL):
        fs.truncate(null, 0)
    fs.close(fs.open(b"/dev/null", guest.O_WRONLY | guest.O_TRUNC))


def test_entropy_of_the_wrong_length_is_an_error_of_the_user() -> None:
    fs = make(random=lambda _: b"four")
    fd = fs.open(b"/dev/urandom", guest.O_RDONLY)
    assert fs.read(fd, 4) == b"four"
    with pytest.raises(ValueError, match=r"random gave 4 bytes when 5"):
        fs.read(fd, 5)


# Descriptors


def test_the_lowest_free_descriptor_is_taken(fs: FileSystem) -> None:
    fds = [fs.open(b"/tmp", guest.O_RDONLY) for _ in range(4)]
    assert fds == [3, 4, 5, 6]
    fs.close(4)
    assert fs.dup(6) == 4
    fs.close(0)
    assert fs.open(b"/tmp", guest.O_RDONLY) == 0
    assert fs.dup(6, 100) == 100


def test_there_are_1024_descriptors_at_most(fs: FileSystem) -> None:
    for _ in range(1024 - 3):
        fs.open(b"/tmp", guest.O_RDONLY)
    with fails(Errno.EMFILE):
        fs.open(b"/tmp/new", CREATE)
    assert names(make(), b"/tmp") == [b".", b".."]
    with fails(Errno.EMFILE):
        fs.dup(0)
    with fails(Errno.EINVAL):
        fs.dup(0, 1024)
    fs.close(77)
    assert fs.open(b"/tmp", guest.O_RDONLY) == 77


@pytest.mark.parametrize("fd", [3, -1, 2**32 - 1, -100])
def test_a_bad_descriptor(fs: FileSystem, fd: int) -> None:
    calls: list[Callable[[], object]] = [
        lambda: fs.close(fd),
        lambda: fs.dup(fd),
        lambda: fs.read(fd, 1),
        lambda: fs.pread(fd, 1, 0),
        lambda: fs.write(fd, b""),
        lambda: fs.pwrite(fd, b"", 0),
        lambda: fs.seek(fd, 0, 0),
        lambda: fs.truncate(fd, 0),
        lambda: fs.sync(fd),
        lambda: fs.entries(fd, 1),
        lambda: fs.node(fd),
        lambda: fs.flags(fd),
        lambda: fs.set_flags(fd, 0),
        lambda: fs.mappable(fd, shared_write=False),
    ]
    for call in calls:
        with fails(Errno.EBADF):
            call()


def test_duplicates_share_position_and_flags(fs: FileSystem) -> None:
    write_file(fs, b"/f", b"abcdef")
    one = fs.open(b"/f", guest.O_RDWR)
    two = fs.dup(one)
    other = fs.open(b"/f", guest.O_RDWR)
    assert fs.read(one, 2) == b"ab"
    assert fs.read(two, 2) == b"cd"
    assert fs.read(other, 2) == b"ab"
    fs.set_flags(one, guest.O_APPEND | guest.O_CREAT | guest.O_WRONLY)
    assert fs.flags(two) == guest.O_RDWR | guest.O_APPEND
    assert fs.flags(other) == guest.O_RDWR
    fs.close(one)
    fs.write(two, b"!")
    assert content(fs, b"/f") == b"abcdef!"


def test_appending_goes_to_the_end_whatever_the_position(fs: FileSystem) -> None:
    fd = fs.open(b"/f", CREATE | guest.O_APPEND)
    fs.write(fd, b"one")
    fs.seek(fd, 0, 0)
    fs.write(fd, b"two")
    assert fs.seek(fd, 0, 1) == 6
    fs.pwrite(fd, b"ON", 0)
    assert content(fs, b"/f") == b"ONetwo"
    fs.seek(fd, 1, 0)
    assert fs.write(fd, b"") == 0
    assert fs.read(fd, 2) == b"Ne"


def test_an_unlinked_file_lives_until_it_is_closed() -> None:
    fs = make(limit=10)
    fd = fs.open(b"/f", CREATE)
    fs.write(fd, b"0123456789")
    fs.unlink(b"/f")
    with fails(Errno.ENOENT):
        fs.stat(b"/f")
    assert fs.node(fd).stat().links == 0
    assert fs.pread(fd, 3, 4) == b"456"
    assert fs.node(fd).usage().available == 0
    fs.close(fd)
    write_file(fs, b"/g", b"0123456789")


def test_sparse_writes_read_as_zeros(fs: FileSystem) -> None:
    fd = fs.open(b"/f", CREATE)
    fs.seek(fd, 5, 0)
    assert fs.write(fd, b"") == 0
    assert fs.node(fd).stat().size == 0
    fs.write(fd, b"x")
    fs.pwrite(fd, b"y", 8)
    assert content(fs, b"/f") == b"\0\0\0\0\0x\0\0y"


def test_reading_and_writing_have_to_be_asked_for(fs: FileSystem) -> None:
    write_file(fs, b"/f", b"data")
    reader, writer = fs.open(b"/f", guest.O_RDONLY), fs.open(b"/f", guest.O_WRONLY)
    with fails(Errno.EBADF):
        fs.write(reader, b"x")
    with fails(Errno.EBADF):
        fs.read(writer, 1)
    with fails(Errno.EINVAL):
        fs.truncate(reader, 0)
    path_only = fs.open(b"/f", guest.O_PATH | guest.O_RDWR)
    with fails(Errno.EBADF):
        fs.read(path_only, 1)
    with fails(Errno.EBADF):
        fs.write(path_only, b"x")
    assert fs.node(path_only).stat().size == 4


def test_offsets_have_limits(fs: FileSystem) -> None:
    fd = fs.open(b"/f", CREATE)
    assert fs.seek(fd, guest.MAX_OFFSET, 0) == guest.MAX_OFFSET
    with fails(Errno.EFBIG):
        fs.write(fd, b"x")
    with fails(Errno.EINVAL):
        fs.seek(fd, 1, 1)
    with fails(Errno.EINVAL):
        fs.seek(fd, -1, 2)
    with fails(Errno.EINVAL):
        fs.pread(fd, 1, -1)
    with fails(Errno.EINVAL):
        fs.pwrite(fd, b"x", -1)
    with fails(Errno.EFBIG):
        fs.truncate(fd, 2**62)
    assert fs.node(fd).stat().size == 0


def test_flags_of_open(fs: FileSystem) -> None:
    for flags in (guest.O_ACCMODE, CREATE | guest.O_DIRECTORY):
        with fails(Errno.EINVAL):
            fs.open(b"/f", flags)
    write_file(fs, b"/f", b"data")
    fd = fs.open(b"/f", guest.O_RDWR | guest.O_TRUNC | guest.O_NONBLOCK)
    assert fs.flags(fd) == guest.O_RDWR | guest.O_NONBLOCK
    assert content(fs, b"/f") == b""


# Quota


def test_the_quota_counts_bytes_and_gives_them_back() -> None:
    fs = make(limit=100)
    fd = fs.open(b"/f", CREATE)
    assert fs.write(fd, b"x" * 80) == 80
    assert fs.write(fd, b"y" * 80) == 20
    with fails(Errno.ENOSPC):
        fs.write(fd, b"z")
    assert fs.pwrite(fd, b"over", 0) == 4
    with fails(Errno.ENOSPC):
        fs.truncate(fd, 101)
    with fails(Errno.ENOSPC):
        fs.pwrite(fd, b"z", 2**40)
    usage = fs.node(fd).usage()
    assert usage[:2] == (100, 0)
    assert usage.nodes_available == MAX_NODES - usage.nodes
    fs.truncate(fd, 10)
    assert fs.node(fd).usage().available == 90
    with fails(Errno.ENOSPC):
        fs.symlink(b"t" * 91, b"/l")
    fs.symlink(b"t" * 90, b"/l")
    with fails(Errno.ENOSPC):
        fs.truncate(fd, 11)
    fs.unlink(b"/l")
    fs.truncate(fd, 100)


def test_a_sparse_write_that_does_not_fit_changes_nothing() -> None:
    fs = make(limit=10)
    fd = fs.open(b"/f", CREATE)
    with fails(Errno.ENOSPC):
        fs.pwrite(fd, b"x", 10)
    assert fs.node(fd).stat().size == 0
    assert fs.pwrite(fd, b"xy", 9) == 1
    assert fs.node(fd).stat().size == 10


def test_the_number_of_nodes_is_limited(monkeypatch: pytest.MonkeyPatch, fs: FileSystem) -> None:
    monkeypatch.setattr("dotnet_wasm_host.imports.files.volume.MAX_NODES", 20)
    made = 0
    with pytest.raises(FileSystemError) as caught:
        while True:
            fs.mkdir(b"/%d" % made)
            made += 1
    assert caught.value.errno is Errno.ENOSPC
    assert 0 < made < 20
    for call in (
        lambda: fs.open(b"/f", CREATE),
        lambda: fs.symlink(b"x", b"/l"),
        lambda: fs.mkdir(b"/d"),
    ):
        with fails(Errno.ENOSPC):
            call()
    assert len(names(fs, b"/")) == made + 5
    fs.rmdir(b"/0")
    write_file(fs, b"/f")


# Paths


def test_limits_of_names_and_paths(fs: FileSystem) -> None:
    fs.mkdir(b"/" + b"n" * 255)
    with fails(Errno.ENAMETOOLONG):
        fs.mkdir(b"/" + b"n" * 256)
    with fails(Errno.ENAMETOOLONG):
        fs.stat(b"/" + b"n" * 256 + b"/x")
    fs.stat(b"/" * 4095)
    with fails(Errno.ENAMETOOLONG):
        fs.stat(b"/" * 4096)
    fs.symlink(b"t" * 4095, b"/l")
    with fails(Errno.ENAMETOOLONG):
        fs.symlink(b"t" * 4096, b"/l2")


def test_forty_links_are_followed(fs: FileSystem) -> None:
    write_file(fs, b"/0", b"end")
    for number in range(41):
        fs.symlink(b"%d" % number, b"/%d" % (number + 1))
    assert content(fs, b"/40") == b"end"
    with fails(Errno.ELOOP):
        fs.stat(b"/41")
    assert fs.readlink(b"/41") == b"40"
    fs.symlink(b"loop", b"/loop")
    with fails(Errno.ELOOP):
        fs.stat(b"/loop")
    with fails(Errno.ELOOP):
        fs.mkdir(b"/loop/x")
    # No file can be made where there is a slash behind the name, wherever the slash comes from.
    fs.symlink(b"slash/", b"/slash")
    for path in (b"/loop/", b"/slash", b"/new/"):
        with fails(Errno.EISDIR):
            fs.open(path, CREATE)


def test_links_to_the_root(fs: FileSystem) -> None:
    fs.symlink(b"///", b"/tmp/root")
    assert fs.stat(b"/tmp/root").ino == fs.stat(b"/").ino
    assert fs.stat(b"/tmp/root/tmp").ino == fs.stat(b"/tmp").ino
    assert names(fs, b"/tmp/root/tmp/root/tmp") == [b".", b"..", b"root"]


def test_a_slash_at_the_end_of_a_link_concerns_the_link_only(fs: FileSystem) -> None:
    fs.symlink(b"tmp/", b"/l")
    write_file(fs, b"/tmp/f", b"data")
    assert content(fs, b"/l/f") == b"data"
    fs.symlink(b"tmp/f/", b"/m")
    with fails(Errno.ENOTDIR):
        fs.stat(b"/m")
    with fails(Errno.ENOTDIR):
        fs.stat(b"/tmp/f/")


def test_the_root_is_its_own_parent(fs: FileSystem) -> None:
    assert fs.stat(b"/..").ino == fs.stat(b"/").ino
    assert fs.stat(b"../../tmp/../..").ino == fs.stat(b"/").ino


def test_the_root_stays(fs: FileSystem) -> None:
    for call, code in (
        (lambda: fs.rmdir(b"/"), Errno.EBUSY),
        (lambda: fs.unlink(b"/"), Errno.EISDIR),
        (lambda: fs.mkdir(b"/"), Errno.EEXIST),
        (lambda: fs.rename(b"/", b"/x"), Errno.EBUSY),
        (lambda: fs.rename(b"/tmp", b"/"), Errno.EBUSY),
        (lambda: fs.open(b"/", guest.O_RDWR), Errno.EISDIR),
        (lambda: fs.open(b"/", CREATE), Errno.EISDIR),
        (lambda: fs.open(b"/", CREATE | guest.O_EXCL), Errno.EEXIST),
    ):
        with fails(code):
            call()


def test_only_permission_bits_and_the_sticky_bit_of_a_new_directory_count(fs: FileSystem) -> None:
    fs.mkdir(b"/d", 0o177_777)
    assert fs.stat(b"/d").mode == stat.S_IFDIR | 0o1777


# Renaming


def test_a_renamed_directory_keeps_its_content_and_finds_its_new_parent(fs: FileSystem) -> None:
    fs.mkdir(b"/a")
    fs.mkdir(b"/a/d")
    write_file(fs, b"/a/d/f", b"data")
    fs.rename(b"/a/d", b"/tmp/e")
    assert content(fs, b"/tmp/e/f") == b"data"
    assert fs.stat(b"/tmp/e/..").ino == fs.stat(b"/tmp").ino
    assert (fs.stat(b"/a").links, fs.stat(b"/tmp").links) == (2, 3)
    fs.rmdir(b"/a")


def test_what_a_rename_replaces_is_gone() -> None:
    fs = make(limit=100)
    write_file(fs, b"/old", b"x" * 50)
    write_file(fs, b"/new", b"y" * 50)
    nodes = fs.find(b"/").usage().nodes
    fs.rename(b"/new", b"/old")
    assert content(fs, b"/old") == b"y" * 50
    assert fs.find(b"/").usage()[1:3] == (50, nodes - 1)
    fs.mkdir(b"/d")
    fs.mkdir(b"/e")
    links = fs.stat(b"/").links
    fs.rename(b"/d", b"/e")
    assert fs.stat(b"/").links == links - 1
    assert fs.find(b"/").usage().nodes == nodes


def test_a_replaced_file_lives_on_while_it_is_open(fs: FileSystem) -> None:
    write_file(fs, b"/old", b"old")
    write_file(fs, b"/new", b"new")
    fd = fs.open(b"/old", guest.O_RDONLY)
    fs.rename(b"/new", b"/old")
    assert fs.read(fd, 10) == b"old"
    assert content(fs, b"/old") == b"new"


def test_renames_that_cannot_be(fs: FileSystem) -> None:
    fs.mkdir(b"/d")
    fs.mkdir(b"/d/e")
    fs.mkdir(b"/d/e/f")
    fs.mkdir(b"/read_only", 0o500)
    write_file(fs, b"/file")
    for old, new, code in (
        (b"/d", b"/d", None),
        (b"/d", b"/d/x", Errno.EINVAL),
        (b"/d", b"/d/e/f", Errno.EINVAL),
        (b"/d", b"/d/e/f/x", Errno.EINVAL),
        (b"/d/e/f", b"/d", Errno.ENOTEMPTY),
        (b"/d/e", b"/d", Errno.ENOTEMPTY),
        (b"/file", b"/d/e", Errno.EISDIR),
        (b"/d/e", b"/file", Errno.ENOTDIR),
        (b"/d/e/f", b"/file/x", Errno.ENOTDIR),
        (b"/file", b"/x/", Errno.ENOTDIR),
        (b"/file/", b"/x", Errno.ENOTDIR),
        (b"/none", b"/x", Errno.ENOENT),
        (b"/file", b"/none/x", Errno.ENOENT),
        (b"/d/.", b"/x", Errno.EBUSY),
        (b"/d/e", b"/d/..", Errno.EBUSY),
        (b"/file", b"/read_only/x", Errno.EACCES),
        (b"/read_only", b"/d/x", Errno.EACCES),
        (b"/read_only", b"/d/e", Errno.EACCES),
        (b"/read_only", b"/x", None),
    ):
        if code is None:
            fs.rename(old, new)
        else:
            with fails(code):
                fs.rename(old, new)
    assert names(fs, b"/d/e") == [b".", b"..", b"f"]


def test_paths_relative_to_a_descriptor(fs: FileSystem) -> None:
    fs.mkdir(b"/d")
    at = fs.open(b"/d", guest.O_RDONLY)
    fs.close(fs.open(b"f", CREATE, at=at))
    fs.mkdir(b"e", at=at)
    fs.rename(b"f", b"e/g", at, at)
    fs.symlink(b"e/g", b"l", at)
    assert fs.readlink(b"l", at) == b"e/g"
    assert fs.stat(b"l", at).ino == fs.stat(b"/d/e/g").ino
    assert fs.stat(b"/tmp", 99).ino == fs.stat(b"/tmp").ino
    with fails(Errno.EBADF):
        fs.stat(b"tmp", 99)
    file = fs.open(b"/d/e/g", guest.O_RDONLY)
    with fails(Errno.ENOTDIR):
        fs.stat(b"x", file)


def test_a_removed_current_directory(fs: FileSystem) -> None:
    fs.mkdir(b"/a")
    fs.mkdir(b"/a/b")
    fs.chdir(b"a/b")
    assert fs.getcwd() == b"/a/b"
    fs.rename(b"/a", b"/tmp/z")
    assert fs.getcwd() == b"/tmp/z/b"
    fs.rmdir(b"/tmp/z/b")
    with fails(Errno.ENOENT):
        fs.getcwd()
    with fails(Errno.ENOENT):
        fs.mkdir(b"new")
    with fails(Errno.ENOENT):
        fs.open(b"new", CREATE)
    assert fs.stat(b".").links == 0
    fs.rmdir(b"/tmp/z")
    with fails(Errno.ENOENT):
        fs.stat(b"..")
    nodes = fs.find(b"/").usage().nodes
    fs.chdir(b"/")
    assert fs.getcwd() == b"/"
    assert fs.find(b"/").usage().nodes == nodes - 1


def test_a_current_directory_may_be_too_deep_to_say(fs: FileSystem) -> None:
    for _ in range(16):
        fs.mkdir(b"n" * 255)
        fs.chdir(b"n" * 255)
    with fails(Errno.ENAMETOOLONG):
        fs.getcwd()
    fs.chdir(b"..")
    assert len(fs.getcwd()) == 15 * 256


# Permissions and times


def test_permissions_are_those_of_the_owner(fs: FileSystem) -> None:
    write_file(fs, b"/f", b"data")
    fs.find(b"/f").chmod(0o477)
    assert stat.S_IMODE(fs.stat(b"/f").mode) == 0o477
    fs.close(fs.open(b"/f", guest.O_RDONLY))
    with fails(Errno.EACCES):
        fs.open(b"/f", guest.O_WRONLY)
    with fails(Errno.EACCES):
        fs.open(b"/f", guest.O_RDONLY | guest.O_TRUNC)
    node = fs.find(b"/f")
    assert node.permits(READ)
    assert not node.permits(WRITE)
    assert not node.permits(READ | EXECUTE)
    fs.mkdir(b"/d", 0o600)
    with fails(Errno.EACCES):
        fs.stat(b"/d/x")
    with fails(Errno.EACCES):
        fs.chdir(b"/d")
    fs.find(b"/d").chmod(0o500)
    with fails(Errno.EACCES):
        fs.mkdir(b"/d/x")


def test_a_new_file_can_be_written_whatever_its_mode(fs: FileSystem) -> None:
    fd = fs.open(b"/f", CREATE, 0o400)
    assert fs.write(fd, b"x") == 1
    with fails(Errno.EACCES):
        fs.open(b"/f", guest.O_RDWR)


def test_times_come_from_the_clock() -> None:
    clock = FakeClock(100.5)
    fs = make(clock=clock)
    second = 1_000_000_000
    write_file(fs, b"/f")
    assert fs.stat(b"/f")[6:] == (100 * second + second // 2,) * 3
    clock.seconds = 200.0
    fd = fs.open(b"/f", guest.O_RDWR)
    fs.write(fd, b"x")
    assert fs.stat(b"/f")[7:] == (200 * second,) * 2
    clock.seconds = 300.0
    fs.pread(fd, 1, 0)
    assert fs.stat(b"/f").atime == 300 * second
    clock.seconds = 400.0
    fs.pread(fd, 1, 0)
    assert fs.stat(b"/f")[6:] == (300 * second, 200 * second, 200 * second)
    fs.find(b"/f").set_times(-1, None)
    assert fs.stat(b"/f")[6:] == (-1, 200 * second, 400 * second)
    clock.seconds = 450.0
    fs.rename(b"/f", b"/tmp/f")
    assert fs.node(fd).stat()[7:] == (200 * second, 450 * second)
    assert fs.stat(b"/").mtime == fs.stat(b"/tmp").mtime == 450 * second
    clock.seconds = 500.0
    fs.rename(b"/tmp/f", b"/f")
    fs.unlink(b"/f")
    assert fs.stat(b"/").mtime == 500 * second
    assert fs.node(fd).stat().ctime == 500 * second


# Listing


def listing(fs: FileSystem, fd: int, count: int) -> list[bytes]:
    """The next entries, as getdents does it."""
    entries = fs.entries(fd, count)
    if entries:
        fs.seek(fd, entries[-1].cookie, 0)
    return [entry.name for entry in entries]


def test_a_listing_survives_deletion_of_what_it_gave(fs: FileSystem) -> None:
    wanted = {b"%d" % number for number in range(500)}
    for name in wanted:
        write_file(fs, b"/tmp/" + name)
    fd = fs.open(b"/tmp", guest.O_RDONLY)
    seen: list[bytes] = []
    while batch := listing(fs, fd, 7):
        for name in batch:
            if name not in {b".", b".."}:
                seen.append(name)
                fs.unlink(b"/tmp/" + name)
    assert sorted(seen) == sorted(wanted)
    assert names(fs, b"/tmp") == [b".", b".."]


def test_a_listing_gives_what_stays_exactly_once(fs: FileSystem) -> None:
    for number in range(100):
        write_file(fs, b"/tmp/stay%d" % number)
        write_file(fs, b"/tmp/go%d" % number)
    fd = fs.open(b"/tmp", guest.O_RDONLY)
    seen: list[bytes] = []
    step = 0
    while batch := listing(fs, fd, 3):
        seen += batch
        if step < 100:
            fs.unlink(b"/tmp/go%d" % (99 - step))
            write_file(fs, b"/tmp/new%d" % step)
            fs.rename(b"/tmp/new%d" % step, b"/tmp/stay%d" % (step * 7 % 100))
        step += 1
    assert sorted(name for name in seen if name.startswith(b"stay")) == sorted(
        b"stay%d" % number for number in range(100)
    )
    assert len(seen) == len(set(seen))
    fs.seek(fd, 0, 0)
    assert sorted(listing(fs, fd, 1000)) == sorted(names(fs, b"/tmp"))


def test_a_directory_that_was_filled_and_emptied_often_stays_small(fs: FileSystem) -> None:
    for number in range(2000):
        write_file(fs, b"/tmp/%d" % number)
        fs.unlink(b"/tmp/%d" % number)
    node = fs.find(b"/tmp")
    assert isinstance(node, Directory)
    assert len(node._order) < 100


def test_entries_say_what_they_are(fs: FileSystem) -> None:
    fs.mkdir(b"/tmp/d")
    write_file(fs, b"/tmp/f")
    fs.symlink(b"f", b"/tmp/l")
    fd = fs.open(b"/tmp", guest.O_RDONLY)
    entries = {entry.name: entry for entry in fs.entries(fd, 10)}
    for name, entry in entries.items():
        attributes = fs.stat(b"/tmp/" + name, follow=False)
        assert (entry.ino, stat.S_IFMT(entry.mode)) == (
            attributes.ino,
            stat.S_IFMT(attributes.mode),
        )
    assert fs.entries(fd, 0) == []
    write_only = fs.open(b"/tmp/f", guest.O_RDONLY)
    with fails(Errno.ENOTDIR):
        fs.entries(write_only, 1)


# Snapshots


def test_everything_but_the_hosts_ends_can_be_pickled() -> None:
    out = io.BytesIO()
    fs = make(stdout=out, random=lambda count: b"?" * count, files={"/f": b"given"})
    fd = fs.open(b"/tmp/a", CREATE)
    fs.write(fd, b"content")
    fs.unlink(b"/tmp/a")
    copy = fs.dup(fd)
    fs.symlink(b"/f", b"/l")
    fs.chdir(b"/tmp")

    restored: FileSystem = pickle.loads(pickle.dumps(fs))
    new_out = io.BytesIO()
    restored.host.attach(WasiOptions(stdout=new_out))
    restored.write(1, b"hello")
    restored.write(copy, b"!")
    assert (out.getvalue(), new_out.getvalue()) == (b"", b"hello")
    assert restored.pread(fd, 100, 0) == b"content!"
    assert fs.pread(fd, 100, 0) == b"content"
    assert restored.getcwd() == b"/tmp"
    assert content(restored, b"/l") == b"given"
    restored.close(fd)
    restored.close(copy)
    assert restored.find(b"/").usage().available == 1_000_000 - len(b"given/f")


def test_a_deep_tree_can_be_pickled() -> None:
    fs = make(10_000_000)
    for _ in range(5000):
        fs.mkdir(b"d")
        fs.chdir(b"d")
    restored: FileSystem = pickle.loads(pickle.dumps(fs))
    for _ in range(5000):
        restored.chdir(b"..")
    assert restored.getcwd() == b"/"


def test_names_are_announced_before_they_are_looked_up(fs: FileSystem) -> None:
    fs.mkdir(b"/a", 0o777)
    write_file(fs, b"/a/b")
    fs.symlink(b"/a/./././b", b"/link")
    steps: list[int] = []
    fs.host.charge_steps = steps.append
    fs.stat(b"/a/b")
    assert steps == [2]
    fs.stat(b"/link")
    assert steps == [2, 1, 5]

    def refuse(_: int) -> None:
        raise LimitExceeded("enough", limit="host_work")

    fs.host.charge_steps = refuse
    with pytest.raises(LimitExceeded):
        fs.stat(b"/a/b")
