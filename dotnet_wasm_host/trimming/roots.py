"""Where marking starts: the roots, what Mono itself needs, and what any guest brings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dotnet_wasm_host.ecma335.binary import MalformedImage
from dotnet_wasm_host.ecma335.tables import TYPE_DEF_OR_REF, Table
from dotnet_wasm_host.trimming.attributes import GUEST_ATTRIBUTES
from dotnet_wasm_host.trimming.keeping import mark_visible_members
from dotnet_wasm_host.trimming.world import ROW_BITS

if TYPE_CHECKING:
    from dotnet_wasm_host.trimming.marking import Marker
    from dotnet_wasm_host.trimming.module import Module
    from dotnet_wasm_host.trimming.world import World

__all__ = ["mark_guest_attributes", "mark_root", "mark_runtime_needs"]

#: What Mono finds by name or builds vtables from, beside what the core's own descriptor lists:
#: the interfaces that vectors implement, and those that it looks for on primitives.
VECTOR_INTERFACES = (
    "IList`1", "ICollection`1", "IEnumerable`1", "IReadOnlyList`1", "IReadOnlyCollection`1",
    "IEnumerator`1",
)  # fmt: skip
ALWAYS_INSTANTIATED = ("System.String", "System.Array", "System.Object")
ALWAYS_MARKED = ("System.IEquatable`1", "System.IComparable`1")


def mark_runtime_needs(world: World, marker: Marker) -> None:
    """What Mono needs of the core library whatever runs on it."""
    marker.describe(world.core)
    for name in ALWAYS_INSTANTIATED:
        marker.instantiate(_core_type(world, name))
    for name in ALWAYS_MARKED:
        marker.mark_type(_core_type(world, name))
    for name in VECTOR_INTERFACES:
        interface = _core_type(world, f"System.Collections.Generic.{name}")
        marker.mark_type(interface)
        for method in world.methods(interface):
            marker.mark_method(method)
    for method in world.methods(_core_type(world, "System.Array")):
        # The implementation of those interfaces, which Mono gives to vectors itmarker.
        if world.method_name(method).startswith("InternalArray__"):
            marker.mark_method(method)
    for field in world.fields(_core_type(world, "System.String")):
        if world.field_name(field) == "Empty":
            marker.mark_field(field)


def _core_type(world: World, name: str) -> int:
    type_ = world.type_named(world.core, name)
    if type_ is None:
        raise MalformedImage(f"{world.core.name} has no {name}")
    return type_


def mark_guest_attributes(world: World, marker: Marker) -> None:
    """Attributes that compilers put onto any assembly: Mono asserts that it finds them."""
    for name in sorted(GUEST_ATTRIBUTES):
        type_ = world.type_named(world.core, name)
        if type_ is not None:
            marker.instantiate(type_)
            mark_visible_members(world, marker, type_)


def mark_root(world: World, marker: Marker, module: Module) -> None:
    """Everything in an assembly that is kept as it is."""
    marker.blame(module.name)
    for row in module.types:
        type_ = world.identity(module, row)
        marker.mark_whole(type_)
        for impl, interface, _ in world.declared_interfaces(type_):
            marker.mark_type(interface)
            marker.mark_interface_impl(module, impl, use=True)
    for row in module.metadata.numbers(Table.TYPE_REF):
        marker.mark_types_of(world.type_of(module, TYPE_DEF_OR_REF.join(Table.TYPE_REF, row)))
    for row in module.metadata.numbers(Table.MEMBER_REF):
        marker.mark_reference(world.reference(module, int(Table.MEMBER_REF) << ROW_BITS | row))
    for row in module.metadata.numbers(Table.CUSTOM_ATTRIBUTE):
        marker.mark_attribute(module, row)
    marker.mark_data_of(module)
