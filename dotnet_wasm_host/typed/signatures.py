"""Functions: static methods of an assembly that Python can call, and why it cannot call others."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Any
from uuid import UUID

from dotnet_wasm_host.ecma335.signatures import BYREF, INSTANCE, VOID
from dotnet_wasm_host.typed.building import csharp_name
from dotnet_wasm_host.typed.classes import python_names
from dotnet_wasm_host.typed.library import PRIMITIVES, task_of
from dotnet_wasm_host.typed.metadata import HAS_DEFAULT, IN, OUT
from dotnet_wasm_host.typed.nullability import ANNOTATED, MAYBE
from dotnet_wasm_host.typed.shapes import (
    Blob,
    Block,
    Dynamic,
    Fixed,
    Grid,
    Handle,
    Json,
    Kind,
    Mapping,
    Optional,
    Record,
    Sequence,
    Shape,
    Text,
    Tuple,
    alias,
    bare_shape,
    has_handles,
    is_fixed,
)
from dotnet_wasm_host.typed.unsupported import Unsupported

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dotnet_wasm_host.typed.building import ShapeBuilder
    from dotnet_wasm_host.typed.definitions import Method, Parameter, TypeDefinition

__all__ = [
    "Argument",
    "Function",
    "Passing",
    "Refused",
    "Role",
    "Stream",
    "make_function",
    "read_functions",
]

_LONG = 0x0A
#: Results that Python takes one after the other.
_STREAMS = {
    "System.Collections.Generic.IEnumerable`1": False,
    "System.Collections.Generic.IAsyncEnumerable`1": True,
}
_TOKEN = ("T", "System.Threading.CancellationToken")


class Passing(Enum):
    """How an argument goes to C# and back."""

    VALUE = ""
    REF = "ref "
    OUT = "out "
    #: The call's ``CancellationToken``, which Python does not give.
    CANCELLATION = "cancellation"


class Stream(Enum):
    """What a function is to the stream of results that a method returns."""

    START = "start"
    NEXT = "next"
    END = "end"
    #: All of it at once, as a list.
    ALL = "all"


class Role(Enum):
    """What a function is to the type that has it."""

    STATIC = "static method"
    CONSTRUCTOR = "constructor"
    METHOD = "method"
    GETTER = "getter"
    SETTER = "setter"
    STATIC_GETTER = "static getter"
    STATIC_SETTER = "static setter"
    ITEM_GETTER = "indexer"
    ITEM_SETTER = "setter of an indexer"
    ITERATOR = "iterator"
    OPERATOR = "operator"
    ADDER = "adder of an event"
    REMOVER = "remover of an event"


@dataclass(frozen=True, slots=True)
class Argument:
    """A parameter, for Python.

    Attributes:
        name: Python's name; ``csharp_name`` is C#'s.
        shape: what it takes; ``None`` for a token.
        passing: how it goes there.
        default: a value in a tuple, or ``()`` if it must be given.
        is_params: any number of arguments can stand for it.
    """

    name: str
    csharp_name: str
    shape: Shape
    passing: Passing = Passing.VALUE
    default: tuple[Any, ...] = ()
    is_params: bool = False

    @property
    def is_given(self) -> bool:
        """Python gives it."""
        return self.passing in {Passing.VALUE, Passing.REF}

    @property
    def is_returned(self) -> bool:
        """Python gets it back."""
        return self.passing in {Passing.REF, Passing.OUT}


