"""What the bodies of methods reach."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from dotnet_wasm_host.ecma335.il import CATCH, Op, tokens
from dotnet_wasm_host.ecma335.tables import Table

if TYPE_CHECKING:
    from dotnet_wasm_host.ecma335.signatures import Type
    from dotnet_wasm_host.trimming.constants import Constants
    from dotnet_wasm_host.trimming.marks import Marks
    from dotnet_wasm_host.trimming.module import Module
    from dotnet_wasm_host.trimming.reflection import Reflection
    from dotnet_wasm_host.trimming.world import World

__all__ = ["Bodies"]


@final
class Bodies:
    """Marks what code names.

    Args:
        optional_names: assemblies whose look-ups of types by name ask what is there; they do not
            keep what they ask for.
    """

    def __init__(
        self,
        world: World,
        constants: Constants,
        marks: Marks,
        reflection: Reflection,
        optional_names: frozenset[str],
    ) -> None:
        self._world = world
        self._constants = constants
        self._marks = marks
        self._reflection = reflection
        self._optional_names = optional_names

    def mark_body(self, module: Module, method: int) -> None:
        """What a method's code names, or reaches by reflection."""
        world = self._world
        body = self._constants.body(method)
        if body is None:
            return
        if body.locals_token:
            for local in world.locals(module, body.locals_token):
                self._marks.mark_types_of(local)
        for clause in body.clauses:
            if clause.kind == CATCH:
                self._marks.mark_reference(world.reference(module, clause.extra))
        previous = None
        for _, op, token in (found := tokens(body.code)):
            if op == Op.LDSTR:
                continue
            reference = world.reference(module, token)
            if op == Op.CONSTRAINED:
                self._marks.mark_types_of(reference.owner, use=False)
                previous = world.definition(reference.owner)
                continue
            self._marks.mark_reference(reference, constrained=previous)
            if op == Op.LDTOKEN and reference.kind == "type":
                self._mark_open_type(reference.owner)
            previous = None
        self._reflection.follow(
            module, method, found, by_name=module.name not in self._optional_names
        )

    def _mark_open_type(self, type_: Type) -> None:
        """``typeof(G<>)`` and ``typeof(G<int>)`` are there to be made and created.

        No annotation survives MakeGenericType, so every constructor counts.
        """
        definition = self._world.definition(type_)
        if definition is None or self._world.is_interface(definition):
            return
        module, row = self._world.locate(definition)
        if module.generics_of(Table.TYPE_DEF, row):
            self._marks.mark_methods_named(definition, ".ctor")
