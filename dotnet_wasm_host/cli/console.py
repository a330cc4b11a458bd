"""What all commands share: progress on stderr, errors as exit codes."""

from __future__ import annotations

import json
import os
import shutil
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

from dotnet_wasm_host.cli.excerpts import Excerpt
from dotnet_wasm_host.errors import (
    ArtifactError,
    AssemblyLoadError,
    CompilationError,
    DotnetHostError,
    EngineUnavailable,
    InvocationError,
)
from dotnet_wasm_host.packages.errors import PackageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dotnet_wasm_host.diagnostic import Diagnostic

__all__ = [
    "BEFORE_RUNNING",
    "EXIT_CODES",
    "ProgramExit",
    "print_json",
    "progress",
    "report_diagnostic",
    "report_error",
    "running",
    "style",
]

EXIT_CODES = (
    "Exit codes: 0 success; 1 the function failed (exception, trap, exit, timeout, limit); "
    "2 wrong usage; 3 C# did not compile; 4 the assembly or a package could not be loaded; "
    "5 the runtime's artifacts or engine are missing or damaged; "
    "6 a worker cannot be reached or refuses a deploy. "
    "'run' passes a program's own exit code on, and ends with 120 more than these when the "
    "program or function did not get to run."
)
_COLOURS = {
    "error": typer.colors.RED, "warning": typer.colors.YELLOW, "info": typer.colors.CYAN,
}  # fmt: skip
#: What ``run`` adds to an exit code of its own, out of the way of a program's.
BEFORE_RUNNING = 120


class ProgramExit(Exception):
    """A program ran; this command ends with its exit code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


@contextmanager
def running() -> Iterator[None]:
    """While a function runs: an error is its own, not one of the command."""
    try:
        yield
    except DotnetHostError as error:
        raise ProgramExit(report_error(error)) from error


def progress(text: str) -> None:
    """Tell what is going on, out of the way of the output."""
    typer.echo(style(text, dim=True), err=True)


def print_json(value: object) -> None:
    """For programs that read the output."""
    typer.echo(json.dumps(value, indent=2))


def report_error(error: DotnetHostError) -> int:
    """Print the error for a person; returns the exit code."""
    if isinstance(error, CompilationError):
        for diagnostic in error.diagnostics:
            report_diagnostic(diagnostic)
        return 3
    typer.echo(style(f"error: {error}", fg=typer.colors.RED), err=True)
    if isinstance(error, InvocationError):
        _print_trace(error)
    if isinstance(error, (AssemblyLoadError, PackageError)):
        return 4
    if isinstance(error, (ArtifactError, EngineUnavailable)):
        return 5
    return 1


def style(text: str, **how: Any) -> str:
    """Text for stderr, in colour on a terminal unless ``NO_COLOR`` is set (no-color.org)."""
    wanted = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    return typer.style(text, **how) if wanted else text


def report_diagnostic(diagnostic: Diagnostic) -> None:
    """Print what the compiler says; on a terminal with the line, and the place in it marked."""
    colour = _COLOURS[diagnostic.severity]
    typer.echo(style(str(diagnostic), fg=colour), err=True)
    line = diagnostic.source_line
    if not line or not sys.stderr.isatty():
        return
    gutter = f"{diagnostic.line:5} | "
    is_one_line = diagnostic.end_line == diagnostic.line
    width = shutil.get_terminal_size().columns - len(gutter)
    found = Excerpt.of(
        line, diagnostic.column - 1, diagnostic.end_column - 1 if is_one_line else 0, max(width, 20)
    )
    margin = " " * (len(gutter) - 2) + "| "
    typer.echo(style(gutter, dim=True) + found.text, err=True)
    mark = style("^" * found.length, fg=colour, bold=True)
    typer.echo(f"{style(margin, dim=True)}{' ' * found.indent}{mark}", err=True)


def _print_trace(error: InvocationError) -> None:
    current: InvocationError | None = error
    while current is not None:
        if current is not error:
            typer.echo(f" ---> {current.dotnet_type}: {current.dotnet_message}", err=True)
        if current.stack_trace:
            typer.echo(current.stack_trace, err=True)
        current = current.inner