@dataclass(frozen=True, slots=True)
class Function:
    """A method that can be called.

    Attributes:
        owner: the type that has it.
        name: its name.
        arguments: what it takes.
        result: what it returns; ``None`` for ``void``.
        task: ``Task`` or ``ValueTask`` if it returns one of that, else ``""``.
        stream: what it is to a stream of its results, if it is.
        role: what it is to ``owner``.
        template: C# that calls it, with ``{0}`` for the object, ``{rest}`` for what is behind it,
            ``{all}``, ``{last}`` and ``{index}`` for what is between; ``""`` for static methods.
    """

    owner: TypeDefinition
    name: str
    arguments: tuple[Argument, ...]
    result: Shape | None
    task: str = ""
    stream: Stream | None = None
    asynchronous: bool = False
    role: Role = Role.STATIC
    template: str = ""

    @property
    def is_async(self) -> bool:
        """Python awaits it."""
        return bool(self.task) or self.asynchronous

    @property
    def entries(self) -> tuple[Function, ...]:
        """What the dispatcher has for it: of a stream also what goes on with it and ends it."""
        if self.stream is not Stream.START or self.result is None:
            return (self,)
        numbered = Argument("number", "number", PRIMITIVES[_LONG])
        result = Sequence("", alias(list, self.result.python), self.result, "list", "")
        return (
            replace(self, arguments=(numbered, *self.arguments), result=None),
            replace(self, stream=Stream.NEXT, arguments=(numbered,), result=result),
            replace(self, stream=Stream.END, arguments=(numbered,), result=None),
        )

    @property
    def collected(self) -> Function:
        """The same, with a list of all results where there is a stream of them."""
        if self.stream is not Stream.START or self.result is None:
            return self
        element = self.result
        name = "List" if self.asynchronous else "IEnumerable"
        csharp = f"global::System.Collections.Generic.{name}<{element.csharp}>"
        result = Sequence(csharp, alias(list, element.python), element, "list", "items")
        task = "Task" if self.asynchronous else ""
        return replace(self, stream=Stream.ALL, result=result, task=task)

    @property
    def given(self) -> tuple[Argument, ...]:
        """What Python gives."""
        return tuple(argument for argument in self.arguments if argument.is_given)

    @property
    def answer(self) -> Shape | None:
        """What Python gets: the result, and what ``ref`` and ``out`` have become."""
        shapes = [] if self.result is None else [self.result]
        shapes += [argument.shape for argument in self.arguments if argument.is_returned]
        if len(shapes) <= 1:
            return shapes[0] if shapes else None
        python = alias(tuple, *(shape.python for shape in shapes))
        return Tuple("", python, tuple(shapes), (), "")

    @property
    def has_ticket(self) -> bool:
        """Whether its answer has a number, by which objects are let go if it is lost.

        One that is written and read at once cannot be.
        """
        answer = self.answer
        if answer is None or not has_handles(answer):
            return False
        return self.is_async or not is_fixed(answer)

    def csharp(self, given: list[str]) -> str:
        """The call as C# writes it, with these arguments."""
        if not self.template:
            return f"{csharp_name(self.owner)}.@{self.name}({', '.join(given)})"
        return self.template.format(
            *given,
            all=", ".join(given),
            rest=", ".join(given[1:]),
            index=", ".join(given[1:-1]),
            last=given[-1] if given else "",
        )


@dataclass(frozen=True, slots=True)
class Refused:
    """A method that cannot be called, and why."""

    owner: TypeDefinition
    name: str
    reason: str
    role: Role = Role.STATIC


def read_functions(of: TypeDefinition, shapes: ShapeBuilder) -> Iterator[Function | Refused]:
    """Public static methods of a type, in order."""
    for method in of.reader.methods(of):
        if not method.is_function:
            continue
        try:
            yield _function(of, method, shapes)
        except Unsupported as reason:
            yield Refused(of, method.name, str(reason))


def _function(of: TypeDefinition, method: Method, shapes: ShapeBuilder) -> Function:
    return make_function(method, shapes, Function(of, method.name, (), None))


def make_function(
    method: Method,
    shapes: ShapeBuilder,
    model: Function,
    receiver: Shape | None = None,
) -> Function:
    """A method as a function: ``model`` with what its signature says.

    Args:
        method: which.
        shapes: makes shapes of the types in its signature.
        model: name, role and template.
        receiver: the object's shape, for what is called on one.

    Raises:
        Unsupported: no typed call can pass what it takes or gives.
    """
    if method.generic_count:
        raise Unsupported(
            "generic methods are not supported; write a method for the types that you need"
        )
    names = python_names((p.name for p in method.parameters), ("self",) if receiver else ())
    arguments = [] if receiver is None else [Argument("self", "self", receiver)]
    for parameter, name in zip(method.parameters, names, strict=True):
        try:
            arguments.append(_argument(parameter, name, shapes))
        except Unsupported as reason:
            raise Unsupported(f"parameter {parameter.name!r}: {reason}") from None
    result, stream, asynchronous = _streamed(method.result)
    result, task = task_of(result)
    if task and any(argument.is_returned for argument in arguments):
        raise Unsupported("a method that returns a task has no 'ref' and 'out'")
    try:
        shape = None if result == VOID else shapes.build(result)
    except Unsupported as reason:
        raise Unsupported(f"its result: {reason}") from None
    if task and any(_is_span(argument.shape) for argument in arguments):
        raise Unsupported("a method that returns a task takes no spans; use ReadOnlyMemory")
    if stream and any(argument.is_returned or _is_span(argument.shape) for argument in arguments):
        raise Unsupported("a method that returns a stream takes no 'ref', 'out' or span")
    return replace(
        model,
        arguments=_with_defaults(arguments),
        result=shape,
        task=task,
        stream=Stream.START if stream else None,
        asynchronous=asynchronous,
    )


