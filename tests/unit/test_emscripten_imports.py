from __future__ import annotations

import calendar
import io
import struct
import sys
import time
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dotnet_wasm_host.errors import GuestTerminated, GuestTrap
from dotnet_wasm_host.imports import descriptors as flags
from dotnet_wasm_host.imports import layouts
from dotnet_wasm_host.imports.civil_time import BrokenDownTime, broken_down, format_time
from dotnet_wasm_host.imports.emscripten import Calendar, Clocks, Entropy, Heap, Process, Sockets
from dotnet_wasm_host.imports.mappings import Mappings
from dotnet_wasm_host.imports.syscalls import DescriptorCalls, PathCalls
from dotnet_wasm_host.imports.wasi_errno import Errno
from dotnet_wasm_host.options import MIB, WASM_PAGE, Limits, WasiOptions
from tests.unit.fake_guest import AT_FDCWD, FakeClock, FakeGuest, FakeLinearMemory

if TYPE_CHECKING:
    from collections.abc import Callable

    from dotnet_wasm_host.imports.base import ImportGroup

OUTSIDE = 0x8000_0000
SECOND = 1_000_000_000


class Setup:
    """A guest with the system calls."""

    def __init__(self, **options: object) -> None:
        self.clock = FakeClock()
        given = {"clock": self.clock, "files": {"/f": b"0123456789"}, **options}
        self.guest = FakeGuest(WasiOptions(**given), Limits(files_bytes=MIB))  # type: ignore[arg-type]
        self.memory = self.guest.memory
        self.files = self.guest.filesystem
        self.paths = PathCalls(self.guest, self.files)
        self.descriptors = DescriptorCalls(self.guest, self.files)
        self.mappings = Mappings(self.guest, self.files)
        self.path = self.guest.path

    def content(self, path: bytes = b"/f") -> bytes:
        fd = self.files.open(path, flags.O_RDONLY)
        data = self.files.read(fd, MIB)
        self.files.close(fd)
        return data


@pytest.fixture
def setup() -> Setup:
    return Setup()


def test_the_imports_of_the_module(setup: Setup) -> None:
    groups: list[ImportGroup] = [
        setup.paths,
        setup.descriptors,
        setup.mappings,
        Clocks(setup.clock),
        Calendar(setup.guest),
        Heap(setup.guest.linear, MIB),
        Entropy(setup.guest, setup.files.host),
        Process(),
        Sockets(setup.files),
    ]
    names = [name for group in groups for name in group.functions()]
    assert len(names) == len(set(names))
    assert {name.removeprefix("__syscall_") for name in names if "__syscall_" in name} == set(
        "faccessat chdir chmod fchmod fcntl64 openat ioctl fstat64 stat64 newfstatat lstat64 "
        "ftruncate64 getcwd mkdirat fadvise64 getdents64 readlinkat renameat rmdir fstatfs64 "
        "symlink unlinkat utimensat connect recvfrom sendto socket".split()
    )
    assert {name for name in names if "__syscall_" not in name} == set(
        "_mmap_js _munmap_js _msync_js emscripten_date_now emscripten_get_now "
        "emscripten_get_now_res _emscripten_get_now_is_monotonic _gmtime_js _localtime_js "
        "_tzset_js strftime emscripten_get_heap_max emscripten_resize_heap "
        "mono_wasm_browser_entropy exit emscripten_force_exit abort "
        "mono_wasm_process_current_pid".split()
    )


def test_sizes_of_the_structures() -> None:
    sizes = {
        name: value.size for name, value in vars(layouts).items() if isinstance(value, struct.Struct)
    }
    assert sizes == {
        "POINTER": 4,
        "IOVEC": 8,
        "FDSTAT": 24,
        "STAT": 96,
        "DIRENT": 280,
        "STATFS": 64,
        "TIMESPEC": 16,
        "CIVIL_TM": 32,
        "LOCAL_TM": 40,
        "TM": 44,
        "FLOCK_TYPE": 2,
    }


# Attributes


def test_stat_field_by_field(setup: Setup) -> None:
    setup.files.find(b"/f").chmod(0o640)
    setup.files.find(b"/f").set_times(-SECOND - 1, 5 * SECOND + 6)
    setup.files.symlink(b"/f", b"/l")
    fd = setup.files.open(b"/f", flags.O_RDONLY)
    directory = setup.files.open(b"/", flags.O_RDONLY)
    f, link, empty = setup.path("/f"), setup.path("/l"), setup.path("")
    buffer = setup.guest.allocate(104)
    calls: list[Callable[[], int]] = [
        lambda: setup.paths.stat64(f, buffer),
        lambda: setup.paths.stat64(link, buffer),
        lambda: setup.paths.lstat64(f, buffer),
        lambda: setup.paths.newfstatat(AT_FDCWD, f, buffer, 0),
        lambda: setup.paths.newfstatat(directory, setup.path("f"), buffer, 0x100),
        lambda: setup.paths.newfstatat(fd, empty, buffer, 0x1000),
        lambda: setup.descriptors.fstat64(fd, buffer),
    ]
    for call in calls:
        setup.memory.write(buffer, b"\xaa" * 104)
        assert call() == 0
        read = setup.memory
        assert read.read_u32(buffer) == 1, "st_dev"
        assert read.read_u32(buffer + 4) == 0o100640, "st_mode"
        assert read.read_u32(buffer + 8) == 1, "st_nlink"
        assert read.read_u32(buffer + 12) == 0, "st_uid"
        assert read.read_u32(buffer + 16) == 0, "st_gid"
        assert read.read_u32(buffer + 20) == 0, "st_rdev"
        assert read.read_i64(buffer + 24) == 10, "st_size"
        assert read.read_i32(buffer + 32) == 4096, "st_blksize"
        assert read.read_i32(buffer + 36) == 8, "st_blocks"
        assert read.read_i64(buffer + 40) == -2, "st_atim.tv_sec"
        assert read.read_i32(buffer + 48) == 999_999_999, "st_atim.tv_nsec"
        assert read.read_i64(buffer + 56) == 5, "st_mtim.tv_sec"
        assert read.read_i32(buffer + 64) == 6, "st_mtim.tv_nsec"
        assert read.read_i64(buffer + 72) == 1_700_000_000, "st_ctim.tv_sec"
        assert read.read_i32(buffer + 80) == 250_000_000, "st_ctim.tv_nsec"
        assert read.read_u64(buffer + 88) == setup.files.stat(b"/f").ino, "st_ino"
        assert read.read(buffer + 96, 8) == b"\xaa" * 8, "nothing behind it"


