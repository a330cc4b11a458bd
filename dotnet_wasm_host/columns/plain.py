"""Columns without NumPy and Arrow: lists, :class:`array.array`, buffers, and constants."""

from __future__ import annotations

import datetime as dt
import itertools
import math
import operator
import struct
import uuid
from array import array
from decimal import Decimal
from typing import TYPE_CHECKING, Any, final

from dotnet_wasm_host.columns.failures import wrong_value
from dotnet_wasm_host.columns.wire import HAS_NULLS, IS_AWARE, IS_INDEXED, Answer, Part
from dotnet_wasm_host.errors import MarshallingError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dotnet_wasm_host.columns.methods import ColumnMethod, ColumnParameter

__all__ = ["ConstantColumn", "ListColumn", "ListResult", "is_null", "object_values"]

_EPOCH = dt.datetime(1970, 1, 1)  # noqa: DTZ001 - naive ones are as they are
_AWARE_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.timezone.utc)
_DAY = dt.date(1970, 1, 1).toordinal()
_MICRO = dt.timedelta(microseconds=1)


def is_null(value: object) -> bool:
    """``None``, ``NaN`` of an object column, ``pandas.NA``, ``NaT``."""
    if value is None:
        return True
    if isinstance(value, float):
        return math.isnan(value)
    return type(value).__name__ in {"NAType", "NaTType"}


@final
class ListColumn:
    """Objects of Python; ``None`` is null.

    Args:
        method: for messages.
        parameter: what gets them.
        values: the objects.
        missing: whether ``NaN`` and the like are null, too, for what is no number.
    """

    def __init__(
        self,
        method: str,
        parameter: ColumnParameter,
        values: Sequence[Any],
        *,
        missing: bool = False,
    ) -> None:
        self._method = method
        self._parameter = parameter
        self._values = values
        self._missing = missing and parameter.type.layout.code not in set("efd")
        self._aware: bool | None = None

    def part(self, start: int, stop: int) -> Part:
        """Rows of it."""
        values = list(self._values[start:stop])
        nulls = bytes(map(is_null if self._missing else _is_none, values))
        of = self._parameter.type
        blocks: list[Any] = []
        flags = 0
        if 1 in nulls:
            flags, blocks = HAS_NULLS, [nulls]
        if of.is_bytes:
            blocks += text_blocks(
                [
                    b"" if null else self._encode(value, start + row)
                    for row, (value, null) in enumerate(zip(values, nulls, strict=True))
                ]
            )
        else:
            code = "<" + of.layout.code
            blocks.append(
                b"".join(
                    [
                        struct.pack(code, 0) if null else self._pack(code, value, start + row)
                        for row, (value, null) in enumerate(zip(values, nulls, strict=True))
                    ]
                )
            )
        return Part(len(values), blocks, flags | (IS_AWARE if self._aware else 0))

    def _encode(self, value: Any, row: int) -> bytes:  # noqa: ANN401 - it is checked here
        name = self._parameter.type_name
        try:
            if name in _ENCODERS:
                return _ENCODERS[name](value)
            if self._parameter.type.is_text:
                return str.encode(value)
            return bytes(memoryview(value))
        except (TypeError, ValueError) as error:
            raise wrong_value(self._method, self._parameter, value, row) from error

    def _pack(self, code: str, value: Any, row: int) -> bytes:  # noqa: ANN401 - it is checked here
        try:
            return struct.pack(code, self._plain(value))
        except (TypeError, ValueError, AttributeError, OverflowError, struct.error) as error:
            raise wrong_value(self._method, self._parameter, value, row) from error

    def _plain(self, value: Any) -> Any:  # noqa: ANN401 - of any type
        name = self._parameter.type_name
        if name == "bool" and not isinstance(value, bool):
            # NumPy's bool has no base in common with Python's.
            if type(value).__name__ not in {"bool", "bool_"}:
                raise TypeError
            return bool(value)
        if name in {"System.DateTime", "System.DateTimeOffset"}:
            aware = value.tzinfo is not None
            if self._aware not in {None, aware} or (name.endswith("Offset") and not aware):
                raise TypeError
            self._aware = aware
            return (value - (_AWARE_EPOCH if aware else _EPOCH)) // _MICRO
        if name == "System.DateOnly":
            if isinstance(value, dt.datetime):
                raise TypeError
            return value.toordinal() - _DAY
        if name == "System.TimeOnly":
            seconds = (value.hour * 60 + value.minute) * 60 + value.second
            return seconds * 1_000_000 + value.microsecond
        if name == "System.TimeSpan":
            return value // _MICRO
        return value


def _character(value: Any) -> bytes:  # noqa: ANN401 - it is checked here
    if not isinstance(value, str) or len(value) != 1 or ord(value) > 0xFFFF:
        raise TypeError
    return str.encode(value)


def _digits(value: Any) -> bytes:  # noqa: ANN401 - it is checked here
    if isinstance(value, Decimal):
        if not value.is_finite():
            raise ValueError
        return str(value).encode()
    if isinstance(value, bool):
        raise TypeError
    return str(operator.index(value)).encode()


