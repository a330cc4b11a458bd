"""Functions as commands take them: a file, what it uses, which handler."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dotnet_wasm_host.assembly import Assembly
from dotnet_wasm_host.cli.console import progress
from dotnet_wasm_host.roslyn import CSharpCompiler

__all__ = ["Dependencies", "FunctionFile", "Handler", "function_assembly", "read_file"]

FunctionFile = Annotated[Path, typer.Argument(help="A .cs source file or a .dll.", exists=True)]
Dependencies = Annotated[
    list[Path] | None,
    typer.Option("--dependency", "-d", help="A DLL, folder or .nupkg; repeatable."),
]
Handler = Annotated[
    str | None, typer.Option(help="Full name of the handler type, if there are several.")
]


def function_assembly(file: Path, dependencies: list[Path]) -> Path | Assembly:
    """A function's assembly, compiled if the file is C#."""
    if file.suffix.lower() == ".dll":
        return file
    try:
        source = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{file} cannot be read as UTF-8 text: {error}") from error
    compiler = CSharpCompiler.load(progress=progress)
    return compiler.compile({file.name: source}, references=dependencies)


def read_file(path: Path) -> bytes:
    """A file that a command was given."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise typer.BadParameter(f"{path} cannot be read: {error.strerror}") from error