def test_stat_of_other_things(setup: Setup) -> None:
    setup.files.symlink(b"/tmp", b"/l")
    buffer = setup.guest.allocate(96)
    for call, path, mode, rdev, size in (
        (setup.paths.lstat64, "/l", 0o120777, 0, 4),
        (setup.paths.stat64, "/l", 0o040777, 0, 4096),
        (setup.paths.lstat64, "/l/", 0o040777, 0, 4096),
        (setup.paths.stat64, "/dev/null", 0o020666, 0x103, 0),
    ):
        assert call(setup.path(path), buffer) == 0
        assert setup.memory.read_u32(buffer + 4) == mode
        assert setup.memory.read_u32(buffer + 20) == rdev
        assert setup.memory.read_i64(buffer + 24) == size
    assert setup.paths.newfstatat(AT_FDCWD, setup.path(""), buffer, 0x1000) == 0
    assert setup.memory.read_u64(buffer + 88) == setup.files.stat(b"/").ino
    assert setup.paths.newfstatat(AT_FDCWD, setup.path(""), buffer, 0) == -Errno.ENOENT
    assert setup.paths.newfstatat(AT_FDCWD, setup.path("f"), buffer, 0x800) == 0
    assert setup.paths.newfstatat(AT_FDCWD, setup.path("f"), buffer, 1) == -Errno.EINVAL
    assert setup.paths.stat64(setup.path("/f"), setup.memory.size - 95) == -Errno.EFAULT


def test_statfs_field_by_field(setup: Setup) -> None:
    fd = setup.files.open(b"/f", flags.O_RDWR)
    setup.files.truncate(fd, 4096)
    buffer = setup.guest.allocate(72)
    assert setup.descriptors.fstatfs64(fd, 64, buffer) == 0
    words = struct.unpack("<12I", setup.memory.read(buffer, 48))
    nodes = len(setup.files._volume.nodes)
    assert words[0] == 0x01021994, "f_type"
    assert words[1] == 4096, "f_bsize"
    assert words[2] == 256, "f_blocks"
    assert words[3] == 255, "f_bfree"
    assert words[4] == 255, "f_bavail"
    assert words[5] == 65536, "f_files"
    assert words[6] == 65536 - nodes, "f_ffree"
    assert words[7:9] == (0, 0), "f_fsid"
    assert words[9] == 255, "f_namelen"
    assert words[10] == 4096, "f_frsize"
    assert words[11] == 0, "f_flags"
    assert setup.memory.read(buffer + 64, 8) == b"\xaa" * 8
    assert setup.descriptors.fstatfs64(fd, 60, buffer) == -Errno.EINVAL
    assert setup.descriptors.fstatfs64(99, 64, buffer) == -Errno.EBADF


def test_access(setup: Setup) -> None:
    setup.files.find(b"/f").chmod(0o400)
    setup.files.symlink(b"nowhere", b"/l")
    f, link = setup.path("/f"), setup.path("/l")
    assert setup.paths.faccessat(AT_FDCWD, f, 0, 0) == 0
    assert setup.paths.faccessat(AT_FDCWD, f, 4, 0x200) == 0
    assert setup.paths.faccessat(AT_FDCWD, f, 6, 0) == -Errno.EACCES
    assert setup.paths.faccessat(AT_FDCWD, f, 8, 0) == -Errno.EINVAL
    assert setup.paths.faccessat(AT_FDCWD, f, 0, 1) == -Errno.EINVAL
    assert setup.paths.faccessat(AT_FDCWD, link, 0, 0) == -Errno.ENOENT
    assert setup.paths.faccessat(AT_FDCWD, link, 0, 0x100) == 0


