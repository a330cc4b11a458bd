"""Numbers, dates and their texts, compared with what Python computes."""

from __future__ import annotations

import math
import struct
from datetime import datetime, timedelta, timezone
from decimal import ROUND_FLOOR, ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal, localcontext
from email.utils import format_datetime
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from tests.functional.conftest import Conversation

# Twelve digits each: a product has at most 24 of the 28 that a .NET decimal holds.
decimals = st.decimals(-(10**6), 10**6, places=6).map(lambda d: d.normalize())
integers = st.integers(-(2**300), 2**300)


@settings(max_examples=60)
@given(a=decimals, b=decimals, digits=st.integers(0, 6))
@example(a=Decimal("2.5"), b=Decimal("-0.1"), digits=0)
def test_decimals_are_exact(ask: Conversation, a: Decimal, b: Decimal, digits: int) -> None:
    answer = ask("numbers", "Decimals", {"a": f"{a:f}", "b": f"{b:f}", "digits": digits})
    unit = Decimal(1).scaleb(-digits)

    with localcontext() as context:
        context.prec = 60
        assert Decimal(answer["Sum"]) == a + b
        assert Decimal(answer["Difference"]) == a - b
        assert Decimal(answer["Product"]) == a * b
        assert Decimal(answer["HalfEven"]) == a.quantize(unit, ROUND_HALF_EVEN)
        assert Decimal(answer["HalfUp"]) == a.quantize(unit, ROUND_HALF_UP)
        assert Decimal(answer["Floor"]) == a.to_integral_value(ROUND_FLOOR)
        assert answer["Compared"] == (a > b) - (a < b)
        if b:
            assert abs(Decimal(answer["Quotient"]) - a / b) <= Decimal("1e-15")
            assert abs(Decimal(answer["Quotient"]) * b - a) <= abs(b) * Decimal("1e-15")
            assert Decimal(answer["Remainder"]) == a % b
        else:
            assert answer["Quotient"] is None

    low, middle, high, flags = (word % 2**32 for word in answer["Bits"])
    mantissa = low | middle << 32 | high << 64
    scaled = Decimal(mantissa).scaleb(-(flags >> 16 & 0xFF))
    assert (-scaled if flags >> 31 else scaled) == a


@settings(max_examples=60)
@given(a=integers, b=integers, shift=st.integers(0, 200))
def test_big_integers_have_no_limit(ask: Conversation, a: int, b: int, shift: int) -> None:
    answer = ask("numbers", "BigIntegers", {"a": str(a), "b": str(b), "shift": shift})

    assert int(answer["Sum"]) == a + b
    assert int(answer["Product"]) == a * b
    assert int(answer["Gcd"]) == math.gcd(a, b)
    assert int(answer["Left"]) == a << shift
    assert int(answer["Right"]) == a >> shift
    assert int(answer["And"]) == a & b
    assert int(answer["Xor"]) == a ^ b
    assert math.copysign(1, answer["Compared"]) * bool(answer["Compared"]) == (a > b) - (a < b)
    width = (~a if a < 0 else a).bit_length() // 8 + 1
    assert bytes.fromhex(answer["Bytes"]) == a.to_bytes(width, "little", signed=True)
    if b:
        quotient = abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)
        assert int(answer["Quotient"]) == quotient
        assert int(answer["Remainder"]) == a - quotient * b
        assert int(answer["Power"]) == pow(abs(a), 65537, abs(b))


def wrapped(value: int, bits: int, *, signed: bool) -> int:
    """The low bits of a number, as a fixed-width integer has them."""
    value %= 2**bits
    return value - 2**bits if signed and value >= 2 ** (bits - 1) else value


@settings(max_examples=60)
@given(a=st.integers(-(2**130), 2**130), b=st.integers(-(2**130), 2**130))
def test_integers_wrap_around_at_their_width(ask: Conversation, a: int, b: int) -> None:
    answer = ask("numbers", "FixedWidth", {"a": str(a), "b": str(b)})

    names = {"SByte": 8, "Byte": -8, "Int16": 16, "UInt16": -16, "Int32": 32, "UInt32": -32,
             "Int64": 64, "UInt64": -64, "Int128": 128, "UInt128": -128}  # fmt: skip
    assert set(answer) == set(names)
    for name, width in names.items():
        bits, signed = abs(width), width > 0
        x, y = (wrapped(n, bits, signed=signed) for n in (a, b))
        results = (x + y, x - y, x * y, x ^ y, ~x, (a % 2**bits).bit_count())
        expected = [str(wrapped(r, bits, signed=signed)) for r in results[:5]]
        assert answer[name] == [*expected, str(results[5])], name


def bits_of(number: float) -> int:
    """The binary64 pattern of a number as a signed integer."""
    return int(struct.unpack("<q", struct.pack("<d", number))[0])


@settings(max_examples=80)
@given(x=st.floats(allow_nan=False))
@example(x=-0.0)
@example(x=5e-324)
@example(x=1.7976931348623157e308)
@example(x=math.inf)
@example(x=65519.99)
@example(x=2.0**-25)
def test_floating_point_is_ieee_754(ask: Conversation, x: float) -> None:
    answer = ask("numbers", "Floats", bits_of(x))

    # .NET writes 2**-25 and 2**-958 with a digit too few; other powers of two are fine.
    if x not in {2.0**-25, 2.0**-958, -(2.0**-25), -(2.0**-958)}:
        assert bits_of(float(answer["Text"])) == bits_of(x)
        assert answer["Parsed"] == bits_of(x)
    assert answer["IsNaN"] is False
    assert answer["Next"] == bits_of(math.nextafter(x, math.inf))
    assert answer["Floor"] == bits_of(float(np.floor(x)))
    with np.errstate(all="ignore"):
        assert answer["Single"] == int(np.float32(x).view(np.int32))
        assert answer["Half"] == int(np.float16(x).view(np.int16))
    if x >= 0:
        assert answer["Sqrt"] == bits_of(math.sqrt(x))
    if math.isfinite(x):
        assert answer["Remainder"] == bits_of(math.fmod(x, 7.25))
        if abs(x) < 1e307:
            assert answer["Fused"] == bits_of(float(Fraction(x) * 3 + 1))


