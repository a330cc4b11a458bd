"""What runs .NET's library tests: cutting, results, and a unit of this project's own."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conformance import corpus, results
from tests.conformance.corpus import Unit
from tests.conformance.cutting import cut
from tests.conformance.results import UnitResult
from tests.conformance.running import Settings, run

CODE = """\
using System;
using Nowhere;

namespace A.B
{
    [Some(new[] { "}" }, '{')]
    public class C<T> : D where T : new()
    {
        private static readonly int[] table = { 1, 2 };
        public int P { get; set; } = 5;
#if X
        [Fact] // { not a brace
        public void M(int x = 3)
        {
            var s = @"\\"; var t = $"{x}"; /* } */
            Action a = () => { };
        }
#endif
        public int E => new { X = 1 }.X;
        private enum F { G, H }
        private struct Inner
        {
            public int I;
        }
    }
}
"""
TESTS = """\
using System;
using System.Collections.Generic;
using System.Threading.Tasks;
using Xunit;

public class Some
{
    public static IEnumerable<object[]> Rows(int count)
    {
        for (var i = 0; i < count; i++) yield return new object[] { i, (byte)1 };
    }

    [Fact] public void Passes() => Assert.Equal(new[] { 1, 2 }, new List<int> { 1, 2 });
    [Fact] public async Task Waits()
    {
        await Task.Yield();
        Assert.Throws<FormatException>(() => int.Parse("x"));
    }
    [Fact] public void Fails() => Assert.Equal(1.5, 2.5);
    [Fact(Skip = "not now")] public void Never() { }
    [Fact] public void Unknown() => Nowhere.Here();
    [Fact] public void EndsTheGuest() => Environment.FailFast("broken");
    [Fact] public void Hangs() { while (true) { } }
    [Theory, MemberData(nameof(Rows), 3)]
    public void Counts(long i, int one) => Assert.True(i < 2 && one == 1);
    [Theory, InlineData(1, "a"), InlineData(2, "b")]
    public void Generic<T>(int i, T text) => Assert.IsType<string>(text);
    [ConditionalFact(typeof(PlatformDetection), nameof(PlatformDetection.IsWindows))]
    public void OnWindows() { }
}
"""


def line_of(text: str) -> int:
    return CODE[: CODE.index(text)].count("\n") + 1


@pytest.mark.parametrize(
    ("place", "gone", "stays"),
    [
        ("using Nowhere", ["using Nowhere;"], "using System;"),
        ("Action a", ["public void M(int x", "[Fact] //"], "#if X"),
        ("table", ["table = { 1, 2 };"], "public int P"),
        ("= 5;", ["public int P { get; set; } = 5;"], "table"),
        ("new { X", ["public int E => new { X = 1 }.X;"], "#endif"),
        ("enum F", ["private enum F { G, H }"], "struct Inner"),
        ("public int I", ["public int I;"], "struct Inner"),
        ("public class C", ["class C", "Some(", "table"], "namespace A.B"),
    ],
)
def test_the_innermost_member_goes_and_lines_stay(place: str, gone: list[str], stays: str) -> None:
    text, names = cut(CODE, {line_of(place)})
    assert all(one in CODE for one in gone)
    assert not any(one in text for one in gone)
    assert stays in text
    assert len(names) == 1
    assert text.count("\n") == CODE.count("\n")
    assert text.count("#if") == text.count("#endif") == 1


def test_a_line_outside_of_everything_is_not_cut() -> None:
    assert cut(CODE, {line_of("using System;") + 2}) == (CODE, [])


@pytest.mark.long
def test_a_unit_of_every_outcome(tmp_path: Path) -> None:
    unit = Unit("Own", {"Some.cs": TESTS})
    result = run(unit, Settings(timeout=2.0, cache=tmp_path))
    assert result.outcomes == {
        "Some.Passes#0": "pass",
        "Some.Waits#0": "pass",
        "Some.Fails#0": "fail",
        "Some.Never#0": "skip",
        "Some.EndsTheGuest#0": "crash",
        "Some.Hangs#0": "crash",
        "Some.Counts#0": "pass",
        "Some.Counts#1": "pass",
        "Some.Counts#2": "fail",
        "Some.Generic#0": "pass",
        "Some.Generic#1": "pass",
        "Some.OnWindows#0": "skip",
    }
    assert "expected 1.5 (0x3FF8" in result.messages["Some.Fails#0"]
    assert "InvocationTimeout" in result.messages["Some.Hangs#0"]
    (removed,) = result.removed
    assert "Unknown() => Nowhere.Here(); <= CS0103" in removed
    assert not result.is_complete or "unrun" not in result.outcomes.values()
    assert list(tmp_path.glob("*.dll"))

    again = run(unit, Settings(jit="everything", rounds=2, timeout=2.0, cache=tmp_path))
    assert not list(results.differences({"Own": result}, {"Own": again}))


def test_results_are_kept_and_compared(tmp_path: Path) -> None:
    one = UnitResult("A", "k")
    for outcome in ("pass", "fail", "skip"):
        one.add("T#0", outcome, "why" if outcome == "fail" else "")
    one.add("T#1", "pass", "")
    results.write(tmp_path / "r.json", {"A": one})
    read = results.read(tmp_path / "r.json")
    assert read == {"A": one}
    assert list(one.outcomes) == ["T#0", "T#0'", "T#0''", "T#1"]
    other = UnitResult("A", "k", outcomes={**one.outcomes, "T#1": "fail", "T#0": "unrun"})
    assert list(results.differences(read, {"A": other})) == [("A", "T#1", "pass", "fail")]
    assert one.is_complete
    assert not other.is_complete
    assert results.read(tmp_path / "none.json") == {}


@pytest.mark.long
def test_the_command(tmp_path: Path) -> None:
    def command(*arguments: object) -> subprocess.CompletedProcess[str]:
        words = ["-m", "tests.conformance", "--corpus", tmp_path, *arguments]
        return subprocess.run(
            [sys.executable, *map(str, words)], capture_output=True, text=True, check=False
        )

    assert "python -m tests.conformance fetch" in command("list").stderr
    name = next(iter(json.loads(corpus._UNITS.read_text(encoding="utf-8"))["units"]))
    folder = tmp_path / "src" / "System.Threading.Channels" / "tests"
    folder.mkdir(parents=True)
    (folder / "SomeTests.cs").write_text(TESTS.replace("while (true) { }", ""), encoding="utf-8")
    ran = command("run", "Channels", "--jobs", 1)
    assert ran.stderr == ""
    assert f"{name:24} pass      7 fail      2 crash      1 skip      2 unrun      0" in ran.stdout
    assert "1 units, 12 cases: 7 pass" in ran.stdout
    assert command("run", "Channels").stdout == ran.stdout.splitlines(keepends=True)[-1]
    shown = command("show", tmp_path / "off.json", "--failures", "--cuts").stdout
    assert "Some.Fails: () Xunit.Sdk.EqualException" in shown
    assert "cut System.Threading.Channels/tests/SomeTests.cs: [Fact] public void Unknown" in shown
    both = command("compare", tmp_path / "off.json", tmp_path / "off.json")
    assert both.returncode == 0
    assert "of which 0 differ" in both.stdout


@pytest.mark.long
def test_processes_end_with_a_run_that_is_killed(tmp_path: Path) -> None:
    folder = tmp_path / "src" / "System.Threading.Channels" / "tests"
    folder.mkdir(parents=True)
    (folder / "SomeTests.cs").write_text(TESTS, encoding="utf-8")
    words = ["-m", "tests.conformance", "--corpus", str(tmp_path), "run", "Channels", "--jobs", "1"]
    with subprocess.Popen([sys.executable, *words]) as command:
        compiled = tmp_path / "built"
        until(lambda: any("xunit" not in path.name for path in compiled.glob("*.dll")))
        children = subprocess.check_output(["pgrep", "-P", str(command.pid)], text=True).split()
        command.kill()
    assert children
    until(lambda: not any(Path("/proc", child).exists() for child in children))


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)