def test_times(setup: Setup) -> None:
    now = int(setup.clock.seconds * SECOND)
    fd = setup.files.open(b"/f", flags.O_RDONLY)
    f = setup.path("/f")

    def change(atime: tuple[int, int], mtime: tuple[int, int]) -> tuple[int, int, int]:
        times = setup.guest.put(struct.pack("<qi4xqi4x", *atime, *mtime))
        result = setup.paths.utimensat(AT_FDCWD, f, times, 0)
        attributes = setup.files.stat(b"/f")
        return result, attributes.atime, attributes.mtime

    assert change((1, 2), (3, 4)) == (0, SECOND + 2, 3 * SECOND + 4)
    assert change((0, 0x3FFFFFFE), (-5, 0)) == (0, SECOND + 2, -5 * SECOND)
    assert change((0, 0x3FFFFFFF), (0, 0x3FFFFFFE)) == (0, now, -5 * SECOND)
    assert change((0, SECOND), (0, 0))[0] == -Errno.EINVAL
    assert change((0, -1), (0, 0))[0] == -Errno.EINVAL
    assert change((2**63 - 1, 0), (-(2**63), 0)) == (0, (2**63 - 1) * SECOND, -(2**63) * SECOND)
    buffer = setup.guest.allocate(96)
    assert setup.paths.stat64(f, buffer) == 0
    assert setup.memory.read_i64(buffer + 40) == 2**63 - 1
    assert setup.paths.utimensat(fd, 0, 0, 0) == 0
    assert setup.files.stat(b"/f")[6:8] == (now, now)
    assert setup.paths.utimensat(AT_FDCWD, f, OUTSIDE, 0) == -Errno.EFAULT
    assert setup.paths.utimensat(99, 0, 0, 0) == -Errno.EBADF


def test_modes(setup: Setup) -> None:
    fd = setup.files.open(b"/f", flags.O_RDONLY)
    assert setup.paths.chmod(setup.path("/f"), 0o177777) == 0
    assert setup.files.stat(b"/f").mode == 0o107777
    assert setup.descriptors.fchmod(fd, 0o600) == 0
    assert setup.files.stat(b"/f").mode == 0o100600
    assert setup.descriptors.fchmod(99, 0o600) == -Errno.EBADF


# Paths


def test_open(setup: Setup) -> None:
    mode = setup.guest.put(struct.pack("<I", 0o640))
    fd = setup.paths.openat(AT_FDCWD, setup.path("/new"), 0o102, mode)
    assert fd == 3
    assert setup.files.stat(b"/new").mode == 0o100640
    assert setup.paths.openat(AT_FDCWD, setup.path("/new"), 0o302, mode) == -Errno.EEXIST
    assert setup.paths.openat(AT_FDCWD, setup.path("/none"), 0, 0) == -Errno.ENOENT
    assert setup.paths.openat(AT_FDCWD, setup.path("/f"), 0, OUTSIDE) == 4
    assert setup.paths.openat(AT_FDCWD, setup.path("/x"), 0o102, OUTSIDE) == -Errno.EFAULT
    directory = setup.paths.openat(AT_FDCWD, setup.path("/tmp"), 0o200000, 0)
    assert setup.paths.openat(directory, setup.path("in"), 0o101, mode) == 6
    assert setup.files.stat(b"/tmp/in").size == 0


def test_directories_and_links(setup: Setup) -> None:
    paths, path = setup.paths, setup.path
    assert paths.mkdirat(AT_FDCWD, path("/d"), 0o750) == 0
    assert setup.files.stat(b"/d").mode == 0o040750
    assert paths.mkdirat(AT_FDCWD, path("/d"), 0o750) == -Errno.EEXIST
    assert paths.renameat(AT_FDCWD, path("/f"), AT_FDCWD, path("/d/g")) == 0
    assert paths.rmdir(path("/d")) == -Errno.ENOTEMPTY
    assert paths.chdir(path("/d")) == 0
    assert paths.symlink(path("g"), path("l")) == 0
    buffer = setup.guest.put(b"......")
    assert paths.readlinkat(AT_FDCWD, path("l"), buffer, 6) == 1
    assert setup.memory.read(buffer, 6) == b"g....."
    assert paths.readlinkat(AT_FDCWD, path("g"), buffer, 6) == -Errno.EINVAL
    assert paths.readlinkat(AT_FDCWD, path("l"), buffer, 0) == -Errno.EINVAL
    assert paths.readlinkat(AT_FDCWD, path("l"), buffer, 2**32 - 1) == -Errno.EINVAL
    assert paths.symlink(path("x" * 100), path("long")) == 0
    assert paths.readlinkat(AT_FDCWD, path("long"), buffer, 3) == 3
    assert setup.memory.read(buffer, 6) == b"xxx..."
    for name in ("l", "g", "long"):
        assert paths.unlinkat(AT_FDCWD, path(name), 0) == 0
    assert paths.unlinkat(AT_FDCWD, path("/d"), 0) == -Errno.EISDIR
    assert paths.unlinkat(AT_FDCWD, path("/d"), 1) == -Errno.EINVAL
    assert paths.unlinkat(AT_FDCWD, path("/d"), 0x200) == 0
    assert paths.getcwd(buffer, 6) == -Errno.ENOENT


def test_the_current_directory(setup: Setup) -> None:
    buffer = setup.guest.put(b"........")
    assert setup.paths.getcwd(buffer, 8) == 2
    assert setup.memory.read(buffer, 3) == b"/\0."
    assert setup.paths.chdir(setup.path("tmp")) == 0
    assert setup.paths.getcwd(buffer, 5) == 5
    assert setup.memory.read(buffer, 6) == b"/tmp\0."
    assert setup.paths.getcwd(buffer, 4) == -Errno.ERANGE
    assert setup.paths.getcwd(buffer, 0) == -Errno.EINVAL
    assert setup.paths.getcwd(OUTSIDE, 8) == -Errno.EFAULT
    assert setup.paths.chdir(setup.path("/f")) == -Errno.ENOTDIR


