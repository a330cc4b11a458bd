"""Faults of this build of .NET: put right, turned into exceptions, or still there and said.

``test_what_is_still_wrong`` fails when .NET does the right thing, which is good news: take the
fault out of the guide and out of ``guest/known_faults.py``.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING

import pytest

import dotnet_wasm_host as dwh

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCE = """
using System.Reflection; using System.Reflection.Emit; using System.Text;
using System.Runtime.InteropServices;
public delegate int Add(int n);
public interface IBase { static virtual string Name() => "base"; }
public interface IDerived : IBase { static string IBase.Name() => "derived"; }
public class Faulty : IFunctionHandler {
    static string NameOf<T>() where T : IBase => T.Name();
    public byte[] Execute(ReadOnlySpan<byte> input) =>
        Encoding.UTF8.GetBytes(Answer((char)input[0]));
    static string Answer(char what) => what switch {
        'p' => Threw(() => Marshal.GetFunctionPointerForDelegate<Add>(n => n)),
        'n' => Threw(() => Marshal.GetFunctionPointerForDelegate((Delegate)null!)),
        'c' => Threw(() => Property(typeof(decimal)).SetConstant(1m)),
        'f' => Threw(() => Field(typeof(DateTime), Type()).SetConstant(default(DateTime))),
        'i' => Constants(),
        'a' => Added(),
        'd' => Threw(() => Array.Copy(new object[] { new string[0], "b" }, new string[2][], 2)),
        'm' => Threw(() => Array.Copy(new int[1][], new string[1][], 1)),
        'l' => Threw(() => Array.Copy(new string[1][], new object[1][], 2)),
        's' => NameOf<IDerived>(),
        _ => "",
    };
    static string Threw(Action action) {
        try { action(); return "nothing"; }
        catch (Exception e) { return e.GetType().Name + ": " + e.Message; }
    }
    static TypeBuilder Type() => AssemblyBuilder
        .DefineDynamicAssembly(new("A"), AssemblyBuilderAccess.Run)
        .DefineDynamicModule("M").DefineType("T");
    static PropertyBuilder Property(Type type) => Type().DefineProperty("P", 0, type, null);
    static FieldBuilder Field(Type type, TypeBuilder owner) => owner.DefineField(
        "F" + type.Name, type,
        FieldAttributes.Static | FieldAttributes.Literal | FieldAttributes.Public);
    static string Constants() {
        var type = Type();
        object[] values = [1, 2L, 3.5, "x", 'c', true, DayOfWeek.Friday];
        foreach (var value in values)
            Field(value.GetType(), type).SetConstant(value);
        Field(typeof(object), type).SetConstant(null);
        Property(typeof(int)).SetConstant(7);
        return type.CreateType().GetFields().Length.ToString();
    }
    static string Added() {
        var list = new List<object[]>();
        list.AddRange(new string[][] { ["a"], ["b"] });
        var arrays = new Array[3];
        Array.Copy(new int[][] { [1], [2] }, 0, arrays, 1, 2);
        return $"{list.Count} {list[1][0]} {arrays[0] is null} {((int[])arrays[2])[0]}";
    }
}
"""


@pytest.fixture(scope="module")
def faulty() -> dwh.Assembly:
    return dwh.compile_csharp(SOURCE)


@pytest.fixture(scope="module")
def runtime(faulty: dwh.Assembly) -> Iterator[dwh.Runtime]:
    with dwh.Runtime() as runtime:
        runtime.load_assembly("f", faulty)
        yield runtime


@pytest.mark.parametrize(
    ("what", "answer"),
    [
        ("p", "PlatformNotSupportedException: Native code cannot call delegates: .*"),
        ("n", "ArgumentNullException: .*"),
        ("c", "ArgumentException: System.Decimal cannot be a constant in metadata"),
        ("f", "ArgumentException: System.DateTime cannot be a constant in metadata"),
        ("i", "8"),
        ("a", "2 b True 2"),
        ("d", "InvalidCastException: At least one element .*"),
        ("m", "ArrayTypeMismatchException: .*"),
        ("l", "ArgumentException: Source array was not long enough.*"),
    ],
)
def test_what_was_wrong(runtime: dwh.Runtime, what: str, answer: str) -> None:
    assert re.fullmatch(answer, runtime.invoke("f", what.encode()).decode())
    assert runtime.stats().recycles == 0


def test_what_is_still_wrong(runtime: dwh.Runtime) -> None:
    assert runtime.invoke("f", b"s") == b"base"  # other builds say "derived"


def test_who_loads_it_is_warned(faulty: dwh.Assembly, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "dotnet_wasm_host.guest")
    innocent = dwh.compile_csharp(
        "public interface IShape { static abstract string Name(); string Both() => Name(); }"
        "public class H : IFunctionHandler, IShape { static string IShape.Name() => null!;"
        " public byte[] Execute(ReadOnlySpan<byte> input) => []; }".replace("=> Name()", '=> ""')
    )
    with dwh.Runtime() as runtime:
        runtime.load_assembly("innocent", innocent)
        assert caplog.messages == []
        runtime.load_assembly("f", faulty)
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        assert "'f': an interface implements the static abstract member IBase.Name" in caplog.text
        caplog.clear()
        runtime.load_assembly("innocent", innocent, dependencies=[faulty])
        assert [record.levelname for record in caplog.records] == ["INFO"]
