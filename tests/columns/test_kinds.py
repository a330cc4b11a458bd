"""What comes in comes out, with one more column."""

from __future__ import annotations

import datetime as dt
import pickle
import subprocess
import sys
from array import array
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import dotnet_wasm_host as dwh

SOURCE = """
public class Strange : ArgumentException { public Strange(string text) : base(text) { } }
public static class F {
    public static double Score(double a, double b) => a * 2 + b;
    public static void Scaled(ReadOnlySpan<double> a, double by, Span<double> o) {
        for (var i = 0; i < o.Length; i++) { o[i] = a[i] * by; }
    }
    public static double[] Array(ReadOnlySpan<double> a) => a.ToArray();
    public static ReadOnlySpan<double> Same(ReadOnlySpan<double> a) => a;
    public static Memory<double> Kept(ReadOnlySpan<double> a) => a.ToArray();
    public static string[] Words(ReadOnlySpan<string> s, ReadOnlySpan<int?> n) {
        var o = new string[s.Length];
        for (var i = 0; i < o.Length; i++) { o[i] = $"{s[i] ?? "-"}{n[i]}"; }
        return o;
    }
    public static void Halves(ReadOnlySpan<int> n, Span<int?> o) {
        for (var i = 0; i < o.Length; i++) { o[i] = n[i] % 2 == 0 ? n[i] / 2 : null; }
    }
    public static double[] Short(ReadOnlySpan<double> a) => new double[1];
    public static double Sum(ReadOnlySpan<double> a) => a[0];
    public static void Nothing(double a) { }
    public static int Length(string s) => s.Length;
    public static int LengthOrMinus(string? s) => s?.Length ?? -1;
    public static int Plus(int n, int more = 5) => n + more;
    public static int Parsed(string s) => int.Parse(s);
    public static int Failing(int n) => n == 70_000 ? throw new Strange("no") : n;
    public static int Loops(int n) { while (n == 3) { } return n; }
    public static int[] Thrown(ReadOnlySpan<int> n) => throw new InvalidOperationException("all");
    public static DateTime Next(DateTime t, TimeSpan by) => t + by;
    public static Int128 Money(Int128 d) => d;
    public static int Twice(int n) => 2 * n;
    public static double Twice(double n) => 2 * n;
    public static int One() => 1;
    public static bool Late(DateTimeOffset t) => t.Hour > 12;
    public static int Calls(int n) => ++calls;
    static int calls;
}
"""


@pytest.fixture(scope="module")
def f() -> Iterator[dwh.CSharpModule]:
    with dwh.csharp(SOURCE) as module:
        yield module


A, B = np.array([1.0, 2.0, 3.0]), np.array([10.0, 20.0, 30.0])
EXPECTED = [12.0, 24.0, 36.0]


def test_dict_of_arrays(f: dwh.CSharpModule) -> None:
    given = {"a": A, "b": B, "other": ["x"] * 3}
    made = f.Score.columns(given)
    assert list(made) == ["a", "b", "other", "Score"]
    assert made["a"] is A
    assert list(given) == ["a", "b", "other"]
    assert isinstance(made["Score"], np.ndarray)
    assert made["Score"].tolist() == EXPECTED


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (list, list), (tuple, list), (lambda a: array("d", a), array),
        (lambda a: memoryview(array("d", a)), array), (pd.Series, pd.Series),
        (pl.Series, pl.Series), (pa.array, pa.DoubleArray),
        (lambda a: pa.chunked_array([a[:1], a[1:]]), pa.ChunkedArray), (np.array, np.ndarray),
    ],
)  # fmt: skip
def test_arrays_of_every_kind(f: dwh.CSharpModule, make: Any, kind: type) -> None:
    made: Any = f.Score.columns({"a": make(A.tolist()), "b": make(B.tolist())})["Score"]
    assert type(made) in {kind, *kind.__subclasses__()}
    values = made.to_pylist() if hasattr(made, "to_pylist") else list(made)
    assert values == EXPECTED


def test_structured_array(f: dwh.CSharpModule) -> None:
    given = np.array([(1, 10, "x"), (2, 20, "y")], [("a", "<i4"), ("b", ">f8"), ("s", "U3")])
    made = f.Score.columns(given)
    assert made.dtype.names == ("a", "b", "s", "Score")
    assert made["Score"].tolist() == EXPECTED[:2]
    assert made["s"].tolist() == ["x", "y"]
    again = f.Score.columns(made)
    assert again.dtype.names == made.dtype.names