def test_hostile_paths(setup: Setup) -> None:
    end = setup.memory.size
    setup.memory.write(end - 10, b"x" * 10)
    long = setup.guest.put(b"x/" * 2048 + b"\0")
    longest = setup.guest.put(b"/" * 4095 + b"\0")
    buffer = setup.guest.allocate(96)
    for ptr, code in (
        (0, Errno.EFAULT),
        (OUTSIDE, Errno.EFAULT),
        (end, Errno.EFAULT),
        (end - 10, Errno.EFAULT),
        (2**32 - 1, Errno.EFAULT),
        (long, Errno.ENAMETOOLONG),
    ):
        assert setup.paths.stat64(ptr, buffer) == -code
        assert setup.paths.openat(AT_FDCWD, ptr, 0, 0) == -code
        assert setup.paths.symlink(setup.path("x"), ptr) == -code
        assert setup.paths.renameat(AT_FDCWD, setup.path("/f"), AT_FDCWD, ptr) == -code
    assert setup.paths.stat64(longest, buffer) == 0
    assert setup.paths.stat64(setup.path(b"/\xff\xfe"), buffer) == -Errno.ENOENT
    assert setup.paths.mkdirat(AT_FDCWD, setup.path(b"/\xff\xfe"), 0o700) == 0
    assert setup.paths.stat64(setup.path(b"/\xff\xfe"), buffer) == 0


# Descriptors


def entries(setup: Setup, fd: int, size: int) -> list[tuple[int, int, int, int, bytes]]:
    """The records of one call: ino, offset, record length, type, name."""
    buffer = setup.guest.allocate(max(size, 1))
    count = setup.descriptors.getdents64(fd, buffer, size)
    assert count % 280 == 0
    found = []
    for start in range(buffer, buffer + count, 280):
        name = setup.memory.read(start + 19, 256).split(b"\0")[0]
        found.append(
            (
                setup.memory.read_u64(start),
                setup.memory.read_u64(start + 8),
                setup.memory.read_u16(start + 16),
                setup.memory.read_u8(start + 18),
                name,
            )
        )
    return found


def test_directory_entries_field_by_field(setup: Setup) -> None:
    setup.files.mkdir(b"/tmp/d")
    setup.files.symlink(b"d", b"/tmp/l")
    long_name = b"n" * 255
    setup.files.close(setup.files.open(b"/tmp/" + long_name, flags.O_CREAT))
    fd = setup.files.open(b"/tmp", flags.O_RDONLY)
    found = entries(setup, fd, 2048)
    ino = {name: setup.files.stat(b"/tmp/" + name, follow=False).ino for *_, name in found}
    assert [(entry[0], *entry[2:]) for entry in found] == [
        (ino[b"."], 280, 4, b"."),
        (ino[b".."], 280, 4, b".."),
        (ino[b"d"], 280, 4, b"d"),
        (ino[b"l"], 280, 10, b"l"),
        (ino[long_name], 280, 8, long_name),
    ]
    assert entries(setup, fd, 2048) == []
    for index, entry in enumerate(found):
        setup.files.seek(fd, entry[1], 0)
        assert entries(setup, fd, 2048) == found[index + 1 :]
    devices = setup.files.open(b"/dev", flags.O_RDONLY)
    assert {entry[3] for entry in entries(setup, devices, 280 * 10)[2:]} == {2}


def test_a_listing_that_goes_on_while_files_go(setup: Setup) -> None:
    for number in range(50):
        setup.files.close(setup.files.open(b"/tmp/%d" % number, flags.O_CREAT))
    fd = setup.files.open(b"/tmp", flags.O_RDONLY)
    seen = []
    # musl reads 2048 bytes at a time.
    while batch := entries(setup, fd, 2048):
        for *_, name in batch:
            if name not in {b".", b".."}:
                seen.append(name)
                setup.files.unlink(b"/tmp/" + name)
    assert sorted(seen) == sorted(b"%d" % number for number in range(50))


def test_bad_buffers_for_entries(setup: Setup) -> None:
    fd = setup.files.open(b"/", flags.O_RDONLY)
    assert setup.descriptors.getdents64(fd, setup.guest.allocate(279), 279) == -Errno.EINVAL
    assert setup.descriptors.getdents64(fd, OUTSIDE, 2**32 - 1) == -Errno.EFAULT
    assert len(entries(setup, fd, 280)) == 1, "what could not be written was not lost"
    file = setup.files.open(b"/f", flags.O_RDONLY)
    assert setup.descriptors.getdents64(file, 1024, 0) == -Errno.ENOTDIR
    assert setup.descriptors.getdents64(99, 1024, 280) == -Errno.EBADF


def test_fcntl(setup: Setup) -> None:
    fd = setup.files.open(b"/f", flags.O_RDWR)
    fcntl = setup.descriptors.fcntl64

    def argument(value: int) -> int:
        return setup.guest.put(struct.pack("<I", value))

    assert fcntl(fd, 0, argument(10)) == 10
    assert fcntl(fd, 1030, argument(0)) == 4
    assert fcntl(fd, 0, argument(2**32 - 1)) == -Errno.EINVAL
    assert fcntl(fd, 0, argument(1024)) == -Errno.EINVAL
    assert fcntl(fd, 1, 0) == 0
    assert fcntl(fd, 2, argument(1)) == 0
    assert fcntl(fd, 3, 0) == 2
    assert fcntl(fd, 4, argument(0o2000 | 0o1000)) == 0
    assert fcntl(10, 3, 0) == 0o2002
    lock = setup.guest.put(struct.pack("<hh", 1, 7))
    assert fcntl(fd, 12, argument(lock)) == 0
    assert setup.memory.read(lock, 4) == struct.pack("<hh", 2, 7)
    assert fcntl(fd, 13, argument(lock)) == 0
    assert fcntl(fd, 14, argument(lock)) == 0
    assert fcntl(fd, 12, argument(OUTSIDE)) == -Errno.EFAULT
    assert fcntl(fd, 0, OUTSIDE) == -Errno.EFAULT
    assert fcntl(fd, 99, 0) == -Errno.EINVAL
    assert fcntl(99, 3, 0) == -Errno.EBADF


