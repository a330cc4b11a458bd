"""Dates: seconds since the epoch to years and days, and ``strftime`` in the C locale."""

from __future__ import annotations

import re
from datetime import date
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["BrokenDownTime", "broken_down", "format_time"]

_DAY = 24 * 60 * 60
#: The Gregorian calendar repeats after 400 years, which are this many days.
_CYCLE_YEARS, _CYCLE_DAYS = 400, 146_097
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
_WEEK = 7

_WEEKDAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
_MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
_NOON = 12
_THURSDAY = 4


class BrokenDownTime(NamedTuple):
    """``struct tm`` (C17 7.27.1); any integers, for it comes from the guest.

    ``month`` is 0..11, ``year`` counts from 1900, ``weekday`` 0 is Sunday, ``day_of_year`` is
    0..365, ``offset`` is in seconds east of UTC.
    """

    second: int
    minute: int
    hour: int
    day: int
    month: int
    year: int
    weekday: int
    day_of_year: int
    is_dst: int = 0
    offset: int = 0
    zone: str = ""


def broken_down(seconds: int) -> BrokenDownTime:
    """UTC, in the proleptic Gregorian calendar, for any number of seconds since the epoch."""
    days, rest = divmod(seconds, _DAY)
    minutes, second = divmod(rest, 60)
    hour, minute = divmod(minutes, 60)
    # datetime ends in the year 9999; the first cycle of 400 years stands for all others.
    cycle, day_of_cycle = divmod(days + _EPOCH_ORDINAL - 1, _CYCLE_DAYS)
    day = date.fromordinal(day_of_cycle + 1)
    return BrokenDownTime(
        second,
        minute,
        hour,
        day.day,
        day.month - 1,
        day.year + cycle * _CYCLE_YEARS - 1900,
        day.isoweekday() % _WEEK,
        day.timetuple().tm_yday - 1,
        zone="UTC",
    )


def format_time(pattern: str, time: BrokenDownTime) -> str:
    """C17 7.27.3.5 ``strftime`` in the C locale, and ``%s`` of POSIX.1-2024.

    The modifiers E and O change nothing there. Conversions that do not exist stay as they are,
    and names of days and months that do not exist are ``?``.
    """

    def convert(match: re.Match[str]) -> str:
        conversion = _CONVERSIONS.get(match[1])
        return match[0] if conversion is None else conversion(time)

    return _CONVERSION.sub(convert, pattern)


# A modifier counts only before the conversions that have it.
_CONVERSION = re.compile(r"%(?:E(?=[cCxXyY])|O(?=[deHImMSuUVwWy]))?(.)", re.DOTALL)


def _full_year(time: BrokenDownTime) -> int:
    return time.year + 1900


def _name(names: tuple[str, ...], index: int) -> str:
    return names[index] if 0 <= index < len(names) else "?"


def _hour_of_twelve(time: BrokenDownTime) -> int:
    return time.hour % _NOON or _NOON


def _week(time: BrokenDownTime, first_weekday: int) -> int:
    """Week of the year; days before the first ``first_weekday`` are in week 0."""
    return (time.day_of_year + _WEEK - (time.weekday - first_weekday) % _WEEK) // _WEEK


def _iso_week(time: BrokenDownTime) -> tuple[int, int]:
    """Year and week of ISO 8601: a week belongs to the year that its Thursday is in."""
    year = _full_year(time)
    thursday = time.day_of_year - (time.weekday - 1) % _WEEK + _THURSDAY - 1
    if thursday < 0:
        year -= 1
        thursday += _days_of(year)
    elif thursday >= _days_of(year):
        thursday -= _days_of(year)
        year += 1
    return year, thursday // _WEEK + 1


def _days_of(year: int) -> int:
    is_leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return 366 if is_leap else 365


def _zone_offset(time: BrokenDownTime) -> str:
    # A negative is_dst says that nothing is known about the zone.
    if time.is_dst < 0:
        return ""
    hours, minutes = divmod(abs(time.offset) // 60, 60)
    return f"{'-' if time.offset < 0 else '+'}{hours:02}{minutes:02}"


def _epoch_seconds(time: BrokenDownTime) -> int:
    """POSIX.1-2017 4.16, with months beyond the year carried over, as ``timegm`` does."""
    years, month = divmod(time.month, len(_MONTHS))
    cycle, year = divmod(_full_year(time) + years - 1, _CYCLE_YEARS)
    days = date(year + 1, month + 1, 1).toordinal() + cycle * _CYCLE_DAYS + time.day - 1
    hours = (days - _EPOCH_ORDINAL) * 24 + time.hour
    return (hours * 60 + time.minute) * 60 + time.second


def _sequence(pattern: str) -> Callable[[BrokenDownTime], str]:
    return lambda time: format_time(pattern, time)


_CONVERSIONS: Mapping[str, Callable[[BrokenDownTime], str]] = {
    "%": lambda _: "%",
    "A": lambda time: _name(_WEEKDAYS, time.weekday),
    "B": lambda time: _name(_MONTHS, time.month),
    "C": lambda time: f"{_full_year(time) // 100:02}",
    "D": _sequence("%m/%d/%y"),
    "F": _sequence("%Y-%m-%d"),
    "G": lambda time: f"{_iso_week(time)[0]}",
    "H": lambda time: f"{time.hour:02}",
    "I": lambda time: f"{_hour_of_twelve(time):02}",
    "M": lambda time: f"{time.minute:02}",
    "R": _sequence("%H:%M"),
    "S": lambda time: f"{time.second:02}",
    "T": _sequence("%H:%M:%S"),
    "U": lambda time: f"{_week(time, 0):02}",
    "V": lambda time: f"{_iso_week(time)[1]:02}",
    "W": lambda time: f"{_week(time, 1):02}",
    "X": _sequence("%H:%M:%S"),
    "Y": lambda time: f"{_full_year(time)}",
    "Z": lambda time: time.zone,
    "a": lambda time: _name(_WEEKDAYS, time.weekday)[:3],
    "b": lambda time: _name(_MONTHS, time.month)[:3],
    "c": _sequence("%a %b %e %H:%M:%S %Y"),
    "d": lambda time: f"{time.day:02}",
    "e": lambda time: f"{time.day:2}",
    "g": lambda time: f"{_iso_week(time)[0] % 100:02}",
    "h": lambda time: _name(_MONTHS, time.month)[:3],
    "j": lambda time: f"{time.day_of_year + 1:03}",
    "m": lambda time: f"{time.month + 1:02}",
    "n": lambda _: "\n",
    "p": lambda time: "AM" if time.hour < _NOON else "PM",
    "r": _sequence("%I:%M:%S %p"),
    "s": lambda time: f"{_epoch_seconds(time)}",
    "t": lambda _: "\t",
    "u": lambda time: f"{time.weekday or _WEEK}",
    "w": lambda time: f"{time.weekday}",
    "x": _sequence("%m/%d/%y"),
    "y": lambda time: f"{_full_year(time) % 100:02}",
    "z": _zone_offset,
}
