"""``publish``: a function with a .NET trimmed for it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dotnet_wasm_host.base_library.publishing import Publication, publish
from dotnet_wasm_host.cli.console import print_json, progress, style
from dotnet_wasm_host.cli.function_files import (
    Dependencies,
    FunctionFile,
    Handler,
    read_file,
)
from dotnet_wasm_host.cli.package_options import (
    AllowPackages,
    LockFile,
    Offline,
    Packages,
    PackageSources,
)
from dotnet_wasm_host.packages.references import parse_packages
from dotnet_wasm_host.programs.packages import package_resolver
from dotnet_wasm_host.programs.program import read_program

__all__ = ["publish_function"]


def publish_function(
    file: FunctionFile,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write to.")],
    dependency: Dependencies = None,
    package: Packages = None,
    package_source: PackageSources = None,
    allow_package: AllowPackages = None,
    lock_file: LockFile = None,
    offline: Offline = False,
    handler: Handler = None,
    function_id: Annotated[
        str | None,
        typer.Option(help="Id of the function in the image; by default the file's name."),
    ] = None,
    descriptor: Annotated[
        list[Path] | None,
        typer.Option(help="An ILLink descriptor file that keeps more; repeatable."),
    ] = None,
    feature: Annotated[
        list[str] | None,
        typer.Option(help="A feature switch, as name=true or name=false; repeatable."),
    ] = None,
    strict: Annotated[
        bool,
        typer.Option(
            "--strict", help="Refuse missing references of dependencies; without it, warn."
        ),
    ] = False,
    json_: Annotated[bool, typer.Option("--json", help="Print a report in JSON.")] = False,
) -> None:
    """Trim .NET for one function, as PublishTrimmed does, and write both into a folder."""
    name = function_id or file.stem
    resolver = package_resolver(
        package_source or [],
        allow_packages=allow_package,
        lock_file=lock_file,
        offline=offline,
        progress=progress,
    )
    function = read_program(
        file,
        dependency or [],
        output="library",
        progress=progress,
        packages=parse_packages(package or []),
        resolver=resolver,
    )
    publication = publish(
        function.assembly.data,
        output,
        function_id=name,
        handler_type=handler or "",
        dependencies=list(function.dependencies.values()),
        features=dict(map(_feature, feature or [])),
        descriptors=tuple((str(path), read_file(path)) for path in descriptor or []),
        strict=strict,
        progress=progress,
    )
    for reference in publication.unresolved:
        warning = (
            f"warning: a dependency refers to {reference}, which neither .NET nor a dependency "
            "has; code that uses it will throw. Pass it with --dependency if the function needs it"
        )
        typer.echo(style(warning, fg=typer.colors.YELLOW), err=True)
    if json_:
        print_json(_report(publication))
        return
    assemblies = publication.report.assemblies.items()
    for assembly, sizes in sorted(assemblies, key=lambda item: -item[1].bytes):
        typer.echo(f"{sizes.original_bytes:12,} -> {sizes.bytes:10,}  {assembly}")
    typer.echo(f"{publication.total_bytes:,} bytes, with the native runtime, in {output}\n")
    typer.echo(f"Runtime(RuntimeImage.open({str(output)!r})).invoke({name!r}, b'...')")


def _feature(text: str) -> tuple[str, bool]:
    name, _, value = text.partition("=")
    if not name or value not in {"true", "false"}:
        raise typer.BadParameter(f"{text!r} is not name=true or name=false")
    return name, value == "true"


def _report(publication: Publication) -> dict[str, object]:
    return {
        "folder": str(publication.folder),
        "total_bytes": publication.total_bytes,
        "files": dict(publication.files),
        "unresolved": list(publication.unresolved),
        "assemblies": {
            name: {
                "original_bytes": assembly.original_bytes,
                "bytes": assembly.bytes,
                "types": assembly.types,
                "methods": assembly.methods,
                "fields": assembly.fields,
            }
            for name, assembly in publication.report.assemblies.items()
        },
    }
