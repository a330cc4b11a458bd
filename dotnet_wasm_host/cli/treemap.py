"""A treemap of components as an SVG picture."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dotnet_wasm_host.sizes import Component

__all__ = ["Rectangle", "squarify", "treemap"]

_WIDTH, _HEIGHT, _HEAD = 1000.0, 620.0, 18.0
#: Below this width or height, in pixels, a rectangle is not divided or labelled.
_SMALLEST = 24.0
#: Pixels a letter takes at the size of the labels.
_LETTER = 6.4
_COLOURS = ("#4e79a7", "#f28e2b", "#59a14f", "#e15759", "#76b7b2", "#edc948", "#b07aa1", "#9c755f")


@dataclass(frozen=True, slots=True)
class Rectangle:
    """A place in the picture, in pixels from its upper left corner."""

    x: float
    y: float
    width: float
    height: float


def treemap(components: Sequence[Component]) -> str:
    """An SVG with a treemap of each component, one below the other; areas are to scale in each."""
    body = []
    for index, component in enumerate(components):
        top = index * (_HEIGHT + 2 * _HEAD)
        title = f"{component.name}: {component.raw_bytes / 1e6:.2f} MB"
        body.append(
            f'<text x="4" y="{top + _HEAD - 4:.1f}" font-weight="bold">{escape(title)}</text>'
        )
        area = Rectangle(0, top + _HEAD, _WIDTH, _HEIGHT)
        for number, (part, place) in enumerate(_places(component, area)):
            body += _draw(part, place, _COLOURS[number % len(_COLOURS)], depth=0)
    height = len(components) * (_HEIGHT + 2 * _HEAD)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH:.0f} {height:.0f}" '
        'font-family="sans-serif" font-size="11">\n' + "\n".join(body) + "\n</svg>\n"
    )


def squarify(sizes: Sequence[float], area: Rectangle) -> list[Rectangle]:
    """Rectangles of these sizes that fill ``area``, as square as can be.

    The sizes must be positive and in falling order. The algorithm is that of Bruls, Huizing and
    van Wijk, "Squarified Treemaps" (2000): fill the shorter side with a row as long as that
    makes its worst rectangle squarer.
    """
    scale = area.width * area.height / sum(sizes) if sizes else 0.0
    left = [size * scale for size in sizes]
    placed: list[Rectangle] = []
    while left:
        side = min(area.width, area.height)
        count = 1
        while count < len(left) and _worst(left[: count + 1], side) <= _worst(left[:count], side):
            count += 1
        row, left = left[:count], left[count:]
        area = _place_row(row, area, placed)
    return placed


def _worst(row: Sequence[float], side: float) -> float:
    """The worst ratio of sides in a row along ``side``."""
    total = sum(row)
    return max(side * side * max(row) / total**2, total**2 / (side * side * min(row)))


def _place_row(row: Sequence[float], area: Rectangle, placed: list[Rectangle]) -> Rectangle:
    """Put a row along the shorter side; what is left of the area."""
    total = sum(row)
    if area.width >= area.height:
        thickness, y = total / area.height, area.y
        for size in row:
            placed.append(Rectangle(area.x, y, thickness, size / thickness))
            y += size / thickness
        return Rectangle(area.x + thickness, area.y, area.width - thickness, area.height)
    thickness, x = total / area.width, area.x
    for size in row:
        placed.append(Rectangle(x, area.y, size / thickness, thickness))
        x += size / thickness
    return Rectangle(area.x, area.y + thickness, area.width, area.height - thickness)


def _places(component: Component, area: Rectangle) -> Iterator[tuple[Component, Rectangle]]:
    parts = [part for part in component.parts if part.raw_bytes > 0]
    return zip(parts, squarify([float(p.raw_bytes) for p in parts], area), strict=True)


def _draw(component: Component, place: Rectangle, colour: str, depth: int) -> Iterator[str]:
    label = f"{component.name} {component.raw_bytes / 1e3:,.0f} kB"
    yield (
        f'<rect x="{place.x:.1f}" y="{place.y:.1f}" width="{place.width:.1f}" '
        f'height="{place.height:.1f}" fill="{colour}" fill-opacity="{0.35 + 0.2 * depth:.2f}" '
        f'stroke="white"><title>{escape(label)}</title></rect>'
    )
    if place.height < _HEAD or place.width < _SMALLEST:
        return
    shown = label[: int((place.width - 6) / _LETTER)]
    yield f'<text x="{place.x + 3:.1f}" y="{place.y + 13:.1f}">{escape(shown)}</text>'
    inner = Rectangle(place.x + 2, place.y + _HEAD, place.width - 4, place.height - _HEAD - 2)
    if component.parts and min(inner.width, inner.height) > _SMALLEST:
        for part, where in _places(component, inner):
            yield from _draw(part, where, colour, depth + 1)