def test_ioctl(setup: Setup) -> None:
    fd = setup.files.open(b"/f", flags.O_RDWR)
    setup.files.seek(fd, 3, 0)
    place = setup.guest.allocate(4)
    argument = setup.guest.put(struct.pack("<I", place))
    assert setup.descriptors.ioctl(fd, 0x541B, argument) == 0
    assert setup.memory.read_i32(place) == 7
    setup.files.seek(fd, 30, 0)
    assert setup.descriptors.ioctl(fd, 0x541B, argument) == 0
    assert setup.memory.read_i32(place) == 0
    assert setup.descriptors.ioctl(fd, 0x541B, OUTSIDE) == -Errno.EFAULT
    for request in (0x5401, 0x5402, 0x540F, 0x5413):
        for terminal in (0, 1, 2, fd):
            assert setup.descriptors.ioctl(terminal, request, argument) == -Errno.ENOTTY
    assert setup.descriptors.ioctl(0, 0x541B, argument) == -Errno.ENOTTY
    assert setup.descriptors.ioctl(fd, 0x9999, argument) == -Errno.EINVAL
    assert setup.descriptors.ioctl(99, 0x5413, argument) == -Errno.EBADF


def test_truncate_and_advise(setup: Setup) -> None:
    fd = setup.files.open(b"/f", flags.O_RDWR)
    assert setup.descriptors.ftruncate64(fd, 3) == 0
    assert setup.content() == b"012"
    assert setup.descriptors.ftruncate64(fd, -1) == -Errno.EINVAL
    assert setup.descriptors.ftruncate64(fd, 2**63 - 1) == -Errno.EFBIG
    assert setup.descriptors.ftruncate64(fd, 2**40) == -Errno.ENOSPC
    assert setup.descriptors.fadvise64(fd, 0, 0, 4) == 0
    assert setup.descriptors.fadvise64(99, 0, 0, 4) == -Errno.EBADF


def test_sockets(setup: Setup) -> None:
    functions = Sockets(setup.files).functions()
    assert functions["__syscall_socket"](2, 1, 0, 0, 0, 0) == -5
    for name in ("connect", "recvfrom", "sendto"):
        assert functions[f"__syscall_{name}"](0, 0, 0, 0, 0, 0) == -Errno.ENOTSOCK
        assert functions[f"__syscall_{name}"](2**32 - 1, 0, 0, 0, 0, 0) == -Errno.EBADF


# Mappings

SHARED, PRIVATE = 1, 2
READ_ONLY, READ_WRITE = 1, 3


def map_file(
    setup: Setup, fd: int, length: int, *, how: int = PRIVATE, prot: int = READ_WRITE, offset: int = 0
) -> int:
    """The address, or a negative errno."""
    allocated, address = setup.guest.allocate(4), setup.guest.allocate(4)
    result = setup.mappings.mmap(length, prot, how, fd, offset, allocated, address)
    if result != 0:
        return result
    assert setup.memory.read_i32(allocated) == 1
    return setup.memory.read_u32(address)


def test_a_private_mapping_is_a_copy(setup: Setup) -> None:
    fd = setup.files.open(b"/f", flags.O_RDONLY)
    address = map_file(setup, fd, 20, offset=4)
    assert setup.guest.calls == [("emscripten_builtin_memalign", (WASM_PAGE, WASM_PAGE))]
    assert address % WASM_PAGE == 0
    assert setup.memory.read(address, WASM_PAGE) == b"456789" + bytes(WASM_PAGE - 6)
    setup.memory.write(address, b"XX")
    assert setup.mappings.msync(address, 20, READ_WRITE, PRIVATE, fd, 4) == 0
    assert setup.mappings.munmap(address, 20, READ_WRITE, PRIVATE, fd, 4) == 0
    assert setup.content() == b"0123456789"


def test_a_shared_mapping_is_written_back(setup: Setup) -> None:
    fd = setup.files.open(b"/f", flags.O_RDWR)
    address = map_file(setup, fd, 20, how=SHARED, offset=4)
    setup.memory.write(address, b"abcdefgh")
    assert setup.content() == b"0123456789"
    assert setup.mappings.msync(address, 2, READ_WRITE, SHARED, fd, 4) == 0
    assert setup.content() == b"0123ab6789"
    assert setup.mappings.munmap(address, 20, READ_WRITE, SHARED, fd, 4) == 0
    assert setup.content() == b"0123abcdef", "and not beyond the end of the file"
    setup.memory.write(address, b"!!")
    assert setup.mappings.munmap(address, 20, READ_WRITE, SHARED, fd, 4) == 0
    assert setup.content() == b"0123abcdef"


def test_a_mapping_outlives_its_descriptor_and_name(setup: Setup) -> None:
    fd = setup.files.open(b"/f", flags.O_RDWR)
    address = map_file(setup, fd, 10, how=SHARED)
    setup.files.close(fd)
    other = setup.files.open(b"/other", flags.O_CREAT | flags.O_RDWR)
    setup.files.write(other, b"untouched!")
    assert other == fd
    watcher = setup.files.open(b"/f", flags.O_RDONLY)
    setup.files.unlink(b"/f")
    nodes = len(setup.files._volume.nodes)
    setup.memory.write(address, b"new")
    assert setup.mappings.munmap(address, 10, READ_WRITE, SHARED, fd, 0) == 0
    assert setup.content(b"/other") == b"untouched!"
    assert setup.files.read(watcher, 10) == b"new3456789"
    setup.files.close(watcher)
    assert len(setup.files._volume.nodes) == nodes - 1


