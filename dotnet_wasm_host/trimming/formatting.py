"""Signatures as text, the way ILLink's files and its messages write them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dotnet_wasm_host.ecma335.rows import GenericParamRow
from dotnet_wasm_host.ecma335.signatures import (
    ARRAY,
    BYREF,
    FUNCTION,
    INSTANCE,
    METHOD_VAR,
    MODIFIED,
    PINNED,
    POINTER,
    TYPE,
    UNKNOWN,
    VAR,
    VECTOR,
    Type,
)
from dotnet_wasm_host.ecma335.tables import Table

if TYPE_CHECKING:
    from dotnet_wasm_host.trimming.world import World

__all__ = ["method_text", "type_text"]

_SUFFIXES = {VECTOR: "[]", POINTER: "*", BYREF: "&", PINNED: ""}


def type_text(  # noqa: PLR0911 - one for each kind of type
    world: World, type_: Type, generics: tuple[list[str], list[str]] = ([], [])
) -> str:
    """``System.Collections.Generic.List`1<System.Int32>[]``; ``generics`` names the parameters."""
    if isinstance(type_, int):
        return world.full_name(world.primitives[type_])
    head = type_[0]
    if head == TYPE:
        return world.full_name(type_[1])
    if head == UNKNOWN:
        return str(type_[1])
    if head in {VAR, METHOD_VAR}:
        names = generics[0 if head == VAR else 1]
        return names[type_[1]] if type_[1] < len(names) else f"!{type_[1]}"
    if head == INSTANCE:
        arguments = ",".join(type_text(world, a, generics) for a in type_[2:])
        return f"{type_text(world, type_[1], generics)}<{arguments}>"
    if head == MODIFIED:
        return type_text(world, type_[3], generics)
    if head == ARRAY:
        return f"{type_text(world, type_[1], generics)}[{','.join(['0...'] * type_[2])}]"
    if head == FUNCTION:
        parameters = ",".join(type_text(world, p, generics) for p in type_[1].parameters)
        return f"method {type_text(world, type_[1].result, generics)} *({parameters})"
    return type_text(world, type_[1], generics) + _SUFFIXES[head]


def method_text(world: World, method: int) -> str:
    """``System.Void Name<T>(System.Int32,T)``."""
    module, row = world.locate(method)
    type_row = module.method_owner[row]
    names = [
        [module.metadata.string(module.metadata.row(GenericParamRow, g).name) for g in rows]
        for rows in (
            module.generics_of(Table.TYPE_DEF, type_row),
            module.generics_of(Table.METHOD_DEF, row),
        )
    ]
    generics = (names[0], names[1])
    signature = world.signature(method)
    parameters = ",".join(type_text(world, p, generics) for p in signature.parameters)
    own = f"<{','.join(names[1])}>" if names[1] else ""
    result = type_text(world, signature.result, generics)
    return f"{result} {world.method_name(method)}{own}({parameters})"
