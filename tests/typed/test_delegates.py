"""Python callables as delegates, and delegates of C# as callables."""

from __future__ import annotations

import gc
import weakref
from typing import TYPE_CHECKING, Any

import pytest

import dotnet_wasm_host as dwh

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SOURCE = """
public delegate string Naming(int n, string s);
public delegate void Passing(ref int n);
public delegate int Spanning(ReadOnlySpan<int> xs);
public record Point(int X, int Y);
public class Thing { public int Value = 2; }
public static int Apply(Func<int, int> f, int x) => f(x);
public static int Sum(Func<int> a, Func<int, int, int> b) => b(a(), 1);
public static List<string> Sorted(List<string> xs, Comparison<string> c) { xs.Sort(c); return xs; }
public static int[] Where(int[] xs, Predicate<int> p) => Array.FindAll(xs, p);
public static string[] Converted(int[] xs, Converter<int, string> c) => Array.ConvertAll(xs, c);
public static void Each(Action<Point> a) { a(new(1, 2)); a(new(3, 4)); }
public static void Go(Action a) => a();
public static string Name(Naming n) => n(3, "s");
public static Point Move(Func<Point, List<int>, Point> f) => f(new(1, 2), new() { 5 });
public static string? Maybe(Func<string?, string?> f) => f(null);
public static Thing Same(Func<Thing, Thing> f) => f(new Thing { Value = 9 });
public static Func<int, int> Adder(int n) => x => x + n;
private static Func<int, int>? kept;
public static void Keep(Func<int, int>? f) => kept = f;
public static int CallKept(int x) => kept!(x);
public static Func<int, int>? Kept() => kept;
public static string Caught(Func<int, int> f) {
    try { return $"{f(1)}"; }
    catch (MinimalRuntime.HostFunctionException e) { return $"{e.Type}: {e.Message}"; }
    finally { }
}
public static int Wrapped(Func<int, int> f) {
    try { return f(1); } catch (Exception e) { throw new InvalidOperationException("outer", e); }
}
public static int Deep(Func<int, int> f, int n) => n == 0 ? f(0) : Deep(f, n - 1) + 1;
public static void Crash(Func<int, int> f) => Environment.Exit(3);
public static void Refs(Passing p) { }
public static void Spans(Spanning p) { }
public static void Inside(List<Func<int>> p) { }
public static void Nested(Func<Func<int>, int> p) { }
public static int Token(Action<CancellationToken> p) => 1;
public static int Both(int x, Func<int, int> f, Func<int, int> g) => f(x) + g(x);
public static IEnumerable<int> Mapped(int n, Func<int, int> f) {
    for (var i = 0; i < n; i++) yield return f(i);
}
"""


@pytest.fixture(scope="module")
def m() -> Iterator[Any]:
    with dwh.Runtime() as runtime, dwh.csharp(SOURCE, runtime=runtime) as module:
        yield module


def test_callables_are_called(m: Any) -> None:
    assert m.Apply(lambda x: x * 2, 4) == 8
    assert m.Apply(f=abs, x=-4) == 4
    assert m.Sum(lambda: 3, lambda a, b: a + b) == 4
    by_length = m.Sorted(["ccc", "a", "bb"], lambda a, b: len(a) - len(b))
    assert by_length == ["a", "bb", "ccc"]
    assert m.Where([1, 2, 3, 4], lambda x: x % 2 == 0) == [2, 4]
    assert m.Converted([1, 2], str) == ["1", "2"]
    assert m.Name(lambda n, s: s * n) == "sss"
    assert m.Maybe(lambda s: None if s is None else "no") is None
    assert m.Both(2, lambda x: x + 1, lambda x: x * 10) == 23
    points: list[Any] = []
    m.Each(points.append)
    assert points == [m.Point(1, 2), m.Point(3, 4)]
    assert m.Move(lambda p, xs: {"X": p.X, "Y": xs[0]}) == m.Point(1, 5)
    assert list(m.Mapped(3, lambda x: x * x)) == [0, 1, 4]


