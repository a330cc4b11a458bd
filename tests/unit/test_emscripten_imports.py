from __future__ import annotations

import calendar
import struct
import sys
import time
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dotnet_wasm_host.errors import GuestTerminated, GuestTrap
from dotnet_wasm_host.imports.calendar import Calendar
from dotnet_wasm_host.imports.civil_time import BrokenDownTime, broken_down, format_time
from dotnet_wasm_host.imports.emscripten import Clocks, Heap
from dotnet_wasm_host.imports.files.wasi_errno import Errno
from dotnet_wasm_host.imports.process import Entropy, Process, Sockets
from dotnet_wasm_host.options import MIB, WasiOptions
from dotnet_wasm_host.wasm import PAGE
from tests.unit.fake_guest import FakeClock, FakeGuest, FakeLinearMemory

if TYPE_CHECKING:
    from dotnet_wasm_host.imports.base import ImportGroup

OUTSIDE = 0x8000_0000


@pytest.fixture
def guest() -> FakeGuest:
    return FakeGuest()


def test_the_imports_of_the_module(guest: FakeGuest) -> None:
    groups: list[ImportGroup] = [
        Clocks(FakeClock()),
        Calendar(guest),
        Heap(guest.linear, MIB),
        Entropy(guest, guest.filesystem.host),
        Process(),
        Sockets(guest.filesystem),
    ]
    assert sorted(name for group in groups for name in group.functions()) == [
        "__syscall_connect",
        "__syscall_recvfrom",
        "__syscall_sendto",
        "__syscall_socket",
        "_emscripten_get_now_is_monotonic",
        "_gmtime_js",
        "_localtime_js",
        "_tzset_js",
        "abort",
        "emscripten_date_now",
        "emscripten_force_exit",
        "emscripten_get_heap_max",
        "emscripten_get_now",
        "emscripten_get_now_res",
        "emscripten_resize_heap",
        "exit",
        "mono_wasm_browser_entropy",
        "mono_wasm_process_current_pid",
        "strftime",
    ]


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


def test_struct_tm_field_by_field(guest: FakeGuest) -> None:
    functions = Calendar(guest).functions()
    # 2024-12-31T23:58:59Z, a Tuesday.
    seconds = 1_735_689_539
    fields = (59, 58, 23, 31, 11, 124, 2, 365)
    tm = guest.allocate(44)
    assert functions["_gmtime_js"](seconds, tm) is None
    assert struct.unpack("<8i", guest.memory.read(tm, 32)) == fields
    assert guest.memory.read(tm + 32, 12) == b"\xaa" * 12
    assert functions["_localtime_js"](seconds, tm) is None
    assert struct.unpack("<10i", guest.memory.read(tm, 40)) == (*fields, 0, 0)
    assert guest.memory.read(tm + 40, 4) == b"\xaa" * 4
    for extreme in (2**63 - 1, -(2**63)):
        functions["_gmtime_js"](extreme, tm)
        assert guest.memory.read(tm, 32) == bytes(32)
    for name in ("_gmtime_js", "_localtime_js"):
        with pytest.raises(GuestTrap, match="out of bounds"):
            functions[name](0, guest.memory.size - 8)


def test_the_time_zone_is_utc(guest: FakeGuest) -> None:
    timezone_ptr, daylight, standard, dst = (guest.allocate(8) for _ in range(4))
    tzset = Calendar(guest).functions()["_tzset_js"]
    assert tzset(timezone_ptr, daylight, standard, dst) is None
    assert guest.memory.read(timezone_ptr, 8) == bytes(4) + b"\xaa" * 4
    assert guest.memory.read(daylight, 8) == bytes(4) + b"\xaa" * 4
    assert guest.memory.read(standard, 8) == b"UTC\0" + b"\xaa" * 4
    assert guest.memory.read(dst, 8) == b"UTC\0" + b"\xaa" * 4
    with pytest.raises(GuestTrap):
        tzset(OUTSIDE, daylight, standard, dst)


# strftime

CONVERSIONS = "aAbBcCdDeFgGhHIjmMnprRStTuUVwWxXyYzZ%"
# C libraries do not agree on zeros before earlier years.
moments = st.datetimes(timezones=st.just(timezone.utc)).filter(lambda moment: moment.year >= 1000)
offsets = st.integers(-14 * 60, 14 * 60).map(lambda minutes: 60 * minutes)


