"""``sizes``: how large the built-in images are, what makes them so, and their budget."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dotnet_wasm_host.artifacts.store import ArtifactStore
from dotnet_wasm_host.base_library.configurations import FULL, IMAGE_NAMES
from dotnet_wasm_host.cli.console import print_json, progress

if TYPE_CHECKING:
    from rich.tree import Tree

    from dotnet_wasm_host.base_library.sizes import Component, ImageSize

__all__ = ["sizes"]

#: Smaller parts of a component are shown as one.
_LEAST_SHARE = 0.01


def sizes(
    images: Annotated[
        list[str] | None, typer.Argument(metavar="[IMAGE]...", help="All but 'full' if left out.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    treemap: Annotated[
        Path | None, typer.Option(help="Draw the images' parts into this SVG file.")
    ] = None,
    diff: Annotated[
        bool, typer.Option("--diff", help="Compare with the budget; exit with 1 above it.")
    ] = False,
) -> None:
    """Show what must be shipped to run each image: raw, with brotli, and by component."""
    from dotnet_wasm_host.base_library.sizes import measure

    names = images or [name for name in IMAGE_NAMES if name != FULL]
    unknown = [name for name in names if name not in IMAGE_NAMES]
    if unknown:
        raise typer.BadParameter(f"there is no image {unknown[0]!r}; choose of {IMAGE_NAMES}")
    store = ArtifactStore.locate()
    found = {name: measure(store, name, progress) for name in names}
    if treemap is not None:
        from dotnet_wasm_host.cli.treemap import treemap as draw

        captions = [f"{s.compressed_bytes / 1e6:.2f} MB compressed" for s in found.values()]
        picture = draw([size.content for size in found.values()], captions)
        treemap.write_text(picture, encoding="utf-8")
    if as_json:
        print_json({"configurations": {name: size.to_json() for name, size in found.items()}})
    elif diff:
        _print_budgets(found)
    else:
        _print_trees(found)
    if diff and any(size.over_budget for size in found.values()):
        raise typer.Exit(1)


def _print_trees(found: dict[str, ImageSize]) -> None:
    from rich import print as rich_print
    from rich.tree import Tree

    for name, size in found.items():
        tree = Tree(
            f"[bold]{name}[/bold]  {size.raw_bytes / 1e6:.2f} MB, "
            f"{size.compressed_bytes / 1e6:.2f} MB compressed"
        )
        _grow(tree, size.content)
        rich_print(tree)


def _grow(tree: Tree, component: Component) -> None:
    least = component.raw_bytes * _LEAST_SHARE
    shown = [part for part in component.parts if part.raw_bytes >= least]
    for part in shown:
        share = part.raw_bytes / component.raw_bytes
        branch = tree.add(f"{part.name}  {part.raw_bytes / 1e3:,.1f} kB  ({share:.0%})")
        _grow(branch, part)
    rest = sum(part.raw_bytes for part in component.parts) - sum(p.raw_bytes for p in shown)
    if rest:
        count = len(component.parts) - len(shown)
        tree.add(f"{count} smaller  {rest / 1e3:,.1f} kB")


def _print_budgets(found: dict[str, ImageSize]) -> None:
    typer.echo(f"{'image':<12}{'':12}{'bytes':>12}{'budget':>12}{'left':>12}")
    for name, size in found.items():
        for what, is_, may_be in (
            ("raw", size.raw_bytes, size.raw_budget),
            ("compressed", size.compressed_bytes, size.compressed_budget),
        ):
            if may_be is None:
                typer.echo(f"{name:<12}{what:<12}{is_:>12,}{'none':>12}")
                continue
            over = "  OVER BUDGET" if is_ > may_be else ""
            typer.echo(f"{name:<12}{what:<12}{is_:>12,}{may_be:>12,}{may_be - is_:>12,}{over}")
