"""What the compiler wrote down of null: Roslyn's ``docs/features/nullable-metadata.md``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dotnet_wasm_host.ecma335.signatures import ARRAY, BYREF, INSTANCE, OBJECT, STRING, VAR, VECTOR

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ANNOTATED", "MAYBE", "NEVER", "OBLIVIOUS", "annotate", "bare", "flags_of", "said_of"]

#: Nothing is known; never null; may be null.
OBLIVIOUS, NEVER, MAYBE = 0, 1, 2
#: A type of which something is known: this, what, and the type.
ANNOTATED = "N"
_SPACE = "System.Runtime.CompilerServices."
#: Behind the prolog of II.23.3.
_START = 2
#: Value types of .NET's own have no flag unless they are generic. Others are not told apart from
#: classes by their names, which matters only in types with several flags.
_VALUES = ("DateTime", "DateTimeOffset", "DateOnly", "TimeOnly", "TimeSpan", "Guid", "Decimal",
           "Half", "Int128", "UInt128", "Threading.CancellationToken", "Numerics.BigInteger",
           "Text.Json.JsonElement", "Range", "Index")  # fmt: skip
_VALUE_TYPES = frozenset(f"System.{name}" for name in _VALUES)
_GENERIC_VALUES = ("System.Nullable`", "System.ValueTuple`", "System.Span`", "System.Memory`",
                   "System.ReadOnlySpan`", "System.ReadOnlyMemory`", "System.ArraySegment`",
                   "System.Collections.Generic.KeyValuePair`",
                   "System.Threading.Tasks.ValueTask`")  # fmt: skip


def flags_of(attributes: Mapping[str, bytes], *, context: bool = False) -> tuple[int, ...]:
    """The flags of an attribute, ``()`` if it is not there."""
    kind = "NullableContextAttribute" if context else "NullableAttribute"
    blob = attributes.get(_SPACE + kind, b"")[_START:]
    # One byte, or an array: a count of 32 bits and bytes; named arguments (16 bits) follow.
    if len(blob) == 1 + 2:
        return (blob[0],)
    count = int.from_bytes(blob[:4], "little")
    return tuple(blob[4 : 4 + count]) if len(blob) > 4 else ()


def annotate(type_: Any, flags: tuple[int, ...]) -> Any:  # noqa: ANN401 - as the reader has it
    """A type with what is known of it and of the types in it.

    Args:
        type_: as the reader has it.
        flags: one for all, or one for each reference type and generic value type, from outside in.
    """
    if not any(flags):
        return type_
    rest = list(flags) if len(flags) > 1 else None
    annotated = _annotate(type_, rest, flags[0])
    if rest:  # it was counted differently here and there
        return _with(bare(type_), flags[0])
    return annotated


def _annotate(type_: Any, rest: list[int] | None, flag: int) -> Any:  # noqa: ANN401, PLR0911
    if isinstance(type_, int):
        if type_ not in {STRING, OBJECT}:
            return type_
        return _with(type_, _next(rest, flag))
    head = type_[0]
    if head == BYREF:
        return (head, _annotate(type_[1], rest, flag))
    if head == "T":
        return type_ if _is_value(type_[1]) else _with(type_, _next(rest, flag))
    if head in {VECTOR, ARRAY}:
        own = _next(rest, flag)
        return _with((head, _annotate(type_[1], rest, flag), *type_[2:]), own)
    if head == INSTANCE:
        own = _next(rest, flag)
        made = (head, type_[1], *(_annotate(part, rest, flag) for part in type_[2:]))
        return made if _is_value(type_[1][1]) else _with(made, own)
    if head == VAR:
        _next(rest, flag)
    return type_


def _next(rest: list[int] | None, flag: int) -> int:
    if rest is None:
        return flag
    return rest.pop(0) if rest else OBLIVIOUS


def _with(type_: Any, flag: int) -> Any:  # noqa: ANN401
    return type_ if flag not in {NEVER, MAYBE} else (ANNOTATED, flag, type_)


def _is_value(of: Any) -> bool:  # noqa: ANN401 - a definition or a name
    if isinstance(of, str):
        return of in _VALUE_TYPES or of.startswith(_GENERIC_VALUES)
    return bool(of.is_value_type)


def said_of(type_: Any) -> int:  # noqa: ANN401 - as the reader has it
    """What is known of the outermost type."""
    return type_[1] if isinstance(type_, tuple) and type_[0] == ANNOTATED else OBLIVIOUS


def bare(type_: Any) -> Any:  # noqa: ANN401 - as the reader has it
    """A type without what is known of it and of those in it."""
    # An array of several dimensions has tuples of its bounds, which may be empty.
    if not isinstance(type_, tuple) or not type_:
        return type_
    if type_[0] == ANNOTATED:
        return bare(type_[2])
    return (type_[0], *map(bare, type_[1:]))
