"""Methods that columns can be given to: their signatures, and ``columns`` of their functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dotnet_wasm_host.columns.functions import ColumnFunction
from dotnet_wasm_host.columns.methods import ColumnMethod, ColumnParameter, Output
from dotnet_wasm_host.columns.types import TYPES, enum_name
from dotnet_wasm_host.ecma335.signatures import INSTANCE, VECTOR, VOID
from dotnet_wasm_host.errors import MarshallingTypeError
from dotnet_wasm_host.typed.building import csharp_name
from dotnet_wasm_host.typed.classes import python_names
from dotnet_wasm_host.typed.framework import framework_type
from dotnet_wasm_host.typed.library import PRIMITIVES
from dotnet_wasm_host.typed.nullability import NEVER, bare, said_of
from dotnet_wasm_host.typed.unsupported import Unsupported

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from dotnet_wasm_host.columns.functions import ColumnKernel
    from dotnet_wasm_host.typed.definitions import Method, Parameter, TypeDefinition

__all__ = ["add_columns", "read_column_methods"]

_READ, _WRITTEN = "System.ReadOnlySpan`1", "System.Span`1"
_MEMORIES = {"System.Memory`1", "System.ReadOnlyMemory`1"}
_REFERENCES = {"string", "byte[]"}


def read_column_methods(of: TypeDefinition) -> Iterator[tuple[str, ColumnMethod | str]]:
    """Public static methods of a type by name, or why columns cannot be given to one."""
    if of.is_enum:
        return
    for method in of.reader.methods(of):
        if not method.is_function:
            continue
        try:
            yield method.name, _method(of, method)
        except Unsupported as reason:
            yield method.name, str(reason)


def _method(of: TypeDefinition, method: Method) -> ColumnMethod:
    if method.generic_count:
        raise Unsupported("generic methods are not supported")
    given, output, memory = list(method.parameters), Output.LIFTED, False
    spans = [p for p in given if _span(p.type, _READ)]
    result = method.result
    filled = _span(given[-1].type, _WRITTEN) if given else None
    if filled is not None and result == VOID:
        given.pop()
        output, result = Output.FILLED, filled[0]
    elif spans:
        output = Output.RETURNED
        result, memory = _many(result)
    elif result == VOID:
        raise Unsupported("it returns nothing; return a value, or fill a Span")
    names = python_names(p.name for p in given)
    parameters = [
        _parameter(parameter, name, lifted=output is Output.LIFTED)
        for parameter, name in zip(given, names, strict=True)
    ]
    try:
        type_name, nullable = _named(result)
    except Unsupported as reason:
        raise Unsupported(f"its result: {reason}") from None
    return ColumnMethod(
        f"{csharp_name(of)}.@{method.name}",
        method.name,
        tuple(parameters),
        type_name,
        nullable or type_name in _REFERENCES,
        output,
        memory,
    )


def _parameter(parameter: Parameter, name: str, *, lifted: bool) -> ColumnParameter:
    inner = _span(parameter.type, _READ)
    try:
        type_name, nullable = _named(parameter.type if inner is None else inner[0])
    except Unsupported as reason:
        raise Unsupported(f"parameter {parameter.name!r}: {reason}") from None
    if type_name in _REFERENCES:
        # What is in a span says nothing of itself; what is said of a value holds.
        nullable = not lifted or said_of(parameter.type) != NEVER
    default = parameter.default
    if default == (None,) and type_name not in _REFERENCES and not nullable:
        default = ()
    return ColumnParameter(name, parameter.name, type_name, nullable, inner is not None, default)


def _span(type_: Any, of: str) -> tuple[Any] | None:  # noqa: ANN401 - as the reader has it
    """What a span has, in a tuple."""
    type_ = bare(type_)
    if isinstance(type_, tuple) and type_[0] == INSTANCE and type_[1] == ("T", of):
        return (type_[2],)
    return None


def _many(type_: Any) -> tuple[Any, bool]:  # noqa: ANN401 - as the reader has it
    """What an array or span has, and whether it is a ``Memory``."""
    type_ = bare(type_)
    if isinstance(type_, tuple):
        if type_[0] == VECTOR:
            return type_[1], False
        if type_[0] == INSTANCE and type_[1][1] in {_READ, _WRITTEN, *_MEMORIES}:
            return type_[2], type_[1][1] in _MEMORIES
    raise Unsupported(
        "it takes many rows and returns no value for each; return an array, or fill a Span"
    )


def _named(type_: Any) -> tuple[str, bool]:  # noqa: ANN401 - as the reader has it
    """The name of a column's type, and whether values may be null."""
    type_ = bare(type_)
    if isinstance(type_, tuple) and type_[:2] == (INSTANCE, ("T", "System.Nullable`1")):
        return _named(type_[2])[0], True
    if isinstance(type_, int) and type_ in PRIMITIVES and PRIMITIVES[type_].csharp in TYPES:
        return PRIMITIVES[type_].csharp, False
    if isinstance(type_, tuple):
        if type_[0] == "T" and isinstance(type_[1], str) and type_[1] in TYPES:
            return type_[1], False
        if type_[0] == "T" and (enum := _enum(type_[1])):
            return enum, False
        if type_[0] == VECTOR and _named(type_[1])[0] == "byte":
            return "byte[]", False
    known = ", ".join(of.python for of in TYPES.values())
    raise Unsupported(f"values of a column are one of {known}, an enum, or null")


def _enum(of: TypeDefinition | str) -> str:
    """The name of an enum's type for columns; ``""`` for other types."""
    found = framework_type(of) if isinstance(of, str) else of
    if found is None or not (found.is_enum and found.is_visible):
        return ""
    underlying, _ = found.reader.enum_members(found)
    number = PRIMITIVES.get(underlying)
    if number is None or number.csharp not in TYPES:
        return ""
    return enum_name(csharp_name(found), number.csharp)


def add_columns(
    of: TypeDefinition,
    functions: Mapping[str, Callable[..., Any]],
    methods: Mapping[tuple[TypeDefinition, str], Sequence[ColumnMethod | str]],
    kernel: Callable[[ColumnMethod], ColumnKernel],
    module: str,
) -> None:
    """Give each function its ``columns``: the method's, or what says why there are none.

    Args:
        of: the type that has them.
        functions: functions of its static methods, by name.
        methods: methods by type and name, or reasons.
        kernel: makes the kernel of a method.
        module: ``__module__`` of what is given.
    """
    for name, call in functions.items():
        found = methods.get((of, name), [])
        usable = [method for method in found if isinstance(method, ColumnMethod)]
        columns: Callable[..., Any]
        if len(usable) == 1:
            columns = ColumnFunction(kernel(usable[0]))
        else:
            reasons = [reason for reason in found if isinstance(reason, str)]
            reason = "several overloads take columns" if usable else "; ".join(reasons)
            columns = _refuse(name, reason or "it is no method", module)
        vars(call)["columns"] = columns


def _refuse(name: str, reason: str, module: str) -> Callable[..., Any]:
    def columns(*_: object, **__: object) -> None:
        raise MarshallingTypeError(
            f"{name}.columns cannot be called: {reason}; write a method for columns beside it"
        )

    columns.__module__, columns.__doc__ = module, f"Cannot be called: {reason}."
    return columns
