"""Parameters by reference, defaults, overloads, tasks, documentation."""

from __future__ import annotations

import asyncio
import datetime as dt
import inspect
import time
from typing import TYPE_CHECKING, Any

import pytest

import dotnet_wasm_host as dwh
from dotnet_wasm_host.typed.documentation import read_documentation

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCE = """
/// <summary>A point.</summary>
public record Point(int X, double Y);
public enum Color { Red, Green }
/// <summary>Parse <paramref name="s"/>, see <see cref="int.Parse(string)"/>.</summary>
/// <param name="s">the text</param>
/// <param name="value">the value</param>
/// <returns>whether it is a number</returns>
/// <exception cref="ArgumentException">never</exception>
public static bool TryParse(string s, out int value) => int.TryParse(s, out value);
public static void Swap(ref int a, ref string b) { (a, b) = (int.Parse(b), a.ToString()); }
public static void Only(out string s) => s = "x";
public static double In(in double x) => x * 2;
public static int Optional(int a, int b = 5, string s = "d", Color c = Color.Green,
    DateTime d = default, int? n = null, Point? p = null, bool f = true, long l = long.MaxValue) =>
    a + b + s.Length + (int)c + d.Year + (n ?? 0) + (p?.X ?? 0) + (f ? 0 : 1000);
public static string Over(int a) => "int";
public static string Over(double a) => "double";
public static string Over(string a) => "string";
/// <summary>Two.</summary>
public static string Over(int a, int b) => "int, int";
public static string Over(List<string> a) => "strings";
public static string Over(List<int> a) => "ints";
public static string Over(Point a) => "point";
public static string Over(bool a) => "bool";
public static string Over(byte[] a) => "bytes";
public static string Wide(long a) => "long";
public static string Wide(System.Numerics.BigInteger a) => "big";
static int n;
public static int Count() => ++n;
public static async Task<int> Later(int ms, CancellationToken token) { await Task.Delay(ms, token); return ++n; }
public static async ValueTask<string> Value(string s) { await Task.Yield(); return s; }
public static Task Nothing() => Task.Delay(1);
public static async ValueTask NoValue() => await Task.Yield();
public static Task<Point> Done(Point p) => Task.FromResult(p);
public static async Task Fail() { await Task.Yield(); throw new ArgumentException("later"); }
public static Task FailNow() => throw new ArgumentException("now");
public static int Stopped;
public static async Task Forever(CancellationToken token) {
    try { await Task.Delay(-1, token); } finally { Stopped = 1; }
}
public static int WasStopped() => Stopped;
"""  # noqa: E501


@pytest.fixture(scope="module")
def m() -> Iterator[Any]:
    with dwh.csharp(SOURCE) as module:
        module.Count()  # starts the instance
        yield module


def test_out_and_ref_are_results(m: Any) -> None:
    assert m.TryParse("12") == (True, 12)
    assert m.TryParse("x") == (False, 0)
    assert m.Swap(1, "2") == (2, "1")
    assert m.Only() == "x"
    assert m.In(2) == 4.0
    assert str(inspect.signature(m.TryParse)) == "(s: str) -> tuple[bool, int]"


def test_defaults_are_defaults(m: Any) -> None:
    assert m.Optional(1) == 1 + 5 + 1 + 1 + 1
    assert m.Optional(1, s="", p=m.Point(100, 0)) == 1 + 5 + 1 + 1 + 100
    assert m.Optional(1, f=False) == 1009
    parameters = inspect.signature(m.Optional).parameters
    assert parameters["a"].default is inspect.Parameter.empty
    defaults = {name: p.default for name, p in parameters.items() if name != "a"}
    assert defaults == {
        "b": 5, "s": "d", "c": m.Color.Green, "d": dt.datetime(1, 1, 1), "n": None, "p": None,  # noqa: DTZ001
        "f": True, "l": 2**63 - 1,
    }  # fmt: skip
    assert parameters["p"].annotation == m.Point | None


def test_the_nearest_overload_is_called(m: Any) -> None:
    given = [1, 1.0, "a", ["a"], [1], m.Point(1, 2), {"X": 1, "Y": 2}, True, b"x"]
    called = ["int", "double", "string", "strings", "ints", "point", "point", "bool", "bytes"]
    assert [m.Over(value) for value in given] == called
    assert m.Over(1, 2) == m.Over(b=1, a=2) == "int, int"
    assert m.Wide(1) == "long"
    assert m.Wide(1 << 70) == "big"
    with pytest.raises(TypeError, match="expected arguments for one of 9 overloads") as caught:
        m.Over(1j)
    assert "found complex 1j" in str(caught.value)
    assert "Over(a: int, b: int) -> str" in m.Over.__doc__
    assert "Two." in m.Over.__doc__


def test_tasks_are_awaited(m: Any) -> None:
    async def all_kinds() -> None:
        assert inspect.iscoroutinefunction(m.Later)
        first = m.Count()
        assert await m.Later(1) == first + 1
        assert await m.Value("s") == "s"
        assert await m.Nothing() is None
        assert await m.NoValue() is None
        assert await m.Done({"X": 1, "Y": 2}) == m.Point(1, 2.0)
        # One set of statics, however many wait.
        start = time.monotonic()
        numbers = await asyncio.gather(*(m.Later(300) for _ in range(20)))
        assert time.monotonic() - start < 20 * 0.3
        assert sorted(numbers) == list(range(first + 2, first + 22))
        assert m.Count() == first + 22
        for fail, text in ((m.Fail, "later"), (m.FailNow, "now")):
            with pytest.raises(ValueError, match=text):
                await fail()
        with pytest.raises(TypeError, match="'ms': expected int"):
            await m.Later("x")

    asyncio.run(all_kinds())


def test_cancelling_a_task_cancels_its_token(m: Any) -> None:
    async def cancel() -> None:
        task = asyncio.create_task(m.Forever())
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        for _ in range(100):
            if m.WasStopped():
                return
            await asyncio.sleep(0.05)
        raise AssertionError("the token was not cancelled")

    asyncio.run(cancel())


def test_a_borrowed_runtime_can_be_awaited() -> None:
    source = "public static async Task<int> F(int x) { await Task.Delay(1); return x; }"
    with dwh.Runtime() as runtime, dwh.csharp(source, runtime=runtime) as f:
        assert asyncio.run(f(3)) == 3


def test_documentation_comments_are_docstrings(m: Any) -> None:
    assert m.Point.__doc__ == "A point."
    assert inspect.getdoc(m.TryParse) == (
        "Parse s, see Parse.\n\nArgs:\n    s: the text\n    value: the value\n\n"
        "Returns:\n    whether it is a number\n\nRaises:\n    ArgumentException: never"
    )
    assert m.Only.__doc__ is None


def test_documentation_with_entities_is_not_read() -> None:
    bomb = b'<!DOCTYPE d [<!ENTITY a "aaaa">]><doc><members><member name="T:A"/></members></doc>'
    assert read_documentation(bomb).members == {}
    hidden = '<?xml version="1.0" encoding="UTF-16"?>' + bomb.decode()
    with pytest.raises(dwh.MarshallingError, match="not XML"):
        read_documentation(hidden.encode("utf-16"))
    with pytest.raises(dwh.MarshallingError, match="not XML"):
        read_documentation(b"<doc>")


def test_a_package_can_be_asked_for() -> None:
    with pytest.raises(dwh.CompilationError, match="no source of packages was given"):
        dwh.csharp("#:package Humanizer@1.0.0\npublic static int F() => 1;")