def test_objects_go_to_callables_and_back(m: Any) -> None:
    seen: list[Any] = []

    def same(thing: Any) -> Any:
        seen.append(thing)
        return thing

    assert m.Same(same) == seen[0]
    assert seen[0].Value == 9
    seen.clear()
    gc.collect()
    assert m.held_objects == 0


def test_delegates_of_csharp_are_callables(m: Any) -> None:
    add = m.Adder(3)
    assert add(4) == add.Invoke(4) == 7
    assert m.Apply(add, 1) == 4
    m.Keep(lambda x: -x)
    kept = m.Kept()
    assert kept(5) == -5
    m.Keep(None)
    assert m.Kept() is None


class Boom(Exception):
    pass


def raises(_: int) -> int:
    raise Boom("bang")


def test_exceptions_cross_and_come_back(m: Any) -> None:
    with pytest.raises(Boom, match="bang") as caught:
        m.Apply(raises, 1)
    assert any(entry.name == "raises" for entry in caught.traceback)
    assert m.Caught(raises).endswith("Boom: bang")
    with pytest.raises(dwh.InvocationError, match="outer") as wrapped:
        m.Wrapped(raises)
    assert isinstance(wrapped.value.__cause__, Boom)
    with pytest.raises(ZeroDivisionError):
        m.Apply(lambda x: x // 0, 1)
    with pytest.raises(TypeError, match="takes 0 positional arguments but 1 was given"):
        m.Apply(lambda: 1, 1)
    assert m.Apply(abs, -1) == 1


def test_wrong_callables_and_results_are_refused(m: Any) -> None:
    with pytest.raises(
        dwh.MarshallingTypeError, match=r"Apply\(\): parameter 'f': expected a callable for "
        r"System.Func<int, int>, found int 3",
    ):  # fmt: skip
        m.Apply(3, 1)
    with pytest.raises(TypeError, match=r"'f': .* never null, found None"):
        m.Apply(None, 1)
    with pytest.raises(TypeError, match="'result': expected int for int, found str 's'"):
        m.Apply(lambda _: "s", 1)
    with pytest.raises(OverflowError, match="'result': expected -2147483648 to"):
        m.Apply(lambda _: 1 << 31, 1)
    with pytest.raises(TypeError, match="Func<int, int>, found Thing"):
        m.Apply(m.Thing(), 1)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("Refs", "'ref', 'out' or 'in'"),
        ("Spans", "takes spans"),
        ("Inside", "delegates are not supported inside of other values"),
        ("Nested", "takes or gives delegates"),
        ("Token", "takes a CancellationToken and gives no task"),
    ],
)
def test_delegates_that_cannot_be_given_say_why(m: Any, name: str, reason: str) -> None:
    with pytest.raises(dwh.MarshallingTypeError, match=reason):
        getattr(m, name)(print)


def test_calling_back_into_the_module_is_refused(m: Any) -> None:
    with pytest.raises(dwh.DotnetHostError, match="in the middle of a call on this thread"):
        m.Apply(lambda x: m.Apply(abs, x), 1)
    assert m.Apply(abs, -3) == 3


def test_deep_recursion_is_an_error() -> None:
    with dwh.csharp(SOURCE) as m:
        assert m.Deep(abs, 100) == 100
        with pytest.raises((dwh.GuestTrap, dwh.GuestTerminated)):
            m.Deep(abs, 1_000_000)
        assert m.Deep(abs, 100) == 100


# ---------------------------------------------------------------- letting go


class Counted:
    def __call__(self, x: int) -> int:
        return x + 100


def test_callables_are_kept_as_long_as_dotnet_has_them(m: Any) -> None:
    counted = Counted()
    gone = weakref.ref(counted)
    m.Keep(counted)
    del counted
    gc.collect()
    assert m.held_callables == 1
    assert m.CallKept(1) == 101
    m.Keep(None)
    assert m.held_callables == 0
    gc.collect()
    assert gone() is None


def test_callables_of_calls_that_ended_are_let_go_by_themselves(m: Any) -> None:
    made = [Counted() for _ in range(600)]
    gone = [weakref.ref(one) for one in made]
    for one in made:
        m.Apply(one, 1)
    del made, one
    gc.collect()
    alive = sum(1 for ref in gone if ref() is not None)
    assert alive < 300


