"""``stubs``: what type checkers and editors read of C#."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dotnet_wasm_host.programs.program import read_references
from dotnet_wasm_host.typed.sources import describe_assembly, describe_source, read_source
from dotnet_wasm_host.typed.stubs import stub_text

__all__ = ["stubs"]


def stubs(
    file: Annotated[Path, typer.Argument(help="A .cs file or a .dll file.", exists=True)],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File to write to; stdout without it.")
    ] = None,
    reference: Annotated[
        list[Path] | None,
        typer.Option("--reference", "-r", help="A DLL, folder or .nupkg; repeatable."),
    ] = None,
) -> None:
    """Write a .pyi stub for the methods of C# as csharp and load give them."""
    if file.suffix.lower() == ".cs":
        try:
            text = file.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            raise typer.BadParameter(f"{file} cannot be read as UTF-8 text: {error}") from error
        description = describe_source(
            read_source({file.name: text}), read_references(reference or [])
        )
    else:
        description = describe_assembly(file, reference or [])
    stub = stub_text(description)
    if output is None:
        typer.echo(stub, nl=False)
        return
    output.write_text(stub, encoding="utf-8")
    typer.echo(f"{output}: {len(stub.splitlines())} lines", err=True)
