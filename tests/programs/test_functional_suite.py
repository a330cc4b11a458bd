"""The programs of the functional suite as programs: with a ``Main``, directives and input."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import dotnet_wasm_host as dwh

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = ROOT / "tests" / "functional" / "programs"
SHARED = "JsonHandler.cs"
#: Tests that ask a handler something and compare the answer.
SUITE = ("compression", "crypto", "data", "language", "numbers", "spans", "text")
#: ... but for one that looks at its runtime afterwards.
LEFT_OUT = "not catastrophic_backtracking"
#: How many of them there are at least; raise it when tests are added.
FLOOR = 95
#: Tells which handlers are there.
MAIN = """\
#!/usr/bin/env dotnet
#:property Nullable=disable
var types = System.Reflection.Assembly.GetEntryAssembly().GetTypes();
var handlers = types.Where(t => !t.IsAbstract && (typeof(IFunctionHandler).IsAssignableFrom(t)
    || typeof(IAsyncFunctionHandler).IsAssignableFrom(t)));
Console.Write(string.Join(' ', handlers.Select(t => t.FullName)));
return args.Length;
"""


@pytest.mark.parametrize("name", sorted(p.stem for p in PROGRAMS.glob("[a-z]*.cs")))
def test_each_file_is_part_of_a_program(name: str) -> None:
    texts = {file: (PROGRAMS / file).read_text("utf-8") for file in (SHARED, f"{name}.cs")}
    done = dwh.run_csharp({"main.cs": MAIN, **texts}, ["a", "b"])
    assert done.returncode == 2, done.stderr
    assert all(re.fullmatch(r"Programs\.[\w.+]+", handler) for handler in done.stdout.split())
    assert done.stdout


@pytest.mark.long
def test_programs_answer_what_functions_answer() -> None:
    tests = [f"tests/functional/test_{name}.py" for name in SUITE]
    command = [
        *(sys.executable, "-m", "pytest", *tests, "--as-programs", "-q", "-p", "no:cacheprovider"),
        *("-k", LEFT_OUT, "-m", "not long"),
    ]
    done = subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-1000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None
    assert int(passed[1]) >= FLOOR
