"""Methods of one name: the one that takes what was given is called."""

from __future__ import annotations

import inspect
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from dotnet_wasm_host.errors import MarshallingError, MarshallingTypeError
from dotnet_wasm_host.typed.shapes import (
    Block,
    Checked,
    Dynamic,
    Fixed,
    Handle,
    Kind,
    Optional,
    Record,
    Shape,
    Text,
    Wide,
)
from dotnet_wasm_host.typed.values import canonical

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dotnet_wasm_host.typed.signatures import Function

__all__ = ["distance_of", "overloaded"]

#: How far a type of C# is from ``int`` and ``float`` of Python, the nearest first.
_INTEGERS = ("int", "long", "short", "byte", "uint", "ulong", "ushort", "sbyte", "nint", "nuint")
_FLOATS = ("double", "float")
_FAR = 50


def overloaded(candidates: Sequence[tuple[Function, Callable[..., Any]]]) -> Callable[..., Any]:
    """A function that calls the nearest of several that take its arguments.

    Near is what needs no conversion: ``int`` for an int, ``double`` for a float, ``string`` for
    a str. Of equally near ones the first is taken.
    """
    first, _ = candidates[0]
    signatures = [(function, call, inspect.signature(call)) for function, call in candidates]
    known = "\n".join(f"    {first.name}{signature}" for _, _, signature in signatures)

    def call(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - what C# has
        best: Callable[..., Any] | None = None
        nearest = 0
        reasons = []
        for function, target, signature in signatures:
            try:
                bound = signature.bind(*args, **kwargs)
                distance = _distance(function, bound.arguments)
            except MarshallingError as error:
                reasons.append(str(error))
            except TypeError as error:
                reasons.append(f"{function.name}(): {error}")
            else:
                if best is None or distance < nearest:
                    best, nearest = target, distance
        if best is None:
            raise MarshallingTypeError(
                f"{first.name}(): expected arguments for one of {len(signatures)} overloads, found "
                f"none that takes these; convert the arguments to one of them: {'; '.join(reasons)}"
            )
        return best(*args, **kwargs)

    model = candidates[0][1]
    call.__name__, call.__qualname__ = model.__name__, model.__qualname__
    call.__module__ = model.__module__
    documented = [c.__doc__ for _, c in candidates if c.__doc__]
    call.__doc__ = "\n\n".join((f"Overloads:\n\n{known}", *documented))
    return call


def _distance(function: Function, arguments: dict[str, Any]) -> int:
    """How far the arguments are from what a function takes. MarshallingError if it takes others."""
    distance = 0
    for argument in function.given:
        if argument.name in arguments:
            value = arguments[argument.name]
            where = f"{function.name}(): parameter {argument.name!r}"
            canonical(argument.shape, value, where)
            distance += distance_of(argument.shape, value)
    # Of equally near ones the one whose defaults are not needed.
    return _FAR * distance + len(function.given) - len(arguments)


def distance_of(shape: Shape, value: object) -> int:  # noqa: PLR0911 - one for each kind
    """How far a value is from those of a type: 0 for its own kind, more for what is converted."""
    if isinstance(shape, Checked):
        return distance_of(shape.value, value)
    if isinstance(shape, Optional):
        return 1 + (0 if value is None else distance_of(shape.value, value))
    if isinstance(shape, Dynamic):
        return 2 * _FAR  # what nothing else takes
    if isinstance(value, (list, tuple)) and value:
        element = next(shape.parts(), None)
        return distance_of(element, value[0]) if element is not None else 1
    if isinstance(value, (str, bytes)):
        exact = isinstance(shape, Text) if isinstance(value, str) else "byte[]" in shape.csharp
        return 0 if exact else 5
    if isinstance(shape, Handle):
        levels = type(value).__mro__
        return levels.index(shape.cls) if shape.cls in levels else 1
    if isinstance(shape, Record):
        return 0 if isinstance(value, shape.python) else 2
    if isinstance(shape, Wide):
        return len(_INTEGERS)
    if isinstance(shape, Block):
        return 1
    return _of_fixed(shape, value) if isinstance(shape, Fixed) else 1


def _of_fixed(shape: Fixed, value: object) -> int:
    if isinstance(value, bool):
        return 0 if shape.kind is Kind.BOOL else _FAR
    if shape.kind is Kind.ENUM:
        return 0 if isinstance(value, shape.python) else _FAR
    if shape.kind is Kind.DECIMAL:
        return 0 if isinstance(value, Decimal) else len(_INTEGERS) + 2
    if shape.kind is Kind.INTEGER:
        far = shape.csharp not in _INTEGERS
        return len(_INTEGERS) + 1 if far else _INTEGERS.index(shape.csharp)
    if shape.kind is Kind.FLOAT:
        near = _FLOATS.index(shape.csharp) if shape.csharp in _FLOATS else len(_FLOATS)
        return near if isinstance(value, float) else 20 + near
    return 0
