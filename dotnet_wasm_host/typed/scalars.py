"""Values of .NET that are one value in Python, too: from bytes and to bytes.

Sources: ``decimal.GetBits``, ``DateTime.Ticks`` and their like in the documentation of .NET;
`docs/typed.md` has the format.
"""

from __future__ import annotations

import datetime as dt
import json
import struct
from decimal import Decimal
from typing import Any
from uuid import UUID

__all__ = ["NAMES"]

#: .NET counts 100 nanoseconds, Python microseconds.
TICKS = 10
_SECOND = 10_000_000
_DAY = 86_400 * _SECOND
_EPOCH = dt.datetime(1, 1, 1)  # noqa: DTZ001 - .NET's "unspecified" has no zone either
_UTC = dt.timezone.utc
_ZERO = dt.timedelta()
#: ``System.DateTimeKind``.
_UNSPECIFIED, _AS_UTC = 0, 1
#: ``decimal.GetBits``: the digits are 96 bits, the scale is in bits 16 to 23, the sign in bit 31.
DECIMAL_DIGITS, DECIMAL_SCALE = 1 << 96, 28
_SIGN = 1 << 31
_DATETIME = struct.Struct("<qB")
_MOMENT = struct.Struct("<qh")


def truth(value: object) -> bool:
    """A bool and nothing else: everything has a truth value."""
    if value is True or value is False:
        return value
    raise TypeError("not a bool")


def decimal_bytes(value: Decimal) -> bytes:
    """The 16 bytes of a ``decimal`` with the same digits; ValueError if there is none."""
    if not value.is_finite():
        raise ValueError("not a finite number")
    sign, digits, power = value.as_tuple()
    exponent = int(power)
    number = int("".join(map(str, digits)) or "0")
    while exponent < -DECIMAL_SCALE and number % 10 == 0:
        number //= 10
        exponent += 1
        if number == 0:
            exponent = max(exponent, -DECIMAL_SCALE)
    if exponent > 0:
        if exponent > DECIMAL_SCALE + 1 and number:
            raise OverflowError("too large")
        number, exponent = (number * 10**exponent if number else 0), 0
    if exponent < -DECIMAL_SCALE:
        raise ValueError("more than 28 digits behind the point")
    if number >= DECIMAL_DIGITS:
        raise OverflowError("more digits than 96 bits hold")
    flags = -exponent << 16 | (_SIGN if sign else 0)
    return number.to_bytes(12, "little") + flags.to_bytes(4, "little")


def decimal_of(data: bytes) -> Decimal:
    """The number of 16 bytes."""
    flags = int.from_bytes(data[12:], "little")
    number = int.from_bytes(data[:12], "little")
    scale = flags >> 16 & 0xFF
    if scale > DECIMAL_SCALE:
        raise ValueError("a decimal of more than 28 places")
    return Decimal((flags >> 31, tuple(map(int, str(number))), -scale))


def ticks_of(value: dt.timedelta) -> int:
    """A time span in ticks."""
    return (value.days * 86_400 + value.seconds) * _SECOND + value.microseconds * TICKS


def duration_of(ticks: int) -> dt.timedelta:
    """Ticks as a time span, whole microseconds."""
    return dt.timedelta(microseconds=ticks // TICKS)


def datetime_bytes(value: dt.datetime) -> bytes:
    """Ticks and kind: aware ones become UTC, naive ones stay as they are."""
    offset = value.utcoffset()
    if offset is None:
        return _DATETIME.pack(ticks_of(value.replace(tzinfo=None) - _EPOCH), _UNSPECIFIED)
    return _DATETIME.pack(ticks_of(value.replace(tzinfo=None) - _EPOCH - offset), _AS_UTC)


def datetime_of(data: bytes) -> dt.datetime:
    """Ticks and kind as a datetime, whole microseconds."""
    ticks, kind = _DATETIME.unpack(data)
    value = _EPOCH + duration_of(ticks)
    return value if kind == _UNSPECIFIED else value.replace(tzinfo=_UTC)


def moment_bytes(value: dt.datetime) -> bytes:
    """Ticks of the clock and its offset in minutes."""
    offset = value.utcoffset()
    if offset is None:
        raise ValueError("no time zone")
    minutes, rest = divmod(offset, dt.timedelta(minutes=1))
    if rest:
        raise ValueError("an offset that is not whole minutes")
    return _MOMENT.pack(ticks_of(value.replace(tzinfo=None) - _EPOCH), minutes)


def moment_of(data: bytes) -> dt.datetime:
    """Ticks and offset as an aware datetime."""
    ticks, minutes = _MOMENT.unpack(data)
    zone = dt.timezone(dt.timedelta(minutes=minutes)) if minutes else _UTC
    return (_EPOCH + duration_of(ticks)).replace(tzinfo=zone)


def day_number(value: dt.date) -> int:
    """Days since 1 January 1."""
    if isinstance(value, dt.datetime):
        raise TypeError("a date with a time")
    return value.toordinal() - 1


def day_of(number: int) -> dt.date:
    """The day with this number."""
    return dt.date.fromordinal(number + 1)


def time_ticks(value: dt.time) -> int:
    """Ticks since midnight."""
    if value.tzinfo is not None:
        raise ValueError("a time with a time zone")
    seconds = (value.hour * 60 + value.minute) * 60 + value.second
    return seconds * _SECOND + value.microsecond * TICKS


def time_of(ticks: int) -> dt.time:
    """The time of day, whole microseconds."""
    if not 0 <= ticks < _DAY:
        raise ValueError("a time of day that no day has")
    return (_EPOCH + duration_of(ticks)).time()


def wide_bytes(value: int) -> bytes:
    """Two's complement, the lowest byte first, with room for the sign."""
    return value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)


def blob(value: object) -> bytes | memoryview:
    """Bytes of a buffer that holds bytes; TypeError for others."""
    if type(value) is bytes:
        return value
    view = memoryview(value)  # type: ignore[arg-type]
    if view.format not in {"B", "b", "c"}:
        raise TypeError("a buffer of something else than bytes")
    return view.cast("B") if view.contiguous else view.tobytes()


def dumps(value: object) -> str:
    """JSON text of a value, as short as it can be."""
    return json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"))


#: What generated functions call.
NAMES: dict[str, Any] = {
    "LISTS": (list, tuple),
    "SETS": (set, frozenset, list, tuple),
    "UUID": UUID,
    "blob": blob,
    "datetime_bytes": datetime_bytes,
    "datetime_of": datetime_of,
    "day_number": day_number,
    "day_of": day_of,
    "decimal_bytes": decimal_bytes,
    "decimal_of": decimal_of,
    "dumps": dumps,
    "duration_of": duration_of,
    "from_bytes": int.from_bytes,
    "loads": json.loads,
    "moment_bytes": moment_bytes,
    "moment_of": moment_of,
    "ticks_of": ticks_of,
    "time_of": time_of,
    "time_ticks": time_ticks,
    "truth": truth,
    "wide_bytes": wide_bytes,
}
