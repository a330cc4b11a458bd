"""What users write that is a little unusual, and what they expect of it."""

from __future__ import annotations

import inspect
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import dotnet_wasm_host as dwh

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SOURCE = """
public static string Params(string s, params int[] xs) => s + string.Join(",", xs);
public static int Texts(params string[] xs) => xs.Length;
public static string Defaults(int a = 5, string? n = null, decimal m = -2.50m, bool b = true,
    DayOfWeek w = DayOfWeek.Friday, DateTime t = default, int? o = 3, CancellationToken c = default)
    => $"{a} {n} {m} {b} {w} {t.Year} {o}";
public static string Over(int a) => "int";
public static string Over(long a) => "long";
public static string Over(double a) => "double";
public static string Over(decimal a) => "decimal";
public static string Over(System.Numerics.BigInteger a) => "big";
public static string Over(bool a) => "bool";
public static string Fewest(string a, int b = 1) => "two";
public static string Fewest(string a) => "one";
public static byte[] Bytes(byte[] b) => b;
public static double[] Doubles(double[] d) => d;
public static char[] Chars(char[] c) => c;
public static Half Half(Half h) => h;
public static DayOfWeek Next(DayOfWeek d) => (DayOfWeek)(((int)d + 1) % 7);
public static bool Same(string a, string b, StringComparison c = StringComparison.Ordinal) =>
    string.Equals(a, b, c);
public record Pair<T>(T First, T Second);
public record struct Two<A, B>(A First, B Second);
public static Pair<int> Swap(Pair<int> p) => new(p.Second, p.First);
public static Two<string, double> Twice(Two<string, double> t) => t;
public static Dictionary<string, Pair<string>> Pairs(List<Pair<string>> p) =>
    p.ToDictionary(x => x.First);
public class Box<T> {
    public Box(T value) => Value = value;
    public T Value { get; set; }
    public static Box<T> Of(T value) => new(value);
}
public class IntBox : Box<int> { public IntBox() : base(7) { } }
public static int Unbox(Box<int> b) => b.Value;
public class Money(int cents) {
    public int Cents => cents;
    public static Money operator +(Money a, Money b) => new(a.Cents + b.Cents);
    public static Money operator *(Money a, int n) => new(a.Cents * n);
    public static Money operator *(int n, Money a) => a * n;
    public static Money operator -(Money a) => new(-a.Cents);
    public static bool operator <(Money a, Money b) => a.Cents < b.Cents;
    public static bool operator >(Money a, Money b) => a.Cents > b.Cents;
}
public class Strict { public required string Name { get; init; } }
public class Old { [Obsolete("use New", true)] public int Gone() => 1; public int New() => 2; }
public static string? Maybe(string? s) => s;
public static string Sure(string s) => s;
public static int Lengths(List<string?> a, string[]? b, Dictionary<string, int[]?> c) => a.Count;
"""


@pytest.fixture(scope="module")
def m() -> Iterator[Any]:
    with dwh.Runtime() as runtime, dwh.csharp(SOURCE, runtime=runtime) as module:
        yield module


def test_params_take_any_number_of_arguments(m: Any) -> None:
    assert m.Params("a") == m.Params(s="a") == "a"
    assert m.Params("a", 1, 2) == m.Params("a", [1, 2]) == m.Params("a", xs=[1, 2]) == "a1,2"
    assert m.Texts("a", "b") == m.Texts(["a", "b"]) == 2
    assert str(inspect.signature(m.Params)) == "(s: str, *xs: list[int]) -> str"
    with pytest.raises(TypeError, match=r"'xs'\[0\]: expected int"):
        m.Params("a", "b")
    with pytest.raises(TypeError, match="'s'"):
        m.Params()


