"""Handles of objects: what generated functions make of them, and them of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dotnet_wasm_host.typed.objects import TYPE_BITS
from dotnet_wasm_host.typed.shapes import Delegate, Handle, Kind

if TYPE_CHECKING:
    from collections.abc import Callable

    from dotnet_wasm_host.typed.objects import CSharpClass, CSharpObject
    from dotnet_wasm_host.typed.shapes import Shape

__all__ = ["handle_packer", "handle_reader", "make_delegate", "make_handle"]


def make_handle(csharp: str, cls: CSharpClass, number: int, name: str) -> Handle:
    """The shape of objects of a class.

    Args:
        csharp: the class as C# writes it.
        cls: what Python has of it.
        number: its number in handles.
        name: for messages.
    """
    return Handle(
        csharp,
        cls,
        Kind.OBJECT,
        "q",
        f"O{number}({{0}})",
        f"o{number}({{0}})",
        f"(({csharp})objects.Get(r.Get<long>()))",
        f"w.Put(objects.Add({{0}}, {number}))",
        number,
        name,
        cls,
    )


def make_delegate(
    csharp: str,
    python: Any,  # noqa: ANN401 - a type for annotations
    cls: CSharpClass,
    number: int,
    name: str,
    parameters: tuple[Shape, ...],
    result: Shape | None,
    task: str,
    tokens: tuple[int, ...],
) -> Delegate:
    """The shape of a delegate; see :class:`Delegate` and :func:`make_handle`."""
    return Delegate(
        csharp,
        python,
        Kind.OBJECT,
        "q",
        f"D{number}({{0}}, lent)",
        f"o{number}({{0}})",
        f"Delegate{number}(r.Get<long>())",
        f"w.Put(objects.Add({{0}}, {number}))",
        number,
        name,
        cls,
        parameters,
        result,
        task,
        tokens,
    )


def handle_packer(cls: type[CSharpObject]) -> Callable[[Any], int]:
    """What gives the handle of an object of a class; TypeError for others."""

    def pack(value: Any) -> Any:  # noqa: ANN401 - that is asked
        if type(value) is not cls and not isinstance(value, cls):
            if value is None:
                return 0
            raise TypeError("an object of another class")
        return value.dwh_handle

    return pack


def handle_reader(classes: dict[int, type[CSharpObject]]) -> Callable[[int], Any]:
    """What makes an object of a handle: of one of these classes, by the number of their type."""
    new, mask = object.__new__, (1 << TYPE_BITS) - 1

    def read(handle: int) -> CSharpObject | None:
        if handle == 0:
            return None
        cls = classes.get(handle & mask)
        if cls is None:
            raise ValueError("an object of a class that it cannot be")
        made = new(cls)
        made.dwh_handle = handle
        return made

    return read