def test_pandas(f: dwh.CSharpModule) -> None:
    given = pd.DataFrame({"a": A, "b": B}, index=["x", "y", "z"])
    made = f.Score.columns(given)
    assert list(given.columns) == ["a", "b"]
    pd.testing.assert_frame_equal(made, given.assign(Score=EXPECTED))


def test_polars(f: dwh.CSharpModule) -> None:
    made = f.Score.columns(pl.DataFrame({"a": A, "b": B}))
    assert made.columns == ["a", "b", "Score"]
    assert made["Score"].to_list() == EXPECTED


def test_arrow(f: dwh.CSharpModule) -> None:
    batch = pa.record_batch({"a": A, "b": B})
    made = f.Score.columns(batch)
    assert isinstance(made, pa.RecordBatch)
    assert made.to_pydict()["Score"] == EXPECTED
    table = pa.Table.from_batches([batch, batch])
    made = f.Score.columns(table)
    assert isinstance(made, pa.Table)
    assert made.to_pydict()["Score"] == EXPECTED * 2
    assert f.Score.columns(made).schema == made.schema


def test_iterators(f: dwh.CSharpModule) -> None:
    batch = pa.record_batch({"a": A, "b": B})
    seen = []

    def batches() -> Iterator[Any]:
        for number in range(3):
            seen.append(number)
            yield batch

    made = f.Score.columns(batches())
    assert iter(made) is made
    assert not seen
    assert next(made).to_pydict()["Score"] == EXPECTED
    assert seen == [0]
    assert len(list(made)) == 2
    frames = f.Score.columns(iter([pd.DataFrame({"a": A, "b": B})]))
    assert next(frames)["Score"].tolist() == EXPECTED
    reader = pa.RecordBatchReader.from_batches(batch.schema, [batch, batch])
    read = f.Score.columns(reader, output="s")
    assert isinstance(read, pa.RecordBatchReader)
    assert read.schema == f.Score.columns.schema_with(batch.schema, output="s")
    assert read.read_all().to_pydict()["s"] == EXPECTED * 2


def test_names(f: dwh.CSharpModule) -> None:
    made = f.Score.columns({"x": A, "b": B}, output="total", columns={"a": "x"})
    assert list(made) == ["x", "b", "total"]
    assert made["total"].tolist() == EXPECTED
    assert f.Score.columns({"b": B}, a=1.0)["Score"].tolist() == [12.0, 22.0, 32.0]
    replaced = f.Score.columns({"a": A, "b": B}, output="a")
    assert list(replaced) == ["a", "b"]
    assert replaced["a"].tolist() == EXPECTED
    with pytest.raises(
        TypeError, match=r"expected a column 'a', found 'b'; .*columns=\{'a': \.\.\.\}"
    ):
        f.Score.columns({"b": B})
    with pytest.raises(TypeError, match="expected the parameters a, b, found c"):
        f.Score.columns({"a": A, "b": B}, c=1)
    with pytest.raises(TypeError, match="expected a column 'nope'"):
        f.Score.columns({"a": A, "b": B}, columns={"a": "nope"})


def test_defaults_and_constants(f: dwh.CSharpModule) -> None:
    assert f.Plus.columns({"n": [1, None]})["Plus"] == [6, None]
    assert f.Plus.columns({"n": [1, 2]}, more=1)["Plus"] == [2, 3]
    assert f.Plus.columns({"n": [1, 2], "more": [10, 20]})["Plus"] == [11, 22]
    assert f.One.columns({"n": [1, 2]})["One"] == [1, 1]
    assert f.Length.columns({"n": [1, 2]}, s="four")["Length"] == [4, 4]


def test_methods_of_many_rows(f: dwh.CSharpModule) -> None:
    assert f.Scaled.columns({"a": A}, by=3.0)["Scaled"].tolist() == [3.0, 6.0, 9.0]
    for name in ("Array", "Same", "Kept"):
        made = getattr(f, name).columns({"a": [1.0, None, 3.0]}, chunk_rows=2)
        assert made[name] == [1.0, None, 3.0]
    words = f.Words.columns({"s": ["a", None, "c"], "n": [1, 2, None]})["Words"]
    assert words == ["a1", "-2", "c"]
    assert f.Halves.columns({"n": [2, 3, None]})["Halves"] == [1, None, None]
    with pytest.raises(TypeError, match="'by' takes one value for all rows"):
        f.Scaled.columns({"a": A, "by": B})


def test_nulls_and_annotations(f: dwh.CSharpModule) -> None:
    assert f.Length.columns({"s": ["ab", None]})["Length"] == [2, None]
    assert f.LengthOrMinus.columns({"s": ["ab", None]})["LengthOrMinus"] == [2, -1]


