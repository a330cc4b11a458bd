"""Columns of Arrow."""

from __future__ import annotations

from contextlib import suppress
from decimal import Context, Decimal, Inexact, InvalidOperation
from typing import TYPE_CHECKING, Any, final

import pyarrow as pa
import pyarrow.compute as pc

from dotnet_wasm_host.columns.failures import out_of_range, wrong_column, wrong_value
from dotnet_wasm_host.columns.types import DECIMAL_DIGITS, DECIMAL_SCALE
from dotnet_wasm_host.columns.wire import (
    HAS_NULLS,
    IS_AWARE,
    IS_INDEXED,
    NANOSECONDS,
    Answer,
    Part,
)
from dotnet_wasm_host.errors import MarshallingError

if TYPE_CHECKING:
    from dotnet_wasm_host.columns.methods import ColumnMethod, ColumnParameter

__all__ = ["ArrowColumn", "ArrowResult", "arrow_field", "arrow_schema"]

_LARGEST_CHUNK = 1 << 31
#: Numbers of Arrow's decimal type, without a digit less.
_STEP = Decimal(1).scaleb(-DECIMAL_SCALE)
_EXACT = Context(prec=DECIMAL_DIGITS, traps=[Inexact, InvalidOperation])


def _type(name: tuple[Any, ...]) -> Any:  # noqa: ANN401 - pyarrow has no types of its own
    make, *arguments = name
    if make == "timestamp" and len(arguments) == 2:
        return pa.timestamp(arguments[0], arguments[1])
    if make == "uuid" and not hasattr(pa, make):  # before 18
        return pa.binary(16)
    return getattr(pa, make)(*arguments)


def arrow_field(method: ColumnMethod, name: str) -> Any:  # noqa: ANN401
    """The column that a method makes, as ``pyarrow.Field``."""
    return pa.field(name, _type(method.result.arrow), nullable=True)


def arrow_schema(method: ColumnMethod, name: str) -> Any:  # noqa: ANN401
    """The same as a ``pyarrow.Schema`` of one field."""
    return pa.schema([arrow_field(method, name)])


