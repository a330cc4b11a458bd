"""Values of .NET that JSON has no type for: as text, and from text.

ISO 8601 for times, as RFC 3339 and JSON Schema's formats have it; durations also as .NET writes
them (``TimeSpan.ToString("c")``).
"""

from __future__ import annotations

import datetime as dt
import re
import struct

__all__ = [
    "date_of",
    "duration_of",
    "duration_text",
    "float_value",
    "moment_of",
    "time_of",
]

_DATE = r"(\d{4})-(\d\d)-(\d\d)"
#: .NET writes seven digits behind the point, of which Python has six.
_TIME = r"(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?"
_ZONE = r"(Z|z|[+-]\d\d:\d\d)"
_DATE_ONLY = re.compile(_DATE)
_TIME_ONLY = re.compile(_TIME)
_MOMENT = re.compile(f"{_DATE}[Tt ]{_TIME}{_ZONE}?|{_DATE}")
_ISO_DURATION = re.compile(
    r"([+-])?P(?:(\d{1,8})W)?(?:(\d{1,8})D)?"
    r"(?:T(?:(\d{1,9})H)?(?:(\d{1,10})M)?(?:(\d{1,12})(?:\.(\d{1,9}))?S)?)?"
)
_NET_DURATION = re.compile(r"(-)?(?:(\d{1,8})\.)?(\d\d):(\d\d):(\d\d)(?:\.(\d{1,7}))?")
_MICROSECONDS = 6
#: Digits that tell every number of a type from its neighbours (IEEE 754): 4 bytes and 2 bytes.
_DIGITS = {"f": range(6, 10), "e": range(3, 6)}


def _fraction(text: str | None) -> int:
    return int((text or "0")[:_MICROSECONDS].ljust(_MICROSECONDS, "0"))


def date_of(text: str) -> dt.date:
    """``2026-11-28``. ValueError for others."""
    found = _DATE_ONLY.fullmatch(text)
    if found is None:
        raise ValueError("not YYYY-MM-DD")
    return dt.date(int(found[1]), int(found[2]), int(found[3]))


def time_of(text: str) -> dt.time:
    """``10:30``, ``10:30:00``, ``10:30:00.5``. ValueError for others."""
    found = _TIME_ONLY.fullmatch(text)
    if found is None:
        raise ValueError("not HH:MM:SS")
    return dt.time(int(found[1]), int(found[2]), int(found[3] or 0), _fraction(found[4]))


def moment_of(text: str) -> dt.datetime:
    """Date and time, with or without a zone; a date alone is its midnight. ValueError else."""
    found = _MOMENT.fullmatch(text)
    if found is None:
        raise ValueError("not YYYY-MM-DDTHH:MM:SS")
    if found[9]:
        return dt.datetime(int(found[9]), int(found[10]), int(found[11]))  # noqa: DTZ001
    year, month, day, hour, minute = (int(part) for part in found.groups()[:5])
    second, fraction = int(found[6] or 0), _fraction(found[7])
    return dt.datetime(year, month, day, hour, minute, second, fraction, _zone(found[8]))


def _zone(text: str | None) -> dt.timezone | None:
    if text is None:
        return None
    if text in "Zz":
        return dt.timezone.utc
    offset = dt.timedelta(hours=int(text[1:3]), minutes=int(text[4:]))
    return dt.timezone(-offset if text[0] == "-" else offset)


def duration_of(text: str) -> dt.timedelta:
    """``PT1H30M`` or ``01:30:00``. ValueError for others, OverflowError for too long ones."""
    found = _NET_DURATION.fullmatch(text)
    if found is not None:
        sign, days, hours, minutes, seconds, fraction = found.groups()
        weeks = None
    else:
        found = _ISO_DURATION.fullmatch(text)
        if found is None or text[-1] in "PT":
            raise ValueError("not a duration")
        sign, weeks, days, hours, minutes, seconds, fraction = found.groups()
    value = dt.timedelta(
        days=7 * int(weeks or 0) + int(days or 0),
        hours=int(hours or 0),
        minutes=int(minutes or 0),
        seconds=int(seconds or 0),
        microseconds=_fraction(fraction),
    )
    return -value if sign == "-" else value


def duration_text(value: dt.timedelta) -> str:
    """ISO 8601: days and parts of a day, ``-P1DT0.5S``."""
    sign = "-" if value < dt.timedelta(0) else ""
    size = abs(value)
    minutes, seconds = divmod(size.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    fraction = f".{size.microseconds:06}".rstrip("0") if size.microseconds else ""
    parts = [f"{hours}H" if hours else "", f"{minutes}M" if minutes else ""]
    if seconds or fraction:
        parts.append(f"{seconds}{fraction}S")
    days = f"{size.days}D" if size.days else ""
    time = "".join(parts)
    if not days and not time:
        return "PT0S"
    return f"{sign}P{days}{'T' if time else ''}{time}"


def float_value(value: float, code: str) -> float | str:
    """A number as short as it can be told from others of its type; ``"NaN"`` and the like."""
    if value - value != 0:
        return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"  # noqa: PLR0124
    if code not in _DIGITS:
        return value
    packed = struct.pack(f"<{code}", value)
    for digits in _DIGITS[code]:
        short = float(f"{value:.{digits}g}")
        try:
            if struct.pack(f"<{code}", short) == packed:
                return short
        except OverflowError:
            continue
    return value
