"""Exceptions of .NET that escaped a method, as the built-in errors that they mean, too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dotnet_wasm_host.errors import DotnetHostError, InvocationError, MissingApi, StaleObject

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "InvocationIndexError",
    "InvocationKeyError",
    "InvocationNotImplementedError",
    "InvocationOverflowError",
    "InvocationValueError",
    "InvocationZeroDivisionError",
    "typed_error",
]


class InvocationValueError(InvocationError, ValueError):
    """An argument was wrong: ``ArgumentException``, ``FormatException``."""


class InvocationKeyError(InvocationError, KeyError):
    """A key was not there: ``KeyNotFoundException``."""


class InvocationIndexError(InvocationError, IndexError):
    """An index was outside: ``IndexOutOfRangeException``."""


class InvocationZeroDivisionError(InvocationError, ZeroDivisionError):
    """``DivideByZeroException``."""


class InvocationOverflowError(InvocationError, OverflowError):
    """``OverflowException``."""


class InvocationNotImplementedError(InvocationError, NotImplementedError):
    """``NotImplementedException``."""


#: By the type's name. None of them is TimeoutError, MemoryError or OSError: those are the host's.
_MEANINGS: Mapping[str, type[InvocationError]] = {
    "System.ArgumentException": InvocationValueError,
    "System.ArgumentNullException": InvocationValueError,
    "System.ArgumentOutOfRangeException": InvocationValueError,
    "System.DuplicateWaitObjectException": InvocationValueError,
    "System.ComponentModel.InvalidEnumArgumentException": InvocationValueError,
    "System.Globalization.CultureNotFoundException": InvocationValueError,
    "System.Text.DecoderFallbackException": InvocationValueError,
    "System.Text.EncoderFallbackException": InvocationValueError,
    "System.Text.RegularExpressions.RegexParseException": InvocationValueError,
    "System.FormatException": InvocationValueError,
    "System.UriFormatException": InvocationValueError,
    "System.Collections.Generic.KeyNotFoundException": InvocationKeyError,
    "System.IndexOutOfRangeException": InvocationIndexError,
    "System.DivideByZeroException": InvocationZeroDivisionError,
    "System.OverflowException": InvocationOverflowError,
    "System.NotImplementedException": InvocationNotImplementedError,
}


_STALE = "MinimalRuntime.Typed.StaleObjectException"


def typed_error(
    error: InvocationError, method: str, bases: Mapping[str, str], row: int | None = None
) -> DotnetHostError:
    """The same error, as the built-in that it means if it means one.

    Args:
        error: what a call raised.
        method: what was called.
        bases: base class by name, of the exceptions that the function's assembly defines.
        row: of a column, where it was.
    """
    if isinstance(error, MissingApi):
        return error
    if error.dotnet_type == _STALE:
        return StaleObject(
            f"{method}(): expected objects of the instance that runs, found one of an instance "
            "that was replaced; make the object again"
        )
    name, seen = error.dotnet_type, set[str]()
    while name not in _MEANINGS and name in bases and name not in seen:
        seen.add(name)
        name = bases[name]
    meaning = _MEANINGS.get(name, InvocationError)
    made = meaning(
        method, error.dotnet_type, error.dotnet_message, error.stack_trace, error.inner, row=row
    )
    made.__cause__ = error.__cause__
    return made
