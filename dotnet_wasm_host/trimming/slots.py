"""Slots: which methods a call of a virtual method can reach (ECMA-335 II.12.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, final

from dotnet_wasm_host.ecma335.signatures import substitute_method
from dotnet_wasm_host.trimming.world import (
    METHOD_ACCESS,
    METHOD_NEW_SLOT,
    METHOD_PUBLIC,
    METHOD_STATIC,
    METHOD_VIRTUAL,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dotnet_wasm_host.trimming.world import World

__all__ = ["Slot", "Slots"]


class Slot(NamedTuple):
    """A method and one that fills its slot.

    Attributes:
        interface: the interface that ``base`` belongs to; -1 for a class's slot.
    """

    base: int
    implementation: int
    type: int
    interface: int


@final
class Slots:
    """The slots that the methods of known types fill."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._of_types: dict[int, list[Slot]] = {}
        self._over_methods: dict[int, list[Slot]] = {}

    def of_type(self, type_: int) -> Sequence[Slot]:
        """Slots that a type fills."""
        return self._of_types.get(type_, ())

    def over_method(self, method: int) -> Sequence[Slot]:
        """What fills a method's slot."""
        return self._over_methods.get(method, ())

    def add_type(self, type_: int) -> None:
        """Learn what a type fills."""
        for slot in [*self._explicit_slots(type_), *self._inherited_slots(type_)]:
            self._add(slot)
        if not self._world.is_interface(type_):
            for slot in self._interface_slots(type_):
                self._add(slot)

    def _add(self, slot: Slot) -> None:
        self._of_types.setdefault(slot.type, []).append(slot)
        self._over_methods.setdefault(slot.base, []).append(slot)

    def _explicit_slots(self, type_: int) -> Iterator[Slot]:
        """II.22.27: MethodImpl."""
        world = self._world
        module, row = world.locate(type_)
        for body, declaration in module.method_impls.get(row, ()):
            base = world.method_of(module, declaration).target
            implementation = world.method_of(module, body).target
            if base and implementation and base != implementation:
                owner = world.owner_of_method(base)
                interface = owner if world.is_interface(owner) else -1
                yield Slot(base, implementation, type_, interface)

    def _inherited_slots(self, type_: int) -> Iterator[Slot]:
        """Overrides by name and signature, of every base class that has the slot."""
        world = self._world
        for method in world.methods(type_):
            flags = world.method_row(method).flags
            if flags & METHOD_VIRTUAL and not flags & (METHOD_STATIC | METHOD_NEW_SLOT):
                for base in self.overridden(type_, method):
                    yield Slot(base, method, type_, -1)

    def overridden(self, type_: int, method: int) -> Iterator[int]:
        """Virtual methods of base classes whose slot a method reuses."""
        world = self._world
        name, signature = world.method_name(method), world.signature(method)
        for base, arguments in world.chain(type_):
            found = world.find_method(base, name, signature, arguments)
            if found is not None and world.method_row(found).flags & METHOD_VIRTUAL:
                yield found

    def _interface_slots(self, type_: int) -> Iterator[Slot]:
        """II.12.2: interface methods that a public virtual method implements."""
        world = self._world
        chain = [(type_, ()), *world.chain(type_)]
        for interface, arguments in world.interfaces(type_):
            for method in world.methods(interface):
                flags = world.method_row(method).flags
                if flags & METHOD_STATIC or not flags & METHOD_VIRTUAL:
                    continue
                name = world.method_name(method)
                wanted = None
                for place, own in chain:
                    module, row = world.locate(place)
                    if not module.methods_named(row, name):
                        continue
                    if wanted is None:
                        wanted = substitute_method(world.signature(method), arguments)
                    found = world.find_method(place, name, wanted, own)
                    if found is not None and self._implements(found):
                        yield Slot(method, found, type_, interface)
                        break

    def _implements(self, method: int) -> bool:
        flags = self._world.method_row(method).flags
        return (
            bool(flags & METHOD_VIRTUAL)
            and not flags & METHOD_STATIC
            and flags & METHOD_ACCESS == METHOD_PUBLIC
        )
