"""``images``: the cache of compiled images."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime, timezone
from typing import Annotated

import typer

from dotnet_wasm_host.artifacts.cache import MOST_BYTES, ImageCache
from dotnet_wasm_host.base_library.configurations import IMAGE_NAMES
from dotnet_wasm_host.cli.console import print_json, progress
from dotnet_wasm_host.images.image import RuntimeImage
from dotnet_wasm_host.nuget.package_cache import FOLDER as PACKAGES
from dotnet_wasm_host.nuget.rules import PackageRules
from dotnet_wasm_host.programs.running import build_program_image
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


def _build_package_rules(progress: Callable[[str], object]) -> None:
    with PackageRules(progress=progress):
        pass


#: What is built on first use beside the built-in images.
_OTHERS: Mapping[str, Callable[[Callable[[str], object]], object]] = {
    "compiler": lambda progress: CSharpCompiler.load(progress=progress),
    "programs": build_program_image,
    "packages": _build_package_rules,
}
_Names = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[NAME]...", help=f"Some of {', '.join((*IMAGE_NAMES, *_OTHERS))}; all without one."
    ),
]


@app.command()
def build(names: _Names = None) -> None:
    """Build what is built on first use, so that no first use waits.

    These are the built-in images, and what compiles C#, runs programs and finds packages. Images
    for jit="auto", other stacks and other engines are made when they are used.
    """
    wanted = names or [*IMAGE_NAMES, *_OTHERS]
    for name in wanted:
        if name not in (*IMAGE_NAMES, *_OTHERS):
            known = ", ".join((*IMAGE_NAMES, *_OTHERS))
            raise typer.BadParameter(f"there is no image {name!r}; choose of {known}")
    for name in wanted:
        if name in _OTHERS:
            _OTHERS[name](progress)
        else:
            RuntimeImage.load(name, progress=progress)
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
