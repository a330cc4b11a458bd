"""Values that are not what a type usually gets: made into it, or refused in a sentence.

The generated functions take what is usual. What they cannot pack comes here, so these checks
cost the usual call nothing.
"""

from __future__ import annotations

import datetime as dt
import decimal
import operator
import struct
import uuid
from collections.abc import Mapping as AnyMapping
from collections.abc import Set as AbstractSet
from functools import partial
from typing import TYPE_CHECKING, Any

from dotnet_wasm_host.errors import (
    MarshallingError,
    MarshallingOverflowError,
    MarshallingTypeError,
)
from dotnet_wasm_host.typed import scalars
from dotnet_wasm_host.typed.classes import make_maker
from dotnet_wasm_host.typed.library import BYTE
from dotnet_wasm_host.typed.loose_values import (
    describe,
    dynamic,
    grid,
    items_of,
    short_name,
    wrong,
)
from dotnet_wasm_host.typed.objects import CSharpObject
from dotnet_wasm_host.typed.shapes import (
    MAX_DEPTH,
    Blob,
    Block,
    Checked,
    Delegate,
    Dynamic,
    Fixed,
    Grid,
    Handle,
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
    bare_shape,
)

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["canonical", "integer_range"]


def canonical(shape: Shape, value: Any, where: str, depth: int = 0) -> Any:  # noqa: ANN401
    """The value as the generated functions take it.

    Args:
        shape: of the parameter.
        value: what was given.
        where: the parameter, and where in its value.
        depth: values around this one.

    Raises:
        MarshallingTypeError: it is of another type.
        MarshallingOverflowError: it is a number out of the range of the type.
        MarshallingError: it is no value of the type.
    """
    if depth > MAX_DEPTH:
        raise MarshallingError(
            f"{where}: expected at most {MAX_DEPTH} values inside of values, found more; pass "
            "data that is "
            "less deep, or JSON"
        )
    if isinstance(shape, Checked):
        if value is None and not shape.is_nullable:
            name = short_name(shape)
            raise MarshallingTypeError(
                f"{where}: expected a value for {name}, which is never null, found None; give the "
                f"parameter the type {name}?, or pass a value"
            )
        return canonical(shape.value, value, where, depth)
    if isinstance(shape, Optional):
        return None if value is None else canonical(shape.value, value, where, depth + 1)
    if isinstance(shape, Fixed):
        return _FIXED[shape.kind](shape, value, where)
    if isinstance(shape, Json):
        return value
    if value is None and not isinstance(shape, (Wide, Tuple)) and _may_be_null(shape):
        return None
    for kind, convert in _CONVERTERS:
        if isinstance(shape, kind):
            return convert(shape, value, where, depth)
    raise AssertionError(shape)


def _may_be_null(shape: Shape) -> bool:
    return not isinstance(shape, Record) or shape.is_class


# -------------------------------------------------------------------- fixed values


def _bool(_: Fixed, value: Any, where: str) -> bool:  # noqa: ANN401
    if value is True or value is False:
        return bool(value)
    if type(value).__module__ == "numpy" and type(value).__name__ in {"bool", "bool_"}:
        return bool(value)
    raise wrong(where, "bool", value)


def _integer(shape: Fixed, value: Any, where: str) -> int:  # noqa: ANN401
    try:
        number = operator.index(value)
    except TypeError:
        raise wrong(where, f"int for {shape.csharp}", value) from None
    low, high = integer_range(shape)
    if not low <= number <= high:
        raise MarshallingOverflowError(
            f"{where}: expected {low} to {high} for {short_name(shape)}, found "
            f"{describe(value)}; "
            "pass a "
            "number in this range, or give the parameter a wider type"
        )
    return number


def integer_range(shape: Fixed) -> tuple[int, int]:
    """The lowest and the highest value of a type of integers."""
    bits = 8 * shape.size
    signed = shape.format in "bhiq" or shape.csharp == "global::System.Int128"
    return (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)


def _float(shape: Fixed, value: Any, where: str) -> float:  # noqa: ANN401
    if isinstance(value, (str, bytes, bytearray)) or not (
        hasattr(value, "__float__") or hasattr(value, "__index__")
    ):
        raise wrong(where, f"float for {shape.csharp}", value)
    try:
        number = float(value)
        struct.pack("<" + shape.format, number)
    except OverflowError:
        raise MarshallingOverflowError(
            f"{where}: expected a number that {short_name(shape)} can hold, found "
            f"{describe(value)}; "
            "pass a "
            "smaller one, or give the parameter a wider type"
        ) from None
    except (TypeError, ValueError):
        raise wrong(where, f"float for {shape.csharp}", value) from None
    return number


