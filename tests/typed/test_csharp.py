"""Methods of C# called with values: what they take, what they give, what they refuse."""

from __future__ import annotations

import array
import dataclasses
import datetime as dt
import gc
import inspect
import pickle
import re
import sys
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest

import dotnet_wasm_host as dwh

if TYPE_CHECKING:
    from collections.abc import Iterator

UTC = dt.timezone.utc
SOURCE = """
using System.Numerics; using System.Text.Json; using System.Text.Json.Nodes;
public record Point(int X, double Y, string? Name = null);
public record struct Pair(int A, Point? P);
public struct Loose { public int N; public string S { get; set; } public int Twice => 2 * N; }
public record Base(int A) { public int B { get; init; } }
public record Derived(int A, string C) : Base(A);
public record Tree(int V, Tree[] Kids);
public readonly struct Nothing { }
public class Plain { public int X { get; set; } }
public enum Color : byte { Red, Green = 5 }
[Flags] public enum Access { Read = 1, Write = 2 }
public class Odd : ArgumentException { public Odd(string m) : base(m) { } }

public static int Count;
public static int Next() => ++Count;
public static void Nil() { }
public static Point Move(Point p, int dx) => p with { X = p.X + dx };
public static Point? NoPoint(Point? p) => p;
public static Pair OfPair(Pair p) => p;
public static Loose OfLoose(Loose l) => l;
public static Derived OfDerived(Derived d) => d;
public static Nothing[] Nothings(Nothing[] n) => n;
public static Tree OfTree(Tree t) => t;
public static Tree Deep(int n) => new(n, n == 0 ? [] : [Deep(n - 1)]);
public static Tree Round() { var kids = new Tree[1]; kids[0] = new Tree(1, kids); return kids[0]; }
public static double First(ReadOnlySpan<double> xs) => xs[0];
public static ReadOnlySpan<double> Scale(ReadOnlySpan<double> xs, double k) =>
    xs.ToArray().Select(x => x * k).ToArray();
public static Memory<int> Memory(Memory<int> xs) => xs;
public static Dictionary<string, List<Point>> Group(IEnumerable<Point> ps) =>
    ps.GroupBy(p => p.Name!).ToDictionary(g => g.Key, g => g.ToList());
public static Color OfColor(Color c) => c;
public static Access OfAccess(Access a) => a;
public static JsonElement Json(JsonElement j) => j;
public static JsonNode? Node(JsonNode? n) => n;
public static Half OfHalf(Half h) => h;
public static bool Not(bool b) => !b;
public static byte Tiny(byte b) => b;
public static float Single(float f) => f;
public static decimal OfDecimal(decimal d) => d;
public static char OfChar(char c) => c;
public static string OfString(string s) => s;
public static byte[] Bytes(byte[] b) => b;
public static int[] Ints(int[] x) => x;
public static bool[] Bools(bool[] x) => x;
public static List<string> Strings(List<string> x) => x;
public static (int A, string B) OfTuple((int A, string B) t) => t;
public static (int, int, int, int, int, int, int, int, int) Nine() => (1, 2, 3, 4, 5, 6, 7, 8, 9);
public static Dictionary<string, int> Dict(Dictionary<string, int> d) => d;
public static DateTimeOffset Moment(DateTimeOffset m) => m;
public static DateOnly Day(DateOnly d) => d;
public static DateTime Local() => new(2020, 1, 2, 3, 4, 5, DateTimeKind.Local);
public static TimeSpan Ticks() => TimeSpan.FromTicks(19);
public static string HalfPair() => "\\ud800";
public static int Names(int a, int d, int o, int p, int len, int type, int invoke,
    int lambda, int payload) =>
    a + 10 * d + 100 * o + 1000 * p + 10000 * len + 100000 * type + 1000000 * invoke + lambda
    + payload;
public static T Generic<T>(T x) => x;
public static int Borrowed(System.Text.StringBuilder text) => text.Length;
public static Plain OfPlain(Plain p) => p;
public static int[,] Square(int[,] x) => x;
public static void Throw(string type) =>
    throw (Exception)Activator.CreateInstance(Type.GetType(type)!)!;
public static void ThrowOdd() => throw new Odd("odd");
public static int Divide(int a, int b) => a / b;
public static class Tools { public static int Triple(int x) => 3 * x; }
"""


@pytest.fixture(scope="module")
def m() -> Iterator[Any]:
    with dwh.csharp(SOURCE) as module:
        yield module


