"""Arguments from JSON: values as the generated functions take them, or why they cannot be."""

from __future__ import annotations

import base64
import binascii
import decimal
import math
import re
import struct
import uuid
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, final

from dotnet_wasm_host.errors import MarshallingError
from dotnet_wasm_host.overriding import override
from dotnet_wasm_host.typed import json_scalars, scalars
from dotnet_wasm_host.typed.classes import make_maker
from dotnet_wasm_host.typed.grids import flatten
from dotnet_wasm_host.typed.json_writing import TYPE, has_text_keys
from dotnet_wasm_host.typed.shapes import (
    MAX_DEPTH,
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
from dotnet_wasm_host.typed.values import integer_range

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ArgumentNotValid", "read_json"]

_INTEGER = re.compile(r"[+-]?\d{1,4000}")
_NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?", re.ASCII)
_FLOATS = {"NaN": "nan", "Infinity": "inf", "-Infinity": "-inf"}
_SHOWN = 60
#: ``JsonReaderOptions.MaxDepth`` of .NET, which reads the JSON again.
_JSON_DEPTH = 64
#: Takes any number of digits and refuses more than a decimal may have, in linear time.
_FEW_DIGITS = decimal.Context(
    prec=200, traps=[decimal.InvalidOperation, decimal.Inexact, decimal.Overflow]
)


class ArgumentNotValid(MarshallingError):
    """An argument is no value of its parameter's type.

    Attributes:
        parameter: the parameter, and where in its value.
        expected: what it takes.
        given: what was given.
    """

    def __init__(self, parameter: str, expected: str, given: str) -> None:
        super().__init__(f"parameter {parameter!r}: expected {expected}, found {given}")
        self.parameter: str = parameter
        self.expected: str = expected
        self.given: str = given

    @override
    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.parameter, self.expected, self.given)


def read_json(shape: Shape, value: Any, where: str, depth: int = 0) -> Any:  # noqa: ANN401
    """What ``json.loads`` gave, as a value for :class:`Codec`.

    Numbers with a point may be :class:`decimal.Decimal`.

    Raises:
        ArgumentNotValid: it is no value of the type.
    """
    if depth > MAX_DEPTH:
        raise ArgumentNotValid(where, f"at most {MAX_DEPTH} values inside of values", "more")
    if isinstance(shape, Fixed):
        return _FIXED[shape.kind](shape, value, where)
    if isinstance(shape, Json):
        return _plain(value, where)
    if isinstance(shape, Checked):
        if value is None and not shape.is_nullable:
            raise ArgumentNotValid(where, f"a value for {_short(shape)}", "null")
        return read_json(shape.value, value, where, depth)
    if value is None and _may_be_null(shape):
        return None
    return _CONVERTERS[type(shape)](shape, value, where, depth)


def _may_be_null(shape: Shape) -> bool:
    if isinstance(shape, Record):
        return shape.is_class
    return not isinstance(shape, (Wide, Tuple))


def describe(value: object) -> str:
    """A value of JSON, for messages."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return f"the string {_cut(value)!r}"
    if isinstance(value, list):
        return f"an array of {len(value)}"
    if isinstance(value, dict):
        names = ", ".join(map(repr, list(value)[:5]))
        return f"an object with {names:.{_SHOWN}}" if value else "an object without members"
    if isinstance(value, int) and value.bit_length() > 4 * _SHOWN:
        return "an integer of many digits"
    return f"the number {_cut(str(value))}"


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."


def _plain(value: Any, where: str, depth: int = 0) -> Any:  # noqa: ANN401 - of any type
    """The same with floats where there are decimals, if .NET can read its JSON."""
    if isinstance(value, (float, decimal.Decimal)):
        number = float(value)
        if not math.isfinite(number):
            raise ArgumentNotValid(where, "a number that double can hold", describe(value))
        return number
    if isinstance(value, str):
        return _unicode(value, where)
    if not isinstance(value, (list, dict)):
        return value
    if depth == _JSON_DEPTH:
        expected = f"at most {_JSON_DEPTH} arrays and objects inside of each other"
        raise ArgumentNotValid(where, expected, "more")
    if isinstance(value, list):
        return [_plain(item, where, depth + 1) for item in value]
    return {_unicode(name, where): _plain(item, where, depth + 1) for name, item in value.items()}


def _short(shape: Shape) -> str:
    return re.sub(r"(?:\w+\.)+", "", shape.csharp.replace("global::", "").replace("@", ""))


# -------------------------------------------------------------------- scalars


def _bool(_: Fixed, value: Any, where: str) -> bool:  # noqa: ANN401
    if isinstance(value, bool):
        return value
    raise ArgumentNotValid(where, "true or false", describe(value))


def _whole(value: Any) -> int | None:  # noqa: ANN401
    """The integer that a number or a string of digits is."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, decimal.Decimal) and abs(value.adjusted()) < _SHOWN:
        return int(value) if value == value.to_integral_value() else None
    return None


