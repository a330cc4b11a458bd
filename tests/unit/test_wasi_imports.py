from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest

from dotnet_wasm_host.imports.files import descriptors as flags
from dotnet_wasm_host.imports.files import wasi
from dotnet_wasm_host.imports.files.wasi import IOV_MAX, MAX_TRANSFER, Wasi
from dotnet_wasm_host.imports.files.wasi_errno import Errno
from dotnet_wasm_host.options import Limits, WasiOptions
from tests.unit.fake_guest import FakeGuest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dotnet_wasm_host.engines.base import HostFunction

OUTSIDE = 0x8000_0000


class Setup:
    """A guest with the imports and places for their results."""

    def __init__(self, options: WasiOptions | None = None, limits: Limits | None = None) -> None:
        options = options or WasiOptions(files={"/f": b"0123456789"})
        self.guest = FakeGuest(options, limits)
        self.wasi = Wasi(self.guest, self.guest.filesystem, options.env)
        self.memory = self.guest.memory
        self.count = self.guest.allocate(8)

    def open(self, path: bytes = b"/f", how: int = flags.O_RDWR) -> int:
        return self.guest.filesystem.open(path, how)

    def content(self, path: bytes = b"/f") -> bytes:
        fd = self.open(path, flags.O_RDONLY)
        data = self.guest.filesystem.read(fd, 10**9)
        self.guest.filesystem.close(fd)
        return data


@pytest.fixture
def setup() -> Setup:
    return Setup()


def test_the_imports_of_the_module() -> None:
    functions: Mapping[str, HostFunction] = Setup().wasi.functions()
    assert sorted(functions) == [
        "environ_get",
        "environ_sizes_get",
        "fd_close",
        "fd_fdstat_get",
        "fd_pread",
        "fd_pwrite",
        "fd_read",
        "fd_seek",
        "fd_sync",
        "fd_write",
    ]
    for name, function in functions.items():
        assert function.__name__ == name


# Environment


def test_the_environment() -> None:
    setup = Setup(WasiOptions(env={"A": "1", "GR\u00dcN": "\u20ac", "EMPTY": ""}))
    count, size = setup.guest.allocate(4), setup.guest.allocate(4)
    assert setup.wasi.environ_sizes_get(count, size) == 0
    block = "A=1\0GR\u00dcN=\u20ac\0EMPTY=\0".encode()
    assert setup.memory.read_u32(count) == 3
    assert setup.memory.read_u32(size) == len(block)
    environ, buffer = setup.guest.allocate(12), setup.guest.allocate(len(block))
    assert setup.wasi.environ_get(environ, buffer) == 0
    assert setup.memory.read(buffer, len(block)) == block
    assert [setup.memory.read_u32(environ + 4 * index) for index in range(3)] == [
        buffer,
        buffer + 4,
        buffer + 4 + len("GR\u00dcN=\u20ac".encode()) + 1,
    ]


def test_nothing_of_the_host_is_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "host")
    setup = Setup()
    count, size = setup.guest.allocate(4), setup.guest.allocate(4)
    assert setup.wasi.environ_sizes_get(count, size) == 0
    assert (setup.memory.read_u32(count), setup.memory.read_u32(size)) == (0, 0)
    assert setup.wasi.environ_get(count, size) == 0


def test_places_for_the_environment_may_be_bad() -> None:
    setup = Setup(WasiOptions(env={"A": "1"}))
    good = setup.guest.allocate(16)
    for first, second in ((OUTSIDE, good), (good, OUTSIDE), (good, 2**32 - 2)):
        assert setup.wasi.environ_sizes_get(first, second) == Errno.EFAULT
        assert setup.wasi.environ_get(first, second) == Errno.EFAULT


# Writing and reading


def test_write_gathers_buffers() -> None:
    out = io.BytesIO()
    setup = Setup(WasiOptions(stdout=out))
    hello, world = setup.guest.put(b"hello, "), setup.guest.put(b"world")
    iovs = setup.guest.iovs((hello, 7), (0, 0), (world, 5))
    assert setup.wasi.fd_write(1, iovs, 3, setup.count) == 0
    assert out.getvalue() == b"hello, world"
    assert setup.memory.read_u32(setup.count) == 12


def test_read_scatters_into_buffers(setup: Setup) -> None:
    one, two = setup.guest.put(b"....."), setup.guest.put(b"........")
    iovs = setup.guest.iovs((one, 4), (0, 0), (two, 8))
    fd = setup.open()
    assert setup.wasi.fd_read(fd, iovs, 3, setup.count) == 0
    assert setup.memory.read_u32(setup.count) == 10
    assert setup.memory.read(one, 5) == b"0123."
    assert setup.memory.read(two, 8) == b"456789.."
    assert setup.wasi.fd_read(fd, iovs, 3, setup.count) == 0
    assert setup.memory.read_u32(setup.count) == 0