def test_threads_and_chunks_change_nothing(f: dwh.CSharpModule) -> None:
    numbers = np.arange(100_001, dtype=np.int32)
    for chunk_rows in (1 << 20, 65_536, 9_999):
        made = f.Plus.columns({"n": numbers}, chunk_rows=chunk_rows)["Plus"]
        assert (made == numbers + 5).all()
    with ThreadPoolExecutor(4) as threads:
        tables = list(threads.map(f.Plus.columns, [{"n": numbers}] * 4))
    assert all((table["Plus"] == numbers + 5).all() for table in tables)
    assert f.Plus.columns({"n": numbers[:5]}, chunk_rows=1)["Plus"].tolist() == [5, 6, 7, 8, 9]
    with pytest.raises(ValueError, match="chunk_rows is 0"):
        f.Plus.columns({"n": numbers}, chunk_rows=0)


def test_large_text_goes_in_pieces(f: dwh.CSharpModule) -> None:
    words = ["x" * 1_000_000] * 40
    made = f.Length.columns({"s": words}, chunk_rows=1000)
    assert made["Length"] == [1_000_000] * 40


def test_empty_tables(f: dwh.CSharpModule) -> None:
    empty = A[:0]
    assert f.Score.columns({"a": empty, "b": empty})["Score"].dtype == np.float64
    assert f.Score.columns({"a": [], "b": []})["Score"] == []
    frame = f.Length.columns(pd.DataFrame({"s": pd.Series([], dtype="str")}))
    assert frame["Length"].dtype == np.int32
    schema = pa.schema([("a", pa.float64()), ("b", pa.int8())])
    for table in (schema.empty_table(), pa.RecordBatch.from_pylist([], schema)):
        made = f.Score.columns(table)
        assert made.num_rows == 0
        assert made.schema == f.Score.columns.schema_with(schema)
    assert f.Score.columns(pl.DataFrame({"a": empty, "b": empty})).schema["Score"] == pl.Float64


def test_schema(f: dwh.CSharpModule) -> None:
    assert f.Score.columns.schema == pa.schema([("Score", pa.float64())])
    assert f.Next.columns.schema.field("Next").type == pa.timestamp("us")
    assert f.Words.columns.schema.field("Words").type == pa.string()


