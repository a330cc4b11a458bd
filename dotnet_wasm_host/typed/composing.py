"""Shapes made of shapes, and what is asked of them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from dotnet_wasm_host.typed.shapes import (
    Checked,
    Fixed,
    Handle,
    Json,
    Mapping,
    Optional,
    Record,
    Shape,
    Text,
    Tuple,
    Wide,
    alias,
)

if TYPE_CHECKING:
    from dotnet_wasm_host.typed.definitions import TypeDefinition

__all__ = [
    "MAPPINGS",
    "checked",
    "contains",
    "is_hashable",
    "is_record",
    "mapping_of",
    "python_name",
    "tuple_of",
]

#: Dictionaries of .NET.
MAPPINGS = {
    "System.Collections.Generic.Dictionary`2",
    "System.Collections.Generic.IDictionary`2",
    "System.Collections.Generic.IReadOnlyDictionary`2",
    "System.Collections.Generic.SortedDictionary`2",
}
#: ``ValueTuple`8`` has the items behind the seventh in a tuple of its own.
_REST = 8


def python_name(csharp: str) -> str:
    """``List_int`` of ``global::System.Collections.Generic.List<int>``."""
    parts = re.split(r"[^\w.:@]+", csharp.replace("[]", "_array").replace("?", "_or_null"))
    return "_".join(part.rpartition(".")[2].rpartition(":")[2].strip("@") for part in parts if part)


def checked(shape: Shape, *, is_nullable: bool) -> Shape:
    """A shape with what is known of null, if it may be null at all."""
    if isinstance(shape, (Checked, Optional, Tuple, Wide, Json)):
        return shape
    if isinstance(shape, Fixed) and not isinstance(shape, Handle):
        return shape
    if isinstance(shape, Record) and not shape.is_class:
        return shape
    if "Span<" in shape.csharp or "Memory<" in shape.csharp:
        return shape
    python = shape.python | None if is_nullable else shape.python
    return Checked(shape.csharp, python, shape, is_nullable)


def is_record(of: TypeDefinition) -> bool:
    """Whether a class is a record."""
    return any(method.name == "<Clone>$" for method in of.reader.methods(of))


def contains(shape: Shape, wanted: Shape) -> bool:
    """Whether a shape has another inside of it."""
    pending, seen = list(shape.parts()), set[int]()
    while pending:
        part = pending.pop()
        if part is wanted:
            return True
        if id(part) not in seen:
            seen.add(id(part))
            pending += part.parts()
    return False


def tuple_of(parts: list[Shape]) -> Tuple:
    """The shape of a ``ValueTuple``."""
    items = list(parts)
    if len(parts) == _REST and isinstance(parts[-1], Tuple):
        items = [*parts[:-1], *parts[-1].items]
    inner = ", ".join(p.csharp for p in items)
    csharp = f"({inner})" if len(items) > 1 else f"global::System.ValueTuple<{inner}>"
    python = alias(tuple, *(p.python for p in items))
    members = tuple(f"Item{n}" for n in range(1, len(items) + 1))
    make = "" if len(items) > 1 else f"new {csharp}"
    return Tuple(csharp, python, tuple(items), members, make)


def mapping_of(name: str, key: Shape, value: Shape) -> Mapping:
    """The shape of a dictionary."""
    csharp = f"global::{name.partition('`')[0]}<{key.csharp}, {value.csharp}>"
    return Mapping(csharp, alias(dict, key.python, value.python), key, value)


def is_hashable(shape: Shape) -> bool:
    """Whether Python can have values of a shape in sets."""
    if isinstance(shape, (Tuple, Optional, Checked)):
        return all(map(is_hashable, shape.parts()))
    if isinstance(shape, Record):
        return not shape.recursive and all(map(is_hashable, shape.parts()))
    return isinstance(shape, (Fixed, Text))
