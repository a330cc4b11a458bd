"""What is wrong with a column, and in which row."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dotnet_wasm_host.errors import MarshallingError, MarshallingOverflowError, MarshallingTypeError

if TYPE_CHECKING:
    from dotnet_wasm_host.columns.methods import ColumnParameter

__all__ = ["out_of_range", "wrong_column", "wrong_value"]


def wrong_column(method: str, parameter: ColumnParameter, found: object) -> MarshallingTypeError:
    """All of a column is of a type that C# does not take."""
    return MarshallingTypeError(
        f"{method}(): parameter {parameter.name!r}: expected a column of {parameter.type.python}, "
        f"found {found}; convert the column"
    )


def wrong_value(
    method: str, parameter: ColumnParameter, value: object, row: int
) -> MarshallingTypeError | MarshallingError:
    """One value is nothing that C# takes."""
    text = repr(value)
    text = text if len(text) <= 60 else text[:57] + "..."
    if isinstance(value, int) and parameter.type.layout.code in set("bBhHiIqQefd"):
        return out_of_range(method, parameter, value, row)
    return MarshallingTypeError(
        f"{method}(): parameter {parameter.name!r}: expected {parameter.type.python}, found "
        f"{type(value).__name__} {text} in row {row}; convert the column"
    )


def out_of_range(
    method: str, parameter: ColumnParameter, value: object, row: int
) -> MarshallingOverflowError:
    """One value is too large or too small."""
    return MarshallingOverflowError(
        f"{method}(): parameter {parameter.name!r}: expected values of {parameter.type.python}, "
        f"found {value} in row {row}; use a wider type"
    )