def _char(_: Fixed, value: Any, where: str) -> str:  # noqa: ANN401
    if not isinstance(value, str):
        raise wrong(where, "str of one character for char", value)
    if len(value) != 1 or ord(value) > 0xFFFF:
        raise MarshallingError(
            f"{where}: expected one character of the basic plane for char, found {value!r:.40}; "
            "pass one, or give the parameter the type string"
        )
    return str(value)


def _decimal(shape: Fixed, value: Any, where: str) -> decimal.Decimal:  # noqa: ANN401
    if isinstance(value, decimal.Decimal):
        number = value
    else:
        try:
            number = decimal.Decimal(operator.index(value))
        except TypeError:
            raise wrong(where, "decimal.Decimal or int for decimal", value) from None
    _checked(shape, number, where, scalars.decimal_bytes)
    return number


def _of_class(cls: type, check: Callable[[Any], object]) -> Callable[[Fixed, Any, str], Any]:
    def convert(shape: Fixed, value: Any, where: str) -> Any:  # noqa: ANN401
        is_datetime = isinstance(value, dt.datetime) and cls is dt.date
        if not isinstance(value, cls) or is_datetime:
            raise wrong(where, f"{shape.kind.value} for {shape.csharp.split('.')[-1]}", value)
        return _checked(shape, value, where, check)

    return convert


def _checked(shape: Fixed, value: Any, where: str, check: Callable[[Any], object]) -> Any:  # noqa: ANN401
    name = shape.csharp.split(".")[-1]
    try:
        check(value)
    except (OverflowError, struct.error) as error:
        raise MarshallingOverflowError(
            f"{where}: expected a value that {name} can hold, found {describe(value)}: {error}; "
            "convert it first"
        ) from None
    except ValueError as error:
        raise MarshallingError(
            f"{where}: expected a value that {name} can hold, found {describe(value)}: {error}; "
            "convert it first"
        ) from None
    return value


def _duration(value: dt.timedelta) -> None:
    struct.pack("<q", scalars.ticks_of(value))


def _enum(shape: Fixed, value: Any, where: str) -> int:  # noqa: ANN401
    cls: Any = shape.python
    if isinstance(value, str):
        try:
            return cls[value]  # type: ignore[no-any-return]
        except KeyError:
            names = ", ".join(cls.__members__)
            raise MarshallingError(
                f"{where}: expected a member of {cls.__name__} ({names}), found {value!r:.40}; "
                "pass one of "
                "these, or a number"
            ) from None
    try:
        return _integer(shape, value, where)
    except MarshallingTypeError:
        raise wrong(where, f"a member of {cls.__name__}", value) from None


def _object(shape: Fixed, value: Any, where: str) -> Any:  # noqa: ANN401
    assert isinstance(shape, Handle)
    if value is None:
        return None
    if isinstance(shape, Delegate) and callable(value) and not isinstance(value, CSharpObject):
        return value
    if not isinstance(value, shape.cls):
        if isinstance(shape, Delegate):
            raise wrong(where, f"a callable for {short_name(shape)}", value)
        other = isinstance(value, CSharpObject) and type(value).__name__ == shape.cls.__name__
        module = " of this module" if other else ""
        raise wrong(where, f"an object of the C# class {shape.name}{module}", value)
    if not getattr(value, "dwh_handle", 0):
        raise MarshallingError(
            f"{where}: expected an object of the C# class {shape.name}, found one whose "
            "constructor was not called; call super().__init__() of it"
        )
    return value


_FIXED: dict[Kind, Callable[[Fixed, Any, str], Any]] = {
    Kind.BOOL: _bool,
    Kind.INTEGER: _integer,
    Kind.FLOAT: _float,
    Kind.CHAR: _char,
    Kind.DECIMAL: _decimal,
    Kind.UUID: _of_class(uuid.UUID, lambda v: v.bytes_le),
    Kind.DATETIME: _of_class(dt.datetime, scalars.datetime_bytes),
    Kind.MOMENT: _of_class(dt.datetime, scalars.moment_bytes),
    Kind.DATE: _of_class(dt.date, scalars.day_number),
    Kind.TIME: _of_class(dt.time, scalars.time_ticks),
    Kind.DURATION: _of_class(dt.timedelta, _duration),
    Kind.ENUM: _enum,
    Kind.OBJECT: _object,
}


# -------------------------------------------------------------------- others


def _text(_: Shape, value: Any, where: str, __: int) -> str:  # noqa: ANN401
    if not isinstance(value, str):
        raise wrong(where, "str", value)
    text = str(value)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise MarshallingError(
            f"{where}: expected text that UTF-8 can hold, found half of a surrogate pair at "
            f"{error.start}; replace it: text.encode(errors='replace').decode()"
        ) from None
    return text