def test_a_shared_mapping_for_reading_is_not_written_back(setup: Setup) -> None:
    fd = setup.files.open(b"/f", flags.O_RDONLY)
    address = map_file(setup, fd, 10, how=SHARED, prot=READ_ONLY)
    setup.memory.write(address, b"XX")
    assert setup.mappings.munmap(address, 10, READ_ONLY, SHARED, fd, 0) == 0
    assert setup.content() == b"0123456789"


def test_what_cannot_be_mapped(setup: Setup) -> None:
    read = setup.files.open(b"/f", flags.O_RDONLY)
    write = setup.files.open(b"/f", flags.O_WRONLY)
    directory = setup.files.open(b"/tmp", flags.O_RDONLY)
    device = setup.files.open(b"/dev/zero", flags.O_RDWR)
    assert map_file(setup, read, 10, how=SHARED) == -Errno.EACCES
    assert map_file(setup, write, 10) == -Errno.EACCES
    assert map_file(setup, directory, 10) == -Errno.ENODEV
    assert map_file(setup, device, 10) == -Errno.ENODEV
    assert map_file(setup, 99, 10) == -Errno.EBADF
    assert map_file(setup, read, 0) == -Errno.EINVAL
    assert map_file(setup, read, 10, offset=-1) == -Errno.EINVAL
    assert map_file(setup, read, 10, how=0) == -Errno.EINVAL
    assert map_file(setup, read, 2**32 - 1) == -Errno.ENOMEM
    assert setup.guest.calls == []
    setup.guest.exports["emscripten_builtin_memalign"] = lambda *_: 0
    assert map_file(setup, read, 10) == -Errno.ENOMEM
    setup.guest.exports["emscripten_builtin_memalign"] = lambda *_: OUTSIDE
    assert map_file(setup, read, 10) == -Errno.EFAULT
    assert setup.files.mappings == {}


# Clocks


def test_clocks_are_in_milliseconds() -> None:
    clock = FakeClock(1_700_000_000.25)
    functions = Clocks(clock).functions()
    assert functions["emscripten_date_now"]() == 1_700_000_000_250.0
    assert functions["emscripten_get_now"]() == 700_000_000_250.0
    clock.seconds += 1
    assert functions["emscripten_date_now"]() == 1_700_000_001_250.0
    assert functions["emscripten_get_now"]() == 700_000_001_250.0
    assert functions["_emscripten_get_now_is_monotonic"]() == 1
    assert functions["emscripten_get_now_res"]() == 1.0


@given(st.integers(-62_135_596_800, 253_402_300_799))
def test_dates_are_those_of_the_standard_library(seconds: int) -> None:
    expected = datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(seconds=seconds)
    fields = expected.timetuple()
    assert broken_down(seconds)[:8] == (
        fields.tm_sec,
        fields.tm_min,
        fields.tm_hour,
        fields.tm_mday,
        fields.tm_mon - 1,
        fields.tm_year - 1900,
        (fields.tm_wday + 1) % 7,
        fields.tm_yday - 1,
    )


@pytest.mark.skipif(sys.platform != "linux", reason="others have narrower ranges")
@given(st.integers(-8_640_000_000_000, 8_640_000_000_000))
def test_dates_beyond_the_standard_library_are_those_of_the_c_library(seconds: int) -> None:
    expected = time.gmtime(seconds)
    actual = broken_down(seconds)
    assert actual.year + 1900 == expected.tm_year
    assert actual.month + 1 == expected.tm_mon
    assert actual.day == expected.tm_mday
    assert actual.day_of_year + 1 == expected.tm_yday
    assert actual.weekday == (expected.tm_wday + 1) % 7


def test_struct_tm_field_by_field(setup: Setup) -> None:
    functions = Calendar(setup.guest).functions()
    # 2024-12-31T23:58:59Z, a Tuesday.
    seconds = 1_735_689_539
    fields = (59, 58, 23, 31, 11, 124, 2, 365)
    tm = setup.guest.allocate(44)
    assert functions["_gmtime_js"](seconds, tm) is None
    assert struct.unpack("<8i", setup.memory.read(tm, 32)) == fields
    assert setup.memory.read(tm + 32, 12) == b"\xaa" * 12
    assert functions["_localtime_js"](seconds, tm) is None
    assert struct.unpack("<10i", setup.memory.read(tm, 40)) == (*fields, 0, 0)
    assert setup.memory.read(tm + 40, 4) == b"\xaa" * 4
    for extreme in (2**63 - 1, -(2**63)):
        functions["_gmtime_js"](extreme, tm)
        assert setup.memory.read(tm, 32) == bytes(32)
    for name in ("_gmtime_js", "_localtime_js"):
        with pytest.raises(GuestTrap, match="out of bounds"):
            functions[name](0, setup.memory.size - 8)


def test_the_time_zone_is_utc(setup: Setup) -> None:
    timezone_ptr, daylight, standard, dst = (setup.guest.allocate(8) for _ in range(4))
    tzset = Calendar(setup.guest).functions()["_tzset_js"]
    assert tzset(timezone_ptr, daylight, standard, dst) is None
    assert setup.memory.read(timezone_ptr, 8) == bytes(4) + b"\xaa" * 4
    assert setup.memory.read(daylight, 8) == bytes(4) + b"\xaa" * 4
    assert setup.memory.read(standard, 8) == b"UTC\0" + b"\xaa" * 4
    assert setup.memory.read(dst, 8) == b"UTC\0" + b"\xaa" * 4
    with pytest.raises(GuestTrap):
        tzset(OUTSIDE, daylight, standard, dst)


