"""Broken-down time for the guest's C library: the civil calendar in UTC, and ``strftime``."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from dotnet_wasm_host.imports.civil_time import BrokenDownTime, broken_down, format_time
from dotnet_wasm_host.imports.files.layouts import CIVIL_TM, LOCAL_TM, TM
from dotnet_wasm_host.imports.files.results import trapping

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dotnet_wasm_host.engines.base import HostFunction
    from dotnet_wasm_host.imports.base import Caller

__all__ = ["Calendar"]

# A JavaScript Date holds 8.64e15 ms around the epoch (ECMA-262 21.4.1.1); the guest gets zeros
# for what lies beyond.
_LATEST_DATE = 8_640_000_000_000
#: What the C library puts up with: no time zone's abbreviation is longer.
_LONGEST_ZONE = 256


@final
class Calendar:
    """Dates from timestamps, and dates as text. The guest's time zone is UTC.

    Args:
        caller: the instance that they serve.
    """

    __slots__ = ("_caller",)

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def functions(self) -> Mapping[str, HostFunction]:
        """Import name to bound method."""
        return {
            "_gmtime_js": self.gmtime,
            "_localtime_js": self.localtime,
            "_tzset_js": self.tzset,
            "strftime": self.strftime,
        }

    @trapping
    def gmtime(self, seconds: int, tm: int) -> None:
        """Fill ``struct tm`` up to tm_yday; the C library sets the rest."""
        self._caller.memory.write_struct(CIVIL_TM, tm, *_civil_fields(seconds))

    @trapping
    def localtime(self, seconds: int, tm: int) -> None:
        """Fill ``struct tm`` up to tm_gmtoff; the C library sets tm_zone."""
        self._caller.memory.write_struct(LOCAL_TM, tm, *_civil_fields(seconds), 0, 0)

    @trapping
    def tzset(self, timezone: int, daylight: int, standard_name: int, dst_name: int) -> None:
        """Set the C library's ``timezone``, ``daylight`` and the two names."""
        memory = self._caller.memory
        memory.write_u32(timezone, 0)
        memory.write_i32(daylight, 0)
        memory.write(standard_name, b"UTC\0")
        memory.write(dst_name, b"UTC\0")

    @trapping
    def strftime(self, buffer: int, size: int, pattern: int, tm: int) -> int:
        """Text and NUL at ``buffer``; returns the text's length, 0 if ``size`` is too small."""
        memory = self._caller.memory
        *numbers, zone_ptr = memory.read_struct(TM, tm)
        zone = memory.read_c_string(zone_ptr, _LONGEST_ZONE) if zone_ptr else b""
        # Whatever encoding the guest uses, Latin-1 takes its bytes through unchanged.
        time = BrokenDownTime._make((*numbers, zone.decode("latin-1")))
        text = format_time(memory.read_c_string(pattern).decode("latin-1"), time)
        if len(text) >= size:
            return 0
        memory.write(buffer, text.encode("latin-1") + b"\0")
        return len(text)


def _civil_fields(seconds: int) -> tuple[int, ...]:
    if abs(seconds) > _LATEST_DATE:
        return (0,) * 8
    return broken_down(seconds)[:8]