def _blob(shape: Shape, value: Any, where: str, __: int) -> bytes | memoryview:  # noqa: ANN401
    try:
        return bytes(scalars.blob(value))
    except TypeError:
        pass
    if isinstance(value, (list, tuple)):
        return bytes(_integer(BYTE, v, f"{where}[{n}]") for n, v in enumerate(value))
    raise wrong(where, f"bytes or a buffer of bytes for {shape.csharp}", value)


def _wide(_: Shape, value: Any, where: str, __: int) -> int:  # noqa: ANN401
    try:
        return operator.index(value)
    except TypeError:
        raise wrong(where, "int for BigInteger", value) from None


def _block(shape: Block, value: Any, where: str, __: int) -> list[Any]:  # noqa: ANN401
    name = shape.element.csharp
    items = items_of(value, where, f"a sequence or buffer of {name}")
    return [_FIXED[shape.element.kind](shape.element, v, f"{where}[{n}]")
            for n, v in enumerate(items)]  # fmt: skip


def _sequence(shape: Sequence, value: Any, where: str, depth: int) -> Any:  # noqa: ANN401
    element = bare_shape(shape.element)
    if isinstance(value, str) and isinstance(element, Fixed) and element.kind is Kind.CHAR:
        value = list(value)
    items = items_of(value, where, f"a sequence of {short_name(shape.element)}")
    made = [canonical(shape.element, v, f"{where}[{n}]", depth + 1) for n, v in enumerate(items)]
    return set(made) if shape.result == "set" and isinstance(value, AbstractSet) else made


def _mapping(shape: Mapping, value: Any, where: str, depth: int) -> dict[Any, Any]:  # noqa: ANN401
    if not isinstance(value, AnyMapping):
        raise wrong(where, f"a dict for {short_name(shape)}", value)
    return {
        canonical(shape.key, k, f"{where}: key {k!r:.40}", depth + 1): canonical(
            shape.value, v, f"{where}[{k!r:.40}]", depth + 1
        )
        for k, v in value.items()
    }


def _tuple(shape: Tuple, value: Any, where: str, depth: int) -> tuple[Any, ...]:  # noqa: ANN401
    if not isinstance(value, (tuple, list)):
        raise wrong(where, f"a tuple of {len(shape.items)}", value)
    if len(value) != len(shape.items):
        raise MarshallingTypeError(
            f"{where}: expected a tuple of {len(shape.items)}, found one of {len(value)}; pass "
            f"{len(shape.items)} values"
        )
    return tuple(
        canonical(item, v, f"{where}[{n}]", depth + 1)
        for n, (item, v) in enumerate(zip(shape.items, value, strict=True))
    )


def _record(shape: Record, value: Any, where: str, depth: int) -> Any:  # noqa: ANN401
    for other in shape.derived:
        # The nearest to the record come first; of a class that derives from several, the last.
        if isinstance(value, other.python) and not any(
            isinstance(value, nearer.python) for nearer in other.derived
        ):
            return make_maker(other.python, [f.name for f in other.fields])(
                *_record(other, value, where, depth).values()
            )
    if shape.is_abstract:
        known = ", ".join(other.name for other in shape.derived)
        raise wrong(where, f"one of the records that derive from {shape.name}: {known}", value)
    names = [field.name for field in shape.fields]
    if isinstance(value, AnyMapping):
        missing = [name for name in names if name not in value]
        unknown = [name for name in value if name not in names]
        given = value
    else:
        missing = [name for name in names if not hasattr(value, name)]
        unknown, given = [], {name: getattr(value, name, None) for name in names}
    if missing and len(missing) == len(names) and not isinstance(value, AnyMapping):
        raise wrong(where, f"{shape.name}, a dict or an object with {', '.join(names)}", value)
    if missing or unknown:
        what = f"without {missing[0]!r}" if missing else f"with {unknown[0]!r:.40}"
        raise MarshallingTypeError(
            f"{where}: expected {shape.name} with {', '.join(names)}, found "
            f"{type(value).__name__} {what}; give it exactly these fields"
        )
    return {
        field.name: canonical(field.shape, given[field.name], f"{where}.{field.name}", depth + 1)
        for field in shape.fields
    }


_CONVERTERS: tuple[tuple[type, Any], ...] = (
    (Text, _text),
    (Blob, _blob),
    (Wide, _wide),
    (Block, _block),
    (Sequence, _sequence),
    (Grid, partial(grid, canonical)),
    (Dynamic, partial(dynamic, canonical)),
    (Mapping, _mapping),
    (Tuple, _tuple),
    (Record, _record),
)