def _argument(parameter: Parameter, name: str, shapes: ShapeBuilder) -> Argument:
    type_, passing = parameter.type, Passing.VALUE
    if parameter.default == (None,) and isinstance(type_, tuple) and type_[0] == ANNOTATED:
        type_ = (ANNOTATED, MAYBE, type_[2])  # whatever its author wrote down
    if type_ == _TOKEN:
        return Argument(name, parameter.name, Text("", str), Passing.CANCELLATION)
    if isinstance(type_, tuple) and type_[0] == BYREF:
        type_ = type_[1]
        if not parameter.flags & IN:
            passing = Passing.OUT if parameter.flags & OUT else Passing.REF
    shape = shapes.build(type_)
    if passing is not Passing.VALUE and _is_span(shape):
        raise Unsupported("spans are not passed by reference")
    default = ()
    if parameter.default and not parameter.flags & HAS_DEFAULT:
        default = parameter.default  # a decimal
    elif parameter.flags & HAS_DEFAULT and passing is Passing.VALUE:
        constant = parameter.default[0] if parameter.default else None
        default = _default(shape, constant)
    return Argument(name, parameter.name, shape, passing, default, parameter.is_params)


def _streamed(type_: Any) -> tuple[Any, bool, bool]:  # noqa: ANN401 - as the reader has it
    """What a stream has, whether it is one, and whether it is asynchronous."""
    given = type_
    type_ = _unwrapped(type_)
    if isinstance(type_, tuple) and type_[0] == INSTANCE and type_[1][1] in _STREAMS:
        return type_[2], True, _STREAMS[type_[1][1]]
    return given, False, False


def _unwrapped(type_: Any) -> Any:  # noqa: ANN401 - as the reader has it
    return type_[2] if isinstance(type_, tuple) and type_[0] == ANNOTATED else type_


def _is_span(shape: Shape) -> bool:
    shape = bare_shape(shape)
    return isinstance(shape, (Blob, Block)) and "Span<" in shape.csharp


def _with_defaults(arguments: list[Argument]) -> tuple[Argument, ...]:
    """Only the last parameters can have defaults in Python."""
    given = [argument for argument in arguments if argument.is_given]
    last = len(given)
    while last and given[last - 1].default:
        last -= 1
    required = {id(argument) for argument in given[:last]}
    return tuple(replace(a, default=()) if id(a) in required else a for a in arguments)


def _default(shape: Shape, constant: Any) -> tuple[Any, ...]:  # noqa: ANN401 - of any type
    """The constant as Python has it, or what ``default`` is; ``()`` if Python has none."""
    shape = bare_shape(shape)
    if constant is None:
        return _nothing(shape)
    if isinstance(shape, Optional):
        return _default(shape.value, constant)
    if isinstance(shape, Fixed) and shape.kind is Kind.ENUM:
        try:
            return (shape.python(constant),)
        except ValueError:
            return (constant,)
    return (constant,)


def _nothing(shape: Shape) -> tuple[Any, ...]:
    """``default`` of C#."""
    if isinstance(shape, Handle):
        return (None,)
    if isinstance(shape, Fixed):
        return _ZEROS.get(shape.kind, ())
    if isinstance(shape, Record):
        return (None,) if shape.is_class else ()
    nullable = (Text, Blob, Block, Dynamic, Grid, Json, Sequence, Mapping, Optional)
    is_null = isinstance(shape, nullable)
    return (None,) if is_null else ()


#: What a value type is that nobody has given a value.
_ZEROS: dict[Kind, tuple[Any, ...]] = {
    Kind.BOOL: (False,),
    Kind.INTEGER: (0,),
    Kind.FLOAT: (0.0,),
    Kind.CHAR: ("\0",),
    Kind.ENUM: (0,),
    Kind.DECIMAL: (Decimal(0),),
    Kind.UUID: (UUID(int=0),),
    Kind.DATETIME: (dt.datetime(1, 1, 1),),  # noqa: DTZ001 - as .NET has it
    Kind.MOMENT: (dt.datetime(1, 1, 1, tzinfo=dt.timezone.utc),),
    Kind.DATE: (dt.date.min,),
    Kind.TIME: (dt.time.min,),
    Kind.DURATION: (dt.timedelta(0),),
}
