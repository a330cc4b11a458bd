"""What descriptors and guests keep of a type: members by name, or all that can be seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dotnet_wasm_host.ecma335.rows import FieldRow
from dotnet_wasm_host.trimming.world import (
    FIELD_LITERAL,
    METHOD_ABSTRACT,
    METHOD_ACCESS,
    METHOD_STATIC,
    METHOD_VIRTUAL,
    VISIBLE_MEMBERS,
)

if TYPE_CHECKING:
    from dotnet_wasm_host.trimming.descriptors import Kept
    from dotnet_wasm_host.trimming.marks import Marks
    from dotnet_wasm_host.trimming.world import World

__all__ = ["keep", "mark_contract", "mark_visible_members"]


def keep(world: World, marks: Marks, kept: Kept, *, reflected: bool = False) -> None:
    """What a descriptor says of a type."""
    type_ = kept.type
    if kept.preserve == "public" and not world.is_visible(type_):
        return
    marks.mark_type(type_)
    if reflected:
        marks.reflected.add(type_)
    if not world.is_interface(type_):
        marks.instantiate(type_)
    _keep_members(world, marks, kept)


def _keep_members(world: World, marks: Marks, kept: Kept) -> None:
    type_ = kept.type
    if kept.preserve in {"all", "fields"}:
        for field in world.fields(type_):
            marks.mark_field(field)
    if kept.preserve in {"all", "methods"}:
        for method in world.methods(type_):
            marks.mark_method(method)
    if kept.preserve == "public":
        mark_visible_members(world, marks, type_)
    for method in kept.methods:
        marks.mark_method(method)
    for field in kept.fields:
        marks.mark_field(field)


def mark_visible_members(world: World, marks: Marks, type_: int) -> None:
    """Members that code of other assemblies can use."""
    for method in world.methods(type_):
        if _is_visible(world, method):
            marks.mark_method(method)
    for field in world.fields(type_):
        module, row = world.locate(field)
        flags = module.metadata.row(FieldRow, row).flags
        # II.23.1.5: fields have the access values of methods. Literals are in the callers.
        if flags & METHOD_ACCESS in VISIBLE_MEMBERS and not flags & FIELD_LITERAL:
            marks.mark_field(field)


def _is_visible(world: World, method: int) -> bool:
    """Whether code of other assemblies can use a method."""
    return world.method_row(method).flags & METHOD_ACCESS in VISIBLE_MEMBERS


def mark_contract(world: World, marks: Marks, type_: int) -> None:
    """What classes of guests that are not known yet may have to implement."""
    methods = list(world.methods(type_))
    flags = [world.method_row(m).flags for m in methods]
    if world.is_interface(type_):
        if not any(f & METHOD_STATIC and f & METHOD_VIRTUAL for f in flags):
            for method in methods:
                marks.mark_method(method)
        return
    for method, flag in zip(methods, flags, strict=True):
        if flag & METHOD_ABSTRACT and _is_visible(world, method):
            marks.mark_method(method)