def _identifier(value: Any) -> bytes:  # noqa: ANN401 - it is checked here
    if not isinstance(value, uuid.UUID):
        raise TypeError
    return value.bytes


_ENCODERS = {"char": _character, "System.Decimal": _digits, "System.Guid": _identifier}


def _is_none(value: object) -> bool:
    return value is None


def text_blocks(values: Sequence[bytes]) -> list[Any]:
    """Offsets and bytes."""
    offsets, at = [0], 0
    for value in values:
        at += len(value)
        offsets.append(at)
    if at >= 1 << 31:
        raise MarshallingError(
            f"expected less than 2 GiB of text in {len(values)} rows, found {at} bytes; give a "
            "smaller chunk_rows"
        )
    return [struct.pack(f"<{len(offsets)}i", *offsets), b"".join(values)]


@final
class ConstantColumn:
    """One value for all rows."""

    def __init__(self, method: str, parameter: ColumnParameter, value: object) -> None:
        self._one = ListColumn(method, parameter, [value]).part(0, 1)
        self._is_bytes = parameter.type.is_bytes

    def part(self, start: int, stop: int) -> Part:
        """So many of it."""
        rows, one = stop - start, self._one
        if not self._is_bytes:
            return Part(rows, [bytes(block) * rows for block in one.blocks], one.flags)
        *nulls, offsets, content = one.blocks
        blocks = [*(bytes(block) * rows for block in nulls), bytes(4 * rows), offsets, content]
        return Part(1, blocks, one.flags | IS_INDEXED)


@final
class ListResult:
    """A list of Python's objects; ``array.array`` where only such were given."""

    def __init__(self, method: ColumnMethod, rows: int, *, as_array: bool = False) -> None:
        self._method = method
        self._values: list[Any] = [None] * rows
        code = method.result.layout.code
        self._as_array = as_array and bool(code) and code not in "?e"

    def add(self, start: int, answer: Answer) -> None:
        """Results of some rows."""
        values = self._read(answer)
        nulls = answer.nulls
        if nulls is not None:
            values = [None if null else value for value, null in zip(values, nulls, strict=True)]
        self._values[start : start + answer.rows] = values

    def _read(self, answer: Answer) -> list[Any]:
        of, name = self._method.result, self._method.result_name
        if of.is_bytes:
            return object_values(self._method, answer)
        values = struct.unpack(f"<{answer.rows}{of.layout.code}", answer.values)
        try:
            return [_object(name, value) for value in values]
        except (OverflowError, ValueError) as error:
            raise MarshallingError(
                f"{self._method.name}(): expected times of Python, found others: {error}; use "
                "NumPy or Arrow"
            ) from error

    def finish(self) -> Any:  # noqa: ANN401 - as the class says
        """The list or array."""
        if self._as_array and None not in self._values:
            return array(self._method.result.layout.code, self._values)
        return self._values


def text_values(answer: Answer, *, text: bool) -> list[Any]:
    """Objects of an answer's text or bytes. MarshallingError if they are none."""
    offsets = struct.unpack(f"<{answer.rows + 1}i", answer.values)
    content = bytes(answer.content)
    if any(a > b for a, b in itertools.pairwise(offsets)):
        raise MarshallingError(
            "expected offsets that grow, found others; install the package again"
        )
    parts = [content[a:b] for a, b in itertools.pairwise(offsets)]
    if not text:
        return parts
    try:
        return [part.decode() for part in parts]
    except UnicodeDecodeError as error:
        raise MarshallingError(
            f"expected text in UTF-8, found other bytes: {error}; install the package again"
        ) from error


def object_values(method: ColumnMethod, answer: Answer) -> list[Any]:
    """What text or bytes of an answer stand for; nobody knows where there is null."""
    values = text_values(answer, text=method.result.is_text)
    decode = _DECODERS.get(method.result_name)
    if decode is None:
        return values
    nulls = bytes(answer.nulls) if answer.nulls is not None else bytes(len(values))
    try:
        return [None if null else decode(value) for value, null in zip(values, nulls, strict=True)]
    except (ArithmeticError, ValueError) as error:
        raise MarshallingError(
            f"{method.name}(): expected values of {method.result.python}, found others: {error}; "
            "install the package again"
        ) from error


_DECODERS: dict[str, Callable[[Any], Any]] = {
    "System.Decimal": Decimal,
    "System.Guid": lambda value: uuid.UUID(bytes=value),
}


def _object(name: str, value: Any) -> Any:  # noqa: ANN401 - of any type
    if name == "System.DateTime":
        return _EPOCH + dt.timedelta(microseconds=value)
    if name == "System.DateTimeOffset":
        return _AWARE_EPOCH + dt.timedelta(microseconds=value)
    if name == "System.DateOnly":
        return dt.date.fromordinal(value + _DAY)
    if name == "System.TimeOnly":
        return (_EPOCH + dt.timedelta(microseconds=value)).time()
    if name == "System.TimeSpan":
        return dt.timedelta(microseconds=value)
    return value