@final
class ArrowColumn:
    """A column of an array or a chunked array, sliced or not.

    Args:
        method: for messages.
        parameter: what gets it.
        values: ``pyarrow.Array`` or ``ChunkedArray``.
    """

    def __init__(self, method: str, parameter: ColumnParameter, values: Any) -> None:  # noqa: ANN401
        self._method, self._parameter = method, parameter
        if isinstance(values.type, pa.BaseExtensionType):
            values = (
                pa.chunked_array(
                    [chunk.storage for chunk in values.chunks], values.type.storage_type
                )
                if isinstance(values, pa.ChunkedArray)
                else values.storage
            )
        self._values = values
        self._aware = pa.types.is_timestamp(values.type) and values.type.tz is not None
        self._target = self._wire_type(values.type)

    def _wire_type(self, given: Any) -> Any:  # noqa: ANN401
        """The type that rows are cast to, or an error."""
        parameter, types = self._parameter, pa.types
        name, wanted = parameter.type_name, parameter.type
        inner = given.value_type if types.is_dictionary(given) else given
        if types.is_null(inner) and not wanted.is_bytes:
            return _type(wanted.arrow) if not wanted.is_time else _type(wanted.arrow[:2])
        if wanted.is_bytes:
            fits, target = self._fits_bytes(inner), pa.string() if wanted.is_text else pa.binary()
        elif name in {"System.DateTime", "System.DateTimeOffset"}:
            fits = types.is_timestamp(inner) and (name == "System.DateTime" or self._aware)
            target = pa.timestamp(
                "ns" if fits and inner.unit == "ns" else "us", "UTC" if self._aware else None
            )
        elif name == "System.DateOnly":
            fits, target = types.is_date(inner), pa.date32()
        elif name == "System.TimeOnly":
            fits, target = types.is_time(inner), pa.time64("us")
        elif name == "System.TimeSpan":
            fits = types.is_duration(inner)
            target = pa.duration("ns" if fits and inner.unit == "ns" else "us")
        elif name == "bool":
            fits, target = types.is_boolean(inner), pa.bool_()
        else:
            target = _type(wanted.arrow)
            fits = types.is_integer(inner) or (
                types.is_floating(target) and types.is_floating(inner)
            )
        if not fits:
            raise wrong_column(self._method, parameter, given)
        return target

    def _fits_bytes(self, inner: Any) -> bool:  # noqa: ANN401
        """Whether a type of Arrow has what crosses as text or bytes."""
        name, types = self._parameter.type_name, pa.types
        if types.is_null(inner):
            return True
        if name == "System.Decimal":
            return bool(types.is_decimal(inner) or types.is_integer(inner))
        if self._parameter.type.is_text:
            text = types.is_string(inner) or types.is_large_string(inner)
            return bool(text or types.is_string_view(inner))
        if types.is_fixed_size_binary(inner):
            return name != "System.Guid" or inner.byte_width == 16
        binary = types.is_binary(inner) or types.is_large_binary(inner)
        return bool(binary or types.is_binary_view(inner))

    def part(self, start: int, stop: int) -> Part:
        """Rows of it, without a copy where they lie in one chunk as C# wants them."""
        rows = self._values.slice(start, stop - start)
        if isinstance(rows, pa.ChunkedArray):
            rows = rows.chunk(0) if rows.num_chunks == 1 else _combined(rows)
        if pa.types.is_dictionary(rows.type):
            words = rows.dictionary
            if self._parameter.type.is_bytes and words.null_count == 0 and len(words) <= len(rows):
                return self._indexed(rows, start)
            rows = rows.dictionary_decode()
        rows = self._cast(rows, start)
        flags, blocks = _nulls(rows)
        if self._aware:
            flags |= IS_AWARE
        if pa.types.is_temporal(rows.type) and getattr(rows.type, "unit", "") == "ns":
            flags |= NANOSECONDS
        if self._parameter.type.is_bytes:
            return Part(len(rows), [*blocks, *_content(rows)], flags)
        if pa.types.is_boolean(rows.type):
            rows = rows.cast(pa.uint8())
        return Part(len(rows), [*blocks, _fixed(rows, self._parameter.type.layout.size)], flags)

    def _indexed(self, rows: Any, start: int) -> Part:  # noqa: ANN401
        flags, blocks = _nulls(rows)
        indices = rows.indices
        if indices.null_count:
            indices = indices.fill_null(0)
        indices = indices.cast(pa.int32())
        words = self._cast(rows.dictionary, start)
        content = _content(words)
        return Part(len(words), [*blocks, _fixed(indices, 4), *content], flags | IS_INDEXED)

    def _cast(self, rows: Any, start: int) -> Any:  # noqa: ANN401
        if rows.type == self._target:
            return rows
        floats = pa.types.is_floating(self._target)
        try:
            return rows.cast(self._target, safe=not floats)
        except pa.ArrowInvalid:
            pass
        for number in range(len(rows)):
            try:
                rows.slice(number, 1).cast(self._target, safe=not floats)
            except pa.ArrowInvalid as error:
                value, row = rows[number].as_py(), start + number
                if isinstance(value, int):
                    raise out_of_range(self._method, self._parameter, value, row) from error
                raise wrong_value(self._method, self._parameter, value, row) from error
        raise MarshallingError(
            f"{self._method}(): parameter {self._parameter.name!r}: expected rows that can be cast "
            f"to {self._target}, found {rows.type} that cannot; give a smaller chunk_rows"
        )


def _combined(rows: Any) -> Any:  # noqa: ANN401
    if pa.types.is_dictionary(rows.type):
        rows = rows.unify_dictionaries()
    combined = rows.combine_chunks()
    if isinstance(combined, pa.ChunkedArray):
        # Chunks that do not fit into one array.
        if combined.num_chunks == 1:
            return combined.chunk(0)
        return pa.concat_arrays(combined.chunks) if combined.num_chunks else pa.array([], rows.type)
    return combined


def _nulls(rows: Any) -> tuple[int, list[Any]]:  # noqa: ANN401
    if rows.null_count == 0:
        return 0, []
    return HAS_NULLS, [_fixed(rows.is_null().cast(pa.uint8()), 1)]


def _fixed(rows: Any, size: int) -> Any:  # noqa: ANN401
    """The values where they lie."""
    content = rows.buffers()[1]
    if content is None or not len(rows):
        return b""
    view = memoryview(content).cast("B")
    return view[rows.offset * size : (rows.offset + len(rows)) * size]


