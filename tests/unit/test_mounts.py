"""Mounted directories of the host: what can be reached, and what cannot."""

from __future__ import annotations

import contextlib
import gc
import os
import socket
import stat
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dotnet_wasm_host.imports.files import descriptors as guest
from dotnet_wasm_host.imports.files import host_files
from dotnet_wasm_host.imports.files.filesystem import FileSystem
from dotnet_wasm_host.imports.files.mounts import HAS_OPENAT
from dotnet_wasm_host.imports.files.nodes import EXECUTE, READ, WRITE, FileNode
from dotnet_wasm_host.imports.files.wasi_errno import Errno, FileSystemError
from dotnet_wasm_host.options import Limits, WasiOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.skipif(not HAS_OPENAT, reason="mounts need openat")

CREATE = guest.O_CREAT | guest.O_RDWR
SECRET = b"secret of the host"


@contextmanager
def fails(*codes: Errno) -> Iterator[None]:
    with pytest.raises(FileSystemError) as caught:
        yield
    assert caught.value.errno in codes


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """The directory that is mounted; beside it there is a secret."""
    folder = tmp_path / "shared"
    (folder / "sub" / "deep").mkdir(parents=True)
    (folder / "a.txt").write_bytes(b"alpha")
    (folder / "sub" / "b.txt").write_bytes(b"beta")
    (tmp_path / "secret").write_bytes(SECRET)
    (tmp_path / "closed").mkdir()
    (tmp_path / "closed" / "secret").write_bytes(SECRET)
    return folder


@pytest.fixture
def mount() -> Iterator[Callable[..., FileSystem]]:
    made = []

    def make(where: Any, limit: int = 1_000_000, **options: Any) -> FileSystem:
        directories = where if isinstance(where, dict) else {"/m": where}
        fs = FileSystem(WasiOptions(directories=directories, **options), Limits(files_bytes=limit))
        made.append(fs)
        return fs

    yield make
    for fs in made:
        fs.close_host()


@pytest.fixture
def fs(shared: Path, mount: Callable[..., FileSystem]) -> FileSystem:
    return mount((shared, False))


@pytest.fixture
def lent(shared: Path, mount: Callable[..., FileSystem]) -> FileSystem:
    return mount(shared)


def content(fs: FileSystem, path: bytes) -> bytes:
    fd = fs.open(path, guest.O_RDONLY)
    try:
        return fs.read(fd, 10_000_000)
    finally:
        fs.close(fd)


def write_file(fs: FileSystem, path: bytes, data: bytes) -> None:
    fd = fs.open(path, CREATE | guest.O_TRUNC)
    try:
        assert fs.write(fd, data) == len(data)
    finally:
        fs.close(fd)


def names(fs: FileSystem, path: bytes) -> list[bytes]:
    fd = fs.open(path, guest.O_RDONLY | guest.O_DIRECTORY)
    try:
        return sorted(entry.name for entry in fs.entries(fd, 100_000)[2:])
    finally:
        fs.close(fd)


def host_descriptors(folder: Path) -> int:
    """How many of this process's descriptors lead into a folder."""
    count = 0
    for entry in Path("/proc/self/fd").iterdir():
        # The descriptor of this listing is closed when it is looked at.
        with contextlib.suppress(FileNotFoundError):
            count += entry.readlink().is_relative_to(folder.resolve())
    return count


# What is there


def test_files_of_the_host_are_read(lent: FileSystem) -> None:
    assert content(lent, b"/m/a.txt") == b"alpha"
    assert content(lent, b"/m/sub/../sub/./b.txt") == b"beta"
    assert names(lent, b"/m") == [b"a.txt", b"sub"]
    assert b"m" in names(lent, b"/")
    lent.chdir(b"/m/sub/deep")
    assert lent.getcwd() == b"/m/sub/deep"
    assert content(lent, b"../../a.txt") == b"alpha"
    lent.chdir(b"../../..")
    assert lent.getcwd() == b"/"