def test_one_method_is_called_through_the_module() -> None:
    with dwh.csharp("public static int Add(int a, int b) => a + b;") as add:
        assert add(1, 2) == add.Add(1, b=2) == add(b=2, a=1) == 3
        assert callable(add)
        assert str(inspect.signature(add)) == "(a: int, b: int) -> int"
        with pytest.raises(TypeError, match=r"missing 1 required positional argument: 'b'"):
            add(1)


def test_several_methods_are_attributes(m: Any) -> None:
    assert not callable(m)
    assert m.Next() + 1 == m.Next()
    assert m.Nil() is None
    assert {"Move", "Point", "Color"} <= set(dir(m))
    with pytest.raises(AttributeError, match="Nope"):
        m.Nope  # noqa: B018
    assert m.Tools.Triple(2) == m.Triple(2) == 6


def test_parameters_keep_their_names_whatever_they_are(m: Any) -> None:
    signature = inspect.signature(m.Names)
    names = ["a", "d", "o", "p", "len", "type", "invoke", "lambda_", "payload"]
    assert list(signature.parameters) == names
    given = dict.fromkeys(names, 1)
    assert m.Names(**given) == m.Names(*given.values()) == 1111113
    assert m.Move.__qualname__ == "Functions.Move"
    assert m.Move.__annotations__ == {"p": m.Point, "dx": int, "return": m.Point}


class Named(NamedTuple):
    X: int
    Y: float
    Name: str | None


@dataclasses.dataclass
class Data:
    X: int
    Y: float
    Name: str | None
    other: int = 3


@pytest.mark.parametrize("kind", ["class", "dict", "named tuple", "dataclass"])
def test_records_come_in_many_forms_and_are_frozen_dataclasses(m: Any, kind: str) -> None:
    given = {
        "class": m.Point(1, 2.5, "n"),
        "dict": {"Y": 2.5, "X": 1, "Name": "n"},
        "named tuple": Named(1, 2.5, "n"),
        "dataclass": Data(1, 2.5, "n"),
    }[kind]
    moved = m.Move(given, dx=2)
    assert moved == m.Point(3, 2.5, "n")
    assert type(moved) is m.Point
    assert repr(moved) == "Point(X=3, Y=2.5, Name='n')"
    assert hash(moved) == hash(m.Point(3, 2.5, "n"))
    with pytest.raises(dataclasses.FrozenInstanceError):
        moved.X = 4


def test_records_of_all_kinds(m: Any) -> None:
    assert m.NoPoint(None) is None
    assert m.OfPair(m.Pair(1, None)) == m.Pair(1, None)
    assert m.Point(1, 2.0, None) == m.OfPair({"A": 1, "P": {"X": 1, "Y": 2, "Name": None}}).P
    assert m.OfLoose({"N": 3, "S": "s"}) == m.Loose(S="s", N=3)
    derived = m.OfDerived({"A": 1, "B": 2, "C": "c"})
    assert (derived.A, derived.B, derived.C) == (1, 2, "c")
    assert m.Nothings([m.Nothing(), m.Nothing()]) == [m.Nothing(), m.Nothing()]
    tree = m.Tree(1, [m.Tree(2, []), m.Tree(3, [m.Tree(4, [])])])
    assert m.OfTree(tree) == tree
    assert m.Group([m.Point(1, 0.0, "a"), {"X": 2, "Y": 0, "Name": "a"}]) == {
        "a": [m.Point(1, 0.0, "a"), m.Point(2, 0.0, "a")]
    }


def test_depth_is_bounded_both_ways(m: Any) -> None:
    def depth(tree: Any) -> int:
        return 1 + depth(tree.Kids[0]) if tree.Kids else 1

    assert depth(m.OfTree(m.Deep(90))) == 91
    for call in (lambda: m.Deep(150), m.Round):
        with pytest.raises(dwh.InvocationError, match="more than 100 deep"):
            call()
    deep = m.Tree(0, [])
    for _ in range(5_000):
        deep = m.Tree(0, [deep])
    with pytest.raises(dwh.MarshallingError, match="at most 100 values inside"):
        m.OfTree(deep)
    round_ = {"V": 1, "Kids": []}  # type: dict[str, Any]
    round_["Kids"].append(round_)
    with pytest.raises(dwh.MarshallingError, match="at most 100 values inside"):
        m.OfTree(round_)


def test_enums(m: Any) -> None:
    assert m.OfColor(m.Color.Green) is m.Color.Green
    assert m.OfColor("Green") is m.OfColor(5) is m.Color.Green
    assert m.OfColor(77) == 77
    both = m.Access.Read | m.Access.Write
    assert m.OfAccess(both) == both
    assert isinstance(m.OfAccess(2), m.Access)
    with pytest.raises(
        dwh.MarshallingError, match=r"a member of Color \(Red, Green\), found 'Blue'"
    ):
        m.OfColor("Blue")
    with pytest.raises(dwh.MarshallingOverflowError, match="0 to 255"):
        m.OfColor(256)


