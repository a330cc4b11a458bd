"""Records that derive from others, values of ``object``, arrays of several dimensions."""

from __future__ import annotations

import array
import dataclasses
import datetime as dt
import enum
import uuid
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dotnet_wasm_host as dwh

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCE = """
public abstract record Shape;
public record Circle(double R) : Shape;
public record Square(double Side, Shape? Inner = null) : Shape;
internal record Secret(double X) : Shape;
public static double Area(Shape shape) => shape switch {
    Circle c => c.R * c.R * 3,
    Square s => s.Side * s.Side - (s.Inner is null ? 0 : Area(s.Inner)),
    _ => -1,
};
public static Shape Same(Shape shape) => shape;
public static List<Shape?> All() => [new Circle(1), null, new Square(2, new Circle(3))];
public static Shape Hidden() => new Secret(1);

public record Animal(string Name);
public record Dog(int Age, string Name) : Animal(Name);
public record Puppy(int Age, string Name, bool Small) : Dog(Age, Name);
internal record Cat(string Name, int Lives) : Animal(Name);
public static Animal SameAnimal(Animal animal) => animal;
public static Dictionary<string, Animal> Zoo() => new() {
    ["a"] = new Animal("A"), ["d"] = new Dog(3, "D"), ["p"] = new Puppy(1, "P", true),
};
public static Animal AsCat() => new Cat("C", 9);
public static string Kind(Animal animal) => animal.GetType().Name;

public abstract record Expr;
public record Num(int Value) : Expr;
public record Sum(Expr Left, Expr Right) : Expr;
public static int Eval(Expr e) => e is Num n ? n.Value : Eval(((Sum)e).Left) + Eval(((Sum)e).Right);
public static Expr Tower(int n) => n == 0 ? new Num(1) : new Sum(Tower(n - 1), new Num(1));
public abstract record Result<T>;
public record Ok<T>(T Value) : Result<T>;
public record Error<T>(string Message) : Result<T>;
public record Odd<A, B>(A Value) : Result<B>;
public static Result<int> Half(int n) => n % 2 == 0 ? new Ok<int>(n / 2) : new Error<int>("odd");
public static Result<int> Other() => new Odd<string, int>("x");
public static string Said(Result<int> r) =>
    r is Ok<int> ok ? $"{ok.Value}" : ((Error<int>)r).Message;
public record Box<T>(T Item);
public record IntBox(int Item, int More) : Box<int>(Item);
public static Box<int> Boxed(Box<int> box) => box;
public static List<Box<string>> Texts() => [new("a")];

public enum Color : byte { Red, Green = 200 }
public enum Big : ulong { One = 1, Last = ulong.MaxValue }
public class Thing(int n) { public int N => n; }
public class Special(int n) : Thing(n);
public record struct Spot(int X, int Y);
public static object? Echo(object? x) => x;
public static object Echoed(object x) => x;
public static string TypeOf(object? x) => x?.GetType().ToString() ?? "null";
public static object[] Everything() => [
    (sbyte)-1, (byte)2, (short)-3, (ushort)4, 5, 6u, 7L, 8ul, (nint)9, (nuint)10,
    1.5f, 2.5, (Half)3.5,
    (Int128)(-11), (UInt128)12, System.Numerics.BigInteger.Pow(2, 100), 1.10m, 'c', "text", true,
    new byte[] { 1, 2 }, new sbyte[] { -1 }, new[] { 1, 2 }, new[] { 1.5 },
    new[] { "a", null }, new[] { 'x' },
    new[] { Color.Green, Color.Red }, new object?[] { 1, null }, new List<int> { 1, 2 },
    new int[,] { { 1, 2 }, { 3, 4 } },
    new Dictionary<string, int> { ["a"] = 1 }, new HashSet<int> { 1 }, (1, "b"),
    Color.Green, Big.Last,
    DayOfWeek.Monday, new Circle(2), new Spot(1, 2), new DateOnly(2026, 1, 2),
    System.Text.Json.JsonDocument.Parse("[1, {}]").RootElement,
];
public static object Unknown() => new System.Text.StringBuilder("built");
public static object Make(int n) => new Special(n);
public static int Unwrap(object thing) => ((Thing)thing).N;
public static List<object?> Listed(List<object?> xs) => xs;
public static Dictionary<string, object> Mapped(Dictionary<string, object> xs) => xs;
public record Tagged(object? Tag, string Name);
public static Tagged Tag(Tagged tagged) => tagged;
public static string Join(params object[] parts) => string.Join("|", parts);
public static object Deep(int n) {
    object x = 1;
    for (var i = 0; i < n; i++) { x = new object[] { x }; }
    return x;
}
public static int Choose(int x) => 1;
public static int Choose(object x) => 2;
public static object Call(Func<object, object> f, object x) => f(x);

public static int[,] Turned(int[,] xs) {
    var made = new int[xs.GetLength(1), xs.GetLength(0)];
    for (var i = 0; i < xs.GetLength(0); i++)
        for (var j = 0; j < xs.GetLength(1); j++) made[j, i] = xs[i, j];
    return made;
}
public static double[,,] Cube(double[,,] xs) => xs;
public static string?[,]? Words(string?[,]? xs) => xs;
public static Circle[,] Circles(Circle[,] xs) => xs;
public static int[][,] Mixed(int[][,] xs) => xs;
public static int[,][] Mixed2(int[,][] xs) => xs;
public static bool[,] Bools(bool[,] xs) => xs;
"""


