"""Stubs that type checkers agree with; modules of DLLs."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import dotnet_wasm_host as dwh

if TYPE_CHECKING:
    from pathlib import Path

SOURCE = """
/// <summary>A point.</summary>
public record Point(int X, double Y);
public record Nested(Point P, List<Point> More, Color C);
public enum Color { Red, Green }
[Flags] public enum Access { Read = 1, Write = 2 }
/// <summary>Moves it.</summary>
/// <param name="p">the point</param>
public static Point Move(Point p, int dx = 2, Color c = default, Point? other = null) => p;
public static async Task<List<string>> Later(ReadOnlyMemory<double> xs, Dictionary<string, DateTime?> d) {
    await Task.Yield(); return ["x"];
}
public static string Over(int a) => "int";
public static string Over(string a) => "string";
public static bool TryParse(string s, out int value) => int.TryParse(s, out value);
public static (int, decimal, Guid, TimeSpan, DateOnly) Mixed(byte[] b, HashSet<char> s, Half h, int? n = null) => default;
public static IEnumerable<Point> Stream(int n) { yield break; }
public static async IAsyncEnumerable<string> Late() { await Task.Yield(); yield break; }
public static T Refused<T>(T x) => x;
public interface INamed { string Name { get; } }
/// <summary>An account.</summary>
public class Account : INamed, IDisposable, IEnumerable<int> {
    public Account(string name) => Name = name;
    public Account(int start) : this("") => Balance = start;
    public string Name { get; }
    /// <summary>Money.</summary>
    public int Balance { get; set; }
    public static int Opened { get; set; }
    public int this[int i] { get => i; set { } }
    public int Count => 3;
    /// <summary>Adds.</summary>
    public Account Deposit(int n) { Balance += n; return this; }
    public async Task<int> Wait() { await Task.Yield(); return 1; }
    public static Account Open() => new("x");
    public void Dispose() { }
    public IEnumerator<int> GetEnumerator() { yield return 1; }
    System.Collections.IEnumerator System.Collections.IEnumerable.GetEnumerator() =>
        GetEnumerator();
}
public static string NameOf(INamed n) => n.Name;
public abstract record Figure;
public record Disc(double R) : Figure;
public record Animal(string Name);
public record Dog(int Age, string Name) : Animal(Name);
public static Figure Same(Figure f) => f;
public static object?[,] Anything(object? x, int[,] xs) => new[,] { { x } };
public static class Tools { public static int Triple(int x) => 3 * x; }
"""  # noqa: E501
USE = """
import asyncio
import array
import stub

p: stub.Point = stub.Move(stub.Point(1, 2.0), dx=3, c=stub.Color.Red)
q: stub.Point = stub.Move({"X": 1, "Y": 2.0})
x: int = p.X
texts: list[str] = asyncio.run(stub.Later(array.array("d", [1.0]), {"a": None}))
ok, value = stub.TryParse("1")
three: int = stub.Tools.Triple(value)
text: str = stub.Over(1) + stub.Over("a")
count: int = stub.Mixed(b"", {"a"}, 1.0)[0]
access: stub.Access = stub.Access.Read | stub.Access.Write
first: stub.Point = next(stub.Stream(3))
account: stub.Account = stub.Account("Ada").Deposit(3)
account.Balance += 1
account[1] = account[2] + len(account)
counted: list[int] = [n for n in account]
named: str = stub.NameOf(account) + account.Name + stub.Account.Open().Name
opened: int = stub.Account.Opened
with account as same:
    balance: int = same.Balance
