from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest

from dotnet_wasm_host.imports.files import descriptors as flags
from dotnet_wasm_host.imports.files import layouts
from dotnet_wasm_host.imports.files.mappings import Mappings
from dotnet_wasm_host.imports.files.syscalls import DescriptorCalls, PathCalls
from dotnet_wasm_host.imports.files.wasi_errno import Errno
from dotnet_wasm_host.options import MIB, Limits, WasiOptions
from dotnet_wasm_host.wasm import PAGE
from tests.unit.fake_guest import AT_FDCWD, FakeClock, FakeGuest

if TYPE_CHECKING:
    from collections.abc import Callable

OUTSIDE = 0x8000_0000
SECOND = 1_000_000_000


class Setup:
    """A guest with the system calls."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        options = WasiOptions(clock=self.clock, files={"/f": b"0123456789"})
        self.guest = FakeGuest(options, Limits(files_bytes=MIB))
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
    paths, descriptors = setup.paths.functions(), setup.descriptors.functions()
    assert sorted(name.removeprefix("__syscall_") for name in [*paths, *descriptors]) == [
        "chdir",
        "chmod",
        "faccessat",
        "fadvise64",
        "fchmod",
        "fcntl64",
        "fstat64",
        "fstatfs64",
        "ftruncate64",
        "getcwd",
        "getdents64",
        "ioctl",
        "lstat64",
        "mkdirat",
        "newfstatat",
        "openat",
        "readlinkat",
        "renameat",
        "rmdir",
        "stat64",
        "symlink",
        "unlinkat",
        "utimensat",
    ]
    for name, function in {**paths, **descriptors}.items():
        assert name == f"__syscall_{function.__name__}"
    assert sorted(setup.mappings.functions()) == ["_mmap_js", "_msync_js", "_munmap_js"]


def test_sizes_of_the_structures() -> None:
    sizes = {
        name: value.size
        for name, value in vars(layouts).items()
        if isinstance(value, struct.Struct)
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
    now = 1_700_000_000 * SECOND + SECOND // 4
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


# Mappings

SHARED, PRIVATE = 1, 2
READ_ONLY, READ_WRITE = 1, 3


def map_file(
    setup: Setup,
    fd: int,
    length: int,
    *,
    how: int = PRIVATE,
    prot: int = READ_WRITE,
    offset: int = 0,
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
    assert setup.guest.calls == [("emscripten_builtin_memalign", (PAGE, PAGE))]
    assert address % PAGE == 0
    assert setup.memory.read(address, PAGE) == b"456789" + bytes(PAGE - 6)
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


def test_a_mapping_alone_keeps_a_file(setup: Setup) -> None:
    fd = setup.files.open(b"/f", flags.O_RDWR)
    first = map_file(setup, fd, 10, how=SHARED)
    second = map_file(setup, fd, 10, how=SHARED)
    setup.files.close(fd)
    setup.files.unlink(b"/f")
    usage = setup.files.find(b"/").usage
    nodes, available = usage().nodes, usage().available
    assert setup.mappings.munmap(first, 10, READ_WRITE, SHARED, fd, 0) == 0
    assert (usage().nodes, usage().available) == (nodes, available)
    assert setup.mappings.munmap(second, 10, READ_WRITE, SHARED, fd, 0) == 0
    assert (usage().nodes, usage().available) == (nodes - 1, available + 10)


def test_a_block_that_is_mapped_again_forgets_its_former_file(setup: Setup) -> None:
    fd = setup.files.open(b"/f", flags.O_RDWR)
    block = setup.guest.allocate(PAGE, PAGE)
    setup.guest.exports["emscripten_builtin_memalign"] = lambda *_: block
    for _ in range(3):
        assert map_file(setup, fd, 10, how=SHARED) == block
    setup.files.close(fd)
    setup.files.unlink(b"/f")
    nodes = setup.files.find(b"/").usage().nodes
    assert setup.mappings.munmap(block, 10, READ_WRITE, SHARED, fd, 0) == 0
    assert setup.files.find(b"/").usage().nodes == nodes - 1


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