def test_attributes_are_the_hosts(lent: FileSystem, shared: Path) -> None:
    os.utime(shared / "a.txt", ns=(1, 2_000_000_003))
    os.chmod(shared / "a.txt", 0o640)
    found, expected = lent.stat(b"/m/a.txt"), os.stat(shared / "a.txt")
    assert (found.mode, found.size, found.ino) == (0o100640, 5, expected.st_ino)
    assert (found.atime, found.mtime) == (1, 2_000_000_003)
    assert found.device not in {lent.stat(b"/").device, 0}


def test_what_is_written_is_on_the_host(fs: FileSystem, shared: Path) -> None:
    write_file(fs, b"/m/new", b"one")
    fs.mkdir(b"/m/made")
    fs.rename(b"/m/a.txt", b"/m/made/moved")
    fs.unlink(b"/m/sub/b.txt")
    fs.rmdir(b"/m/sub/deep")
    fs.find(b"/m/new").chmod(0o6640)
    fs.find(b"/m/new").set_times(5, 7)

    found = os.stat(shared / "new")
    assert (shared / "new").read_bytes() == b"one"
    assert (shared / "made" / "moved").read_bytes() == b"alpha"
    assert sorted(os.listdir(shared)) == ["made", "new", "sub"]
    assert os.listdir(shared / "sub") == []
    # Set-user-ID and set-group-ID are for the host to give.
    assert stat.S_IMODE(found.st_mode) == 0o640
    assert (found.st_atime_ns, found.st_mtime_ns) == (5, 7)


def test_the_hosts_umask_counts(fs: FileSystem, shared: Path) -> None:
    before = os.umask(0o027)
    try:
        write_file(fs, b"/m/new", b"")
        fs.mkdir(b"/m/made", 0o777)
    finally:
        os.umask(before)
    assert stat.S_IMODE(os.stat(shared / "new").st_mode) == 0o640
    assert stat.S_IMODE(os.stat(shared / "made").st_mode) == 0o750


def test_a_file_made_unreadable_can_be_written_by_whom_made_it(fs: FileSystem) -> None:
    fd = fs.open(b"/m/private", CREATE, 0)
    fs.write(fd, b"x")
    assert fs.pread(fd, 10, 0) == b"x"


def test_two_mounts_are_two_volumes(
    mount: Callable[..., FileSystem], shared: Path, tmp_path: Path
) -> None:
    fs = mount({"/in": shared, "/deep/er/out/": (tmp_path / "closed", False)})

    write_file(fs, b"/deep/er/out/copy", content(fs, b"/in/a.txt"))
    assert (tmp_path / "closed" / "copy").read_bytes() == b"alpha"
    for old, new in ((b"/deep/er/out/copy", b"/tmp/x"), (b"/in/a.txt", b"/deep/er/out/x")):
        with fails(Errno.EXDEV):
            fs.rename(old, new)
    write_file(fs, b"/tmp/x", b"")
    with fails(Errno.EXDEV):
        fs.rename(b"/tmp/x", b"/deep/er/out/x")


def test_a_mount_point_stays_where_it_is(fs: FileSystem) -> None:
    with fails(Errno.EBUSY):
        fs.rmdir(b"/m")
    with fails(Errno.EBUSY):
        fs.rename(b"/m", b"/other")
    fs.mkdir(b"/other")
    with fails(Errno.EBUSY):
        fs.rename(b"/other", b"/m")
    with fails(Errno.EISDIR):
        fs.unlink(b"/m")


def test_the_way_up_follows_a_directory_that_is_moved(fs: FileSystem) -> None:
    fs.chdir(b"/m/sub/deep")
    fs.rename(b"/m/sub", b"/m/else")
    assert fs.getcwd() == b"/m/else/deep"
    with fails(Errno.EINVAL):
        fs.rename(b"/m/else", b"/m/else/deep/x")
    assert content(fs, b"../b.txt") == b"beta"


# What cannot be reached


