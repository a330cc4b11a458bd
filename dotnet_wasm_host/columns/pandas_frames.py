"""Columns of pandas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

import numpy as np
import pandas as pd

from dotnet_wasm_host.columns.numpy_arrays import NumpyResult, WordColumn, numpy_column

if TYPE_CHECKING:
    from dotnet_wasm_host.columns.methods import ColumnMethod, ColumnParameter
    from dotnet_wasm_host.columns.wire import Answer, Column

__all__ = ["PandasResult", "pandas_column"]

#: Types of pandas that have nulls beside numbers.
_NULLABLE = {
    "bool": "boolean", "int8": "Int8", "uint8": "UInt8", "int16": "Int16", "uint16": "UInt16",
    "int32": "Int32", "uint32": "UInt32", "int64": "Int64", "uint64": "UInt64",
    "float32": "Float32", "float64": "Float64",
}  # fmt: skip


def pandas_column(method: str, parameter: ColumnParameter, values: Any) -> Column:  # noqa: ANN401
    """A column of a ``Series``."""
    dtype = values.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        words = values.cat.categories
        if parameter.type.is_bytes:
            return WordColumn(method, parameter, values.cat.codes.to_numpy(), list(words))
        return pandas_column(method, parameter, values.astype(words.dtype))
    if isinstance(dtype, pd.ArrowDtype) or getattr(dtype, "storage", "") == "pyarrow":
        import pyarrow as pa

        from dotnet_wasm_host.columns.arrow_arrays import ArrowColumn

        return ArrowColumn(method, parameter, pa.array(values.array))
    if isinstance(dtype, pd.DatetimeTZDtype):
        naive = values.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy()
        return numpy_column(method, parameter, naive, aware=True)
    numpy_dtype = getattr(dtype, "numpy_dtype", None)
    if isinstance(numpy_dtype, np.dtype) and str(dtype) in _NULLABLE.values():
        nulls = values.isna().to_numpy()
        filled = values.to_numpy(dtype=numpy_dtype, na_value=numpy_dtype.type(0))
        return numpy_column(method, parameter, filled, nulls=nulls)
    return numpy_column(method, parameter, values.to_numpy())


@final
class PandasResult:
    """A ``Series``. Nulls are ``NaN`` of floats, ``NaT``, or those of pandas' own types."""

    def __init__(self, method: ColumnMethod, rows: int, index: Any) -> None:  # noqa: ANN401
        self._method, self._index = method, index
        self._result = NumpyResult(method, rows)

    def add(self, start: int, answer: Answer) -> None:
        """Results of some rows."""
        self._result.add(start, answer)

    def finish(self) -> Any:  # noqa: ANN401
        """The series."""
        of, nulls = self._method.result, self._result.nulls
        if np.dtype(of.numpy).kind in "OmM":
            return self._other()
        values = self._result.values()
        nullable = _NULLABLE.get(values.dtype.name)
        if values.dtype.kind == "f" and not (self._method.nullable and nullable):
            if nulls is not None:
                values[nulls] = np.nan
            return pd.Series(values, self._index, copy=False)
        if nullable is None or (nulls is None and not self._method.nullable):
            return pd.Series(values, self._index, copy=False)
        series = pd.Series(values, self._index, copy=False).astype(nullable)
        if nulls is not None:
            series[nulls] = pd.NA
        return series

    def _other(self) -> Any:  # noqa: ANN401
        """Text, bytes, times."""
        values = self._result.finish()
        if self._method.result_name in {"string", "char"}:
            return pd.Series(values, self._index, dtype=_text_dtype(), copy=False)
        series = pd.Series(values, self._index, copy=False)
        if self._method.result_name == "System.DateTimeOffset":
            return series.dt.tz_localize("UTC")
        return series


def _text_dtype() -> Any:  # noqa: ANN401
    """What pandas makes of text by itself: ``str`` since 3, before that ``object``."""
    return pd.Series(["text"]).dtype
