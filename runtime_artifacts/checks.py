"""Every check this project has: ``python -m runtime_artifacts.checks [--fast | --long]``.

Runs style, formatting, types, dependency arrows, documentation and tests, each to its end, and
exits with 1 if any failed. Needs the extra ``test``. With ``--engine wasmer`` it runs only the
tests that an engine matters to, on that engine; they need the extra ``wasmer`` and CPython 3.10.
``--coverage`` measures the tests' coverage, which takes half as much time again.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

ROOT = Path(__file__).resolve().parents[1]
#: Growth of an image over its budget; about a minute and a half.
SIZES = "from dotnet_wasm_host.cli.main import app; app(['sizes', '--diff'])"
#: Where guests run in the tests.
ENGINE_TESTS = ("engines", "functional", "image", "pool", "properties", "roslyn", "trimming")
#: Nice value of what runs beside the tests.
_LOW_PRIORITY = 10
LINT_IMPORTS = "from importlinter.cli import lint_imports_command; lint_imports_command()"


@dataclass(frozen=True, slots=True)
class Check:
    """A command that exits with 0 when all is well, run with this Python.

    Attributes:
        name: what is shown.
        arguments: of Python.
        beside: it takes what time the tests leave, because one processor is all that it uses.
        last: it uses all processors, and its output is shown as it comes.
    """

    name: str
    arguments: tuple[str, ...]
    beside: bool = False
    last: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a check ended."""

    name: str
    passed: bool
    seconds: float

    def __str__(self) -> str:
        return f"{'ok' if self.passed else 'FAILED':6}  {self.seconds:6.1f} s  {self.name}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the checks and print a summary; the exit code is 0 if all passed."""
    parser = argparse.ArgumentParser(
        prog="python -m runtime_artifacts.checks", description="Run every check of this project."
    )
    parser.add_argument("--fast", action="store_true", help="leave out tests marked slow")
    parser.add_argument("--long", action="store_true", help="with tests that take minutes")
    parser.add_argument("--engine", help="only run tests, those that depend on the engine")
    parser.add_argument("--coverage", action="store_true", help="measure what the tests cover")
    options = parser.parse_args(arguments)
    left_out = [] if options.long else ["long"]
    if options.fast:
        left_out.append("slow")
    outcomes = _run_all(_checks(options.engine, left_out, coverage=options.coverage))
    _heading("summary")
    for outcome in outcomes:
        print(outcome)
    return 0 if all(outcome.passed for outcome in outcomes) else 1


def _checks(
    engine: str | None, left_out: Sequence[str], *, coverage: bool = False
) -> tuple[Check, ...]:
    tests = (*_pytest(left_out), *(("--cov", "--cov-report=term") if coverage else ()))
    if engine:
        folders = (f"tests/{folder}" for folder in ENGINE_TESTS)
        return (Check(f"pytest on {engine}", (*tests, f"--engine={engine}", *folders), last=True),)
    return (
        Check("sizes", ("-c", SIZES), beside=True),
        Check("ruff check", ("-m", "ruff", "check")),
        Check("ruff format", ("-m", "ruff", "format", "--check")),
        Check("mypy", ("-m", "mypy")),
        Check("type completeness", ("-m", "runtime_artifacts.type_completeness")),
        Check("lint-imports", ("-c", LINT_IMPORTS)),
        Check("docs", ("-m", "sphinx", "-q", "-W", "--keep-going", "docs", "build/docs")),
        Check("pytest", tests, last=True),
    )


def _pytest(left_out: Sequence[str]) -> tuple[str, ...]:
    selection = ("-m", " and ".join(f"not {mark}" for mark in left_out)) if left_out else ()
    # A worker for each processor; a file's tests share its fixtures, so they stay together.
    return ("-m", "pytest", "-n", "auto", "--dist", "loadfile", *selection)


def _run_all(checks: Sequence[Check]) -> list[Outcome]:
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        started = [(check, threads.submit(_run, check)) for check in checks if not check.last]
        outcomes = [future.result() for check, future in started if not check.beside]
        outcomes += [_run(check) for check in checks if check.last]
        return outcomes + [future.result() for check, future in started if check.beside]


def _run(check: Check) -> Outcome:
    started = time.perf_counter()
    command = [sys.executable, *check.arguments]
    if check.last:
        _heading(check.name)
        code = subprocess.run(command, cwd=ROOT, check=False).returncode  # noqa: S603 - fixed
    else:
        code, output = _run_in_background(command, lowered=check.beside)
        _heading(check.name, output)
    return Outcome(check.name, code == 0, time.perf_counter() - started)


def _run_in_background(command: Sequence[str], *, lowered: bool) -> tuple[int, str]:
    process = subprocess.Popen(  # noqa: S603 - fixed arguments
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if lowered and hasattr(os, "setpriority"):
        os.setpriority(os.PRIO_PROCESS, process.pid, _LOW_PRIORITY)
    output, _ = process.communicate()
    return process.returncode, output


def _heading(name: str, output: str = "") -> None:
    # One write, because several checks end at the same time.
    print(f"\n{f'=== {name} '.ljust(99, '=')}\n{output}", end="", flush=True)


if __name__ == "__main__":
    sys.exit(main())
