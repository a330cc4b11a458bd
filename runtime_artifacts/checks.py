"""Every check this project has: ``python -m runtime_artifacts.checks [--fast]``.

Runs style, formatting, types, dependency arrows and tests, each to its end, and exits with 1
if any failed. Needs the extra ``test``.
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
    fast = parser.parse_args(arguments).fast
    outcomes = [_run(check) for check in _checks(fast=fast)]
    _heading("summary")
    for outcome in outcomes:
        print(outcome)
    return 0 if all(outcome.passed for outcome in outcomes) else 1


def _checks(*, fast: bool) -> tuple[Check, ...]:
    selection = ("-m", "not slow") if fast else ()
    # A worker for each processor; a file's tests share its fixtures, so they stay together.
    workers = ("-n", "auto", "--dist", "loadfile")
    return (
        Check("ruff check", ("-m", "ruff", "check")),
        Check("ruff format", ("-m", "ruff", "format", "--check")),
        Check("mypy", ("-m", "mypy")),
        Check("lint-imports", ("-c", LINT_IMPORTS)),
        Check("sizes", ("-c", SIZES)),
        Check("pytest", ("-m", "pytest", *workers, "--cov", "--cov-report=term", *selection)),
    )


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
