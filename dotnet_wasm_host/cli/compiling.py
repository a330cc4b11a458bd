"""``compile`` and ``contract``: from C# to assemblies."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dotnet_wasm_host.artifacts.store import ArtifactStore
from dotnet_wasm_host.cli.console import progress, report_diagnostic
from dotnet_wasm_host.cli.package_options import (
    AllowPackages,
    LockFile,
    Offline,
    Packages,
    PackageSources,
    read_packages,
)
from dotnet_wasm_host.programs.program import read_references
from dotnet_wasm_host.roslyn import CompilerOptions, CSharpCompiler

__all__ = ["compile_sources", "contract"]

CONTRACT = "MinimalRuntime.dll"


def compile_sources(
    files: Annotated[list[Path], typer.Argument(help="C# source files.", exists=True)],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File or folder to write to.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Simple name of the assembly.")] = None,
    reference: Annotated[
        list[Path] | None,
        typer.Option("--reference", "-r", help="A DLL, folder or .nupkg; repeatable."),
    ] = None,
    package: Packages = None,
    package_source: PackageSources = None,
    allow_package: AllowPackages = None,
    lock_file: LockFile = None,
    offline: Offline = False,
    debug: Annotated[bool, typer.Option("--debug", help="Compile without optimisation.")] = False,
    define: Annotated[
        list[str] | None, typer.Option(help="A preprocessor symbol; repeatable.")
    ] = None,
    langversion: Annotated[
        str | None, typer.Option(help="C# version: 7.3, 12, preview. Default: 12.")
    ] = None,
    warnings_as_errors: Annotated[
        bool, typer.Option("--warnings-as-errors", help="Treat warnings as errors.")
    ] = False,
    doc: Annotated[
        Path | None, typer.Option(help="File to write the XML of the comments to.")
    ] = None,
    roslyn: Annotated[
        str | None,
        typer.Option(help="A folder with a newer Roslyn, an SDK's for example; 'sdk' finds one."),
    ] = None,
) -> None:
    """Compile C# sources into one assembly. Diagnostics go to stderr."""
    sources = {}
    for file in files:
        try:
            sources[str(file)] = file.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise typer.BadParameter(f"{file} cannot be read as UTF-8 text: {error}") from error
    found = read_packages(package, package_source, allow_package, lock_file, offline)
    assembly = CSharpCompiler.load(progress=progress, roslyn=roslyn).compile(
        sources,
        assembly_name=name or files[0].stem,
        references=[*{**found.references, **read_references(reference or [])}.values()],
        options=CompilerOptions(
            optimize=not debug,
            define=tuple(define or ()),
            langversion=langversion,
            warnings_as_errors=warnings_as_errors,
            documentation=doc is not None,
        ),
    )
    for diagnostic in assembly.diagnostics:
        report_diagnostic(diagnostic)
    target = output or Path(f"{assembly.name}.dll")
    if target.is_dir():
        target /= f"{assembly.name}.dll"
    assembly.save(target)
    if doc is not None and assembly.documentation is not None:
        doc.write_text(assembly.documentation, encoding="utf-8")
    typer.echo(f"{target}: {len(assembly.data)} bytes")


def contract(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="File or folder to write to.")
    ] = Path(CONTRACT),
) -> None:
    """Write the contract assembly, to reference from a project built with the .NET SDK."""
    content = ArtifactStore.locate().read(f"guest/contract/{CONTRACT}")
    target = output / CONTRACT if output.is_dir() else output
    target.write_bytes(content)
    typer.echo(f"{target}: {len(content)} bytes")
    typer.echo(f'<Reference Include="MinimalRuntime" HintPath="{target}" Private="false" />')
