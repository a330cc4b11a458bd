"""``images``: the cache of compiled images."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timezone
from typing import Annotated

import typer

from dotnet_wasm_host.artifacts.cache import MOST_BYTES, ImageCache
from dotnet_wasm_host.cli.console import print_json, progress
from dotnet_wasm_host.images.image import RuntimeImage
from dotnet_wasm_host.nuget.package_cache import FOLDER as PACKAGES
from dotnet_wasm_host.roslyn import CSharpCompiler

__all__ = ["app"]

app: typer.Typer = typer.Typer(help="List, build or clear the cached images.", no_args_is_help=True)
_Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("list")
def list_images(as_json: _Json = False) -> None:
    """Show what is cached."""
    cache = ImageCache.locate()
    entries = list(cache.entries()) if cache else []
    if as_json:
        print_json(
            {
                "folder": str(cache.root) if cache else None,
                "bytes": cache.size() if cache else 0,
                "entries": [
                    {
                        "key": entry.key,
                        "what": entry.what,
                        "bytes": entry.size,
                        "used": _utc(entry.used).isoformat(timespec="seconds"),
                    }
                    for entry in entries
                ],
            }
        )
        return
    if cache is None:
        typer.echo("there is no cache folder; images are built in memory")
        return
    typer.echo(str(cache.root))
    for entry in sorted(entries, key=lambda entry: -entry.used):
        typer.echo(
            f"{entry.size / 1e6:10.1f} MB  used {_utc(entry.used):%Y-%m-%d}  "
            f"{entry.what or 'something'} ({entry.key})"
        )
    typer.echo(f"{cache.size() / 1e6:10.1f} MB  in all, of {MOST_BYTES / 1e6:.0f} MB at most")


def _utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, timezone.utc)


@app.command()
def build() -> None:
    """Build everything that is built on first use, so that no first use waits."""
    RuntimeImage.load(progress=progress)
    CSharpCompiler.load(progress=progress)
    typer.echo("images are ready")


@app.command()
def clear() -> None:
    """Delete the cache, packages included. Running processes keep what they have mapped."""
    caches = [ImageCache.locate(), ImageCache.locate(PACKAGES)]
    freed = sum(cache.clear() for cache in caches if cache)
    if packages := caches[1]:
        with suppress(OSError):
            packages.root.rmdir()
    typer.echo(f"{freed / 1e6:.1f} MB freed")
