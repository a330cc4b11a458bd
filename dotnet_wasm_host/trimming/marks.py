"""What can be marked, as those see it that say what to mark."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from dotnet_wasm_host.ecma335.signatures import Type
    from dotnet_wasm_host.trimming.module import Module
    from dotnet_wasm_host.trimming.references import Reference

__all__ = ["Marks"]


class Marks(Protocol):
    """What is reached so far, and the ways to add to it.

    Attributes:
        reflected: types whose properties, events and names of parameters stay.
        kept_attributes: module index and row of attributes that stay beside those that always do.
    """

    reflected: set[int]
    kept_attributes: set[tuple[int, int]]

    def mark_type(self, type_: int, *, use: bool = True) -> None:
        """A type that something names; ``use`` says that objects are treated as it."""

    def mark_types_of(self, type_: Type, *, use: bool = True) -> None:
        """Every type that a type in a signature is made of."""

    def mark_whole(self, type_: int) -> None:
        """A type with all its members."""

    def instantiate(self, type_: int) -> None:
        """Objects of a type can exist."""

    def mark_method(self, method: int) -> None:
        """A method that can be called."""

    def mark_methods_named(self, type_: int, name: str) -> None:
        """Methods of a type with that name."""

    def mark_default_constructor(self, type_: int) -> None:
        """The constructor without parameters, if there is one."""

    def mark_field(self, field: int) -> None:
        """A field that can be used."""

    def mark_reference(self, reference: Reference, constrained: int | None = None) -> None:
        """What a token in code refers to; ``constrained`` is the type that the prefix names."""

    def mark_attribute(self, module: Module, row: int) -> None:
        """An attribute: its constructor and the types that its arguments name."""

    def attribute_name(self, module: Module, row: int) -> str:
        """Full name of an attribute's class."""

    def reaches(self, assembly: str) -> bool:
        """Whether anything of an assembly is marked so far."""