def test_nan_is_not_a_number(ask: Conversation) -> None:
    answer = ask("numbers", "Floats", bits_of(math.nan))

    assert answer["IsNaN"] is True
    assert answer["Text"] == "NaN"
    assert math.isnan(np.int16(answer["Half"]).view(np.float16))


@settings(max_examples=60)
@given(
    start=st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1)),  # noqa: DTZ001
    microseconds=st.integers(-(10**15), 10**15),
    offset=st.integers(-840, 840),
)
@example(start=datetime(2024, 2, 28, 23, 59, 59, 999999), microseconds=86_400_000_001, offset=90)  # noqa: DTZ001
@example(start=datetime(2026, 12, 31), microseconds=-1, offset=-1)  # noqa: DTZ001
def test_dates_and_spans_agree_with_python(
    ask: Conversation, start: datetime, microseconds: int, offset: int
) -> None:
    question = {
        "start": start.isoformat(timespec="microseconds"),
        "microseconds": microseconds,
        "offset": offset,
    }
    answer = ask("numbers", "Dates", question)

    start = start.replace(tzinfo=timezone.utc)
    span = timedelta(microseconds=microseconds)
    end = start + span
    plain = end.replace(tzinfo=None).isoformat(timespec="microseconds")
    assert answer["End"] == plain
    assert answer["RoundTrip"] == f"{plain}0Z"
    assert answer["DayOfWeek"] == end.isoweekday() % 7
    assert answer["DayOfYear"] == end.timetuple().tm_yday
    assert (answer["IsoYear"], answer["IsoWeek"]) == end.isocalendar()[:2]
    assert answer["Leap"] is (end.year % 4 == 0 and (end.year % 100 != 0 or end.year % 400 == 0))
    assert answer["Days"] == (end.date() - start.date()).days
    epoch = datetime(1970, 1, 1, tzinfo=timezone.utc)
    assert answer["UnixMilliseconds"] == (end - epoch) // timedelta(milliseconds=1)
    moved = start.astimezone(timezone(timedelta(minutes=offset)))
    assert answer["Offset"] == moved.isoformat(timespec="seconds")
    assert answer["Rfc1123"] == format_datetime(end, usegmt=True)
    assert answer["Total"] == pytest.approx(span.total_seconds(), rel=1e-15)
    assert answer["DateOnly"] == end.date().isoformat()
    assert answer["TimeOnly"] == end.hour
    assert answer["Zone"] == 0

    size = abs(span)
    days = f"{size.days}." if size.days else ""
    clock = f"{size.seconds // 3600:02}:{size.seconds // 60 % 60:02}:{size.seconds % 60:02}"
    fraction = f".{size.microseconds:06}0" if size.microseconds else ""
    assert answer["Span"] == ("-" if microseconds < 0 else "") + days + clock + fraction


@pytest.mark.parametrize(
    ("format_", "value", "expected"),
    [
        ("{0:N2}", 1234567.891, f"{1234567.891:,.2f}"),
        ("{0:N0}", -48879, f"{-48879:,}"),
        ("{0:X8}", 48879, f"{48879:08X}"),
        ("{0:x}", 48879, f"{48879:x}"),
        ("{0:B}", 10, f"{10:b}"),
        ("{0:D6}", -42, "-000042"),
        ("{0:F3}", 2 / 3, f"{2 / 3:.3f}"),
        ("{0:E3}", 123456.789, "1.235E+005"),
        ("{0:P1}", 0.256, "25.6%"),
        ("[{0,8}]", 42, f"[{42:8}]"),
        ("[{0,-8}]", 42, f"[{42:<8}]"),
        ("{{{0}}}", 1, "{1}"),
        ("{0:0.##}", 1.5, "1.5"),
        ("{0:#,##0.00;(#,##0.00)}", -1234.5, "(1,234.50)"),
        ("{0:G17}", 0.1, f"{0.1:.17g}"),
        ("{0}", 1e300, "1E+300"),
        ("{0:C}", 12, "¤12.00"),
    ],
)
def test_composite_formats(ask: Conversation, format_: str, value: float, expected: str) -> None:
    answer = ask("numbers", "Formatting", {"format": format_, "value": value})

    # .NET writes the percent sign after a space in the invariant culture.
    assert answer.replace(" %", "%") == expected


def test_the_culture_is_invariant_and_case_mapping_is_unicode(ask: Conversation) -> None:
    text = "éøñЖß ω 𐐨 ÀÿΣ"
    answer = ask("numbers", "Culture", text)

    assert answer["Current"] == ""
    # It exists, and behaves as the invariant one does.
    assert answer["German"] == "."
    # Simple case mapping: a letter stays one letter.
    assert answer["Upper"] == "".join(c.upper() if len(c.upper()) == 1 else c for c in text)
    assert answer["Lower"] == "".join(c.lower() for c in text)
    assert answer["Number"] == f"{1234567.891:,.2f}"
    assert answer["Date"] == "Friday, 02 January 2026"
    assert answer["IgnoreCase"] is True
    assert answer["Sorted"] == sorted("bAaB")