# strftime

CONVERSIONS = "aAbBcCdDeFgGhHIjmMnprRStTuUVwWxXyYzZ%"
moments = st.datetimes(
    min_value=datetime(1000, 1, 1), max_value=datetime(9999, 12, 31), timezones=st.none()
)
offsets = st.integers(-14 * 60, 14 * 60).map(lambda minutes: 60 * minutes)


def from_datetime(moment: datetime, offset: int = 0, zone: str = "") -> BrokenDownTime:
    fields = moment.timetuple()
    return BrokenDownTime(
        fields.tm_sec,
        fields.tm_min,
        fields.tm_hour,
        fields.tm_mday,
        fields.tm_mon - 1,
        fields.tm_year - 1900,
        (fields.tm_wday + 1) % 7,
        fields.tm_yday - 1,
        0,
        offset,
        zone,
    )


@pytest.mark.skipif(sys.platform != "linux", reason="compares with glibc or musl")
@given(
    moments,
    offsets,
    st.lists(
        st.one_of(
            st.sampled_from(CONVERSIONS).map("%".__add__),
            st.sampled_from(["%Ec", "%EY", "%Ey", "%Ex", "%EX", "%EC", "%Od", "%OV", "%Oy", "text"]),
        ),
        max_size=8,
    ),
)
def test.text_is_that_of_the_c_library(moment: datetime, offset: int, parts: list[str]) -> None:
    pattern = "|".join(parts)
    fields = moment.timetuple()
    expected = time.strftime(pattern, time.struct_time((*fields, "TST", offset)))
    assert format_time(pattern, from_datetime(moment, offset, "TST")) == expected


@given(moments, st.sampled_from(sorted(set(CONVERSIONS) - set("cxXrzZ"))))
def test.text_is_that_of_datetime(moment: datetime, conversion: str) -> None:
    if sys.platform == "win32" and conversion not in "aAbBdHIjmMpSUwWyY%":
        return
    assert format_time(f"%{conversion}", from_datetime(moment)) == moment.strftime(
        f"%{conversion}"
    )


@given(moments)
def test_iso_weeks_are_those_of_datetime(moment: datetime) -> None:
    year, week, day = moment.isocalendar()
    assert format_time("%G %V %u", from_datetime(moment)) == f"{year} {week:02} {day}"


@given(st.integers(-(10**11), 10**11))
def test_seconds_since_the_epoch(seconds: int) -> None:
    assert format_time("%s", broken_down(seconds)) == str(seconds)


def test_seconds_since_the_epoch_of_fields_out_of_range() -> None:
    expected = calendar.timegm((2025, 2, 3, 0, 0, 0))
    time_out_of_range = BrokenDownTime(0, 0, -24, 4 + 31, -11, 125, 0, 0)
    assert format_time("%s", time_out_of_range) == str(
        calendar.timegm((2024, 2, 4, 0, 0, 0)) + 30 * 86400
    )
    assert format_time("%s", BrokenDownTime(0, 0, 0, 3, 13, 124, 0, 0)) == str(expected)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("", ""),
        ("100%", "100%"),
        ("%Q", "%Q"),
        ("%E", "%E"),
        ("%E%d", "%%d"),
        ("%%d", "%d"),
        ("%\n", "%\n"),
        ("%c", "Sat Feb  3 04:05:06 2001"),
        ("%I %p", "04 AM"),
    ],
)
def test.texts(pattern: str, text: str) -> None:
    moment = datetime(2001, 2, 3, 4, 5, 6)
    assert format_time(pattern, from_datetime(moment)) == text


def test_names_that_do_not_exist_and_numbers_of_any_size() -> None:
    for value in (-1, 12, 99, 2**31 - 1, -(2**31)):
        strange = BrokenDownTime(*[value] * 10)
        for conversion in CONVERSIONS + "s":
            format_time(f"%{conversion}", strange)
        assert format_time("%a %A %b %B", strange) == "? ? ? ?"


def call_strftime(setup: Setup, pattern: bytes, size: int, zone: bytes | None = None) -> bytes:
    """What strftime wrote; empty if it returned 0."""
    zone_ptr = 0 if zone is None else setup.path(zone)
    tm = setup.guest.put(struct.pack("<10iI", 6, 5, 4, 3, 1, 101, 6, 33, 0, -5400, zone_ptr))
    buffer = setup.guest.allocate(64)
    strftime = Calendar(setup.guest).functions()["strftime"]
    length = strftime(buffer, size, setup.path(pattern), tm)
    assert isinstance(length, int)
    if length:
        assert setup.memory.read_u8(buffer + length) == 0
        assert setup.memory.read_u8(buffer + length + 1) == 0xAA
    else:
        assert setup.memory.read(buffer, 64) == b"\xaa" * 64
    return setup.memory.read(buffer, length)


def test_strftime_in_memory(setup: Setup) -> None:
    assert call_strftime(setup, b"%F %T %z", 64) == b"2001-02-03 04:05:06 -0130"
    assert call_strftime(setup, b"[%Z]", 64) == b"[]"
    assert call_strftime(setup, b"[%Z]", 64, b"M\xc3\xa4Z") == b"[M\xc3\xa4Z]"
    assert call_strftime(setup, "am %d\u2026\n".encode(), 64) == "am 03\u2026\n".encode()
    assert call_strftime(setup, b"%F", 11) == b"2001-02-03"
    assert call_strftime(setup, b"%F", 10) == b""
    assert call_strftime(setup, b"%F", 0) == b""


