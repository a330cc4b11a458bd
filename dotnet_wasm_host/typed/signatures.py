"""Functions: static methods of an assembly that Python can call, and why it cannot call others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dotnet_wasm_host.ecma335.signatures import VOID
from dotnet_wasm_host.typed.building import Unsupported, csharp_name, is_identifier
from dotnet_wasm_host.typed.classes import python_names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dotnet_wasm_host.typed.building import ShapeBuilder
    from dotnet_wasm_host.typed.metadata import Method, TypeDefinition
    from dotnet_wasm_host.typed.shapes import Shape

__all__ = ["Argument", "Function", "Refused", "read_functions"]


@dataclass(frozen=True, slots=True)
class Argument:
    """A parameter, for Python.

    Attributes:
        name: Python's name; ``csharp_name`` is C#'s.
        shape: what it takes.
        default: a value in a tuple, or ``()`` if it must be given.
    """

    name: str
    csharp_name: str
    shape: Shape
    default: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Function:
    """A method that can be called.

    Attributes:
        owner: the type that has it.
        name: its name.
        arguments: what it takes.
        result: what it gives; ``None`` for ``void``.
    """

    owner: TypeDefinition
    name: str
    arguments: tuple[Argument, ...]
    result: Shape | None

    @property
    def csharp(self) -> str:
        """The method as C# writes it."""
        return f"{csharp_name(self.owner)}.@{self.name}"


@dataclass(frozen=True, slots=True)
class Refused:
    """A method that cannot be called, and why."""

    owner: TypeDefinition
    name: str
    reason: str


def read_functions(of: TypeDefinition, shapes: ShapeBuilder) -> Iterator[Function | Refused]:
    """Public static methods of a type, in order."""
    for method in of.reader.methods(of):
        if not method.is_public or not method.is_static or method.is_special:
            continue
        if not is_identifier(method.name):
            continue
        try:
            yield _function(of, method, shapes)
        except Unsupported as reason:
            yield Refused(of, method.name, str(reason))


def _function(of: TypeDefinition, method: Method, shapes: ShapeBuilder) -> Function:
    if method.generic_count:
        raise Unsupported(
            "generic methods are not supported; write a method for the types that you need"
        )
    arguments = []
    for parameter, name in zip(
        method.parameters, python_names(p.name for p in method.parameters), strict=True
    ):
        try:
            shape = shapes.build(parameter.type)
        except Unsupported as reason:
            raise Unsupported(f"parameter {parameter.name!r}: {reason}") from None
        arguments.append(Argument(name, parameter.name, shape))
    try:
        result = None if method.result == VOID else shapes.build(method.result)
    except Unsupported as reason:
        raise Unsupported(f"its result: {reason}") from None
    return Function(of, method.name, tuple(arguments), result)