@pytest.fixture(scope="module")
def m() -> Iterator[Any]:
    with dwh.csharp(SOURCE) as module:
        yield module


# -------------------------------------------------------------------- records


def test_a_record_that_derives_from_another_comes_whole(m: Any) -> None:
    assert m.All() == [m.Circle(1.0), None, m.Square(2.0, m.Circle(3.0))]
    assert m.Zoo() == {"a": m.Animal("A"), "d": m.Dog(3, "D"), "p": m.Puppy(1, "P", Small=True)}
    assert [type(x) for x in m.Zoo().values()] == [m.Animal, m.Dog, m.Puppy]


def test_a_record_that_derives_from_another_is_given_whole(m: Any) -> None:
    assert m.Area(m.Circle(2)) == 12.0
    assert m.Area(m.Square(4, m.Circle(1))) == 13.0
    assert m.Same(m.Square(1.0, None)) == m.Square(1.0, None)
    for animal in m.Zoo().values():
        assert m.SameAnimal(animal) == animal
        assert m.Kind(animal) == type(animal).__name__
    assert m.SameAnimal({"Name": "x"}) == m.Animal("x")
    # Values that are not as usual are converted inside of it, too.
    assert m.SameAnimal(m.Dog(np.int64(3), "D")) == m.Dog(3, "D")
    assert m.Eval(m.Sum(m.Num(1), m.Sum(m.Num(np.int8(2)), m.Num(3)))) == 6


def test_classes_of_records_are_related_as_in_csharp(m: Any) -> None:
    assert isinstance(m.Circle(1), m.Shape)
    assert issubclass(m.Puppy, m.Animal)
    assert issubclass(m.Puppy, m.Dog)
    assert not issubclass(m.Dog, m.Puppy)
    assert [f.name for f in dataclasses.fields(m.Dog)] == ["Age", "Name"]
    with pytest.raises(dwh.MarshallingError, match="which is abstract"):
        m.Shape()


def test_a_class_that_derives_in_python_is_the_nearest_record(m: Any) -> None:
    class Mine(m.Puppy):  # type: ignore[misc]
        pass

    assert m.SameAnimal(Mine(1, "x", Small=False)) == m.Puppy(1, "x", Small=False)


@pytest.mark.parametrize("name", ["Hidden", "AsCat"])
def test_a_record_that_nobody_may_see_is_refused(m: Any, name: str) -> None:
    with pytest.raises(dwh.InvocationError, match="a public record that derives from it, found"):
        getattr(m, name)()


def test_what_is_no_record_of_an_abstract_one_is_refused(m: Any) -> None:
    for wrong in (3, {"R": 1.0}, m.Animal("x")):
        with pytest.raises(dwh.MarshallingTypeError, match=r"from Shape: Circle, Square, found"):
            m.Area(wrong)


def test_records_may_be_as_deep_as_others(m: Any) -> None:
    assert m.Eval(m.Tower(60)) == 61
    with pytest.raises(dwh.InvocationError, match="100 deep"):
        m.Tower(101)


def test_records_derive_from_generic_ones(m: Any) -> None:
    assert m.Boxed(m.IntBox(1, 2)) == m.IntBox(1, 2)
    assert m.Boxed(m.Box_int(1)) == m.Box_int(1)
    assert m.Texts() == [m.Box_string("a")]
    assert m.Half(4) == m.Ok_int(2)
    assert m.Half(3) == m.Error_int("odd")
    assert m.Said(m.Ok_int(5)) == "5"
    assert isinstance(m.Error_int("x"), m.Result_int)
    with pytest.raises(dwh.InvocationError, match="a public record that derives from it, found"):
        m.Other()