BUFFERS = {
    "numpy": np.array([1.0, 2.0]),
    "array": array.array("d", [1.0, 2.0]),
    "memoryview": memoryview(array.array("d", [1.0, 2.0])),
    "strided": np.array([1.0, 0.0, 2.0])[::2],
    "list": [1.0, 2],
    "tuple": (1.0, 2.0),
    "integers": np.array([1, 2]),
    "single": np.array([1, 2], dtype=np.float32),
    "big-endian": np.array([1.0, 2.0], dtype=">f8"),
    "iterator": iter([1.0, 2.0]),
}


@pytest.mark.parametrize("kind", BUFFERS)
def test_numbers_go_in_from_anything_that_holds_them(m: Any, kind: str) -> None:
    result = m.Scale(BUFFERS[kind], 2)
    assert isinstance(result, memoryview)
    assert np.asarray(result).dtype == np.float64
    assert result.tolist() == [2.0, 4.0]


def test_large_arrays_cross(m: Any) -> None:
    given = np.arange(200_000.0)
    assert np.array_equal(np.asarray(m.Scale(given, 1.0)), given)
    assert m.First(given) == 0.0
    numbers = np.arange(100_000, dtype=np.int32)
    assert m.Ints(numbers) == numbers.tolist()
    assert m.Memory(numbers).tolist() == numbers.tolist()
    assert m.Bools(np.array([True, False])) == [True, False]


def test_what_python_and_dotnet_have_in_common(m: Any) -> None:
    assert m.Json({"a": [1, None, "x"]}) == {"a": [1, None, "x"]}
    assert m.Node(None) is None
    assert m.Node([1]) == [1]
    assert m.OfHalf(0.5) == 0.5
    assert m.Nine() == (1, 2, 3, 4, 5, 6, 7, 8, 9)
    assert m.OfTuple((1, "b")) == (1, "b")
    assert m.Bytes(bytearray(b"ab")) == m.Bytes(memoryview(b"ab")) == m.Bytes([97, 98]) == b"ab"
    for never_null in (m.Bytes, m.OfString, m.Ints, m.Strings, m.Dict, m.Move):
        with pytest.raises(TypeError, match="never null, found None"):
            never_null(*[None] * len(inspect.signature(never_null).parameters))
    assert m.OfDecimal(3) == 3
    assert str(m.OfDecimal(Decimal("1.500"))) == "1.500"
    assert str(m.OfDecimal(Decimal("1E+3"))) == "1000"
    assert m.Local() == dt.datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert m.Ticks() == dt.timedelta(microseconds=1)
    assert m.Tiny(np.uint8(5)) == 5
    assert m.Not(np.array([True])[0]) is False


