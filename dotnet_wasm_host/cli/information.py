"""``info``: what is installed and where."""

from __future__ import annotations

import platform
from typing import Annotated

import typer

import dotnet_wasm_host
from dotnet_wasm_host.artifacts.cache import ImageCache
from dotnet_wasm_host.artifacts.store import ArtifactStore
from dotnet_wasm_host.cli.console import print_json
from dotnet_wasm_host.engines import get_engine

__all__ = ["info"]


def info(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Show versions, folders and the engine."""
    store = ArtifactStore.locate()
    engine = get_engine()
    cache = ImageCache.locate()
    facts = {
        "version": dotnet_wasm_host.__version__,
        "dotnet": store.manifest.dotnet_version,
        "roslyn": store.manifest.roslyn_version,
        "engine": f"{engine.name} {engine.version}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "artifacts": str(store.root),
        "assemblies": len(store.names("framework/")),
        "cache": str(cache.root) if cache else None,
    }
    if as_json:
        print_json(facts)
        return
    for name, value in facts.items():
        typer.echo(f"{name:<12}{value}")
