"""Columns of every type, with nulls, slices, offsets and chunks; beside the method itself."""

from __future__ import annotations

import datetime as dt
import itertools
import struct
import uuid
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dotnet_wasm_host as dwh
from dotnet_wasm_host.columns.types import TYPES
from dotnet_wasm_host.columns.wire import read_answer

# Twenty-four types, of which each has kernels of its own to compile.
pytestmark = pytest.mark.slow
UTC = dt.timezone.utc


def _integers(bits: int, *, signed: bool = True) -> st.SearchStrategy[int]:
    low = -(1 << bits - 1) if signed else 0
    return st.integers(low, low + (1 << bits) - 1)


#: By name: C#'s type, values, the type of Arrow, the dtype of NumPy.
CASES: dict[str, tuple[str, st.SearchStrategy[Any], Any, str]] = {
    "Bool": ("bool", st.booleans(), pa.bool_(), "?"),
    "SByte": ("sbyte", _integers(8), pa.int8(), "i1"),
    "Byte": ("byte", _integers(8, signed=False), pa.uint8(), "u1"),
    "Short": ("short", _integers(16), pa.int16(), "i2"),
    "UShort": ("ushort", _integers(16, signed=False), pa.uint16(), "u2"),
    "Int": ("int", _integers(32), pa.int32(), "i4"),
    "UInt": ("uint", _integers(32, signed=False), pa.uint32(), "u4"),
    "Long": ("long", _integers(64), pa.int64(), "i8"),
    "ULong": ("ulong", _integers(64, signed=False), pa.uint64(), "u8"),
    "Float": ("float", st.floats(width=32, allow_nan=False), pa.float32(), "f4"),
    "Double": ("double", st.floats(allow_nan=False), pa.float64(), "f8"),
    "Half": ("Half", st.floats(width=16, allow_nan=False), pa.float16(), "f2"),
    "Text": ("string", st.text(st.characters(exclude_categories=["Cs"]), max_size=9),
             pa.string(), "O"),
    "Bytes": ("byte[]", st.binary(max_size=9), pa.binary(), "O"),
    "Time": ("DateTime", st.datetimes(), pa.timestamp("us"), "M8[us]"),
    "Moment": ("DateTimeOffset", st.datetimes(timezones=st.just(UTC)),
               pa.timestamp("us", "UTC"), ""),
    "Day": ("DateOnly", st.dates(), pa.date32(), "M8[D]"),
    "Clock": ("TimeOnly", st.times(), pa.time64("us"), ""),
    "Span": ("TimeSpan", st.timedeltas(dt.timedelta(-10**6), dt.timedelta(10**6)),
             pa.duration("us"), "m8[us]"),
    "Char": ("char", st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"]),
             pa.string(), "O"),
    "Number": ("decimal", st.decimals(-10**10, 10**10, places=18), pa.decimal128(38, 18), "O"),
    "Id": ("Guid", st.uuids(), pa.uuid(), "O"),
    "Level": ("Depth", st.sampled_from([0, 1, -7, 40_000]), pa.int64(), "i8"),
    "Flag": ("Small", st.integers(0, 255), pa.uint8(), "u1"),
}  # fmt: skip


def _source() -> str:
    lines = ["public enum Depth : long { Low, High, Deep = -7 } public enum Small : byte { A }"]
    for name, (csharp, *_) in CASES.items():
        lines.append(f"public static {csharp}? {name}({csharp}? x) => x;")
        lines.append(f"public static {csharp} {name}Plain({csharp} x) => x;")
        lines.append(
            f"public static {csharp}?[] {name}Many(ReadOnlySpan<{csharp}?> x) => x.ToArray();"
        )
        lines.append(
            f"public static void {name}Filled(ReadOnlySpan<{csharp}> x, Span<{csharp}> o) "
            "=> x.CopyTo(o);"
        )
    return "\n".join(lines)


@pytest.fixture(scope="module")
def same() -> Iterator[dwh.CSharpModule]:
    with dwh.csharp(_source()) as module:
        yield module


def _lists(name: str) -> st.SearchStrategy[list[Any]]:
    return st.lists(st.none() | CASES[name][1], max_size=40)


def _arrow(values: list[Any], kind: Any) -> Any:
    if pa.types.is_float16(kind):
        values = [None if value is None else np.float16(value) for value in values]
    return pa.array(values, kind)


@pytest.mark.parametrize("name", CASES)
@settings(max_examples=15)
@given(data=st.data())
def test_lists(same: dwh.CSharpModule, name: str, data: st.DataObject) -> None:
    values = data.draw(_lists(name))
    chunk = data.draw(st.integers(1, 50))
    for variant in ("", "Plain", "Many", "Filled"):
        method = getattr(same, name + variant)
        made = method.columns({"x": values}, chunk_rows=chunk)[name + variant]
        assert made == values
    # The method itself says the same of each.
    assert [getattr(same, name)(value) for value in values[:5]] == values[:5]