def _integer(shape: Fixed, value: Any, where: str) -> int:  # noqa: ANN401
    number, (low, high) = _whole(value), integer_range(shape)
    if number is None:
        raise ArgumentNotValid(where, f"an integer for {_short(shape)}", describe(value))
    if not low <= number <= high:
        raise ArgumentNotValid(where, f"{low} to {high} for {_short(shape)}", describe(value))
    return number


def _float(shape: Fixed, value: Any, where: str) -> float:  # noqa: ANN401
    if isinstance(value, str) and value in _FLOATS:
        return float(_FLOATS[value])
    if isinstance(value, bool) or not isinstance(value, (int, float, decimal.Decimal)):
        raise ArgumentNotValid(where, f"a number for {_short(shape)}", describe(value))
    try:
        number = float(value)
        struct.pack(f"<{shape.format}", number)
    except OverflowError:
        number = float("inf")
    if number in {float("inf"), float("-inf")}:
        expected = f"a number that {_short(shape)} can hold"
        raise ArgumentNotValid(where, expected, describe(value))
    return number


def _char(_: Fixed, value: Any, where: str) -> str:  # noqa: ANN401
    if isinstance(value, str) and len(value) == 1 and ord(value) <= 0xFFFF:
        return value
    raise ArgumentNotValid(where, "a string of one character, below U+10000", describe(value))


def _decimal(_: Fixed, value: Any, where: str) -> decimal.Decimal:  # noqa: ANN401
    expected = "a number, or a string with one, that decimal can hold"
    if isinstance(value, bool) or not isinstance(value, (int, float, str, decimal.Decimal)):
        raise ArgumentNotValid(where, expected, describe(value))
    try:
        # A float's shortest text is the number that was written.
        written = decimal.Decimal(str(value) if isinstance(value, float) else value)
        number = _FEW_DIGITS.plus(written)
        scalars.decimal_bytes(number)
    except (ArithmeticError, ValueError) as error:
        raise ArgumentNotValid(where, expected, describe(value)) from error
    return number


def _of_text(
    expected: str, read: Callable[[str], Any], check: Callable[[Any], object]
) -> Callable[[Fixed, Any, str], Any]:
    def convert(_: Fixed, value: Any, where: str) -> Any:  # noqa: ANN401
        if not isinstance(value, str):
            raise ArgumentNotValid(where, f"a string: {expected}", describe(value))
        try:
            made = read(value)
            check(made)
        except (ValueError, OverflowError, struct.error) as error:
            raise ArgumentNotValid(where, expected, describe(value)) from error
        return made

    return convert


def _enum(shape: Fixed, value: Any, where: str) -> int:  # noqa: ANN401
    cls: Any = shape.python
    if isinstance(value, str):
        number = 0
        for name in value.split(","):
            member = cls.__members__.get(name.strip())
            if member is None:
                names = ", ".join(cls.__members__)
                raise ArgumentNotValid(
                    where, f"a member of {cls.__name__}: {names}", describe(value)
                )
            number |= int(member)
        if "," in value and not hasattr(cls, "__or__"):
            raise ArgumentNotValid(where, f"one member of {cls.__name__}", describe(value))
        return number
    if _whole(value) is None:
        raise ArgumentNotValid(where, f"a member of {cls.__name__}, by its name", describe(value))
    return _integer(shape, value, where)


