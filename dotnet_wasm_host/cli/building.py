"""``build`` and ``inspect``: one WebAssembly file with .NET inside."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dotnet_wasm_host.artifacts.store import ArtifactStore
from dotnet_wasm_host.cli.console import print_json, progress
from dotnet_wasm_host.cli.function_files import Dependencies, read_file
from dotnet_wasm_host.cli.package_options import (
    AllowPackages,
    LockFile,
    Offline,
    Packages,
    PackageSources,
)
from dotnet_wasm_host.linking.module import StandaloneModule
from dotnet_wasm_host.standalone.building import build_wasm
from dotnet_wasm_host.standalone.warming import JIT_CALLS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dotnet_wasm_host.linking.description import Description

__all__ = ["build", "inspect"]

_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


def _size(text: str) -> int:
    """A number of bytes: ``128M``, ``3000000``."""
    digits = text.rstrip("kKmMgG")
    unit = _UNITS.get(text[len(digits) :].lower())
    if unit is None or not digits.isdecimal():
        raise typer.BadParameter(f"expected a size like 3000000 or 128M, found {text!r}")
    return int(digits) * unit


def _warm(texts: Iterable[str]) -> dict[str, list[bytes]]:
    payloads = defaultdict[str, list[bytes]](list)
    for text in texts:
        name, equals, payload = text.partition("=")
        if not equals:
            raise typer.BadParameter(f"expected ID=PAYLOAD, found {text!r}")
        payloads[name].append(payload.encode())
    return payloads


def build(
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write.")],
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            help=".cs source files or .dlls, one for each function; without one, the base layer "
            "for functions that its host loads.",
            exists=True,
        ),
    ] = None,
    dependency: Dependencies = None,
    package: Packages = None,
    package_source: PackageSources = None,
    allow_package: AllowPackages = None,
    lock_file: LockFile = None,
    offline: Offline = False,
    handler: Annotated[
        list[str] | None,
        typer.Option(
            help="Full name of the handler type, if there are several; one for each file."
        ),
    ] = None,
    function_id: Annotated[
        list[str] | None,
        typer.Option(help="Id of the function; by default the file's name; one for each file."),
    ] = None,
    target: Annotated[
        str,
        typer.Option(
            help="library: exports for a host; command: run by WASI hosts; extism: a plugin."
        ),
    ] = "library",
    image: Annotated[
        str, typer.Option(help="A built-in image; auto is .NET trimmed for the function.")
    ] = "auto",
    wasi: Annotated[
        str, typer.Option(help="original: ten functions of WASI at most; full: files, too.")
    ] = "original",
    boot: Annotated[
        str, typer.Option(help="inside: starts at once; at-start: half the size.")
    ] = "inside",
    layout: Annotated[
        str, typer.Option(help="sparse: small; dense: wasmtime maps it copy-on-write.")
    ] = "sparse",
    warm: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ID=PAYLOAD",
            help="Call a function once before its memory is written, so that first calls are fast; "
            "repeatable.",
        ),
    ] = None,
    jit: Annotated[
        bool,
        typer.Option(
            "--jit",
            help="Compile what runs often with the payloads of --warm, and put it into the file: "
            "fast where no host can compile; an experiment.",
        ),
    ] = False,
    jit_calls: Annotated[
        int, typer.Option(help="How often each function of --warm is called for --jit.")
    ] = JIT_CALLS,
    js_log: Annotated[
        bool, typer.Option("--js-log", help="Send what .NET prints to env.js_log.")
    ] = False,
    max_memory: Annotated[
        int | None,
        typer.Option(
            parser=_size, metavar="SIZE", help="Upper limit of linear memory; 128M, for example."
        ),
    ] = None,
    max_size: Annotated[
        int | None,
        typer.Option(parser=_size, metavar="SIZE", help="Write no larger file; 3M, for example."),
    ] = None,
    descriptor: Annotated[
        list[Path] | None,
        typer.Option(help="An ILLink descriptor file that keeps more; repeatable."),
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print a report in JSON.")] = False,
) -> None:
    """Write one WebAssembly file with functions and the .NET they need, for any host."""
    try:
        module = build_wasm(
            files or None,
            function_id=function_id or None,
            handler_type=handler or None,
            dependencies=dependency or [],
            packages=package or [],
            package_sources=package_source or [],
            allow_packages=allow_package,
            lock_file=lock_file,
            offline=offline,
            target=target,  # type: ignore[arg-type] # checked there, as the next ones
            image=image,
            wasi=wasi,  # type: ignore[arg-type]
            boot=boot,  # type: ignore[arg-type]
            layout=layout,  # type: ignore[arg-type]
            warm=_warm(warm or []),
            jit=jit,
            jit_calls=jit_calls,
            js_log=js_log,
            max_memory_bytes=max_memory,
            max_bytes=max_size,
            descriptors=tuple((str(path), read_file(path)) for path in descriptor or []),
            progress=progress,
        )
    except ValueError as error:
        if type(error) is not ValueError:
            raise
        raise typer.BadParameter(str(error)) from error
    module.save(output)
    if json_:
        print_json({"file": str(output), **_report(module)})
        return
    typer.echo(f"{output}: {len(module.data):,} bytes, imports {', '.join(module.imports)}")


def inspect(
    file: Annotated[Path, typer.Argument(help="A WebAssembly file.")],
    json_: Annotated[bool, typer.Option("--json", help="Print a report in JSON.")] = False,
) -> None:
    """Show what is in a WebAssembly file that build wrote, or in any other."""
    try:
        module = StandaloneModule.parse(read_file(file))
    except ValueError as error:
        raise typer.BadParameter(f"{file}: {error}") from error
    if json_:
        print_json(_report(module))
        return
    typer.echo(f"{file}: {len(module.data):,} bytes\n")
    if module.description is not None:
        _describe(module.description)
    parts = module.components.items()
    _show("what is inside, bytes", (f"{size:12,}  {name}" for name, size in parts))
    _show("imports", module.imports)
    _show("exports", module.exports)
    _show("sections, bytes", (f"{size:12,}  {name}" for name, size in module.sizes.items()))


def _describe(found: Description) -> None:
    typer.echo(
        f".NET {found.dotnet_version}, written by dotnet_wasm_host {found.package_version}: "
        f"target {found.target}, wasi {found.wasi}, boot {found.boot}, image {found.image}\n"
    )
    installed = ArtifactStore.locate().manifest.dotnet_version
    if found.dotnet_version != installed:
        typer.echo(f"this installation has .NET {installed}: build the file again\n")
    _show(
        "functions, with SHA-256",
        (
            f"{f.function_id}: {f.assembly_name}, SHA-256 {f.assembly_sha256}"
            for f in found.functions
        ),
    )
    if found.compiled_methods:
        typer.echo(
            f"{found.compiled_methods:,} methods are compiled, {found.compiled_bytes:,} bytes of "
            "code\n"
        )
    sizes = sorted(found.assemblies.items(), key=lambda item: -item[1])
    _show("assemblies, bytes", (f"{size:12,}  {name}" for name, size in sizes))


def _show(title: str, lines: Iterable[str]) -> None:
    typer.echo(f"{title}:")
    for line in lines:
        typer.echo(f"  {line}")
    typer.echo()


def _report(module: StandaloneModule) -> dict[str, object]:
    found = module.description
    return {
        "imports": list(module.imports),
        "exports": list(module.exports),
        "sizes": dict(module.sizes),
        "components": dict(module.components),
        "inside": None
        if found is None
        else {
            "dotnet_version": found.dotnet_version,
            "package_version": found.package_version,
            "target": found.target,
            "wasi": found.wasi,
            "boot": found.boot,
            "image": found.image,
            "functions": [
                {"id": f.function_id, "assembly": f.assembly_name, "sha256": f.assembly_sha256}
                for f in found.functions
            ],
            "assemblies": dict(found.assemblies),
            "compiled_methods": found.compiled_methods,
            "compiled_bytes": found.compiled_bytes,
        },
    }