WRONG: dict[str, tuple[Any, ...]] = {
    "text for a number": ("Tiny", "x", TypeError, "'b': expected int for byte, found str 'x'"),
    "float for an integer": ("Tiny", 1.0, TypeError, "expected int for byte, found float 1.0"),
    "too large": ("Tiny", 256, OverflowError, "expected 0 to 255 for byte, found int 256"),
    "too small": ("Tiny", -1, OverflowError, "expected 0 to 255 for byte, found int -1"),
    "number for a bool": ("Not", 1, TypeError, "'b': expected bool, found int 1"),
    "text for a float": ("Single", "1", TypeError, "expected float for float, found str '1'"),
    "too large a float": ("Single", 1e300, OverflowError, "a number that float can hold"),
    "float for a decimal": ("OfDecimal", 0.1, TypeError, "expected decimal.Decimal or int"),
    "too large a decimal": ("OfDecimal", Decimal("1e29"), OverflowError, "decimal can hold"),
    "too fine a decimal": ("OfDecimal", Decimal("1e-29"), ValueError, "more than 28 digits"),
    "no decimal": ("OfDecimal", Decimal("NaN"), ValueError, "not a finite number"),
    "two characters": ("OfChar", "ab", ValueError, "one character of the basic plane"),
    "a character above": ("OfChar", "\U0001f600", ValueError, "one character of the basic plane"),
    "number for text": ("OfString", 5, TypeError, "'s': expected str, found int 5"),
    "bytes for text": ("OfString", b"x", TypeError, "expected str, found bytes"),
    "half a pair": ("OfString", "\ud800", ValueError, "half of a surrogate pair at 0"),
    "text for bytes": ("Bytes", "x", TypeError, "expected bytes or a buffer of bytes"),
    "numbers for bytes": ("Bytes", array.array("i", [1]), TypeError, "buffer of bytes"),
    "text for numbers": ("Ints", "12", TypeError, "expected a sequence or buffer of int"),
    "one wrong item": ("Ints", [1, "2"], TypeError, r"'x'[1]: expected int for int"),
    "one large item": ("Ints", [1, 2**31], OverflowError, r"'x'[1]: expected -2147483648 to"),
    "floats for ints": ("Ints", np.array([1.5]), TypeError, r"'x'[0]: expected int for int"),
    "numbers for bools": ("Bools", [1], TypeError, r"'x'[0]: expected bool"),
    "text for texts": ("Strings", "ab", TypeError, "expected a sequence of string"),
    "one wrong text": ("Strings", ["a", 1], TypeError, r"'x'[1]: expected str, found int 1"),
    "a short tuple": ("OfTuple", (1,), TypeError, "expected a tuple of 2, found one of 1"),
    "no tuple": ("OfTuple", "ab", TypeError, "expected a tuple of 2, found str 'ab'"),
    "none for a value": ("OfTuple", None, TypeError, "expected a tuple of 2, found None"),
    "a list for a dict": ("Dict", [1], TypeError, "expected a dict"),
    "a wrong key": ("Dict", {1: 1}, TypeError, "key 1: expected str"),
    "a wrong value": ("Dict", {"a": "b"}, TypeError, "['a']: expected int"),
    "a naive moment": ("Moment", dt.datetime(2020, 1, 1), ValueError, "no time zone"),  # noqa: DTZ001
    "a time for a day": ("Day", dt.datetime(2020, 1, 1), TypeError, "datetime.date"),  # noqa: DTZ001
    "a record without a field": ("NoPoint", {"X": 1}, TypeError, "found dict without 'Y'"),
    "a record with another": ("NoPoint", {"X": 1, "Y": 1, "Name": "", "Z": 1}, TypeError, "th 'Z'"),
    "a number for a record": ("NoPoint", 3, TypeError, "expected Point, a dict or an object"),
    "a wrong field": ("NoPoint", {"X": "1", "Y": 1, "Name": ""}, TypeError, "'p'.X: expected int"),
    "json that json lacks": ("Json", {1j}, TypeError, "found arguments that raised TypeError"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_wrong_values_are_refused_in_a_sentence(m: Any, case: str) -> None:
    method, value, error, sentence = WRONG[case]
    with pytest.raises(error, match=re.escape(sentence)) as caught:
        getattr(m, method)(value)
    assert str(caught.value).startswith(f"{method}(): ")
    assert isinstance(caught.value, dwh.DotnetHostError)


MEANINGS = {
    "System.ArgumentException": ValueError,
    "System.ArgumentNullException": ValueError,
    "System.ArgumentOutOfRangeException": ValueError,
    "System.FormatException": ValueError,
    "System.Collections.Generic.KeyNotFoundException": KeyError,
    "System.IndexOutOfRangeException": IndexError,
    "System.DivideByZeroException": ZeroDivisionError,
    "System.OverflowException": OverflowError,
    "System.NotImplementedException": NotImplementedError,
}


@pytest.mark.parametrize("name", MEANINGS)
def test_exceptions_are_the_built_in_that_they_mean(m: Any, name: str) -> None:
    with pytest.raises(MEANINGS[name]) as caught:
        m.Throw(name)
    error = caught.value
    assert isinstance(error, dwh.InvocationError)
    assert error.dotnet_type == name
    assert error.stack_trace
    assert str(error).startswith(f"{name} in function 'Throw'")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert again.stack_trace == error.stack_trace


@pytest.mark.parametrize("name", ["TimeoutException", "OutOfMemoryException", "IO.IOException"])
def test_what_is_the_hosts_is_never_what_a_method_threw(m: Any, name: str) -> None:
    with pytest.raises(dwh.InvocationError) as caught:
        m.Throw(f"System.{name}")
    assert not isinstance(caught.value, (TimeoutError, MemoryError, OSError))


def test_exceptions_of_ones_own_mean_what_their_base_means(m: Any) -> None:
    with pytest.raises(ValueError, match="odd") as caught:
        m.ThrowOdd()
    assert caught.value.dotnet_type == "Functions+Odd"  # type: ignore[attr-defined]
    with pytest.raises(ZeroDivisionError):
        m.Divide(1, 0)
    with pytest.raises(ValueError, match="EncoderFallback"):
        m.HalfPair()


REFUSED = {
    "Generic": "generic methods are not supported",
    "Borrowed": "parameter 'text': System.Text.StringBuilder cannot be passed",
}


@pytest.mark.parametrize("name", REFUSED)
def test_methods_that_cannot_be_called_say_why(m: Any, name: str) -> None:
    with pytest.raises(dwh.MarshallingTypeError, match=re.escape(REFUSED[name])):
        getattr(m, name)(1)


def test_a_source_without_methods_says_so() -> None:
    with pytest.raises(dwh.MarshallingError, match="expected a public static method, found none"):
        dwh.csharp("public record Point(int X);")
    with pytest.raises(dwh.MarshallingError, match=r"Id\(\) cannot be called: generic methods"):
        dwh.csharp("public static T Id<T>(T x) => x;")


def test_the_source_may_be_a_class_or_files() -> None:
    with dwh.csharp("namespace N; public static class C { public static int F() => 1; }") as m:
        assert m.F() == m.C.F() == m() == 1
    files = {
        "a.cs": "using System.Text;\npublic static int A() => B();",
        "b.cs": "static int B() => 7;",
    }
    with dwh.csharp(files) as m:
        assert m() == 7


def test_errors_have_the_lines_of_the_source() -> None:
    with pytest.raises(dwh.CompilationError) as caught:
        dwh.csharp("using System;\n\n/// <summary>x</summary>\npublic static int F() => missing;")
    (error,) = caught.value.diagnostics
    assert (error.id, error.line, error.column) == ("CS0103", 4, 26)
    with pytest.raises(dwh.CompilationError) as caught:
        dwh.csharp("using System; public static int F() => missing;")
    assert (caught.value.diagnostics[0].line, caught.value.diagnostics[0].column) == (1, 40)


def test_a_borrowed_runtime_stays_open() -> None:
    with dwh.Runtime() as runtime:
        with dwh.csharp("public static int F() => 1;", runtime=runtime) as f:
            assert f() == 1
            assert f.runtime is runtime
            assert len(runtime.functions) == 1
        assert f.closed
        assert not runtime.closed
        assert len(runtime.functions) == 0
        with pytest.raises(dwh.FunctionNotLoaded):
            f()
    f.close()


def test_a_pool_can_be_borrowed() -> None:
    with (
        dwh.RuntimePool(size=1) as pool,
        dwh.csharp("public static string F(string s) => s;", runtime=pool) as f,
    ):
        assert f("x") == "x"


def test_a_module_of_its_own_closes_its_runtime() -> None:
    f = dwh.csharp("public static int F() => 1;")
    runtime = f.runtime
    f.close()
    f.close()
    assert runtime.closed
    with pytest.raises(dwh.RuntimeClosed):
        f()


def test_a_forgotten_module_closes_itself_and_a_function_keeps_it() -> None:
    module = dwh.csharp("public static int F() => 1;")
    runtime, function = module.runtime, module.F
    del module
    gc.collect()
    assert function() == 1
    del function
    gc.collect()
    assert runtime.closed


def test_options_of_a_runtime_go_to_the_runtime() -> None:
    with (
        dwh.Runtime() as runtime,
        pytest.raises(TypeError, match="either a runtime or limits, found both"),
    ):
        dwh.csharp("public static int F() => 1;", runtime=runtime, limits=dwh.Limits())
    with pytest.raises(TypeError, match="runtime as a Runtime or a RuntimePool, found int"):
        dwh.csharp("public static int F() => 1;", runtime=3)  # type: ignore[arg-type]
    source = 'public static byte[] F(byte[] b) => Host.Call("twice", b);'
    with dwh.csharp(source, host_functions={"twice": lambda b: b * 2}) as f:
        assert f(b"ab") == b"abab"
    with (
        dwh.csharp(
            "public static void F() { while (true) Thread.Yield(); }",
            limits=dwh.Limits(timeout=0.5),
        ) as f,
        pytest.raises(dwh.InvocationTimeout),
    ):
        f()


def test_records_of_references_are_records_here_too() -> None:
    library = dwh.compile_csharp(
        "namespace L; public record Item(string Name); public enum E { A = 3 }", assembly_name="L"
    )
    with dwh.csharp(
        "public static L.Item F(L.Item i, L.E e) => new(i.Name + e);", references=[library]
    ) as f:
        result = f({"Name": "x"}, 3)
    assert result.Name == "xA"


def test_a_module_cannot_be_copied(m: Any) -> None:
    with pytest.raises(TypeError, match="CSharpModule"):
        pickle.dumps(m)


def test_importing_the_package_imports_nothing_of_typed_calls() -> None:
    import subprocess

    program = "import sys, dotnet_wasm_host; print([n for n in sys.modules if '.typed' in n])"
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
