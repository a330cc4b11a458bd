"""Shapes of collections."""

from __future__ import annotations

import re

from dotnet_wasm_host.typed import library
from dotnet_wasm_host.typed.composing import is_hashable
from dotnet_wasm_host.typed.shapes import Block, Grid, Number, Sequence, Shape, alias
from dotnet_wasm_host.typed.unsupported import Unsupported

__all__ = ["collection_of", "grid_of"]

#: The brackets that a type ends with.
_BRACKETS = re.compile(r"(?:\[,*\])*$")


def _array_of(csharp: str, brackets: str) -> str:
    """An array as C# writes it: the brackets of the outer one come first."""
    end = _BRACKETS.search(csharp)
    assert end is not None
    return f"{csharp[: end.start()]}{brackets}{end[0]}"


def grid_of(element: Shape, rank: int) -> Grid:
    """The shape of an array of several dimensions."""
    if isinstance(element, Block) and element.result == "memoryview":
        raise Unsupported("spans cannot be in collections")
    python = element.python
    for _ in range(rank):
        python = alias(list, python)
    return Grid(_array_of(element.csharp, f"[{',' * (rank - 1)}]"), python, element, rank)


def collection_of(name: str, element: Shape) -> Shape:
    """The shape of an array (``[]``), a span or another type of one argument."""
    if isinstance(element, Block) and element.result == "memoryview":
        raise Unsupported("spans cannot be in collections")
    if isinstance(element, Number):
        found = library.block(name, element)
        if found is not None:
            return found
    if name == "[]":
        csharp = _array_of(element.csharp, "[]")
        python = alias(list, element.python)
        return Sequence(csharp, python, element, "list", "items.ToArray()")
    if name not in library.SEQUENCES:
        raise Unsupported(f"{name.partition('`')[0]} of {element.csharp} cannot be passed")
    csharp, result, build = library.SEQUENCES[name]
    if not is_hashable(element):
        result = "list"
    origin = set if result == "set" else list
    if result == "list" and "List<" in build and "Linked" not in build:
        build = "items"
    return Sequence(
        csharp.format(element.csharp),
        alias(origin, element.python),
        element,
        result,
        build.format(element.csharp),
    )