@pytest.mark.parametrize(
    "target",
    [b"/secret", b"../secret", b"../../../../../../etc/passwd", b"/etc/passwd", b"/proc/self/root"],
)
@pytest.mark.parametrize("name", [b"link", b"sub/link"])
def test_links_are_paths_of_the_guest(
    fs: FileSystem, shared: Path, target: bytes, name: bytes
) -> None:
    if target == b"/secret":
        target = os.fsencode(shared.parent / "secret")
    os.symlink(target, os.fsencode(shared) + b"/" + name)
    with fails(Errno.ENOENT, Errno.ENOTDIR):
        content(fs, b"/m/" + name)
    with fails(Errno.ENOENT, Errno.ENOTDIR):
        write_file(fs, b"/m/" + name + b"/x", b"")
    assert fs.readlink(b"/m/" + name) == target
    assert not (shared.parent / "x").exists()


def test_a_link_leads_to_what_the_guest_has_there(fs: FileSystem, shared: Path) -> None:
    os.symlink("/tmp/own", shared / "link")
    write_file(fs, b"/m/link", b"in memory")
    assert content(fs, b"/tmp/own") == b"in memory"
    assert not Path("/tmp/own").exists()
    os.symlink("sub", shared / "short")
    assert content(fs, b"/m/short/b.txt") == b"beta"
    os.symlink("loop", shared / "loop")
    with fails(Errno.ELOOP):
        content(fs, b"/m/loop")


@pytest.mark.parametrize(
    "path",
    [
        b"/m/../secret",
        b"/m/../../secret",
        b"/m/sub/../../../secret",
        b"/m/..//m/../closed/secret",
        b"/m//../../../etc/passwd",
        b"/m/a.txt\0/../secret",
    ],
)
def test_dots_stop_at_the_top_of_the_guest(fs: FileSystem, path: bytes) -> None:
    with fails(Errno.ENOENT, Errno.EINVAL, Errno.ENOTDIR):
        content(fs, path)


def test_the_hosts_own_path_means_nothing(fs: FileSystem, shared: Path) -> None:
    for path in (shared / "a.txt", shared.parent / "secret"):
        with fails(Errno.ENOENT):
            content(fs, os.fsencode(path))


def test_the_guest_plants_no_links(fs: FileSystem, shared: Path) -> None:
    with fails(Errno.EPERM):
        fs.symlink(b"/etc/passwd", b"/m/link")
    assert sorted(os.listdir(shared)) == ["a.txt", "sub"]