def test_strftime_with_bad_pointers(setup: Setup) -> None:
    strftime = Calendar(setup.guest).functions()["strftime"]
    tm = setup.guest.put(struct.pack("<10iI", 6, 5, 4, 3, 1, 101, 6, 33, 0, 0, 0))
    bad_zone = setup.guest.put(struct.pack("<10iI", 6, 5, 4, 3, 1, 101, 6, 33, 0, 0, OUTSIDE))
    pattern, buffer = setup.path("%F"), setup.guest.allocate(64)
    endless = setup.guest.put(b"x" * (64 * 1024))
    for arguments in (
        (OUTSIDE, 64, pattern, tm),
        (buffer, 64, OUTSIDE, tm),
        (buffer, 64, pattern, OUTSIDE),
        (buffer, 64, pattern, bad_zone),
        (buffer, 64, endless, tm),
    ):
        with pytest.raises(GuestTrap):
            strftime(*arguments)


# Heap


def test_growth_is_generous_and_bounded() -> None:
    linear = FakeLinearMemory(pages=100, capacity=400)
    heap = Heap(linear, 300 * WASM_PAGE + 100)
    functions = heap.functions()
    assert functions["emscripten_get_heap_max"]() == 300 * WASM_PAGE
    resize = functions["emscripten_resize_heap"]
    assert resize(100 * WASM_PAGE) == 1
    assert linear.asked == []
    assert resize(100 * WASM_PAGE + 1) == 1
    assert linear.size == 120 * WASM_PAGE
    assert resize(200 * WASM_PAGE) == 1
    assert linear.size == 200 * WASM_PAGE
    assert resize(299 * WASM_PAGE + 1) == 1
    assert linear.size == 300 * WASM_PAGE
    assert resize(300 * WASM_PAGE + 1) == 0
    assert resize(2**32 - 1) == 0
    assert linear.size == 300 * WASM_PAGE


def test_growth_takes_96_mib_too_much_at_most() -> None:
    linear = FakeLinearMemory(pages=1)
    linear.size, linear.capacity = 1024 * MIB, 4096 * MIB
    assert Heap(linear, 2048 * MIB).resize(1024 * MIB + 1) == 1
    assert linear.size == 1120 * MIB + WASM_PAGE


def test_growth_asks_for_less_if_it_is_refused() -> None:
    linear = FakeLinearMemory(pages=100, capacity=106)
    assert Heap(linear, 1000 * WASM_PAGE).resize(101 * WASM_PAGE) == 1
    assert linear.asked == [20, 10, 5]
    linear = FakeLinearMemory(pages=100, capacity=100)
    assert Heap(linear, 1000 * WASM_PAGE).resize(101 * WASM_PAGE) == 0
    assert linear.size == 100 * WASM_PAGE


# Entropy and the end


def test_entropy_fills_exactly_what_was_asked_for() -> None:
    setup = Setup(random=lambda count: b"\x07" * count)
    fill = Entropy(setup.guest, setup.files.host).functions()["mono_wasm_browser_entropy"]
    buffer = setup.guest.allocate(16)
    assert fill(buffer + 4, 8) == 0
    assert setup.memory.read(buffer, 16) == b"\xaa" * 4 + b"\x07" * 8 + b"\xaa" * 4
    assert fill(buffer, 0) == 0
    for ptr, length in ((OUTSIDE, 1), (buffer, 2**32 - 1), (setup.memory.size - 3, 4)):
        assert fill(ptr, length) == -1
    assert setup.memory.read(buffer, 4) == b"\xaa" * 4


def test_entropy_comes_in_pieces() -> None:
    asked: list[int] = []

    def random(count: int) -> bytes:
        asked.append(count)
        return bytes(count)

    setup = Setup(random=random)
    setup.guest.linear.grow(40)
    assert Entropy(setup.guest, setup.files.host).fill(0, MIB + 5) == 0
    assert asked == [MIB, 5]


def test_entropy_of_the_wrong_length_is_an_error_of_the_user() -> None:
    setup = Setup(random=lambda _: b"no")
    with pytest.raises(ValueError, match="random gave 2 bytes"):
        Entropy(setup.guest, setup.files.host).fill(1024, 3)


@pytest.mark.parametrize("name", ["exit", "emscripten_force_exit"])
@pytest.mark.parametrize(("code", "exit_code"), [(0, 0), (3, 3), (2**32 - 1, -1), (2**31, -(2**31))])
def test_exit(name: str, code: int, exit_code: int) -> None:
    with pytest.raises(GuestTerminated) as caught:
        Process().functions()[name](code)
    assert caught.value.exit_code == exit_code


def test_abort() -> None:
    with pytest.raises(GuestTerminated, match="the guest aborted") as caught:
        Process().functions()["abort"]()
    assert caught.value.exit_code == 134


def test_process_id() -> None:
    assert Process().functions()["mono_wasm_process_current_pid"]() == 42


def test_output_reaches_the_stream() -> None:
    out = io.BytesIO()
    setup = Setup(stdout=out)
    copy = setup.descriptors.fcntl64(1, 1030, setup.guest.put(bytes(4)))
    setup.files.write(copy, b"hello")
    assert out.getvalue() == b"hello"
