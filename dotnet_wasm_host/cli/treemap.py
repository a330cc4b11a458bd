"""A treemap of components as an SVG picture."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dotnet_wasm_host.base_library.sizes import Component

__all__ = ["Rectangle", "squarify", "treemap"]

#: Pixels: width of a map, space around maps, room for a map's title and for a group's.
_WIDTH, _SPACE, _TITLE, _HEAD = 640.0, 24.0, 30.0, 17.0
#: Height of the first map.
_HEIGHT = 320.0
#: Below this width or height a rectangle is not divided.
_SMALLEST = 26.0
#: Between neighbours, and their rounded corners.
_GAP, _CORNER = 1.5, 2.5
#: Pixels a letter takes on average, as a share of the font's size.
_LETTER = 0.63
_BIG, _SMALL = 11.0, 9.0
#: Colours of what is at the top of an image, and of an assembly's first row of parts below it.
_GROUPS = {
    "runtime native": "#e0a458",
    "base library": "#3f88c5",
    "facades": "#9aa5b1",
    "guest": "#c8553d",
}
_OTHER = "#8a817c"
_CORE, _CORE_COLOUR = "System.Private.CoreLib", "#3f88c5"
_ASSEMBLY_COLOUR = "#44a59b"


@dataclass(frozen=True, slots=True)
class Rectangle:
    """A place in the picture, in pixels from its upper left corner."""

    x: float
    y: float
    width: float
    height: float

    def inset(self, left: float, top: float) -> Rectangle:
        """The rectangle without so much at the left and right, and ``left`` at the bottom."""
        return Rectangle(
            self.x + left, self.y + top, self.width - 2 * left, self.height - top - left
        )


def treemap(components: Sequence[Component], captions: Sequence[str] = ()) -> str:
    """An SVG with a treemap of each component, all to one scale.

    ``captions`` are shown behind the sizes.
    """
    scale = _HEIGHT / max((c.raw_bytes for c in components[:1]), default=1)
    # Each goes below the shorter column.
    bottoms = [_SPACE] * min(2, len(components))
    body: list[str] = []
    for number, component in enumerate(components):
        column = bottoms.index(min(bottoms))
        x = _SPACE + column * (_WIDTH + _SPACE)
        area = Rectangle(x, bottoms[column], _WIDTH, component.raw_bytes * scale + _TITLE)
        body += _map(component, captions[number] if number < len(captions) else "", area)
        bottoms[column] += area.height + _SPACE
    width = _SPACE + len(bottoms) * (_WIDTH + _SPACE)
    top = max(bottoms, default=_SPACE)
    body += _legend(top)
    height = top + _TITLE
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
        'font-family="Segoe UI, Helvetica, Arial, DejaVu Sans, sans-serif" fill="#1b262c">\n'
        f'<rect width="{width:.0f}" height="{height:.0f}" rx="6" fill="#fff"/>\n'
        + "\n".join(body)
        + "\n</svg>\n"
    )


def _map(component: Component, caption: str, area: Rectangle) -> Iterator[str]:
    size = f"{component.raw_bytes / 1e6:.2f} MB"
    caption = f", {caption}" if caption else ""
    yield (
        f'<text x="{area.x:.1f}" y="{area.y + 20:.1f}" font-size="15">'
        f'<tspan font-weight="bold">{escape(component.name)}</tspan>'
        f'<tspan dx="8">{size}{escape(caption)}</tspan></text>'
    )
    for part, place in _places(component, area.inset(0, _TITLE)):
        yield from _draw(part, place, _GROUPS.get(part.name, _OTHER), depth=0)


def _legend(top: float) -> Iterator[str]:
    x = _SPACE
    names = {
        "native runtime (Mono)": _GROUPS["runtime native"],
        "core library, by namespace": _CORE_COLOUR,
        "other assemblies of the base library": _ASSEMBLY_COLOUR,
        "this project's guest": _GROUPS["guest"],
    }
    for name, colour in names.items():
        yield f'<rect x="{x:.1f}" y="{top - 8:.1f}" width="12" height="12" rx="2" fill="{colour}"/>'
        yield f'<text x="{x + 18:.1f}" y="{top + 2:.1f}" font-size="12">{name}</text>'
        x += 18 + len(name) * 12 * _LETTER + 28


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
    if depth == 1 and colour == _GROUPS["base library"]:
        colour = _CORE_COLOUR if component.name == _CORE else _ASSEMBLY_COLOUR
    shown = place.inset(_GAP / 2, _GAP / 2)
    if min(shown.width, shown.height) <= 0:
        return
    inner = place.inset(3, _HEAD)
    divided = bool(component.parts) and min(inner.width, inner.height) > _SMALLEST
    size = f"{component.raw_bytes / 1e3:,.0f} kB"
    opacity = 0.18 if divided else 0.62
    yield (
        f'<rect x="{shown.x:.1f}" y="{shown.y:.1f}" width="{shown.width:.1f}" '
        f'height="{shown.height:.1f}" rx="{_CORNER}" fill="{colour}" fill-opacity="{opacity}">'
        f"<title>{escape(component.name)} {size}</title></rect>"
    )
    yield from _label(component.name, size, shown, in_one_line=divided)
    if divided:
        for part, where in _places(component, inner):
            yield from _draw(part, where, colour, depth + 1)


def _label(name: str, size: str, place: Rectangle, *, in_one_line: bool) -> Iterator[str]:
    """Name and size where they fit; a name that does not fit loses its first words, or goes."""
    x, room = place.x + 4, place.width - 7
    fitting = (
        (text, font)
        for text in _shorter(name)
        for font in (_BIG, _SMALL)
        if len(text) * font * _LETTER <= room
    )
    text, font = next(fitting, ("", 0.0))
    if not text or place.height < font + 3:
        return
    fits = len(f"{text} {size}") * font * _LETTER <= room
    behind = f'<tspan font-weight="normal" dx="4">{size}</tspan>' if fits and in_one_line else ""
    yield (
        f'<text x="{x:.1f}" y="{place.y + font + 1.5:.1f}" font-size="{font:.0f}" '
        f'font-weight="600">{escape(text)}{behind}</text>'
    )
    if not in_one_line and place.height > 28 and len(size) * _SMALL * _LETTER <= room:
        yield (
            f'<text x="{x:.1f}" y="{place.y + font + 12.5:.1f}" font-size="{_SMALL:.0f}" '
            f'fill-opacity="0.75">{size}</text>'
        )


def _shorter(name: str) -> Iterator[str]:
    """``System.Net.Http``, ``Net.Http``, ``Http``; ``x.code.wasm``, ``code``; ``a, b``, ``a``."""
    yield name
    if name.endswith(".wasm"):
        yield name.split(".")[1]
    elif ", " in name:
        yield name.partition(",")[0]
    else:
        while "." in name:
            name = name.partition(".")[2]
            yield name
