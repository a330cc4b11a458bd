"""Results as JSON."""

from __future__ import annotations

import base64
import enum
from typing import TYPE_CHECKING, Any

from dotnet_wasm_host.errors import LimitExceeded
from dotnet_wasm_host.typed.json_scalars import duration_text, float_value
from dotnet_wasm_host.typed.shapes import (
    Blob,
    Block,
    Checked,
    Fixed,
    Grid,
    Json,
    Kind,
    Mapping,
    Optional,
    Record,
    Sequence,
    Shape,
    Text,
    Tuple,
    Wide,
)

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["TYPE", "has_text_keys", "to_json"]

#: The member that names a record which derives from the expected one, as ``System.Text.Json`` has.
TYPE = "$type"

#: Digits of a number in base 10 take quadratic time; Python refuses more than 4300.
_MOST_BITS = 13_000


def to_json(shape: Shape, value: Any) -> Any:  # noqa: ANN401 - of any type
    """A result of :class:`Codec` as ``json.dumps`` takes it. LimitExceeded for endless numbers."""
    if isinstance(shape, Fixed):
        convert = _FIXED.get(shape.kind)
        return value if convert is None else convert(shape, value)
    if value is None or isinstance(shape, (Text, Json)):
        return value
    if isinstance(shape, Checked):
        return to_json(shape.value, value)
    return _CONVERTERS[type(shape)](shape, value)


def has_text_keys(shape: Mapping) -> bool:
    """Whether a dictionary is an object: its keys are text, or values with one text each."""
    key = shape.key.value if isinstance(shape.key, Checked) else shape.key
    return isinstance(key, (Fixed, Text, Wide))


def _enum(_: Fixed, value: Any) -> str | int:  # noqa: ANN401
    """Its name; of flags all names; the number if there is none."""
    if isinstance(value, enum.IntFlag):
        cls: Any = type(value)
        exact = [name for name, member in cls.__members__.items() if int(member) == int(value)]
        if exact:
            return str(exact[0])
        number, names = int(value), []
        for name, member in cls.__members__.items():
            if int(member) and int(member) & int(value) == int(member):
                names.append(name)
                number &= ~int(member)
        return int(value) if number or not names else ", ".join(names)
    return value.name if isinstance(value, enum.Enum) else int(value)


def _iso(_: Fixed, value: Any) -> str:  # noqa: ANN401
    text: str = value.isoformat()
    return text.removesuffix("+00:00") + "Z" if text.endswith("+00:00") else text


_FIXED: dict[Kind, Callable[[Fixed, Any], Any]] = {
    Kind.FLOAT: lambda shape, value: float_value(value, shape.format),
    Kind.DECIMAL: lambda _, value: f"{value:f}",
    Kind.UUID: lambda _, value: str(value),
    Kind.DATETIME: _iso,
    Kind.MOMENT: _iso,
    Kind.DATE: _iso,
    Kind.TIME: _iso,
    Kind.DURATION: lambda _, value: duration_text(value),
    Kind.ENUM: _enum,
}


def _wide(_: Shape, value: int) -> int:
    if value.bit_length() > _MOST_BITS:
        raise LimitExceeded(
            f"expected a BigInteger of at most {_MOST_BITS} bits in JSON, found one of "
            f"{value.bit_length()}; return bytes, or its text in base 16"
        )
    return value


def _block(shape: Block, value: Any) -> list[Any]:  # noqa: ANN401
    items = value.tolist() if isinstance(value, memoryview) else list(value)
    if shape.element.kind is Kind.FLOAT:
        code = shape.element.format
        return [float_value(item, code) for item in items]
    return items


def _mapping(shape: Mapping, value: dict[Any, Any]) -> Any:  # noqa: ANN401
    key, item = shape.key, shape.value
    if has_text_keys(shape):
        return {_key(to_json(key, k)): to_json(item, v) for k, v in value.items()}
    return [[to_json(key, k), to_json(item, v)] for k, v in value.items()]


def _key(value: object) -> str:
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)


def _grid(shape: Grid, value: list[Any]) -> list[Any]:
    def level(items: Any, left: int) -> Any:  # noqa: ANN401
        if left == 0:
            return to_json(shape.element, items)
        return [level(item, left - 1) for item in items]

    made: list[Any] = level(value, shape.rank)
    return made


def _record(shape: Record, value: object) -> dict[str, Any]:
    other = shape.variant(type(value))
    if other is not None:
        return {TYPE: other.name, **_record(other, value)}
    return {f.name: to_json(f.shape, getattr(value, f.name)) for f in shape.fields}


def _tuple(shape: Tuple, value: tuple[Any, ...]) -> list[Any]:
    return [to_json(item, v) for item, v in zip(shape.items, value, strict=True)]


_CONVERTERS: dict[type[Shape], Callable[[Any, Any], Any]] = {
    Optional: lambda shape, value: to_json(shape.value, value),
    Blob: lambda _, value: base64.b64encode(value).decode("ascii"),
    Wide: _wide,
    Block: _block,
    Grid: _grid,
    Sequence: lambda shape, value: [to_json(shape.element, item) for item in value],
    Mapping: _mapping,
    Tuple: _tuple,
    Record: _record,
}