def from_datetime(
    moment: datetime, is_dst: int = 0, offset: int = 0, zone: str = ""
) -> BrokenDownTime:
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
        is_dst,
        offset,
        zone,
    )


@pytest.mark.skipif(sys.platform != "linux", reason="compares with glibc")
@given(moments, offsets, st.sampled_from([0, 1, -1]))
def test_text_is_that_of_the_c_library(moment: datetime, offset: int, is_dst: int) -> None:
    modified = ["%Ec", "%EC", "%Ex", "%EX", "%Ey", "%EY", *(f"%O{c}" for c in "deHImMSuUVwWy")]
    pattern = "|".join(["text \u20ac", *modified, *(f"%{c}" for c in CONVERSIONS)])
    fields = moment.timetuple()[:8]
    expected = time.strftime(pattern, time.struct_time((*fields, is_dst, "TST", offset)))
    actual = format_time(pattern, from_datetime(moment, is_dst, offset, "TST"))
    assert actual.split("|") == expected.split("|")


@given(moments, st.sampled_from(sorted(set(CONVERSIONS) - set("zZ"))))
def test_text_is_that_of_datetime(moment: datetime, conversion: str) -> None:
    if sys.platform == "win32" and conversion not in "aAbBdHIjmMpSUwWyY%":
        return
    assert format_time(f"%{conversion}", from_datetime(moment)) == moment.strftime(f"%{conversion}")


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
        ("%E%d", "%E03"),
        ("%Ed %OY %Ow", "%Ed %OY 6"),
        ("%%d", "%d"),
        ("%\n", "%\n"),
        ("%c", "Sat Feb  3 04:05:06 2001"),
        ("%I %p", "04 AM"),
    ],
)
def test_texts(pattern: str, text: str) -> None:
    moment = datetime(2001, 2, 3, 4, 5, 6, tzinfo=timezone.utc)
    assert format_time(pattern, from_datetime(moment)) == text


def test_names_that_do_not_exist_and_numbers_of_any_size() -> None:
    for value in (-1, 12, 99, 2**31 - 1, -(2**31)):
        strange = BrokenDownTime._make([value] * 10 + [""])
        for conversion in CONVERSIONS + "s":
            format_time(f"%{conversion}", strange)
        assert format_time("%a %A %b %B", strange) == "? ? ? ?"


def call_strftime(guest: FakeGuest, pattern: bytes, size: int, zone: bytes | None = None) -> bytes:
    """What strftime wrote; empty if it returned 0."""
    zone_ptr = 0 if zone is None else guest.path(zone)
    tm = guest.put(struct.pack("<10iI", 6, 5, 4, 3, 1, 101, 6, 33, 0, -5400, zone_ptr))
    buffer = guest.allocate(64)
    strftime = Calendar(guest).functions()["strftime"]
    length = strftime(buffer, size, guest.path(pattern), tm)
    assert isinstance(length, int)
    if length:
        assert guest.memory.read_u8(buffer + length) == 0
        assert guest.memory.read_u8(buffer + length + 1) == 0xAA
    else:
        assert guest.memory.read(buffer, 64) == b"\xaa" * 64
    return guest.memory.read(buffer, length)


def test_strftime_in_memory(guest: FakeGuest) -> None:
    assert call_strftime(guest, b"%F %T %z", 64) == b"2001-02-03 04:05:06 -0130"
    assert call_strftime(guest, b"[%Z]", 64) == b"[]"
    assert call_strftime(guest, b"[%Z]", 64, b"M\xc3\xa4Z") == b"[M\xc3\xa4Z]"
    assert call_strftime(guest, "am %d\u2026\n".encode(), 64) == "am 03\u2026\n".encode()
    assert call_strftime(guest, b"%F", 11) == b"2001-02-03"
    assert call_strftime(guest, b"%F", 10) == b""
    assert call_strftime(guest, b"%F", 0) == b""