@pytest.mark.parametrize("name", CASES)
@settings(max_examples=25)
@given(data=st.data())
def test_arrow(same: dwh.CSharpModule, name: str, data: st.DataObject) -> None:
    values = data.draw(_lists(name))
    kind, variant = CASES[name][2], data.draw(st.sampled_from(["", "Plain", "Many", "Filled"]))
    method = getattr(same, name + variant).columns
    chunk = data.draw(st.integers(1, 50))
    before, after = data.draw(st.integers(0, 9)), data.draw(st.integers(0, 9))
    padded = _arrow([*values[:before], *values, *values[:after]], kind)
    sliced = padded.slice(min(before, len(values)), len(values))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(values)), max_size=3)))
    ends = [0, *cuts, len(values)]
    chunked = pa.chunked_array([sliced.slice(a, b - a) for a, b in itertools.pairwise(ends)], kind)
    for column in (sliced, chunked, *_encoded(sliced)):
        made = method({"x": column}, chunk_rows=chunk)[name + variant]
        assert made.type == kind
        assert made.to_pylist() == sliced.to_pylist()
        made.validate(full=True)
    batch = method(pa.record_batch({"x": sliced}), chunk_rows=chunk)
    assert batch.column(1).to_pylist() == sliced.to_pylist()


def _encoded(array: Any) -> list[Any]:
    """The same by words, where Arrow has it so."""
    kind = array.type
    forms = []
    if pa.types.is_string(kind) or pa.types.is_binary(kind) or pa.types.is_int64(kind):
        forms.append(array.dictionary_encode())
    if pa.types.is_string(kind):
        forms += [array.cast(pa.large_string()), array.cast(pa.string_view())]
    if pa.types.is_binary(kind):
        forms.append(array.cast(pa.large_binary()))
    return forms


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case[3]])
@settings(max_examples=20)
@given(data=st.data())
def test_numpy(same: dwh.CSharpModule, name: str, data: st.DataObject) -> None:
    values = data.draw(_lists(name))
    dtype = np.dtype(CASES[name][3])
    method = getattr(same, name + data.draw(st.sampled_from(["", "Plain", "Many", "Filled"])))
    chunk = data.draw(st.integers(1, 50))
    array = _masked(values, dtype)
    strided = (
        np.ma.repeat(array, 3)[::3] if np.ma.isMaskedArray(array) else np.repeat(array, 3)[::3]
    )
    for form in (array, strided, array[::-1][::-1], _big(array)):
        made = method.columns({"x": form}, chunk_rows=chunk)[method.__name__]
        found = made.tolist()
        assert found == values


def _masked(values: list[Any], dtype: np.dtype[Any]) -> Any:
    nulls = [value is None for value in values]
    if dtype.kind == "O":
        array = np.empty(len(values), object)
        array[:] = values
        return array
    if dtype.kind in "mM":
        return np.array(["NaT" if value is None else value for value in values], dtype)
    return np.ma.masked_array([value or 0 for value in values], nulls, dtype)


def _big(array: Any) -> Any:
    """With the other order of bytes."""
    return array.astype(array.dtype.newbyteorder(">")) if array.dtype.kind != "O" else array


@pytest.mark.parametrize("name", CASES)
@settings(max_examples=15)
@given(data=st.data())
def test_frames(same: dwh.CSharpModule, name: str, data: st.DataObject) -> None:
    values = data.draw(_lists(name))
    method, kind = getattr(same, name).columns, CASES[name][2]
    arrow = _arrow(values, kind)
    series = pd.Series(pd.array(arrow, dtype=pd.ArrowDtype(kind)))
    made = method(pd.DataFrame({"x": series}), chunk_rows=7)[name]
    assert [None if value is None or pd.isna(value) else value for value in made.tolist()] == [
        _as_pandas(name, v) for v in values
    ]
    if name == "Half":  # Polars reads it as float32
        return
    if name == "Id":
        with pytest.raises(
            dwh.MarshallingTypeError, match=r"Polars has a type for, found Guid; re"
        ):
            method(pl.DataFrame({"x": [bytes(16)]}))
        return
    made = method(pl.DataFrame({"x": pl.from_arrow(arrow)}), chunk_rows=7)[name]
    assert made.to_list() == arrow.to_pylist()


def _as_pandas(name: str, value: Any) -> Any:
    """What pandas makes of a value."""
    if value is None:
        return None
    if name == "Day":
        return pd.Timestamp(value)
    if name == "Clock":
        return dt.datetime.combine(dt.date.min, value) - dt.datetime.combine(dt.date.min, dt.time())
    return value