waited: int = asyncio.run(account.Wait())
same_figure: stub.Figure = stub.Same(stub.Disc(1.0))
dog: stub.Animal = stub.Dog(3, "D")
cell: object = stub.Anything({"a": 1}, [[1, 2]])[0][0]
more: list[stub.Point] = stub.Nested(p, [q], stub.Color.Green).More
"""
WRONG = {
    'stub.Move("x")': "arg",
    "stub.Move(p, dz=1)": "dz",
    "stub.Tools.Triple('x')": "arg",
    "stub.Over(1.5)": "overload",
    "p.Z": "Z",
    "stub.Account([])": "overload",
    "account.Name = 'x'": "read-only",
    "account.Deposit('x')": "arg",
    "stub.NameOf(p)": "arg",
    "stub.Refused(1)": "Refused",
    "stub.Same(dog)": "arg",
    "stub.Dog('D', 3)": "arg",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("stubs")
    (folder / "stub.cs").write_text(SOURCE)
    (folder / "stub.py").write_text("")  # what the stub is for
    program = "from dotnet_wasm_host.cli.main import main; main()"
    command = [sys.executable, "-c", program, "stubs", "stub.cs", "-o", "stub.pyi"]
    subprocess.run(command, cwd=folder, check=True)
    return folder


def check(folder: Path, checker: str, text: str) -> tuple[int, str]:
    (folder / "use.py").write_text(text)
    command = {
        "mypy": [sys.executable, "-m", "mypy", "--strict", "use.py", "stub.pyi"],
        "pyright": [sys.executable, "-m", "basedpyright", "--level", "error", "use.py"],
    }[checker]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("checker", ["mypy", "pyright"])
def test_type_checkers_agree_with_a_stub(folder: Path, checker: str) -> None:
    code, said = check(folder, checker, USE)
    assert code == 0, said


def test_type_checkers_find_what_is_wrong(folder: Path) -> None:
    code, said = check(folder, "mypy", USE + "\n" + "\n".join(WRONG))
    assert code != 0
    first = len(USE.splitlines()) + 2
    for line, (statement, word) in enumerate(WRONG.items(), first):
        found = [text for text in said.splitlines() if text.startswith(f"use.py:{line}:")]
        assert found, (statement, said)
        assert any(word in text for text in found), (statement, found)


def test_a_stub_has_the_documentation(folder: Path) -> None:
    stub = (folder / "stub.pyi").read_text()
    assert '    """A point."""' in stub
    assert '    """Moves it.\n\n    Args:\n        p: the point\n    """' in stub


def test_a_stub_has_what_the_module_has(folder: Path) -> None:
    stub = (folder / "stub.pyi").read_text()
    with dwh.csharp(SOURCE) as module:
        for name in vars(module):
            if not name.startswith("_") and name not in {"Refused", "Triple"}:
                assert f" {name}(" in stub or f"class {name}" in stub, name


LIBRARY = """
namespace Lib.Inner;
/// <summary>Scores.</summary>
public static class Scores {
    /// <summary>Sums.</summary>
    public static int Sum(int[] xs) => xs.Sum();
    public static Outer.Item Make(string name) => new(name);
}
public static class Outer { public record Item(string Name);
    public static int Sum(int a, int b) => a + b; }
"""


def test_a_dll_is_a_module_by_full_names(tmp_path: Path) -> None:
    path = tmp_path / "Lib.dll"
    dwh.compile_csharp(LIBRARY, assembly_name="Lib").save(path)
    (tmp_path / "Lib.xml").write_text(
        '<doc><members><member name="M:Lib.Inner.Scores.Sum(System.Int32[])">'
        "<summary>Sums.</summary></member></members></doc>"
    )
    with dwh.load(path) as m:
        assert m["Lib.Inner.Scores"].Sum([1, 2]) == m.Scores.Sum([1, 2]) == 3
        assert m["Lib.Inner.Scores"].Sum.__doc__ == "Sums."
        assert m["Lib.Inner.Outer"].Sum(1, 2) == 3
        assert not hasattr(m, "Sum")  # two types have one
        item = m.Make("x")
        assert item == m["Lib.Inner.Outer.Item"]("x")
        with pytest.raises(KeyError, match=r"expected one of .*Lib.Inner.Scores, found 'Nope'"):
            m["Nope"]


def test_what_is_no_dll_is_refused(tmp_path: Path) -> None:
    with pytest.raises(dwh.AssemblyLoadError, match=r"it is not a \.NET assembly"):
        dwh.load(b"MZ nothing")
    with pytest.raises(FileNotFoundError):
        dwh.load(tmp_path / "none.dll")