def test_read_stops_at_the_first_buffer_that_is_not_filled() -> None:
    class Terminal(io.BytesIO):
        """Gives a line at a time."""

        def read1(self, size: int | None = -1) -> bytes:
            return self.readline(size)

    setup = Setup(WasiOptions(stdin=Terminal(b"one\ntwo\n")))
    buffer = setup.guest.allocate(200)
    iovs = setup.guest.iovs((buffer, 100), (buffer + 100, 100))
    assert setup.wasi.fd_read(0, iovs, 2, setup.count) == 0
    assert setup.memory.read(buffer, setup.memory.read_u32(setup.count)) == b"one\n"


def test_positioned_reads_and_writes_leave_the_position(setup: Setup) -> None:
    data = setup.guest.put(b"ABCD")
    iovs = setup.guest.iovs((data, 2), (data + 2, 2))
    fd = setup.open()
    assert setup.wasi.fd_pwrite(fd, iovs, 2, 8, setup.count) == 0
    assert setup.memory.read_u32(setup.count) == 4
    assert setup.content() == b"01234567ABCD"
    assert setup.wasi.fd_pread(fd, iovs, 2, 3, setup.count) == 0
    assert setup.memory.read_u32(setup.count) == 4
    assert setup.memory.read(data, 4) == b"3456"
    assert setup.guest.filesystem.seek(fd, 0, 1) == 0
    assert setup.wasi.fd_pread(fd, iovs, 2, 10, setup.count) == 0
    assert setup.memory.read(data, 4) == b"CD56"
    assert setup.memory.read_u32(setup.count) == 2
    for function in (setup.wasi.fd_pread, setup.wasi.fd_pwrite):
        assert function(fd, iovs, 2, -1, setup.count) == Errno.EINVAL
        assert function(1, iovs, 2, 0, setup.count) in {Errno.ESPIPE, Errno.EBADF}


def test_an_error_after_some_bytes_is_a_short_write() -> None:
    setup = Setup(WasiOptions(), Limits(files_bytes=6))
    data = setup.guest.put(b"abcdefgh")
    fd = setup.open(b"/new", flags.O_CREAT | flags.O_RDWR)
    iovs = setup.guest.iovs((data, 4), (data + 4, 4), (data, 4))
    assert setup.wasi.fd_write(fd, iovs, 3, setup.count) == 0
    assert setup.memory.read_u32(setup.count) == 6
    assert setup.wasi.fd_write(fd, iovs, 3, setup.count) == Errno.ENOSPC
    assert setup.content(b"/new") == b"abcdef"
    iovs = setup.guest.iovs((data, 1), (data, 1))
    assert setup.wasi.fd_pwrite(fd, iovs, 2, 5, setup.count) == 0
    assert setup.memory.read_u32(setup.count) == 1


@pytest.mark.parametrize("name", ["fd_read", "fd_write", "fd_pread", "fd_pwrite"])
class TestHostileVectors:
    def call(self, setup: Setup, name: str, fd: int, iovs: int, count: int) -> int:
        offset = (0,) if name.startswith("fd_p") else ()
        result: int = getattr(setup.wasi, name)(fd, iovs, count, *offset, setup.count)
        return result

    def test_nothing_happens_if_one_buffer_is_bad(self, setup: Setup, name: str) -> None:
        good = setup.guest.put(b"abcd")
        fd = setup.open()
        size = setup.memory.size
        for bad in ((OUTSIDE, 1), (size - 3, 4), (2**32 - 1, 2**32 - 1), (good, 2**32 - 1)):
            iovs = setup.guest.iovs((good, 4), bad)
            assert self.call(setup, name, fd, iovs, 2) == Errno.EFAULT
        assert setup.content() == b"0123456789"
        assert setup.memory.read(good, 4) == b"abcd"

    def test_the_vectors_themselves_are_outside(self, setup: Setup, name: str) -> None:
        fd = setup.open()
        assert self.call(setup, name, fd, OUTSIDE, 1) == Errno.EFAULT
        assert self.call(setup, name, fd, setup.memory.size - 8, 2) == Errno.EFAULT

    def test_there_are_too_many(self, setup: Setup, name: str) -> None:
        fd = setup.open()
        iovs = setup.guest.put(bytes(8 * IOV_MAX))
        assert self.call(setup, name, fd, iovs, IOV_MAX) == 0
        for count in (IOV_MAX + 1, 2**31, 2**32 - 1):
            assert self.call(setup, name, fd, iovs, count) == Errno.EINVAL

    def test_the_place_for_the_count_is_outside(self, setup: Setup, name: str) -> None:
        setup.count = OUTSIDE
        iovs = setup.guest.iovs((setup.guest.put(b"abcd"), 4))
        assert self.call(setup, name, setup.open(), iovs, 1) == Errno.EFAULT

    def test_a_bad_descriptor(self, setup: Setup, name: str) -> None:
        iovs = setup.guest.iovs((setup.guest.put(b"abcd"), 4))
        for fd in (99, 2**32 - 1):
            assert self.call(setup, name, fd, iovs, 1) == Errno.EBADF
            assert self.call(setup, name, fd, iovs, 0) == Errno.EBADF