def test_a_link_that_takes_a_directorys_place_leads_nowhere(
    fs: FileSystem, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Between the look at the name and its opening the host swaps it for a link.
    real = os.stat

    def stat_then_swap(path: Any, **options: Any) -> os.stat_result:
        found = real(path, **options)
        if path in {b"sub", b"a.txt"} and "dir_fd" in options:
            monkeypatch.setattr(os, "stat", real)
            os.rename(shared / os.fsdecode(path), shared / "moved")
            target = "closed" if path == b"sub" else "secret"
            os.symlink(shared.parent / target, shared / os.fsdecode(path))
        return found

    monkeypatch.setattr(os, "stat", stat_then_swap)
    with fails(Errno.ENOTDIR, Errno.ELOOP):
        content(fs, b"/m/sub/secret")
    monkeypatch.setattr(os, "stat", stat_then_swap)
    os.remove(shared / "sub")
    os.rename(shared / "moved", shared / "sub")
    with fails(Errno.ELOOP):
        content(fs, b"/m/a.txt")


def test_nothing_is_reached_through_a_race(fs: FileSystem, shared: Path, tmp_path: Path) -> None:
    ends = threading.Event()
    failures: list[BaseException] = []

    def swap() -> None:
        try:
            os.symlink(tmp_path / "closed", tmp_path / "link")
            os.mkdir(shared / "x")
            (shared / "x" / "secret").write_bytes(b"harmless")
            while not ends.is_set():
                os.rename(shared / "x", tmp_path / "aside")
                os.rename(tmp_path / "link", shared / "x")
                os.rename(shared / "x", tmp_path / "link")
                os.rename(tmp_path / "aside", shared / "x")
        except BaseException as error:
            failures.append(error)

    swapper = threading.Thread(target=swap)
    swapper.start()
    seen = set()
    try:
        for _ in range(3_000):
            try:
                seen.add(content(fs, b"/m/x/secret"))
            except FileSystemError as error:
                seen.add(error.errno.name.encode())
    finally:
        ends.set()
        swapper.join()
    assert not failures
    assert SECRET not in seen
    assert b"harmless" in seen


def test_a_directory_that_the_host_moved_away_has_no_way_up_to_the_host(
    fs: FileSystem, shared: Path, tmp_path: Path
) -> None:
    fs.chdir(b"/m/sub/deep")
    os.rename(shared / "sub" / "deep", tmp_path / "closed" / "deep")
    for path in (b"../secret", b"../../secret", b"../../../secret"):
        with fails(Errno.ENOENT):
            content(fs, path)


def test_the_host_makes_a_circle_of_what_the_guest_holds(fs: FileSystem, shared: Path) -> None:
    os.mkdir(shared / "sub" / "deep" / "deeper")
    outer = fs.open(b"/m/sub", guest.O_RDONLY)
    fs.open(b"/m/sub/deep/deeper", guest.O_RDONLY)
    inner = fs.open(b"/m/sub/deep", guest.O_RDONLY)
    os.rename(shared / "sub" / "deep", shared / "deep")
    os.rename(shared / "sub", shared / "deep" / "sub")
    with fails(Errno.ESTALE):
        fs.find(b"sub", inner)
    with fails(Errno.ENOENT):
        fs.find(b"deep", outer)
    assert fs.stat(b"/m/deep/sub").ino == fs.node(outer).stat().ino
    fs.close(outer)
    fs.close(inner)


# Special files


@pytest.fixture
def special(shared: Path) -> Iterator[dict[bytes, int]]:
    os.mkfifo(shared / "pipe")
    server = socket.socket(socket.AF_UNIX)
    before = Path.cwd()
    os.chdir(shared)  # A socket's path is short.
    try:
        server.bind("socket")
    finally:
        os.chdir(before)
    kinds = {b"pipe": stat.S_IFIFO, b"socket": stat.S_IFSOCK}
    try:
        os.mknod(shared / "device", 0o666 | stat.S_IFCHR, os.makedev(1, 5))
        kinds[b"device"] = stat.S_IFCHR
    except OSError:  # Only root makes devices, and not everywhere.
        pass
    yield kinds
    server.close()


@pytest.mark.parametrize("flags", [guest.O_RDONLY, guest.O_WRONLY, guest.O_RDWR | guest.O_TRUNC])
def test_special_files_are_seen_and_not_opened(
    fs: FileSystem, special: dict[bytes, int], flags: int
) -> None:
    for name, kind in special.items():
        assert stat.S_IFMT(fs.stat(b"/m/" + name).mode) == kind
        with fails(Errno.EACCES):
            fs.open(b"/m/" + name, flags)
        with fails(Errno.EACCES):
            fs.open(b"/m/" + name, flags | guest.O_CREAT)
    listed = {e.name: e.mode for e in fs.entries(fs.open(b"/m", 0), 100)}
    assert {name: listed[name] for name in special} == dict.fromkeys(special, 0)
    for name in special:
        fs.unlink(b"/m/" + name)


def test_a_pipe_that_takes_a_files_place_does_not_block(
    fs: FileSystem, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.stat

    def stat_then_swap(path: Any, **options: Any) -> os.stat_result:
        found = real(path, **options)
        if path == b"a.txt":
            monkeypatch.setattr(os, "stat", real)
            os.remove(shared / "a.txt")
            os.mkfifo(shared / "a.txt")
        return found

    monkeypatch.setattr(os, "stat", stat_then_swap)
    with fails(Errno.EACCES):
        content(fs, b"/m/a.txt")


# Read-only


def test_read_only_is_read_only(lent: FileSystem, shared: Path) -> None:
    before = {p: (os.lstat(p), p.is_file() and p.read_bytes()) for p in shared.rglob("*")}
    fs = lent
    attempts: list[Callable[[], object]] = [
        lambda: fs.open(b"/m/new", CREATE),
        lambda: fs.open(b"/m/a.txt", guest.O_WRONLY),
        lambda: fs.open(b"/m/a.txt", guest.O_RDWR),
        lambda: fs.open(b"/m/a.txt", guest.O_RDONLY | guest.O_TRUNC),
        lambda: fs.open(b"/m/a.txt", guest.O_WRONLY | guest.O_APPEND),
        lambda: fs.mkdir(b"/m/made"),
        lambda: fs.symlink(b"x", b"/m/link"),
        lambda: fs.unlink(b"/m/a.txt"),
        lambda: fs.rmdir(b"/m/sub/deep"),
        lambda: fs.rename(b"/m/a.txt", b"/m/b"),
        lambda: fs.rename(b"/m/sub", b"/m/other"),
        lambda: fs.find(b"/m/a.txt").chmod(0o777),
        lambda: fs.find(b"/m/sub").chmod(0o777),
        lambda: fs.find(b"/m").chmod(0o777),
        lambda: fs.find(b"/m/a.txt").set_times(1, 1),
        lambda: fs.find(b"/m/sub").set_times(1, 1),
        lambda: fs.node(fs.open(b"/m/a.txt", 0)).chmod(0o777),
        lambda: fs.node(fs.open(b"/m/a.txt", 0)).set_times(1, 1),
    ]
    for attempt in attempts:
        with fails(Errno.EROFS):
            attempt()
    fd = fs.open(b"/m/a.txt", guest.O_RDONLY)
    with fails(Errno.EBADF):
        fs.write(fd, b"x")
    with fails(Errno.EINVAL):
        fs.truncate(fd, 0)
    with fails(Errno.EACCES):
        fs.mappable(fd, shared_write=True)
    node = fs.node(fd)
    assert isinstance(node, FileNode)
    with fails(Errno.EROFS):
        node.write(0, b"x")
    with fails(Errno.EROFS):
        node.truncate(0)
    assert fs.find(b"/m/a.txt").permits(READ)
    assert fs.find(b"/m/sub").permits(READ | EXECUTE)
    assert not fs.find(b"/m/a.txt").permits(WRITE)

    after = {p: (os.lstat(p), p.is_file() and p.read_bytes()) for p in shared.rglob("*")}
    assert {p: (s.st_mode, s.st_mtime_ns, s.st_ino, d) for p, (s, d) in after.items()} == {
        p: (s.st_mode, s.st_mtime_ns, s.st_ino, d) for p, (s, d) in before.items()
    }


def test_a_bare_path_is_read_only(mount: Callable[..., FileSystem], shared: Path) -> None:
    for given in (shared, str(shared), (shared, True), (str(shared), True)):
        with fails(Errno.EROFS):
            mount(given).mkdir(b"/m/x")


# Quota


def test_what_a_guest_adds_counts_like_files_in_memory(
    mount: Callable[..., FileSystem], shared: Path
) -> None:
    fs = mount((shared, False), limit=100)
    write_file(fs, b"/tmp/memory", bytes(40))
    write_file(fs, b"/m/new", bytes(50))
    assert fs.find(b"/m").usage().available == 10

    fd = fs.open(b"/m/a.txt", guest.O_RDWR)
    # Writing over what is there adds nothing.
    assert fs.write(fd, b"ALPHA") == 5
    assert fs.write(fd, bytes(20)) == 10
    with fails(Errno.ENOSPC):
        fs.write(fd, b"x")
    with fails(Errno.ENOSPC):
        fs.truncate(fd, 16)
    assert (shared / "a.txt").read_bytes() == b"ALPHA" + bytes(10)

    # What was there before gives nothing back, neither cut nor removed.
    fs.truncate(fd, 0)
    assert fs.find(b"/m").usage().available == 10
    fs.unlink(b"/m/sub/b.txt")
    assert fs.find(b"/m").usage().available == 10
    fs.unlink(b"/m/new")
    assert fs.find(b"/m").usage().available == 60


def test_an_open_file_counts_until_it_is_closed(
    mount: Callable[..., FileSystem], shared: Path
) -> None:
    fs = mount((shared, False), limit=100)
    fd = fs.open(b"/m/new", CREATE)
    fs.write(fd, bytes(80))
    copy = fs.open(b"/m/new", 0)
    fs.unlink(b"/m/new")
    fs.close(fd)
    assert fs.find(b"/m").usage().available == 20
    fs.close(copy)
    assert fs.find(b"/m").usage().available == 100


def test_a_file_that_is_replaced_counts_no_longer(
    mount: Callable[..., FileSystem], shared: Path
) -> None:
    fs = mount((shared, False), limit=100)
    write_file(fs, b"/m/x", bytes(30))
    write_file(fs, b"/m/y", bytes(40))
    fs.rename(b"/m/x", b"/m/y")
    assert fs.find(b"/m").usage().available == 70


def test_the_number_of_what_a_guest_makes_is_limited(
    fs: FileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dotnet_wasm_host.imports.files.mounts.MAX_NODES", 3)
    fs.mkdir(b"/m/1")
    write_file(fs, b"/m/2", b"")
    fs.mkdir(b"/m/3")
    with fails(Errno.ENOSPC):
        fs.mkdir(b"/m/4")
    with fails(Errno.ENOSPC):
        write_file(fs, b"/m/4", b"")
    fs.rmdir(b"/m/1")
    fs.mkdir(b"/m/4")


# Listing


def test_a_listing_goes_on_whatever_happens_to_the_names(fs: FileSystem, shared: Path) -> None:
    for number in range(50):
        (shared / f"{number}").touch()
    fd, other = fs.open(b"/m", 0), fs.open(b"/m", 0)
    seen: list[bytes] = []
    removed = {b"%d" % number for number in range(0, 50, 7)}
    while entries := fs.entries(fd, 5):
        seen += [entry.name for entry in entries]
        fs.seek(fd, entries[-1].cookie, 0)
        # Somebody else starts over, and the directory changes.
        fs.entries(other, 3)
        if removed:
            (shared / os.fsdecode(removed.pop())).unlink()
            (shared / f"added-{len(removed)}").touch()
    stayed = {b"%d" % n for n in range(50) if n % 7} | {b".", b"..", b"a.txt", b"sub"}
    assert stayed <= set(seen)
    assert len(seen) == len(set(seen))


def test_names_that_are_no_text(fs: FileSystem, shared: Path) -> None:
    if sys.platform == "darwin":
        pytest.skip("names are Unicode there")
    (shared / os.fsdecode(b"\xff\xfe")).write_bytes(b"odd")
    assert b"\xff\xfe" in names(fs, b"/m")
    assert content(fs, b"/m/\xff\xfe") == b"odd"


# Descriptors of the host


needs_proc = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts in /proc")


@needs_proc
def test_descriptors_are_closed(shared: Path, mount: Callable[..., FileSystem]) -> None:
    gc.collect()
    before = host_descriptors(shared)
    fs = mount((shared, False))
    write_file(fs, b"/m/new", b"x")
    content(fs, b"/m/sub/b.txt")
    names(fs, b"/m/sub")
    fs.rename(b"/m/new", b"/m/sub/new")
    fs.find(b"/m/sub/new").chmod(0o600)
    with fails(Errno.ENOENT):
        content(fs, b"/m/sub/deep/none")
    gc.collect()  # The error above, with all that its frames hold.
    assert host_descriptors(shared) == before + 1
    fd = fs.open(b"/m/sub/b.txt", 0)
    fs.chdir(b"/m/sub/deep")
    fs.close(fd)
    assert host_descriptors(shared) == before + 3
    fs.open(b"/m/sub/b.txt", 0)
    fs.close_host()
    assert host_descriptors(shared) == before
    with fails(Errno.EBADF):
        fs.read(3, 1)
    with fails(Errno.ENOENT):
        content(fs, b"/m/a.txt")
    fs.close_host()


@needs_proc
def test_descriptors_go_with_the_last_reference(shared: Path) -> None:
    gc.collect()
    gc.disable()
    try:
        before = host_descriptors(shared)
        fs = FileSystem(WasiOptions(directories={"/m": shared}), Limits())
        fs.open(b"/m/a.txt", 0)
        fs.open(b"/m/sub/deep", 0)
        assert host_descriptors(shared) > before
        del fs
        assert host_descriptors(shared) == before
    finally:
        gc.enable()


def hoard(fs: FileSystem) -> int:
    """Open a file as often as may be."""
    for count in range(100_000):
        try:
            fs.open(b"/m/a.txt", 0)
        except FileSystemError as error:
            assert error.errno is Errno.ENFILE
            return count
    pytest.fail("there is no end")


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> int:
    """Descriptors that guests can still open."""
    used = len(host_files._held_by_guests)
    monkeypatch.setattr(host_files, "descriptor_limit", lambda: 2 * (used + 300))
    return 300


def test_a_guest_cannot_use_up_the_hosts_descriptors(fs: FileSystem, room: int) -> None:
    assert room * 0.4 < hoard(fs) <= room / 2
    fs.close(3)
    fs.open(b"/m/a.txt", 0)


def test_guests_that_keep_what_they_open_leave_something_to_others(shared: Path, room: int) -> None:
    options = WasiOptions(directories={"/m": shared})
    guests = [FileSystem(options, Limits()) for _ in range(4)]
    counts = [hoard(guest) for guest in guests[:3]]
    assert counts == sorted(counts, reverse=True)
    assert sum(counts) < room
    assert hoard(guests[3]) > room / 20
    for former in guests[:3]:
        former.close_host()
    assert room * 0.4 < hoard(guests[3]) + room / 20
    guests[3].close_host()


@pytest.mark.parametrize("flags", [guest.O_RDONLY, guest.O_RDWR])
def test_without_faccessat_the_kernel_still_decides(
    shared: Path, monkeypatch: pytest.MonkeyPatch, flags: int
) -> None:
    monkeypatch.setattr(os, "access", lambda *_, **__: False)
    monkeypatch.setattr("dotnet_wasm_host.imports.files.mounted_nodes.HAS_PROC", False)
    monkeypatch.setattr("dotnet_wasm_host.imports.files.mounted_files.HAS_PROC", False)
    os.chmod(shared / "a.txt", 0o444)
    fs = FileSystem(WasiOptions(directories={"/m": (shared, False)}), Limits())
    try:
        if flags == guest.O_RDONLY or os.geteuid() == 0:
            assert fs.read(fs.open(b"/m/a.txt", flags), 10) == b"alpha"
        else:
            with fails(Errno.EACCES):
                fs.open(b"/m/a.txt", flags)
        assert names(fs, b"/m/sub") == [b"b.txt", b"deep"]
        fs.find(b"/m/sub").set_times(3, 4)
        fs.find(b"/m/sub").chmod(0o750)
        found = os.stat(shared / "sub")
        assert (found.st_mtime_ns, stat.S_IMODE(found.st_mode)) == (4, 0o750)
    finally:
        fs.close_host()


# What cannot be mounted


@pytest.mark.parametrize("path", ["", "m", "/", "//", "/m/../x", "/m\0"])
def test_guest_paths_that_cannot_be(path: str, shared: Path) -> None:
    with pytest.raises(ValueError, match="absolute guest path"):
        WasiOptions(directories={path: shared})


@pytest.mark.parametrize("given", [None, 5, ("x",), ("x", "y"), ("x", 1), (None, True), b"x"])
def test_hosts_paths_that_cannot_be(given: Any) -> None:
    with pytest.raises(ValueError, match="host path and whether"):
        WasiOptions(directories={"/m": given})


@needs_proc
def test_mounts_that_cannot_be(shared: Path, mount: Callable[..., FileSystem]) -> None:
    before = host_descriptors(shared)
    for directories, reason in (
        ({"/m": shared / "missing"}, "No such file"),
        ({"/m": shared / "a.txt"}, "Not a directory"),
        ({"/dev": shared}, "ENOTEMPTY"),
        ({"/m": shared, "/m/": shared}, "ENOTDIR"),
        ({"/m": shared, "/m/sub": shared}, "ENOTDIR"),
        ({"/m": shared, "/m/none": shared}, "EROFS"),
        ({"/m/none": shared, "/m": shared}, "ENOTEMPTY"),
    ):
        with pytest.raises(ValueError, match=f"cannot be mounted at .*{reason}"):
            mount(directories)
        gc.collect()
        assert host_descriptors(shared) == before
    with pytest.raises(ValueError, match="cannot be mounted at '/f'"):
        mount({"/f": shared}, files={"/f": b""})
    with pytest.raises(ValueError, match="cannot be mounted at '/f'"):
        mount({"/f": shared}, files={"/f/g": b""})