# -------------------------------------------------------------------- object


def test_object_is_what_it_is_in_dotnet(m: Any) -> None:
    found = m.Everything()
    assert found[:14] == [-1, 2, -3, 4, 5, 6, 7, 8, 9, 10, 1.5, 2.5, 3.5, -11]
    assert found[14:20] == [12, 2**100, Decimal("1.10"), "c", "text", True]
    assert str(found[16]) == "1.10"
    assert found[20:30] == [
        b"\1\2", [-1], [1, 2], [1.5], ["a", None], ["x"], [m.Color.Green, m.Color.Red], [1, None],
        [1, 2], [[1, 2], [3, 4]],
    ]  # fmt: skip
    assert found[30:33] == [{"a": 1}, {1}, (1, "b")]
    assert found[33] is m.Color.Green
    assert found[34] is m.Big.Last
    assert found[35:] == [1, m.Circle(2.0), m.Spot(1, 2), dt.date(2026, 1, 2), [1, {}]]


VALUES = [
    None, True, 0, -(2**31), 2**31, 2**63, -(2**63), 2**64, -(2**200), 1.5, float("inf"), "",
    "äb\0",
    b"", b"\0\xff", Decimal("1.50"), uuid.UUID(int=3), dt.datetime(2026, 1, 2, 3),  # noqa: DTZ001
    dt.datetime(2026, 1, 2, tzinfo=dt.timezone.utc), dt.date(1, 1, 1), dt.time(23, 59, 59, 5),
    dt.timedelta(-1, 5), [], [1, "a", None, [2.5]], {}, {"a": 1, "b": [None]}, {1: "x", "y": 2},
    {1, 2},
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_object_takes_what_python_has(m: Any, value: Any) -> None:
    found = m.Echo(value)
    assert found == value
    assert type(found) is type(value)


def test_object_is_the_type_that_people_expect(m: Any) -> None:
    class Own(str):
        __slots__ = ()

    class Level(enum.IntEnum):
        HIGH = 3

    expected = {
        "System.Int32": [1, np.int64(1), Level.HIGH],
        "System.Int64": [2**40],
        "System.Double": [1.0, np.float64(1)],
        "System.Boolean": [True],
        "System.String": ["a", Own("a")],
        "System.Byte[]": [b"a", bytearray(b"a"), memoryview(b"a"), np.zeros(2, np.uint8)],
        "System.Int32[]": [array.array("i", [1]), np.zeros(2, np.int32)],
        "System.Double[]": [np.zeros(2), np.zeros(4)[::2]],
        "System.Object[]": [[1], (1,), np.zeros((2, 2)), iter([1]), range(2)],
        "System.Collections.Generic.Dictionary`2[System.String,System.Object]": [{"a": 1}, {}],
        "System.Collections.Generic.Dictionary`2[System.Object,System.Object]": [{1: 1}],
        "System.Collections.Generic.HashSet`1[System.Object]": [{1}, frozenset({1})],
        "Functions+Color": [m.Color.Red],
        "Functions+Circle": [m.Circle(1.0), m.Circle(1)],
        "Functions+Spot": [m.Spot(1, 2)],
        "Functions+Special": [m.Special(1)],
    }
    for name, values in expected.items():
        assert [m.TypeOf(value) for value in values] == [name] * len(values)


def test_other_objects_are_handles(m: Any) -> None:
    made = m.Make(3)
    assert type(made) is m.Special
    assert made.N == m.Unwrap(made) == 3
    assert m.Echo([made, {"a": made}]) == [made, {"a": made}]
    built = m.Unknown()
    assert isinstance(built, dwh.CSharpObject)
    assert str(built) == "built"
    assert m.TypeOf(built) == "System.Text.StringBuilder"
    with dwh.csharp("public class C { public int X = 1; }") as other:
        with pytest.raises(dwh.MarshallingTypeError, match="an object of this module"):
            m.Echo(other.C())
        with pytest.raises(dwh.MarshallingTypeError, match="an object of this module"):
            m.Echo([other.C()])


def test_object_inside_of_others(m: Any) -> None:
    assert m.Listed([1, None, "a", [2]]) == [1, None, "a", [2]]
    assert m.Mapped({"a": 1, "b": m.Circle(2.0)}) == {"a": 1, "b": m.Circle(2.0)}
    tagged = m.Tagged(m.Tagged([1], "in"), "out")
    assert m.Tag(tagged) == tagged
    assert m.Join("a", 1, 2.5) == "a|1|2.5"
    assert m.Call(lambda x: [x, m.Color.Red], 3) == [3, m.Color.Red]
    assert m.Choose(1) == 1
    assert m.Choose("x") == 2


def test_wrong_objects_are_refused(m: Any) -> None:
    with pytest.raises(dwh.MarshallingTypeError, match=r"parameter 'x': expected a value for obj"):
        m.Echo(lambda: 1)
    with pytest.raises(dwh.MarshallingTypeError, match=r"'x'\[0\]\['a'\]: expected a value for"):
        m.Echo([{"a": object()}])
    with pytest.raises(dwh.MarshallingTypeError, match="which is never null"):
        m.Echoed(None)
    with pytest.raises(dwh.MarshallingError, match=r"a value that \.NET can hold"):
        m.Echo(Decimal("1e50"))
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(dwh.MarshallingError, match="at most 100 values inside"):
        m.Echo(endless)
    with pytest.raises(dwh.InvocationError, match="100 deep"):
        m.Deep(101)
    assert m.Deep(50)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=9) | st.binary(max_size=9)
    | st.dates() | st.uuids(),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.text("ab", max_size=3), inner, max_size=3),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=60)