def _duration_check(value: Any) -> None:  # noqa: ANN401
    struct.pack("<q", scalars.ticks_of(value))


_FIXED: dict[Kind, Callable[[Fixed, Any, str], Any]] = {
    Kind.BOOL: _bool,
    Kind.INTEGER: _integer,
    Kind.FLOAT: _float,
    Kind.CHAR: _char,
    Kind.DECIMAL: _decimal,
    Kind.UUID: _of_text("a UUID, 32 hexadecimal digits in groups", uuid.UUID, lambda v: v.bytes_le),
    Kind.DATETIME: _of_text(
        "a date and time of ISO 8601, as 2026-11-28T10:30:00 or with Z",
        json_scalars.moment_of,
        scalars.datetime_bytes,
    ),
    Kind.MOMENT: _of_text(
        "a date and time of ISO 8601 with its zone, as 2026-11-28T10:30:00+01:00",
        json_scalars.moment_of,
        scalars.moment_bytes,
    ),
    Kind.DATE: _of_text("a date, as 2026-11-28", json_scalars.date_of, scalars.day_number),
    Kind.TIME: _of_text("a time of day, as 10:30:00", json_scalars.time_of, scalars.time_ticks),
    Kind.DURATION: _of_text(
        "a duration, as PT1H30M or 01:30:00", json_scalars.duration_of, _duration_check
    ),
    Kind.ENUM: _enum,
}


# -------------------------------------------------------------------- others


def _optional(shape: Optional, value: Any, where: str, depth: int) -> Any:  # noqa: ANN401
    return read_json(shape.value, value, where, depth + 1)


def _text(_: Shape, value: Any, where: str, __: int) -> str:  # noqa: ANN401
    if not isinstance(value, str):
        raise ArgumentNotValid(where, "a string", describe(value))
    return _unicode(value, where)