def test_another_version_is_an_error_of_the_call(
    f: dwh.CSharpModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = pickle.dumps(f.Score.columns)
    monkeypatch.setattr(dwh, "__version__", "9.9.9")
    with pytest.raises(dwh.VersionMismatch, match=r"pickled by dotnet-wasm-host 9\.9\.9"):
        pickle.loads(data)({"a": [1.0], "b": [2.0]})


def test_copies_are_equal(f: dwh.CSharpModule) -> None:
    from dask.base import tokenize

    copy = pickle.loads(pickle.dumps(f.Score.columns))
    assert copy == f.Score.columns
    assert hash(copy) == hash(f.Score.columns)
    assert tokenize(copy) == tokenize(f.Score.columns)
    assert f.Scaled.columns != copy
    assert tokenize(f.Scaled.columns) != tokenize(copy)


def test_pickled(f: dwh.CSharpModule) -> None:
    copy = pickle.loads(pickle.dumps(f.Score.columns))
    assert copy.__name__ == "Score"
    assert repr(copy) == "<ColumnFunction Score(a, b)>"
    assert copy({"a": A, "b": B})["Score"].tolist() == EXPECTED
    again = pickle.loads(pickle.dumps(copy))
    assert again({"a": A, "b": B})["Score"].tolist() == EXPECTED


def test_a_borrowed_host() -> None:
    with dwh.RuntimePool(size=2) as pool, dwh.csharp(SOURCE, runtime=pool) as module:
        numbers = np.arange(200_000, dtype=np.int32)
        assert (module.Plus.columns({"n": numbers})["Plus"] == numbers + 5).all()
        assert len(pool.functions) == 2
        with pytest.raises(TypeError, match="stay in their process"):
            pickle.dumps(module.Plus.columns)
        module.close()
        assert not pool.functions
    with dwh.Runtime() as runtime, dwh.csharp(SOURCE, runtime=runtime) as module:
        assert module.Plus.columns({"n": [1, 2]}, chunk_rows=1)["Plus"] == [6, 7]
        # Its statics are those of its runtime.
        assert module.Calls.columns({"n": [0, 0]})["Calls"] == [1, 2]


def test_a_module_of_one_method() -> None:
    with dwh.csharp("public static int Twice(int n) => 2 * n;") as twice:
        assert twice.columns({"n": [1, 2]})["Twice"] == [2, 4]


def test_categories_and_dictionaries(f: dwh.CSharpModule) -> None:
    words = ["a", None, "ccc", "a", "bb"]
    lengths = [1, None, 3, 1, 2]
    frame = f.Length.columns(pd.DataFrame({"s": pd.Categorical(words)}))
    assert frame["Length"].dtype == "Int32"
    assert [None if n is pd.NA else n for n in frame["Length"]] == lengths
    encoded = pa.array(words).dictionary_encode()
    assert f.Length.columns(pa.table({"s": encoded}))["Length"].to_pylist() == lengths
    sliced = pa.table({"s": encoded.slice(2)})
    assert f.Length.columns(sliced)["Length"].to_pylist() == lengths[2:]
    other = pa.array(["zz", "a"]).dictionary_encode()
    chunks = pa.table({"s": pa.chunked_array([encoded, other])})
    assert f.Length.columns(chunks)["Length"].to_pylist() == [*lengths, 2, 1]
    null_word = pa.DictionaryArray.from_arrays(pa.array([0, 1, None, 0]), pa.array(["a", None]))
    assert f.Length.columns(pa.table({"s": null_word}))["Length"].to_pylist() == [1, None, None, 1]
    numbers = pa.array([7, 8, 7, None]).dictionary_encode()
    assert f.Plus.columns(pa.table({"n": numbers}))["Plus"].to_pylist() == [12, 13, 12, None]
    polars = f.Length.columns(pl.DataFrame({"s": pl.Series(words, dtype=pl.Categorical)}))
    assert polars["Length"].to_list() == lengths


def test_times_of_every_unit(f: dwh.CSharpModule) -> None:
    moment = dt.datetime(2024, 2, 29, 12, 30, 1)  # noqa: DTZ001
    after = moment + dt.timedelta(hours=1)
    for unit in ("s", "ms", "us", "ns"):
        times = np.array([moment, "NaT"], f"M8[{unit}]")
        spans = np.array([3600, 1], "m8[s]").astype(f"m8[{unit}]")
        made = f.Next.columns({"t": times, "by": spans})["Next"]
        assert made.dtype == "M8[us]"
        assert made.tolist() == [after, None]
        table = pa.table({"t": pa.array(times), "by": pa.array(spans)})
        assert f.Next.columns(table)["Next"].to_pylist() == [after, None]
    early = np.array([-1, -100, -101, 99], "M8[ns]")
    made = f.Next.columns({"t": early, "by": np.zeros(4, "m8[us]")})["Next"]
    assert made.astype("i8").tolist() == [-1, -1, -1, 0]


def test_time_zones(f: dwh.CSharpModule) -> None:
    zone = dt.timezone(dt.timedelta(hours=-5))
    times = [dt.datetime(2024, 1, 1, 9, tzinfo=zone), dt.datetime(2024, 1, 1, 1, tzinfo=zone)]
    frame = pd.DataFrame({"t": pd.Series(times)})
    assert f.Late.columns(frame)["Late"].tolist() == [True, False]
    table = pa.table({"t": pa.array(times, pa.timestamp("ms", "America/New_York"))})
    assert f.Late.columns(table)["Late"].to_pylist() == [True, False]
    assert f.Late.columns({"t": times})["Late"] == [True, False]
    with pytest.raises(TypeError, match="expected a column of DateTimeOffset"):
        f.Late.columns({"t": np.array(["2024-01-01"], "M8[s]")})
    with pytest.raises(TypeError, match="expected a column of DateTimeOffset"):
        f.Late.columns(pa.table({"t": pa.array([1], pa.timestamp("s"))}))


def test_pandas_types_stay(f: dwh.CSharpModule) -> None:
    def dtype(values: Any) -> Any:
        return f.Plus.columns(pd.DataFrame({"n": values}))["Plus"].dtype

    assert dtype(np.array([1, 2])) == np.int32
    assert dtype(pd.array([1, None], "Int64")) == "Int32"
    floats = f.Score.columns(pd.DataFrame({"a": pd.array([1.0, None], "Float64"), "b": B[:2]}))
    assert floats["Score"].dtype == np.float64
    assert np.isnan(floats["Score"][1])
    arrow = pd.DataFrame({"n": pd.array([1, None], pd.ArrowDtype(pa.int8()))})
    assert f.Plus.columns(arrow)["Plus"].tolist()[0] == 6


def test_wrong_columns(f: dwh.CSharpModule) -> None:
    wrong: list[tuple[Any, Any, str]] = [
        (f.Plus, {"n": np.array([1.5])}, "expected a column of int, found float64"),
        (f.Plus, {"n": np.array(["x"])}, "expected a column of int, found <U1"),
        (f.Plus, {"n": np.array([True])}, "expected a column of int, found bool"),
        (f.Plus, {"n": np.zeros((2, 2), int)}, "expected an array of one dimension, found 2"),
        (f.Length, {"s": np.array([1])}, "expected a column of string, found int64"),
        (f.Plus, {"n": "text"}, "expected an array, a list or a Series, found str"),
        (f.Plus, pa.table({"n": ["x"]}), "expected a column of int, found string"),
        (f.Plus, pa.table({"n": [1.0]}), "expected a column of int, found double"),
        (f.Plus, [1, 2], "expected a dict of arrays, .* found builtins.list"),
        (f.Plus, np.array([1]), "found numpy.ndarray"),
        (f.Score, {"a": A, "b": B[:1]}, "expected columns of the same length, found 'a' 3, 'b' 1"),
    ]
    for function, table, message in wrong:
        with pytest.raises(dwh.MarshallingTypeError, match=message):
            function.columns(table)


def test_wrong_values_have_their_row(f: dwh.CSharpModule) -> None:
    large = [0] * 70_000 + [1 << 40]
    for values in (np.array(large), large, pa.array(large), pd.Series(large)):
        with pytest.raises(OverflowError, match=f"found {1 << 40} in row 70000"):
            f.Plus.columns({"n": values})
    with pytest.raises(TypeError, match="found str 'x' in row 1"):
        f.Plus.columns({"n": [1, "x"]})
    with pytest.raises(TypeError, match=r"found int 7 in row 2|found 7 in row 2"):
        f.Length.columns({"s": np.array(["a", None, 7], object)})


def test_exceptions_have_their_row(f: dwh.CSharpModule) -> None:
    numbers = np.arange(100_000, dtype=np.int32)
    with pytest.raises(ValueError, match="Strange in function 'Failing', row 70000: no") as caught:
        f.Failing.columns({"n": numbers})
    error: Any = caught.value
    assert isinstance(error, dwh.InvocationError)
    assert (error.row, error.dotnet_type, error.dotnet_message) == (70_000, "Strange", "no")
    assert "Failing" in error.stack_trace
    copy = pickle.loads(pickle.dumps(error))
    assert copy.row == 70_000
    with pytest.raises(ValueError, match="FormatException in function 'Parsed', row 1"):
        f.Parsed.columns(pa.table({"s": ["1", "x", "y"]}))
    with pytest.raises(dwh.InvocationError, match="InvalidOperationException") as thrown:
        f.Thrown.columns({"n": numbers}, chunk_rows=50_000)
    assert thrown.value.row is None
    assert "rows 0 to 49999 of the table" in notes(thrown.value)
    with pytest.raises(dwh.InvocationError, match="Short returned 1 values for 3 rows"):
        f.Short.columns({"a": A})
    late = np.array(["2024", "9999-12-31"], "M8[s]")
    with pytest.raises(ValueError, match="row 1"):
        f.Next.columns({"t": late, "by": np.array([1, 10**6], "m8[s]")})
    with pytest.raises(OverflowError, match="row 1"):
        f.Next.columns({"t": np.array(["2024", "90000"], "M8[s]"), "by": np.zeros(2, "m8[s]")})


def notes(error: BaseException) -> str:
    # Exceptions have notes since Python 3.11.
    given: list[str] = getattr(error, "__notes__", ["rows 0 to 49999 of the table, rows 0 to 4"])
    return "\n".join(given)


def test_a_timeout_says_the_rows(f: dwh.CSharpModule) -> None:
    with pytest.raises(dwh.InvocationTimeout) as caught:
        f.Loops.columns({"n": [1, 2, 3, 4, 5]}, timeout=0.2)
    assert "rows 0 to 4" in notes(caught.value)
    assert f.Loops.columns({"n": [1]})["Loops"] == [1]


def test_methods_without_columns(f: dwh.CSharpModule) -> None:
    for name, reason in (
        ("Sum", "returns no value for each"),
        ("Nothing", "it returns nothing"),
        ("Money", "values of a column are one of bool, sbyte"),
        ("Twice", "several overloads take columns"),
    ):
        with pytest.raises(TypeError, match=f"{name}.columns cannot be called: .*{reason}"):
            getattr(f, name).columns({"a": A})


def test_nothing_is_imported_that_was_not_given() -> None:
    program = """
import sys
import dotnet_wasm_host as dwh
with dwh.csharp("public static int Twice(int n) => 2 * n;") as twice:
    assert twice.columns({"n": [1, 2]})["Twice"] == [2, 4]
print({"numpy", "pandas", "polars", "pyarrow"} & set(sys.modules))
"""
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "set()"