@given(value=JSON)
def test_any_value_comes_back(m: Any, value: Any) -> None:
    assert m.Echo(value) == value


def test_objects_are_let_go(m: Any) -> None:
    before = m.held_objects
    things = m.Echo([m.Thing(1), {"a": m.Thing(2)}])
    assert m.held_objects == before + 2
    del things
    assert m.held_objects == before


# -------------------------------------------------------------------- arrays


def test_arrays_of_several_dimensions(m: Any) -> None:
    assert m.Turned([[1, 2, 3], [4, 5, 6]]) == [[1, 4], [2, 5], [3, 6]]
    for form in (np.int32, np.int64):
        assert m.Turned(np.arange(6, dtype=form).reshape(2, 3)) == [[0, 3], [1, 4], [2, 5]]
    assert m.Turned(np.arange(6, dtype=np.int32).reshape(3, 2).T) == [[0, 1], [2, 3], [4, 5]]
    assert m.Turned([]) == []
    assert m.Turned([[], []]) == []
    assert m.Turned(np.zeros((0, 2), np.int32)) == [[], []]
    cube = np.arange(24.0).reshape(2, 3, 4)
    assert m.Cube(cube) == cube.tolist() == m.Cube(cube.tolist())
    assert m.Cube(np.asfortranarray(cube)) == cube.tolist()
    assert m.Words([["a", None], ["", "ä"]]) == [["a", None], ["", "ä"]]
    assert m.Words(None) is None
    assert m.Circles([[{"R": 1}]]) == [[m.Circle(1.0)]]
    assert m.Mixed([[[1, 2]], [[3], [4]]]) == [[[1, 2]], [[3], [4]]]
    assert m.Mixed2([[[1], [2, 3]]]) == [[[1], [2, 3]]]
    assert m.Bools([[True, False]]) == [[True, False]]


def test_wrong_arrays_of_several_dimensions_are_refused(m: Any) -> None:
    with pytest.raises(dwh.MarshallingError, match=r"of one length for int\[,\], found several"):
        m.Turned([[1], [2, 3]])
    with pytest.raises(dwh.MarshallingTypeError, match="lists of lists, 2 deep"):
        m.Turned([1, 2])
    with pytest.raises(dwh.MarshallingTypeError, match=r"'xs'\[0\]\[1\]: expected int for int"):
        m.Turned([[1, "a"]])
    with pytest.raises(dwh.MarshallingOverflowError, match=r"'xs'\[1\]\[0\]"):
        m.Turned([[1], [2**31]])
    with pytest.raises(dwh.MarshallingTypeError):
        m.Turned(np.zeros(3, np.int32))


@settings(max_examples=40)
@given(data=st.data())
def test_any_array_of_several_dimensions_comes_back(m: Any, data: st.DataObject) -> None:
    shape = data.draw(st.tuples(*[st.integers(0, 4)] * 3))
    values = np.array(data.draw(st.lists(
        st.floats(allow_nan=False), min_size=int(np.prod(shape)), max_size=int(np.prod(shape))
    ))).reshape(shape)  # fmt: skip
    assert m.Cube(values) == values.tolist()
