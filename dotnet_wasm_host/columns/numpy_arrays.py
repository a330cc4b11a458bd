"""Columns of NumPy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

import numpy as np

from dotnet_wasm_host.columns.failures import out_of_range, wrong_column, wrong_value
from dotnet_wasm_host.columns.plain import ListColumn, object_values
from dotnet_wasm_host.columns.wire import (
    HAS_NULLS,
    IS_AWARE,
    IS_INDEXED,
    NANOSECONDS,
    Answer,
    Column,
    Part,
)
from dotnet_wasm_host.errors import MarshallingTypeError

if TYPE_CHECKING:
    from dotnet_wasm_host.columns.methods import ColumnMethod, ColumnParameter

__all__ = ["NumpyResult", "WordColumn", "numpy_column"]

_Array = np.ndarray[Any, Any]
_TIMES = {"System.DateTime": "M", "System.DateTimeOffset": "M", "System.DateOnly": "M",
          "System.TimeSpan": "m", "System.TimeOnly": "m"}  # fmt: skip


def numpy_column(
    method: str,
    parameter: ColumnParameter,
    values: _Array,
    *,
    nulls: _Array | None = None,
    aware: bool = False,
) -> Column:
    """A column of an array; masked items and ``NaT`` are null, ``NaN`` of floats is not.

    Args:
        method: for messages.
        parameter: what gets it.
        values: one dimension, in any order of memory.
        nulls: true where there is null.
        aware: times are in UTC, not of an unknown zone.
    """
    if values.ndim != 1:
        raise MarshallingTypeError(
            f"{method}(): parameter {parameter.name!r}: expected an array of one dimension, found "
            f"{values.ndim}; give its columns one by one"
        )
    if isinstance(values, np.ma.MaskedArray):
        masked = np.ma.getmaskarray(values)
        nulls = masked if nulls is None else nulls | masked
        values = values.data
    if values.dtype.kind in "OUST" or parameter.type.is_bytes:
        if not parameter.type.is_bytes and values.dtype.kind != "O":
            raise wrong_column(method, parameter, values.dtype)
        is_whole = parameter.type_name == "System.Decimal" and values.dtype.kind in "iu"
        if parameter.type.is_bytes and values.dtype.kind not in "OUST" and not is_whole:
            raise wrong_column(method, parameter, values.dtype)
        objects: Any = values
        if nulls is not None:
            objects = values.astype(object)
            objects[nulls] = None
        return ListColumn(method, parameter, objects, missing=True)
    return _FixedColumn(method, parameter, values, nulls, aware=aware)


@final
class _FixedColumn:
    """Numbers, booleans, times."""

    def __init__(
        self,
        method: str,
        parameter: ColumnParameter,
        values: _Array,
        nulls: _Array | None,
        *,
        aware: bool,
    ) -> None:
        self._method, self._parameter = method, parameter
        self._values, self._nulls = values, nulls
        self._flags = IS_AWARE if aware else 0
        self._wire = np.dtype("<" + parameter.type.layout.code)
        kind, wanted = values.dtype.kind, self._wire.kind
        if time := _TIMES.get(parameter.type_name):
            fits = kind == time
        elif wanted == "f":
            fits = kind in "iuf"
        elif wanted == "b":
            fits = kind == "b"
        else:
            fits = kind in "iu"
        if parameter.type_name == "System.DateTimeOffset" and not aware:
            raise wrong_column(method, parameter, f"{values.dtype} without a time zone")
        if not fits:
            raise wrong_column(method, parameter, values.dtype)

    def part(self, start: int, stop: int) -> Part:
        values, flags = self._values[start:stop], self._flags
        nulls = None if self._nulls is None else self._nulls[start:stop]
        if values.dtype.kind in "mM":
            missing = np.isnat(values)
            if missing.any():
                nulls = missing if nulls is None else nulls | missing
            values, extra = self._time(values, start, nulls)
            flags |= extra
        elif values.dtype != self._wire:
            values = self._number(values, start, nulls)
        blocks: list[Any] = []
        if nulls is not None and nulls.any():
            flags |= HAS_NULLS
            blocks.append(np.ascontiguousarray(nulls, dtype=np.bool_).view(np.uint8))
        blocks.append(np.ascontiguousarray(values).view(np.uint8))
        return Part(len(values), blocks, flags)

    def _number(self, values: _Array, start: int, nulls: _Array | None) -> _Array:
        if self._wire.kind in "iu" and not np.can_cast(values.dtype, self._wire, "safe"):
            limits = np.iinfo(self._wire)
            # NumPy compares integers of Python with those of an array exactly.
            outside = (values < limits.min) | (values > limits.max)
            if nulls is not None:
                outside &= ~nulls
            if outside.any():
                row = int(outside.argmax())
                raise out_of_range(self._method, self._parameter, int(values[row]), start + row)
        with np.errstate(over="ignore"):
            return values.astype(self._wire, casting="unsafe")

    def _time(self, values: _Array, start: int, nulls: _Array | None) -> tuple[_Array, int]:
        name = self._parameter.type_name
        unit, step = np.datetime_data(values.dtype)
        if unit == "generic":
            raise wrong_column(self._method, self._parameter, values.dtype)
        if name not in {"System.DateOnly", "System.TimeOnly"} and (unit, step) == ("ns", 1):
            return values.astype(values.dtype.newbyteorder("<")).view("<i8"), NANOSECONDS
        kind = values.dtype.kind
        converted = values.astype(f"<{kind}8[{'D' if name == 'System.DateOnly' else 'us'}]")
        exact = name == "System.DateOnly" or unit not in {"ns", "ps", "fs", "as"}
        if exact:
            # What does not come back did not fit, or was no whole day.
            lost = converted.astype(values.dtype) != values
            lost &= ~np.isnat(values)
            if nulls is not None:
                lost &= ~nulls
            if lost.any():
                row = int(lost.argmax())
                raise wrong_value(self._method, self._parameter, values[row], start + row)
        numbers = converted.view("<i8")
        if nulls is not None:
            numbers = np.where(nulls, 0, numbers)
        return numbers.astype(self._wire), 0


@final
class WordColumn:
    """Words by number: a categorical column of text.

    Args:
        method: for messages.
        parameter: what gets it.
        codes: a word's number for each row, negative for null.
        words: the words.
    """

    def __init__(
        self, method: str, parameter: ColumnParameter, codes: _Array, words: list[Any]
    ) -> None:
        self._codes = codes
        self._words = ListColumn(method, parameter, words).part(0, len(words))

    def part(self, start: int, stop: int) -> Part:
        """Numbers of some rows, and all words."""
        codes = self._codes[start:stop].astype("<i4")
        missing = codes < 0
        flags, blocks = IS_INDEXED, list[Any]()
        if missing.any():
            flags |= HAS_NULLS
            blocks.append(missing.view(np.uint8))
            codes[missing] = 0
        return Part(self._words.count, [*blocks, codes, *self._words.blocks], flags)


@final
class NumpyResult:
    """An array. Nulls make it a masked one, or are ``NaT`` and ``None`` where it has these."""

    def __init__(self, method: ColumnMethod, rows: int) -> None:
        self._method = method
        of = method.result
        self._wire = np.dtype(object if of.is_bytes else "<" + of.layout.code)
        self._values: _Array = np.empty(rows, self._wire)
        self._nulls: _Array | None = None

    def add(self, start: int, answer: Answer) -> None:
        """Results of some rows."""
        of, stop = self._method.result, start + answer.rows
        if of.is_bytes:
            self._values[start:stop] = object_values(self._method, answer)
        elif self._wire.kind == "b":
            self._values[start:stop] = np.frombuffer(answer.values, np.uint8) != 0
        else:
            self._values[start:stop] = np.frombuffer(answer.values, self._wire)
        if answer.nulls is not None:
            nulls = np.frombuffer(answer.nulls, np.uint8) != 0
            if nulls.any():
                if self._nulls is None:
                    self._nulls = np.zeros(len(self._values), np.bool_)
                self._nulls[start:stop] = nulls

    @property
    def nulls(self) -> _Array | None:
        """True where there is null; ``None`` without any."""
        return self._nulls

    def values(self) -> _Array:
        """The values, with something where there is null."""
        dtype = np.dtype(self._method.result.numpy)
        if dtype.kind in "mM":
            # A number may mean NaT; those of .NET are far from it.
            wide = self._values.astype("<i8")
            return wide.astype(dtype) if dtype.str.endswith("[D]") else wide.view(dtype)
        return self._values

    def finish(self) -> _Array:
        """The array."""
        values = self.values()
        if self._nulls is None:
            return values
        if values.dtype.kind == "O":
            values[self._nulls] = None
            return values
        if values.dtype.kind in "mM":
            values[self._nulls] = "NaT"
            return values
        return np.ma.masked_array(values, self._nulls)
