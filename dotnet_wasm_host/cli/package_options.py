"""Packages as commands take them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dotnet_wasm_host.cli.console import progress
from dotnet_wasm_host.packages.references import PackageLibraries, parse_packages
from dotnet_wasm_host.programs.packages import package_resolver
from dotnet_wasm_host.programs.program import find_packages

__all__ = ["AllowPackages", "LockFile", "Offline", "PackageSources", "Packages", "read_packages"]

Packages = Annotated[
    list[str] | None,
    typer.Option("--package", "-p", help="A NuGet package, Name or Name@Version; repeatable."),
]
PackageSources = Annotated[
    list[str] | None,
    typer.Option(
        "--package-source",
        "-s",
        help="Where packages come from: a folder, the index.json of a feed, a NuGet.Config; "
        "repeatable.",
    ),
]
AllowPackages = Annotated[
    list[str] | None,
    typer.Option("--allow-package", help="Allow only this package, or Prefix.*; repeatable."),
]
LockFile = Annotated[
    Path | None,
    typer.Option("--lock-file", help="Versions and hashes of packages; written if missing."),
]
Offline = Annotated[bool, typer.Option("--offline", help="Ask no feed over a network.")]


def read_packages(
    packages: list[str] | None,
    sources: list[str] | None,
    allowed: list[str] | None,
    lock_file: Path | None,
    offline: bool,
) -> PackageLibraries:
    """The packages that a command names."""
    resolver = package_resolver(
        sources or [],
        allow_packages=allowed,
        lock_file=lock_file,
        offline=offline,
        progress=progress,
    )
    return find_packages(parse_packages(packages or []), resolver)