def test_callables_of_calls_that_did_not_happen_are_let_go(m: Any) -> None:
    before = m.held_callables
    first = Counted()
    gone = weakref.ref(first)
    with pytest.raises(TypeError):
        m.Both(1, first, 3)
    with pytest.raises(TypeError):
        m.Apply(first, "x")
    del first
    gc.collect()
    assert gone() is None
    assert m.held_callables == before


def test_handlers_of_events_of_dotnet() -> None:
    source = """
    public class Changed(string name) : EventArgs { public string Name => name; }
    public class Button {
        public event EventHandler? Clicked;
        public event EventHandler<Changed>? Renamed;
        public event EventHandler<int>? Counted;
        public void Click() => Clicked?.Invoke(this, EventArgs.Empty);
        public void Rename(string name) => Renamed?.Invoke(this, new Changed(name));
        public void Count(int n) => Counted?.Invoke(null, n);
    }
    public static void Call(EventHandler handler, EventArgs? args) => handler(3, args!);
    """
    with dwh.csharp(source) as m:
        button, got = m.Button(), []

        def keep(sender: Any, arguments: Any) -> None:
            got.append((sender, arguments))

        button.Clicked += keep
        button.Renamed += keep
        button.Counted += keep
        button.Click()
        button.Rename("new")
        button.Count(2)
        button.Clicked -= keep
        button.Click()
        m.Call(keep, m.Changed("given"))
        m.Call(keep, None)
        assert [type(sender) for sender, _ in got] == [m.Button, m.Button, type(None), int, int]
        assert got[0][0] == button
        assert isinstance(got[0][1], dwh.CSharpObject)
        assert [got[1][1].Name, got[2][1], got[3][1].Name, got[4][1]] == ["new", 2, "given", None]


def test_what_callables_are_given_is_charged() -> None:
    source = """
    public static int Many(int times, Func<List<bool>, int> f) {
        var n = 0;
        for (var i = 0; i < times; i++) { n += f(Enumerable.Repeat(true, 100_000).ToList()); }
        return n;
    }
    public static int Caught(Func<List<bool>, int> f) {
        try { return Many(100, f); } catch (Exception) { return -1; }
    }
    """
    # The bytes alone are a tenth of it.
    with dwh.csharp(source, limits=dwh.Limits(host_work=10 << 20)) as m:
        assert m.Many(5, len) == 500_000
        with pytest.raises(dwh.LimitExceeded, match="host_work"):
            m.Many(60, len)
        with pytest.raises(dwh.LimitExceeded, match="host_work"):
            m.Caught(len)


def test_callables_end_with_their_instance_and_their_module() -> None:
    first = Counted()
    gone = weakref.ref(first)
    with dwh.csharp(SOURCE) as m:
        m.Keep(first)
        with pytest.raises(dwh.GuestTerminated):
            m.Crash(first)
        assert m.held_callables == 0
        m.Keep(first)
    del first, m
    gc.collect()
    assert gone() is None


def test_a_module_that_a_callable_refers_to_is_collected() -> None:
    module: Any = dwh.csharp(SOURCE)

    def refers(x: int, module: Any = module) -> int:
        return x if module else 0

    module.Keep(refers)
    gone: Callable[[], Any] = weakref.ref(module)
    del module, refers
    gc.collect()
    assert gone() is None


EVENTS = """
public class Button {
    public event Action<string>? Clicked;
    public void Click(string s) => Clicked?.Invoke(s);
}
"""


def test_events_take_handlers_and_let_them_go() -> None:
    with dwh.csharp(EVENTS) as m:
        button, seen = m.Button(), []

        def handler(text: str) -> None:
            seen.append(text)

        button.Clicked += handler
        button.Clicked += seen.append
        button.Click("a")
        assert seen == ["a", "a"]
        button.Clicked -= handler
        button.Click("b")
        assert seen == ["a", "a", "b"]
        button.Clicked -= seen.append
        button.Clicked -= seen.append
        button.Click("c")
        assert seen == ["a", "a", "b"]
        assert m.held_callables == 0
        with pytest.raises(AttributeError, match=r"\+= and -="):
            button.Clicked = handler