def test_strftime_with_bad_pointers(guest: FakeGuest) -> None:
    strftime = Calendar(guest).functions()["strftime"]
    tm = guest.put(struct.pack("<10iI", 6, 5, 4, 3, 1, 101, 6, 33, 0, 0, 0))
    bad_zone = guest.put(struct.pack("<10iI", 6, 5, 4, 3, 1, 101, 6, 33, 0, 0, OUTSIDE))
    pattern, buffer = guest.path("%F"), guest.allocate(64)
    endless = guest.put(b"x" * (64 * 1024))
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
    heap = Heap(linear, 300 * PAGE + 100)
    functions = heap.functions()
    assert functions["emscripten_get_heap_max"]() == 300 * PAGE
    resize = functions["emscripten_resize_heap"]
    assert resize(100 * PAGE) == 1
    assert linear.asked == []
    assert resize(100 * PAGE + 1) == 1
    assert linear.size == 120 * PAGE
    assert resize(200 * PAGE) == 1
    assert linear.size == 200 * PAGE
    assert resize(299 * PAGE + 1) == 1
    assert linear.size == 300 * PAGE
    assert resize(300 * PAGE + 1) == 0
    assert resize(2**32 - 1) == 0
    assert linear.size == 300 * PAGE


def test_growth_takes_96_mib_too_much_at_most() -> None:
    linear = FakeLinearMemory(pages=1)
    linear.size, linear.capacity = 1024 * MIB, 4096 * MIB
    assert Heap(linear, 2048 * MIB).resize(1024 * MIB + 1) == 1
    assert linear.size == 1120 * MIB + PAGE


def test_growth_asks_for_less_if_it_is_refused() -> None:
    linear = FakeLinearMemory(pages=100, capacity=106)
    assert Heap(linear, 1000 * PAGE).resize(101 * PAGE) == 1
    assert linear.asked == [20, 10, 5]
    linear = FakeLinearMemory(pages=100, capacity=100)
    assert Heap(linear, 1000 * PAGE).resize(101 * PAGE) == 0
    assert linear.size == 100 * PAGE


# Entropy and the end


def test_entropy_fills_exactly_what_was_asked_for() -> None:
    guest = FakeGuest(WasiOptions(random=lambda count: b"\x07" * count))
    fill = Entropy(guest, guest.filesystem.host).functions()["mono_wasm_browser_entropy"]
    buffer = guest.allocate(16)
    assert fill(buffer + 4, 8) == 0
    assert guest.memory.read(buffer, 16) == b"\xaa" * 4 + b"\x07" * 8 + b"\xaa" * 4
    assert fill(buffer, 0) == 0
    for ptr, length in ((OUTSIDE, 1), (buffer, 2**32 - 1), (guest.memory.size - 3, 4)):
        assert fill(ptr, length) == -1
    assert guest.memory.read(buffer, 4) == b"\xaa" * 4


def test_entropy_comes_in_pieces() -> None:
    asked: list[int] = []

    def random(count: int) -> bytes:
        asked.append(count)
        return bytes(count)

    guest = FakeGuest(WasiOptions(random=random))
    guest.linear.grow(40)
    assert Entropy(guest, guest.filesystem.host).fill(0, MIB + 5) == 0
    assert asked == [MIB, 5]


def test_entropy_of_the_wrong_length_is_an_error_of_the_user() -> None:
    guest = FakeGuest(WasiOptions(random=lambda _: b"no"))
    with pytest.raises(ValueError, match="random gave 2 bytes"):
        Entropy(guest, guest.filesystem.host).fill(1024, 3)


@pytest.mark.parametrize("name", ["exit", "emscripten_force_exit"])
@pytest.mark.parametrize(
    ("code", "exit_code"), [(0, 0), (3, 3), (2**32 - 1, -1), (2**31, -(2**31))]
)
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


def test_sockets(guest: FakeGuest) -> None:
    functions = Sockets(guest.filesystem).functions()
    assert functions["__syscall_socket"](2, 1, 0, 0, 0, 0) == -5
    for name in ("connect", "recvfrom", "sendto"):
        assert functions[f"__syscall_{name}"](0, 0, 0, 0, 0, 0) == -Errno.ENOTSOCK
        assert functions[f"__syscall_{name}"](2**32 - 1, 0, 0, 0, 0, 0) == -Errno.EBADF
