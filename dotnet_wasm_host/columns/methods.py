"""A method as columns see it. Plain values, which can be pickled."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

from dotnet_wasm_host.columns.types import ColumnType, column_type

__all__ = ["ColumnMethod", "ColumnParameter", "Output"]


class Output(Enum):
    """Where a method's results are."""

    #: One result a call; a loop calls it for each row.
    LIFTED = "lifted"
    #: It fills a span, its last parameter.
    FILLED = "filled"
    #: It returns an array or a span with a value for each row.
    RETURNED = "returned"


@dataclass(frozen=True, slots=True)
class ColumnParameter:
    """A parameter that gets a column, or a constant.

    Attributes:
        name: Python's name, and that of the column it gets; ``csharp_name`` is C#'s.
        type_name: for :func:`~dotnet_wasm_host.columns.types.column_type`.
        nullable: it takes null. Otherwise a row with a null has null for its result.
        is_span: it takes all rows at once.
        default: a constant in a tuple, or ``()``.
    """

    name: str
    csharp_name: str
    type_name: str
    nullable: bool = False
    is_span: bool = False
    default: tuple[Any, ...] = ()

    @property
    def type(self) -> ColumnType:
        """What its values are."""
        return column_type(self.type_name)


@dataclass(frozen=True, slots=True)
class ColumnMethod:
    """A method over columns.

    Attributes:
        csharp: the method as C# writes it, complete.
        name: its name, and that of the column it makes.
        parameters: what it takes, the span that it fills left out.
        result_name: for :func:`~dotnet_wasm_host.columns.types.column_type`.
        nullable: its results may be null.
        output: where they are.
        memory: they are in a ``Memory``, not a span.
    """

    csharp: str
    name: str
    parameters: tuple[ColumnParameter, ...]
    result_name: str
    nullable: bool
    output: Output
    memory: bool = False

    @property
    def has_spans(self) -> bool:
        """It takes many rows at once."""
        return self.output is not Output.LIFTED

    @property
    def result(self) -> ColumnType:
        """What its results are."""
        return column_type(self.result_name)
