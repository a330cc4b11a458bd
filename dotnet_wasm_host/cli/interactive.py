"""``repl``: C# a line at a time."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dotnet_wasm_host.cli.package_options import AllowPackages, PackageSources
from dotnet_wasm_host.errors import DotnetHostError, InvocationError
from dotnet_wasm_host.notebook import CellError, CSharpSession

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["repl"]

_HISTORY = ".dotnet_wasm_host_history"
_HELP = "C# 12 on .NET 10. A statement or expression; :help, :reset, :quit or Ctrl-D."


def repl(
    reference: Annotated[
        list[Path] | None,
        typer.Option("--reference", "-r", help="A DLL, folder or .nupkg; repeatable."),
    ] = None,
    package_source: PackageSources = None,
    allow_package: AllowPackages = None,
    timeout: Annotated[
        float | None, typer.Option(help="Seconds that an entry may take.", min=0.1)
    ] = None,
) -> None:
    """Read C# from the terminal (or stdin), run it, print what it gives.

    With the extra notebook there are history, editing of several lines and completion.
    """
    options: dict[str, Any] = {
        "references": reference or (),
        "package_sources": package_source or (),
        "allow_packages": allow_package,
        "timeout": timeout,
    }
    terminal = sys.stdin.isatty()
    if terminal:
        typer.echo(_HELP)
    while True:
        with CSharpSession(**options) as session:
            if not _converse(session, terminal=terminal):
                return


def _converse(session: CSharpSession, *, terminal: bool) -> bool:
    """Run entries; whether another session is wanted after this one."""
    for text in _entries(session, terminal=terminal):
        if text == ":help":
            typer.echo(_HELP)
        elif text == ":reset":
            return True
        elif text in {":quit", ":exit"}:
            return False
        else:
            _run(session, text)
    return False


def _run(session: CSharpSession, text: str) -> None:
    try:
        cell = session.run(text)
    except CellError as error:
        typer.echo("\n".join(error.errors), err=True)
    except InvocationError as error:
        typer.echo(session.output, nl=False)
        said = f"{error.dotnet_type}: {error.dotnet_message}\n{error.stack_trace}"
        typer.echo(said.rstrip(), err=True)
    except KeyboardInterrupt:
        typer.echo("KeyboardInterrupt", err=True)
    except DotnetHostError as error:
        typer.echo(session.output, nl=False)
        typer.echo(f"{type(error).__name__}: {error}", err=True)
    else:
        typer.echo(cell.output, nl=False)
        if cell.text:
            shown = cell.value if isinstance(cell.value, (list, dict)) else cell.text
            typer.echo(shown)


def _entries(session: CSharpSession, *, terminal: bool) -> Iterator[str]:
    """What is entered, whole; an entry goes on while C# misses its end."""
    read = _prompt(session) if terminal else _line
    pending: list[str] = []
    while True:
        try:
            pending.append(read("... " if pending else "> "))
        except EOFError:
            break
        except KeyboardInterrupt:
            pending.clear()
            continue
        text = "\n".join(pending)
        # A command, C# with its end, or an empty line, which says that no more comes.
        if text.startswith(":") or not pending[-1].strip() or session.is_complete(text):
            pending.clear()
            if text.strip():
                yield text.strip()
    if text := "\n".join(pending).strip():
        yield text


def _line(_: str) -> str:
    line = sys.stdin.readline()
    if not line:
        raise EOFError
    return line.rstrip("\n")


def _prompt(session: CSharpSession) -> Callable[[str], str]:
    """The prompt of prompt_toolkit if it is there, else Python's."""
    try:
        from prompt_toolkit import PromptSession
        from prompt_toolkit.history import FileHistory

        from dotnet_wasm_host.notebook.completion import SessionCompleter
    except ImportError:
        return input
    try:
        history: Any = FileHistory(str(Path.home() / _HISTORY))
    except RuntimeError:  # no home
        history = None
    prompt: PromptSession[str] = PromptSession(
        history=history, completer=SessionCompleter(session), complete_while_typing=False
    )
    return prompt.prompt
