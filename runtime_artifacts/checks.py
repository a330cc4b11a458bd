"""Every check this project has: ``python -m runtime_artifacts.checks [--fast | --long]``.

Runs style, formatting, types, dependency arrows, documentation and tests, each to its end, and
exits with 1 if any failed. Needs the extra ``test``. With ``--engine wasmer`` it runs only the
tests that an engine matters to, on that engine; they need the extra ``wasmer`` and CPython 3.10.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
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
LINT_IMPORTS = "from importlinter.cli import lint_imports_command; lint_imports_command()"


@dataclass(frozen=True, slots=True)
class Check:
    """A command that exits with 0 when all is well, run with this Python."""

    name: str
    arguments: tuple[str, ...]


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
    options = parser.parse_args(arguments)
    left_out = [] if options.long else ["long"]
    if options.fast:
        left_out.append("slow")
    checks = _checks(options.engine, left_out)
    outcomes = [_run(check) for check in checks]
    _heading("summary")
    for outcome in outcomes:
        print(outcome)
    return 0 if all(outcome.passed for outcome in outcomes) else 1


def _checks(engine: str | None, left_out: Sequence[str]) -> tuple[Check, ...]:
    if engine:
        folders = (f"tests/{folder}" for folder in ENGINE_TESTS)
        return (Check(f"pytest on {engine}", (*_pytest(left_out), f"--engine={engine}", *folders)),)
    return (
        Check("ruff check", ("-m", "ruff", "check")),
        Check("ruff format", ("-m", "ruff", "format", "--check")),
        Check("mypy", ("-m", "mypy")),
        Check("type completeness", ("-m", "runtime_artifacts.type_completeness")),
        Check("lint-imports", ("-c", LINT_IMPORTS)),
        Check("docs", ("-m", "sphinx", "-q", "-W", "--keep-going", "docs", "build/docs")),
        Check("sizes", ("-c", SIZES)),
        Check("pytest", (*_pytest(left_out), "--cov", "--cov-report=term")),
    )


def _pytest(left_out: Sequence[str]) -> tuple[str, ...]:
    selection = ("-m", " and ".join(f"not {mark}" for mark in left_out)) if left_out else ()
    # A worker for each processor; a file's tests share its fixtures, so they stay together.
    return ("-m", "pytest", "-n", "auto", "--dist", "loadfile", *selection)


def _run(check: Check) -> Outcome:
    _heading(check.name)
    started = time.perf_counter()
    command = [sys.executable, *check.arguments]
    done = subprocess.run(command, cwd=ROOT, check=False)  # noqa: S603 - fixed arguments
    return Outcome(check.name, done.returncode == 0, time.perf_counter() - started)


def _heading(text: str) -> None:
    print(f"\n=== {text} ".ljust(100, "="), flush=True)


if __name__ == "__main__":
    sys.exit(main())