def test_defaults_of_every_kind(m: Any) -> None:
    assert m.Defaults() == "5  -2.50 True Friday 1 3"
    assert m.Defaults(w="Monday", m=Decimal(1), o=None) == "5  1 True Monday 1 "
    assert inspect.signature(m.Defaults).parameters["m"].default == Decimal("-2.50")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1, "int"), (1 << 40, "long"), (1 << 90, "big"), (1.0, "double"), (True, "bool"),
        (Decimal(1), "decimal"), (np.int64(3), "int"), (np.float32(1), "double"),
        (np.bool_(1), "bool"),
    ],
)  # fmt: skip
def test_the_nearest_overload_is_called(m: Any, value: object, expected: str) -> None:
    assert m.Over(value) == expected


def test_the_overload_without_needless_defaults_is_called(m: Any) -> None:
    assert (m.Fewest("a"), m.Fewest("a", 2), m.Fewest("a", b=2)) == ("one", "two", "two")


def test_buffers_and_texts_of_any_layout(m: Any) -> None:
    assert m.Bytes(memoryview(b"abcd")[::2]) == b"ac"
    assert m.Doubles(np.arange(4.0).astype(">f8")[::2]) == [0.0, 2.0]
    assert m.Doubles(np.array([])) == []
    assert m.Chars("abc") == ["a", "b", "c"]
    with pytest.raises(dwh.MarshallingTypeError, match="expected a sequence or buffer of double"):
        m.Doubles(np.array(3.0))
    with pytest.raises(OverflowError, match=r"System\.Half can hold"):
        m.Half(1e9)


def test_enums_of_dotnet(m: Any) -> None:
    monday = m.Next("Sunday")
    assert (int(monday), monday.name) == (1, "Monday")
    assert m.Next(6).name == "Sunday"
    assert m.Same("a", "A", "OrdinalIgnoreCase")
    assert not m.Same("a", "A")
    with pytest.raises(ValueError, match=r"expected a member of DayOfWeek \(Sunday, Monday"):
        m.Next("Someday")


def test_generic_types_of_ones_own(m: Any) -> None:
    assert m.Swap({"First": 1, "Second": 2}) == m.Pair_int(2, 1)
    assert m.Twice(m.Two_string_double("a", 2.0)) == m.Two_string_double("a", 2.0)
    assert m.Pairs([m.Pair_string("a", "b")])["a"].Second == "b"
    assert m.Unbox(m.Box_int(3)) == m.Unbox(m.Box_int.Of(3)) == 3
    assert issubclass(m.IntBox, m.Box_int)
    assert m.IntBox().Value == m.Unbox(m.IntBox()) == 7


def test_operators(m: Any) -> None:
    one, two = m.Money(1), m.Money(2)
    assert (one + two).Cents == 3
    assert (two * 3).Cents == (3 * two).Cents == 6
    assert (-one).Cents == -1
    assert one < two
    assert two > one
    with pytest.raises(TypeError):
        one + 1


def test_members_that_the_compiler_refuses_say_why(m: Any) -> None:
    with pytest.raises(dwh.MarshallingTypeError, match=r"Required member .*Name"):
        m.Strict()
    with pytest.raises(dwh.MarshallingTypeError, match="use New"):
        m.Old().Gone()
    assert m.Old().New() == 2


def test_what_csharp_says_of_null(m: Any) -> None:
    assert m.Maybe(None) is None
    assert m.Lengths([None], None, {"a": None}) == 1
    refused: list[Callable[[], Any]] = [
        lambda: m.Sure(None),
        lambda: m.Lengths(None, None, {}),
        lambda: m.Lengths([], [None], {}),
        lambda: m.Lengths([], [], None),
        lambda: m.Unbox(None),
        lambda: m.Swap(None),
    ]
    for call in refused:
        with pytest.raises(TypeError, match="never null, found None"):
            call()
    assert m.Maybe.__annotations__ == {"s": str | None, "return": str | None}
    assert m.Sure.__annotations__ == {"s": str, "return": str}
    assert str(inspect.signature(m.Lengths)) == (
        "(a: list[str | None], b: list[str] | None, c: dict[str, list[int] | None]) -> int"
    )


def test_where_nothing_is_said_null_is_taken() -> None:
    with dwh.csharp("#nullable disable\npublic static string Echo(string s) => s;") as echo:
        assert echo(None) is None
        assert echo.Echo.__annotations__["s"] is str