def _content(rows: Any) -> list[Any]:  # noqa: ANN401
    """Offsets and bytes where they lie. Bytes under nulls go along."""
    _, offsets, content = rows.buffers()
    if offsets is None or not len(rows):
        return [bytes(4), b""]
    first, count = rows.offset, len(rows) + 1
    heads = memoryview(offsets).cast("B")[first * 4 : (first + count) * 4]
    numbers = heads.cast("i")
    if content is None:
        return [heads, b""]
    return [heads, memoryview(content).cast("B")[numbers[0] : numbers[-1]]]


@final
class ArrowResult:
    """An array, or a chunked one."""

    def __init__(self, method: ColumnMethod, *, chunked: bool) -> None:
        self._method = method
        self._type = self._wire = _type(method.result.arrow)
        if method.result.is_bytes:
            self._wire = pa.string() if method.result.is_text else pa.binary()
        self._chunked = chunked
        self._chunks: dict[int, Any] = {}

    def add(self, start: int, answer: Answer) -> None:
        """Results of some rows, where they lie."""
        validity, null_count = None, 0
        if answer.nulls is not None:
            nulls = pa.Array.from_buffers(
                pa.uint8(), answer.rows, [None, pa.py_buffer(answer.nulls)]
            )
            valid = pc.equal(nulls, pa.scalar(0, pa.uint8()))
            validity, null_count = valid.buffers()[1], answer.rows - (valid.true_count)
            if not null_count:
                validity = None
        values = pa.py_buffer(answer.values)
        buffers = [validity, values]
        if self._method.result.is_bytes:
            buffers.append(pa.py_buffer(answer.content))
        elif pa.types.is_boolean(self._wire):
            flags = pa.Array.from_buffers(pa.uint8(), answer.rows, [None, values])
            buffers[1] = pc.not_equal(flags, pa.scalar(0, pa.uint8())).buffers()[1]
        made = pa.Array.from_buffers(self._wire, answer.rows, buffers, null_count)
        if self._method.result.is_bytes:
            try:
                made.validate(full=True)
            except pa.ArrowInvalid as error:
                raise MarshallingError(
                    f"{self._method.name}(): expected text and its offsets, found others: {error}; "
                    "install the package again"
                ) from error
        self._chunks[start] = made if self._wire == self._type else self._typed(made, start)

    def _typed(self, made: Any, start: int) -> Any:  # noqa: ANN401
        """Numbers of text, identifiers of bytes."""
        if pa.types.is_decimal(self._type):
            return self._numbers(made, start)
        try:
            storage = made.cast(pa.binary(16))
        except pa.ArrowInvalid as error:
            raise MarshallingError(
                f"{self._method.name}(): expected 16 bytes for each Guid, found others: {error}; "
                "install the package again"
            ) from error
        if isinstance(self._type, pa.BaseExtensionType):
            return pa.ExtensionArray.from_storage(self._type, storage)
        return storage

    def _numbers(self, made: Any, start: int) -> Any:  # noqa: ANN401
        with suppress(pa.ArrowInvalid):
            return made.cast(self._type)
        # Which one has too many digits, or is written as Arrow does not read it.
        numbers = []
        for row, text in enumerate(made.to_pylist(), start):
            try:
                value = None if text is None else Decimal(text)
                numbers.append(value if value is None else _EXACT.quantize(value, _STEP))
            except ArithmeticError as error:
                raise MarshallingError(
                    f"{self._method.name}(): expected numbers of at most {DECIMAL_SCALE} digits "
                    f"behind the point and {DECIMAL_DIGITS - DECIMAL_SCALE} before it for "
                    f"{self._type} of Arrow, found {text} in row {row}; return "
                    f"Math.Round(x, {DECIMAL_SCALE})"
                ) from error
        return pa.array(numbers, self._type)

    def finish(self) -> Any:  # noqa: ANN401
        """The array."""
        chunks = [self._chunks[start] for start in sorted(self._chunks)]
        if self._chunked:
            return pa.chunked_array(chunks, self._type)
        if len(chunks) == 1:
            return chunks[0]
        return pa.concat_arrays(chunks) if chunks else pa.array([], self._type)