def _unicode(value: str, where: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        given = f"half of a surrogate pair at {error.start}"
        raise ArgumentNotValid(where, "text that UTF-8 can hold", given) from error
    return value


def _blob(_: Shape, value: Any, where: str, __: int) -> bytes:  # noqa: ANN401
    expected = "bytes as a string of Base64 (RFC 4648, 4)"
    if not isinstance(value, str):
        raise ArgumentNotValid(where, expected, describe(value))
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ArgumentNotValid(where, expected, describe(value)) from error


def _wide(_: Shape, value: Any, where: str, __: int) -> int:  # noqa: ANN401
    number = _whole(value)
    if number is None:
        raise ArgumentNotValid(where, "an integer for BigInteger", describe(value))
    return number


def _block(shape: Block, value: Any, where: str, __: int) -> list[Any]:  # noqa: ANN401
    if not isinstance(value, list):
        raise ArgumentNotValid(where, f"an array of {_short(shape.element)}", describe(value))
    convert = _FIXED[shape.element.kind]
    return [convert(shape.element, item, f"{where}[{n}]") for n, item in enumerate(value)]


def _sequence(shape: Sequence, value: Any, where: str, depth: int) -> list[Any]:  # noqa: ANN401
    if not isinstance(value, list):
        raise ArgumentNotValid(where, f"an array of {_short(shape.element)}", describe(value))
    element = shape.element
    return [read_json(element, v, f"{where}[{n}]", depth + 1) for n, v in enumerate(value)]


def _grid(shape: Grid, value: Any, where: str, depth: int) -> list[Any]:  # noqa: ANN401
    def level(items: Any, left: int, where: str) -> Any:  # noqa: ANN401
        if left == 0:
            return read_json(shape.element, items, where, depth + shape.rank)
        if not isinstance(items, list):
            raise ArgumentNotValid(where, f"an array for {_short(shape)}", describe(items))
        return [level(item, left - 1, f"{where}[{n}]") for n, item in enumerate(items)]

    made: list[Any] = level(value, shape.rank, where)
    try:
        flatten(made, shape.rank)
    except ValueError:
        expected = f"arrays of one length beside each other for {_short(shape)}"
        raise ArgumentNotValid(where, expected, "several lengths") from None
    return made


def _mapping(shape: Mapping, value: Any, where: str, depth: int) -> dict[Any, Any]:  # noqa: ANN401
    is_object = has_text_keys(shape)
    if isinstance(value, dict) and is_object:
        pairs: list[Any] = [[_key(shape.key, key, where), item] for key, item in value.items()]
    elif isinstance(value, list) and all(isinstance(v, list) and len(v) == 2 for v in value):
        pairs = [
            [_hashable(read_json(shape.key, k, f"{where}: a key", depth + 1)), v] for k, v in value
        ]
    else:
        kind = "an object" if is_object else "an array of pairs"
        raise ArgumentNotValid(where, f"{kind} for {_short(shape)}", describe(value))
    return {
        key: read_json(shape.value, item, f"{where}[{key!r:.40}]", depth + 1) for key, item in pairs
    }


@final
class _RecordKey(SimpleNamespace):
    """A record that is the key of a dictionary."""

    @override
    def __hash__(self) -> int:  # type: ignore[override] # SimpleNamespace has none
        return hash(tuple(vars(self).values()))


def _hashable(key: Any) -> Any:  # noqa: ANN401
    if isinstance(key, dict):
        return _RecordKey(**{name: _hashable(value) for name, value in key.items()})
    return tuple(map(_hashable, key)) if isinstance(key, tuple) else key


def _key(shape: Shape, text: str, where: str) -> Any:  # noqa: ANN401
    """A key of an object, which is text always."""
    value: Any = text
    if isinstance(shape, Fixed) and shape.kind is Kind.BOOL:
        value = {"true": True, "false": False}.get(text.lower(), text)
    elif isinstance(shape, Fixed) and shape.kind is Kind.FLOAT and _NUMBER.fullmatch(text):
        value = float(text)
    return read_json(shape, value, f"{where}: key {text!r:.40}")


def _tuple(shape: Tuple, value: Any, where: str, depth: int) -> tuple[Any, ...]:  # noqa: ANN401
    count = len(shape.items)
    if not isinstance(value, list) or len(value) != count:
        raise ArgumentNotValid(where, f"an array of {count}", describe(value))
    return tuple(
        read_json(item, v, f"{where}[{n}]", depth + 1)
        for n, (item, v) in enumerate(zip(shape.items, value, strict=True))
    )


def _record(shape: Record, value: Any, where: str, depth: int) -> Any:  # noqa: ANN401
    if shape.derived and isinstance(value, dict) and TYPE in value:
        for other in shape.derived:
            if other.name == value[TYPE]:
                given = {name: item for name, item in value.items() if name != TYPE}
                fields = _record(replace(other, derived=()), given, where, depth)
                return make_maker(other.python, fields)(*fields.values())
    if shape.is_abstract:
        known = ", ".join(repr(other.name) for other in shape.derived)
        expected = f"an object for {shape.name} with {TYPE!r} as one of {known}"
        raise ArgumentNotValid(where, expected, describe(value))
    names = [field.name for field in shape.fields]
    expected = f"an object for {shape.name} with {', '.join(names)}"
    if not isinstance(value, dict):
        raise ArgumentNotValid(where, expected, describe(value))
    if value.keys() != set(names):
        missing = [name for name in names if name not in value]
        unknown = [name for name in value if name not in names]
        what = f"without {missing[0]!r}" if missing else f"with {unknown[0]!r:.40}"
        raise ArgumentNotValid(where, expected, f"one {what}")
    return {
        field.name: read_json(field.shape, value[field.name], f"{where}.{field.name}", depth + 1)
        for field in shape.fields
    }


_CONVERTERS: dict[type[Shape], Callable[[Any, Any, str, int], Any]] = {
    Optional: _optional,
    Text: _text,
    Blob: _blob,
    Wide: _wide,
    Block: _block,
    Sequence: _sequence,
    Grid: _grid,
    Mapping: _mapping,
    Tuple: _tuple,
    Record: _record,
}