def test_decimals_keep_their_digits(same: dwh.CSharpModule) -> None:
    exact = ["1.10", "-0.00", "79228162514264337593543950335", "1E+3", "0." + "1" * 28, "-5E-28"]
    values = [*map(Decimal, exact), 3, None]
    made = same.Number.columns({"x": values})["Number"]
    assert [str(value) for value in made[:2]] == ["1.10", "0.00"]
    assert made == values
    with pytest.raises(dwh.InvocationError, match="decimal cannot hold") as caught:
        same.Number.columns({"x": [Decimal(1), Decimal("0." + "1" * 29)]})
    assert caught.value.row == 1
    for wrong in (1.5, "1", True, Decimal("NaN")):
        with pytest.raises(dwh.MarshallingTypeError, match=r"expected decimal, found .* in row 1"):
            same.Number.columns({"x": [Decimal(1), wrong]})
    wide = pa.array([Decimal("0." + "0" * 17 + "10"), Decimal(2)], pa.decimal256(60, 30))
    assert same.Number.columns({"x": wide})["Number"].to_pylist() == wide.to_pylist()
    assert same.Number.columns({"x": np.arange(3)})["Number"].tolist() == [0, 1, 2]
    with dwh.csharp("public static decimal Third(decimal x) => x / 3;") as third:
        assert third.columns({"x": [Decimal(1)]})["Third"] == [Decimal("0." + "3" * 28)]
        with pytest.raises(dwh.MarshallingError, match=r"in row 1; return Math.Round\(x, 18\)"):
            third.columns({"x": pa.array([Decimal(3), Decimal(1)])})


def test_characters_identifiers_and_enums_are_checked(same: dwh.CSharpModule) -> None:
    with pytest.raises(dwh.MarshallingTypeError, match="expected char, found str 'ab' in row 1"):
        same.Char.columns({"x": ["a", "ab"]})
    with pytest.raises(dwh.InvocationError, match="expected one character") as caught:
        same.Char.columns({"x": pa.array(["a", None, "ab"])})
    assert caught.value.row == 2
    with pytest.raises(dwh.MarshallingTypeError, match="expected Guid, found str 'a' in row 0"):
        same.Id.columns({"x": ["a"]})
    with pytest.raises(dwh.MarshallingTypeError, match="a column of Guid, found string"):
        same.Id.columns({"x": pa.array(["a"])})
    with pytest.raises(dwh.MarshallingOverflowError, match=r"found 256 in row 0"):
        same.Flag.columns({"x": [256]})
    assert same.Level.columns({"x": [same.Depth.High, same.Depth.Deep]})["Level"] == [1, -7]
    one = uuid.UUID(int=1)
    made = same.Id.columns({"x": pa.array([one.bytes], pa.binary(16))})["Id"]
    assert made.to_pylist() == [one]
    assert same.Id.columns.schema == pa.schema([("Id", pa.uuid())])
    days = "public static DayOfWeek Next(DayOfWeek d) => (DayOfWeek)(((int)d + 1) % 7);"
    with dwh.csharp(days) as next_day:
        assert next_day.columns({"d": np.arange(7)})["Next"].tolist() == [1, 2, 3, 4, 5, 6, 0]


@pytest.mark.parametrize("name", ["int", "bool", "string", "System.DateTime"])
@given(data=st.binary(max_size=60), rows=st.integers(0, 6))
def test_answers_of_damaged_guests(name: str, data: bytes, rows: int) -> None:
    try:
        answer = read_answer(data, rows, TYPES[name])
    except dwh.MarshallingError:
        return
    assert answer.rows == rows
    assert len(answer.values) + len(answer.content) + len(answer.nulls or b"") == len(data) - 8


@pytest.mark.parametrize("text", [b"ab\xff", b"abc"])
@pytest.mark.parametrize("offsets", [(0, 1, 3), (0, 9, 3), (0, -1, 3), (0, 3, 2), (1, 1, 3)])
def test_offsets_and_text_of_damaged_guests(offsets: tuple[int, ...], text: bytes) -> None:
    from dotnet_wasm_host.columns.arrow_arrays import ArrowResult
    from dotnet_wasm_host.columns.methods import ColumnMethod, Output
    from dotnet_wasm_host.columns.plain import ListResult

    method = ColumnMethod("F.M", "M", (), "string", True, Output.LIFTED)  # noqa: FBT003
    data = struct.pack("<ii3i", 0, 2, *offsets) + text
    for result in (ArrowResult(method, chunked=False), ListResult(method, 2)):
        good = offsets == (0, 1, 3) and text == b"abc"
        try:
            result.add(0, read_answer(data, 2, method.result))
            made = result.finish()
        except dwh.MarshallingError:
            assert not good
        else:
            assert good
            assert list(made if isinstance(made, list) else made.to_pylist()) == ["a", "bc"]