def test_one_call_moves_a_bounded_number_of_bytes(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert MAX_TRANSFER >= 2**20
    monkeypatch.setattr(wasi, "MAX_TRANSFER", 6)
    data = setup.guest.put(b"abcdefgh")
    iovs = setup.guest.iovs((data, 4), (data + 4, 4), (data, 4))
    fd = setup.open()
    assert setup.wasi.fd_write(fd, iovs, 3, setup.count) == 0
    assert setup.memory.read_u32(setup.count) == 6
    assert setup.content() == b"abcdef6789"
    assert setup.wasi.fd_pread(fd, iovs, 3, 2, setup.count) == 0
    assert setup.memory.read_u32(setup.count) == 6
    assert setup.memory.read(data, 8) == b"cdef67gh"


def test_an_error_of_a_stream_of_the_user_is_not_an_errno() -> None:
    class Broken(io.BytesIO):
        def write(self, _: object) -> int:
            raise error

    error = BrokenPipeError("the user's own")
    setup = Setup(WasiOptions(stdout=Broken()))
    iovs = setup.guest.iovs((setup.guest.put(b"x"), 1))
    with pytest.raises(BrokenPipeError) as caught:
        setup.wasi.fd_write(1, iovs, 1, setup.count)
    assert caught.value is error


# Descriptors


def test_seek(setup: Setup) -> None:
    fd = setup.open()
    assert setup.wasi.fd_seek(fd, -3, 2, setup.count) == 0
    assert setup.memory.read_i64(setup.count) == 7
    assert setup.wasi.fd_seek(fd, 2**40, 1, setup.count) == 0
    assert setup.memory.read_i64(setup.count) == 2**40 + 7
    assert setup.wasi.fd_seek(fd, -1, 0, setup.count) == Errno.EINVAL
    assert setup.wasi.fd_seek(fd, 0, 3, setup.count) == Errno.EINVAL
    assert setup.wasi.fd_seek(fd, -(2**63), 1, setup.count) == Errno.EINVAL
    assert setup.wasi.fd_seek(1, 0, 1, setup.count) == Errno.ESPIPE
    assert setup.wasi.fd_seek(99, 0, 0, setup.count) == Errno.EBADF
    assert setup.wasi.fd_seek(fd, 0, 0, OUTSIDE) == Errno.EFAULT


def test_close_and_sync(setup: Setup) -> None:
    fd = setup.open()
    assert setup.wasi.fd_sync(fd) == 0
    assert setup.wasi.fd_sync(1) == 0
    assert setup.wasi.fd_close(fd) == 0
    assert setup.wasi.fd_close(fd) == Errno.EBADF
    assert setup.wasi.fd_sync(fd) == Errno.EBADF


@pytest.mark.parametrize(("path", "filetype"), [(b"/f", 4), (b"/tmp", 3), (b"/dev/null", 2)])
def test_fdstat(setup: Setup, path: bytes, filetype: int) -> None:
    buffer = setup.guest.allocate(32)
    fd = setup.open(path, flags.O_RDONLY)
    assert setup.wasi.fd_fdstat_get(fd, buffer) == 0
    assert setup.memory.read_u8(buffer) == filetype
    assert setup.memory.read_u16(buffer + 2) == 0
    assert setup.memory.read_u64(buffer + 8) == 0
    assert setup.memory.read_u64(buffer + 16) == 0
    assert setup.memory.read(buffer + 24, 8) == b"\xaa" * 8
    assert setup.wasi.fd_fdstat_get(1, buffer) == 0
    assert setup.memory.read_u8(buffer) == 2
    assert setup.wasi.fd_fdstat_get(99, buffer) == Errno.EBADF
    assert setup.wasi.fd_fdstat_get(fd, setup.memory.size - 23) == Errno.EFAULT
