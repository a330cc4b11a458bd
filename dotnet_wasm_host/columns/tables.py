"""Which kind of table was given: its columns out of it, and one more into it."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol, final

from dotnet_wasm_host.errors import ExtraNotInstalled, MarshallingTypeError

if TYPE_CHECKING:
    from dotnet_wasm_host.columns.methods import ColumnMethod, ColumnParameter
    from dotnet_wasm_host.columns.wire import Column, Result

__all__ = ["BatchReader", "Table", "library_of", "table_of"]


class Table(Protocol):
    """A table of one kind."""

    @property
    def rows(self) -> int:
        """How many rows it has."""

    def names(self) -> list[Any]:
        """Its columns."""

    def column(self, method: str, parameter: ColumnParameter, name: Any) -> Column:  # noqa: ANN401
        """One of them."""

    def result(self, method: ColumnMethod) -> Result:
        """What collects a column of its kind."""

    def with_column(self, name: str, values: Any) -> Any:  # noqa: ANN401
        """The same with one more column; one of this name is replaced."""


def library_of(value: object, name: str) -> str:
    """The library that a class of this name is of, subclasses of users included."""
    for cls in type(value).__mro__:
        root = cls.__module__.partition(".")[0]
        if cls.__name__ == name and root in {"numpy", "pandas", "polars", "pyarrow"}:
            return root
    return ""


def table_of(value: object) -> Table:
    """The table that a value is. Imports nothing that its library has not imported.

    Raises:
        MarshallingTypeError: it is no table.
    """
    if isinstance(value, Mapping):
        return _Arrays(value)
    frame = library_of(value, "DataFrame")
    if frame == "pandas":
        return _PandasFrame(value)
    if frame == "polars":
        return _PolarsFrame(value)
    if library_of(value, "Table") == "pyarrow":
        return _ArrowTable(value, chunked=True)
    if library_of(value, "RecordBatch") == "pyarrow":
        return _ArrowTable(value, chunked=False)
    if library_of(value, "ndarray") == "numpy" and value.dtype.names:  # type: ignore[attr-defined]
        return _Structured(value)
    raise MarshallingTypeError(
        "expected a dict of arrays, a structured array of NumPy, a DataFrame of pandas or Polars, "
        "a Table or RecordBatch of Arrow, or an iterator of these, found "
        f"{type(value).__module__}.{type(value).__qualname__}; convert it to one of them"
    )


BatchReader = "RecordBatchReader"


def _array_kind(value: object) -> str:
    """What a column of a dict is."""
    for name in ("Series", "Array", "ChunkedArray", "ndarray"):
        if library := library_of(value, name):
            return f"{library}.{name}"
    if isinstance(value, (list, tuple)):
        return "list"
    return "buffer" if isinstance(value, (array, memoryview)) else ""


@final
class _Arrays:
    """A dict of arrays of any kind, of the same length."""

    def __init__(self, columns: Mapping[Any, Any]) -> None:
        self._columns = columns
        self._used: list[Any] = []
        lengths = {len(column) for column in columns.values()}
        if len(lengths) > 1:
            found = ", ".join(f"{name!r} {len(column)}" for name, column in columns.items())
            raise MarshallingTypeError(
                f"expected columns of the same length, found {found}; give as many rows in each"
            )
        self.rows = lengths.pop() if lengths else 0

    def names(self) -> list[Any]:
        return list(self._columns)

    def column(self, method: str, parameter: ColumnParameter, name: Any) -> Column:  # noqa: ANN401
        value = self._columns[name]
        self._used.append(value)
        kind = _array_kind(value)
        if kind == "pandas.Series":
            from dotnet_wasm_host.columns.pandas_frames import pandas_column

            return pandas_column(method, parameter, value)
        if kind == "polars.Series":
            return _arrow_column(method, parameter, _to_arrow(value))
        if kind.startswith("pyarrow."):
            return _arrow_column(method, parameter, value)
        if kind == "numpy.ndarray":
            from dotnet_wasm_host.columns.numpy_arrays import numpy_column

            return numpy_column(method, parameter, value)
        if not kind:
            raise MarshallingTypeError(
                f"{method}(): parameter {parameter.name!r}: expected an array, a list or a Series, "
                f"found {type(value).__name__}; convert the column"
            )
        from dotnet_wasm_host.columns.plain import ListColumn

        return ListColumn(method, parameter, value)

    def result(self, method: ColumnMethod) -> Result:
        values = self._used or list(self._columns.values())
        first = values[0] if values else []
        kind = _array_kind(first)
        if kind == "pandas.Series":
            from dotnet_wasm_host.columns.pandas_frames import PandasResult

            return PandasResult(method, self.rows, first.index)
        if kind == "polars.Series":
            return _PolarsResult(method)
        if kind.startswith("pyarrow."):
            from dotnet_wasm_host.columns.arrow_arrays import ArrowResult

            return ArrowResult(method, chunked=kind == "pyarrow.ChunkedArray")
        if kind == "numpy.ndarray":
            from dotnet_wasm_host.columns.numpy_arrays import NumpyResult

            return NumpyResult(method, self.rows)
        from dotnet_wasm_host.columns.plain import ListResult

        return ListResult(method, self.rows, as_array=kind == "buffer")

    def with_column(self, name: str, values: Any) -> Any:  # noqa: ANN401
        return {**self._columns, name: values}


@final
class _Structured:
    """A structured array of NumPy."""

    def __init__(self, array_: Any) -> None:  # noqa: ANN401
        if array_.ndim != 1:
            raise MarshallingTypeError(
                f"expected a structured array of one dimension, found {array_.ndim}; use ravel()"
            )
        self._array = array_
        self.rows = len(array_)

    def names(self) -> list[Any]:
        return list(self._array.dtype.names)

    def column(self, method: str, parameter: ColumnParameter, name: Any) -> Column:  # noqa: ANN401
        from dotnet_wasm_host.columns.numpy_arrays import numpy_column

        return numpy_column(method, parameter, self._array[name])

    def result(self, method: ColumnMethod) -> Result:
        from dotnet_wasm_host.columns.numpy_arrays import NumpyResult

        return NumpyResult(method, self.rows)

    def with_column(self, name: str, values: Any) -> Any:  # noqa: ANN401
        import numpy as np

        old = self._array
        fields = [(n, old.dtype[n]) for n in old.dtype.names if n != name]
        dtype = np.dtype([*fields, (name, values.dtype)])
        masked = np.ma.isMaskedArray(old) or np.ma.isMaskedArray(values)
        made: Any = np.ma.empty(len(old), dtype) if masked else np.empty(len(old), dtype)
        for other, _ in fields:
            made[other] = old[other]
        made[name] = values
        return made


@final
class _PandasFrame:
    def __init__(self, frame: Any) -> None:  # noqa: ANN401
        self._frame = frame
        self.rows = len(frame)

    def names(self) -> list[Any]:
        return list(self._frame.columns)

    def column(self, method: str, parameter: ColumnParameter, name: Any) -> Column:  # noqa: ANN401
        from dotnet_wasm_host.columns.pandas_frames import pandas_column

        found = self._frame[name]
        if getattr(found, "ndim", 1) != 1:
            raise MarshallingTypeError(
                f"{method}(): expected one column {name!r}, found several; rename them"
            )
        return pandas_column(method, parameter, found)

    def result(self, method: ColumnMethod) -> Result:
        from dotnet_wasm_host.columns.pandas_frames import PandasResult

        return PandasResult(method, self.rows, self._frame.index)

    def with_column(self, name: str, values: Any) -> Any:  # noqa: ANN401
        made = self._frame.copy(deep=False)
        made[name] = values
        return made


@final
class _PolarsFrame:
    def __init__(self, frame: Any) -> None:  # noqa: ANN401
        self._frame = frame
        self.rows = frame.height

    def names(self) -> list[Any]:
        return list(self._frame.columns)

    def column(self, method: str, parameter: ColumnParameter, name: Any) -> Column:  # noqa: ANN401
        return _arrow_column(method, parameter, _to_arrow(self._frame.get_column(name)))

    def result(self, method: ColumnMethod) -> Result:
        return _PolarsResult(method)

    def with_column(self, name: str, values: Any) -> Any:  # noqa: ANN401
        return self._frame.with_columns(values.alias(name))


@final
class _PolarsResult:
    """A ``Series`` of Polars, made of an array of Arrow."""

    def __init__(self, method: ColumnMethod) -> None:
        from dotnet_wasm_host.columns.arrow_arrays import ArrowResult

        if method.result_name == "System.Guid":
            raise MarshallingTypeError(
                f"{method.name}(): expected results that Polars has a type for, found Guid; return "
                "x.ToString() or x.ToByteArray()"
            )
        self._result = ArrowResult(method, chunked=True)
        self.add = self._result.add

    def finish(self) -> Any:  # noqa: ANN401
        import polars as pl

        return pl.from_arrow(self._result.finish())


@final
class _ArrowTable:
    """A table, or a batch."""

    def __init__(self, table: Any, *, chunked: bool) -> None:  # noqa: ANN401
        self._table, self._chunked = table, chunked
        self.rows = table.num_rows

    def names(self) -> list[Any]:
        return list(self._table.schema.names)

    def column(self, method: str, parameter: ColumnParameter, name: Any) -> Column:  # noqa: ANN401
        if self._table.schema.names.count(name) > 1:
            raise MarshallingTypeError(
                f"{method}(): expected one column {name!r}, found several; rename them"
            )
        return _arrow_column(method, parameter, self._table.column(name))

    def result(self, method: ColumnMethod) -> Result:
        from dotnet_wasm_host.columns.arrow_arrays import ArrowResult

        return ArrowResult(method, chunked=self._chunked)

    def with_column(self, name: str, values: Any) -> Any:  # noqa: ANN401
        if name in self._table.schema.names:
            index = self._table.schema.names.index(name)
            return self._table.set_column(index, name, values)
        return self._table.append_column(name, values)


def _arrow_column(method: str, parameter: ColumnParameter, values: Any) -> Column:  # noqa: ANN401
    from dotnet_wasm_host.columns.arrow_arrays import ArrowColumn

    return ArrowColumn(method, parameter, values)


def _to_arrow(series: Any) -> Any:  # noqa: ANN401
    try:
        import pyarrow  # noqa: F401, ICN001 - asked for only
    except ImportError as error:
        raise ExtraNotInstalled("columns of Polars go through Arrow", "arrow") from error
    return series.to_arrow()
