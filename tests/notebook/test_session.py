"""Cells, one after the other; the terminal."""

from __future__ import annotations

import math
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import dotnet_wasm_host as dwh
from dotnet_wasm_host.notebook import CellError, CSharpSession
from dotnet_wasm_host.notebook.sharing import declare
from tests.nuget.made import put

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def session() -> Iterator[CSharpSession]:
    with CSharpSession() as session:
        yield session


def test_cells_see_what_came_before(session: CSharpSession) -> None:
    first = session.run(
        "record P(string Name, int Age);\nvar xs = new[] { 3, 1, 2 };\nint Twice(int x) => 2 * x;"
    )
    assert (first.value, first.text, first.output) == (None, "", "")
    assert session.run("Console.WriteLine(xs.Length); Twice(xs.Sum())").output == "3\n"
    assert session.run("Twice(xs.Sum())").value == 12
    people = session.run('new[] { new P("Ada", 36), new P("Bob", 41) }').value
    assert people == [{"Name": "Ada", "Age": 36}, {"Name": "Bob", "Age": 41}]
    assert session.run("await Task.Delay(1); xs[0]").value == 3
    session.run("xs = [9];")
    assert session.run("xs[0]").value == 9


def test_what_does_not_compile_declares_nothing(session: CSharpSession) -> None:
    session.run("var x = 1;")
    with pytest.raises(CellError) as caught:
        session.run("var y = 2;\nvar z = missing;")
    assert caught.value.errors == (
        "cell 2(2,9): error CS0103: The name 'missing' does not exist in the current context",
    )
    with pytest.raises(CellError, match="CS0103"):
        session.run("y")
    assert session.run("x").value == 1


def test_what_throws_keeps_what_it_declared(session: CSharpSession) -> None:
    with pytest.raises(dwh.InvocationError, match="boom"):
        session.run('var x = 7; Console.Write("before"); throw new Exception("boom");')
    assert session.output == "before"
    assert session.run("x").value == 7


def test_values_of_many_kinds(session: CSharpSession) -> None:
    assert session.run("new byte[] { 1, 2 }").value == b"\1\2"
    assert session.run('new Dictionary<string, int> { ["a"] = 1 }').value == {"a": 1}
    assert session.run("Enumerable.Range(0, int.MaxValue)").value == list(range(10_000))
    endless = session.run("typeof(int)")
    assert (endless.value, endless.text) == (None, "System.Int32")
    assert math.isnan(float(session.run("double.NaN").value))


SHARED: dict[str, tuple[Any, str, Any]] = {
    "int": (3, "x + 1", 4),
    "long": (1 << 40, "x", 1 << 40),
    "float": (1.5, "x * 2", 3),
    "not a number": (math.inf, "double.IsInfinity(x)", True),
    "text": ('a "quoted" \\ \u00e4\n', "x", 'a "quoted" \\ \u00e4\n'),
    "none": (None, "x is null", True),
    "bool": (True, "!x", False),
    "list": ([1, 2], "x.Sum()", 3),
    "wide list": ([1, 1 << 40, 2], "x[1]", 1 << 40),
    "mixed numbers": ([1, 2.5], "x.Sum()", 3.5),
    "nested": ([[1], [2, 3]], "x[1][1]", 3),
    "numpy": (np.arange(3.0), "x.Length", 3),
    "matrix": (np.eye(2), "x[1][1]", 1),
    "dict": ({"a": 1, "b": 2}, 'x["b"]', 2),
    "columns": ({"a": [1, 2], "b": [3, 4]}, 'x["b"].Sum()', 7),
}


@pytest.mark.parametrize("kind", SHARED)
def test_values_of_python_are_variables(session: CSharpSession, kind: str) -> None:
    value, expression, result = SHARED[kind]
    assert session.run(expression, share={"x": value}).value == result


def test_a_data_frame_is_a_dictionary_of_columns(session: CSharpSession) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": [1, 2], "b": [3, 4]})
    assert session.run('x["b"].Sum()', share={"x": frame}).value == 7


def test_what_csharp_has_no_type_for_is_refused() -> None:
    with pytest.raises(dwh.MarshallingTypeError, match=r"x: expected a number, .* found complex"):
        declare("x", 1j)
    with pytest.raises(dwh.MarshallingTypeError, match="a list of one type, found int, string"):
        declare("x", [1, "a"])
    with pytest.raises(dwh.MarshallingError, match="a name that C# can have, found 'a b'"):
        declare("a b", 1)


def test_packages_can_be_used(tmp_path: Path) -> None:
    library = dwh.compile_csharp(
        "namespace Good; public static class Thing { public static int Number => 7; }",
        assembly_name="Good",
    )
    put(tmp_path, "Good", "1.0.0", {"lib/net8.0/Good.dll": library.data})
    with CSharpSession(package_sources=[tmp_path]) as session:
        assert session.run("#:package Good@1.0.0\nGood.Thing.Number").value == 7
        assert session.run("using Good; Thing.Number + 1").value == 8
    with CSharpSession(references=[library]) as session:
        assert session.run("Good.Thing.Number").value == 7


def test_completion_and_ends(session: CSharpSession) -> None:
    session.run("var numbers = new List<int>(); record Person(string Name);")
    assert "numbers" in session.complete("num", 3)
    assert "Person" in session.complete("new Per", 7)
    assert {"Add", "AddRange"} <= set(session.complete("numbers.Ad", 10))
    assert "Where" in session.complete("numbers.", 8)
    assert "WriteLine" in session.complete("Console.Write", 13)
    assert session.is_complete("1 + 1")
    assert not session.is_complete("if (true) {")
    assert not session.is_complete("int F(int x) =>")


def test_a_cell_can_be_stopped() -> None:
    with CSharpSession(timeout=30) as session:
        session.run("1")
    with CSharpSession(timeout=5) as session, pytest.raises(dwh.InvocationTimeout):
        session.run("while (true) Thread.Yield();")


def test_the_terminal_reads_entries_of_several_lines() -> None:
    program = "from dotnet_wasm_host.cli.main import main; main()"
    entries = "var x = 20;\nint Twice(int n)\n{\n  return 2 * n;\n}\nTwice(x) + 2\n"
    entries += "missing\nnew[] { 1 }\n:reset\nx\n:quit\n"
    done = subprocess.run(
        [sys.executable, "-c", program, "repl"],
        input=entries, capture_output=True, text=True, check=True, timeout=300,
    )  # fmt: skip
    assert done.stdout == "42\n[1]\n"
    assert "cell 4(1,1): error CS0103: The name 'missing'" in done.stderr
    assert "The name 'x' does not exist" in done.stderr


def test_the_prompt_completes(session: CSharpSession) -> None:
    from prompt_toolkit.document import Document

    from dotnet_wasm_host.notebook.completion import SessionCompleter

    session.run("var numbers = 1;")
    event: Any = None
    found = list(SessionCompleter(session).get_completions(Document("1 + num", 7), event))
    assert [c.text for c in found] == ["numbers"]
    assert found[0].start_position == -3
