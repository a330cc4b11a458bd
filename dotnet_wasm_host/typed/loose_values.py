"""Values that can be given in many forms: what they are made into, and how messages name them."""

from __future__ import annotations

import operator
import struct
from collections.abc import Callable, Iterable
from collections.abc import Mapping as AnyMapping
from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from dotnet_wasm_host.errors import MarshallingError, MarshallingTypeError
from dotnet_wasm_host.typed.blocks import buffer_code
from dotnet_wasm_host.typed.classes import make_maker
from dotnet_wasm_host.typed.dynamic import SCALARS
from dotnet_wasm_host.typed.grids import flatten
from dotnet_wasm_host.typed.objects import CSharpObject

if TYPE_CHECKING:
    from dotnet_wasm_host.typed.shapes import Dynamic, Grid, Shape

    #: Shape, value, where it is and how deep, to the value as the generated functions take it.
    Convert = Callable[[Shape, Any, str, int], Any]

__all__ = ["describe", "dynamic", "grid", "items_of", "short_name", "wrong"]


def short_name(shape: Shape) -> str:
    """A type as people write it."""
    return shape.csharp.replace("global::", "").replace("@", "")


def wrong(where: str, expected: str, value: object) -> MarshallingTypeError:
    """The error for a value of another type."""
    return MarshallingTypeError(f"{where}: expected {expected}, found {describe(value)}")


def describe(value: object) -> str:
    """A value's type and the beginning of its text."""
    if value is None:
        return "None"
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - whatever its class does, the type says enough
        text = "..."
    shown = text if len(text) <= 40 else f"{text[:37]}..."
    return f"{type(value).__name__} {shown}"


def items_of(value: Any, where: str, expected: str) -> list[Any]:  # noqa: ANN401
    """What an iterable has, which is no text. MarshallingTypeError if it is something else."""
    if isinstance(value, (str, bytes, bytearray, AnyMapping)) or not isinstance(value, Iterable):
        raise wrong(where, expected, value)
    try:
        iterator = iter(value)
    except TypeError:  # an array without dimensions
        raise wrong(where, expected, value) from None
    return list(iterator)


def grid(convert: Convert, shape: Grid, value: Any, where: str, depth: int) -> list[Any]:  # noqa: ANN401
    """Lists of lists of one length. MarshallingError if they are not."""
    name = short_name(shape)

    def level(items: Any, left: int, where: str) -> Any:  # noqa: ANN401
        if left == 0:
            return convert(shape.element, items, where, depth + shape.rank)
        given = items_of(items, where, f"lists of lists, {shape.rank} deep, for {name}")
        return [level(item, left - 1, f"{where}[{n}]") for n, item in enumerate(given)]

    made: list[Any] = level(value, shape.rank, where)
    try:
        flatten(made, shape.rank)
    except ValueError:
        raise MarshallingError(
            f"{where}: expected lists beside each other of one length for {name}, found several "
            "lengths; fill them up, or give the parameter an array of arrays"
        ) from None
    return made


def dynamic(convert: Convert, shape: Dynamic, value: Any, where: str, depth: int) -> Any:  # noqa: ANN401
    """What .NET has a value for, as a value of the classes that it is packed by."""
    kind = type(value)
    scalar = SCALARS.get(kind)
    if scalar is not None:
        try:
            scalar(value)
        except (OverflowError, ValueError, struct.error) as error:
            raise MarshallingError(
                f"{where}: expected a value that .NET can hold, found {describe(value)}: {error}; "
                "convert it first"
            ) from None
        return value
    for record in shape.records:
        if kind is record.python:
            made = make_maker(kind, [f.name for f in record.fields])
            return made(*convert(record, value, where, depth).values())
    if isinstance(value, CSharpObject):
        if getattr(value, "dwh_table", None) is not shape.handle.cls.dwh_table:
            raise wrong(where, "an object of this module", value)
        # Without a number if its constructor was not called.
        return convert(replace(shape.handle, cls=type(value)), value, where, depth)
    if any(kind is one.python for one in shape.enums):
        return value
    return _plain(convert, shape, value, where, depth)


def _plain(convert: Convert, shape: Dynamic, value: Any, where: str, depth: int) -> Any:  # noqa: ANN401, C901, PLR0911
    """Containers, and what derives from built-in classes or is like them."""

    def inner(item: Any, where: str) -> Any:  # noqa: ANN401
        return convert(shape, item, where, depth + 1)

    if isinstance(value, AnyMapping):
        return {
            inner(k, f"{where}: key {k!r:.40}"): inner(v, f"{where}[{k!r:.40}]")
            for k, v in value.items()
        }
    if isinstance(value, AbstractSet):
        return {inner(item, where) for item in value}
    if isinstance(value, (list, tuple)):
        return [inner(item, f"{where}[{n}]") for n, item in enumerate(value)]
    for kind in (str, bytes, float):
        if isinstance(value, kind):
            return kind(value)  # type: ignore[arg-type]
    try:
        view = memoryview(value)
    except TypeError:
        pass
    else:
        if view.ndim == 1 and buffer_code(view.format, view.itemsize):
            return value
        if hasattr(value, "tolist"):
            return inner(value.tolist(), where)
    if hasattr(value, "__index__"):
        return operator.index(value)
    if isinstance(value, Iterable):
        return [inner(item, f"{where}[{n}]") for n, item in enumerate(value)]
    if hasattr(value, "__float__") and not isinstance(value, type):
        return float(value)
    raise wrong(
        where,
        "a value for object: None, a number, text, bytes, a date or time, a list, dict or set of "
        "these, or a record, enum or object of this module",
        value,
    )
