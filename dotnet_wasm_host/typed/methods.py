"""Methods for those who call by name and with JSON."""

from __future__ import annotations

import json
import re
import zlib
from decimal import Decimal, InvalidOperation
from functools import cached_property
from typing import TYPE_CHECKING, Any, final

from dotnet_wasm_host.columns.builtin_errors import typed_error
from dotnet_wasm_host.errors import MarshallingError
from dotnet_wasm_host.overriding import override
from dotnet_wasm_host.typed.codecs import Codec, CodecMaker
from dotnet_wasm_host.typed.dispatcher import dispatcher_source
from dotnet_wasm_host.typed.json_reading import ArgumentNotValid, describe, read_json
from dotnet_wasm_host.typed.json_schemas import SchemaMaker
from dotnet_wasm_host.typed.json_streams import JsonStream
from dotnet_wasm_host.typed.json_writing import to_json
from dotnet_wasm_host.typed.loading import compile_dispatcher, dispatcher_name, support_of
from dotnet_wasm_host.typed.overloads import distance_of
from dotnet_wasm_host.typed.shapes import Fixed, Handle, Kind, Shape, has_handles, has_kind
from dotnet_wasm_host.typed.signatures import Function, Refused, Role

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from dotnet_wasm_host.assembly import Assembly
    from dotnet_wasm_host.errors import DotnetHostError, InvocationError
    from dotnet_wasm_host.runtime.cancellation import Cancellation
    from dotnet_wasm_host.typed.description import Description
    from dotnet_wasm_host.typed.documentation import Comment

__all__ = ["CallableMethod", "MethodNotFound", "MethodTable", "read_arguments"]

#: What a stream has in a dispatcher.
_ENTRIES = 3
#: A method's number has 19 bits that tell versions apart, and these.
MOST_METHODS, _BASES = 1 << 12, 0x7FFFF000
_NAMESPACES = re.compile(r"(?:\w+\.)+")


class MethodNotFound(MarshallingError):
    """No method is called so.

    Attributes:
        methods: names of those that can be called.
    """

    def __init__(self, message: str, methods: Sequence[str]) -> None:
        super().__init__(message)
        self.methods: tuple[str, ...] = tuple(methods)

    @override
    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (str(self), self.methods)


@final
class CallableMethod:
    """A method that can be called with JSON.

    Attributes:
        name: what it is called by: its own name, with its type's where two types have one.
        function: its signature.
        summary: what its comment says.
    """

    def __init__(
        self,
        name: str,
        function: Function,
        comment: Comment | None,
        make: Callable[[], Codec],
        make_stream: Callable[[], JsonStream] | None,
    ) -> None:
        self.name: str = name
        self.function: Function = function
        self.summary: str = comment.summary if comment else ""
        self._comments = comment.parameters if comment else {}
        self._make = make
        self._make_stream = make_stream
        self.is_exact: bool = any(map(_has_decimal, (a.shape for a in function.given)))

    @cached_property
    def _codec(self) -> Codec:
        return self._make()

    @cached_property
    def stream(self) -> JsonStream | None:
        """The same as calls that give one result each; ``None`` if it returns no stream."""
        return None if self._make_stream is None else self._make_stream()

    @property
    def csharp(self) -> str:
        """The signature as C# writes it, without namespaces."""
        function = self.function
        parts = []
        for argument in function.arguments:
            if not (argument.is_given or argument.is_returned):
                continue
            default = f" = {_csharp(argument.default[0])}" if argument.default else ""
            type_ = f"{argument.passing.value}{short_type(argument.shape)}"
            parts.append(f"{type_} {argument.csharp_name}{default}")
        result = "void" if function.result is None else short_type(function.result)
        return f"{result} {function.name}({', '.join(parts)})"

    def check_names(self, arguments: Mapping[str, Any]) -> None:
        """ArgumentNotValid if one is missing, or is none of the method's."""
        known = {argument.csharp_name: argument for argument in self.function.given}
        for name in arguments:
            if name not in known:
                expected = f"one of {', '.join(known)}" if known else "no arguments"
                raise ArgumentNotValid(f"{name:.60}", expected, "an argument of another name")
        for name, argument in known.items():
            if name not in arguments and not argument.default:
                raise ArgumentNotValid(name, short_type(argument.shape), "nothing")

    def payload(self, arguments: Mapping[str, Any], *, stream_number: int | None = None) -> bytes:
        """The bytes of a call. ArgumentNotValid if an argument will not do.

        ``stream_number``: of the stream that the call begins, for a method that returns one.
        """
        self.check_names(arguments)
        values = []
        for argument in self.function.given:
            name = argument.csharp_name
            if name in arguments:
                values.append(read_json(argument.shape, arguments[name], name))
            else:
                values.append(argument.default[0])
        stream = self.stream if stream_number is not None else None
        if stream is None:
            return self._codec.pack(*values)
        return stream.begin.pack(stream_number, *values)

    def distance(self, arguments: Mapping[str, Any]) -> int:
        """How far these are from what the method takes, for one of several overloads."""
        return sum(
            distance_of(argument.shape, arguments[argument.csharp_name])
            for argument in self.function.given
            if argument.csharp_name in arguments
        )

    def result(self, answer: bytes) -> Any:  # noqa: ANN401 - as JSON has it
        """The result of a call. AnswerDamaged for bytes that are none."""
        value = self._codec.unpack(answer)
        shape = self.function.answer
        return None if shape is None else to_json(shape, value)

    def describe(self, schemas: SchemaMaker) -> dict[str, Any]:
        """Its signature with schemas, for people and programs."""
        answer = self.function.answer
        result = None
        if answer is not None:
            shape = self.function.result
            csharp = short_type(answer if shape is None else shape)
            result = {"csharp": csharp, "schema": schemas.result(answer)}
        return {
            "name": self.name,
            "csharp": self.csharp,
            "description": self.summary,
            "asynchronous": self.function.is_async,
            "stream": self.function.stream is not None,
            "parameters": [self._describe(argument, schemas) for argument in self.function.given],
            "result": result,
        }

    def _describe(self, argument: Any, schemas: SchemaMaker) -> dict[str, Any]:  # noqa: ANN401
        default = argument.default
        described: dict[str, Any] = {
            "name": argument.csharp_name,
            "csharp": short_type(argument.shape),
            "required": not default,
            "description": self._comments.get(argument.csharp_name, ""),
            "schema": schemas.argument(argument.shape, nullable=default == (None,)),
        }
        if default:
            described["default"] = to_json(argument.shape, default[0])
        return described


@final
class MethodTable:
    """The methods of an assembly, by name.

    Args:
        description: of the assembly.

    Raises:
        MarshallingError: it has no method that can be called.
    """

    def __init__(self, description: Description) -> None:
        self._description = description
        found = [_refused(f) for f in description.functions if f.role is Role.STATIC]
        callable_ = [f for f in found if isinstance(f, Function)]
        self._functions = [f.collected for f in callable_]
        self._streams = [f for f in callable_ if len(f.entries) > 1]
        self.refused: tuple[Refused, ...] = tuple(f for f in found if isinstance(f, Refused))
        if not self._functions:
            raise MarshallingError(_nothing_to_call(self.refused))
        if len(self._functions) + _ENTRIES * len(self._streams) > MOST_METHODS:
            raise MarshallingError(
                f"expected at most {MOST_METHODS} methods, found {len(self._functions)}; deploy a "
                "class with those that are called, and the others as its dependency"
            )
        # Another version has other numbers: a call that was made for one is refused by the other.
        self._base = zlib.crc32(description.assembly.data) & _BASES
        self._codecs = CodecMaker(description.shapes.enum_names())
        self._bases = description.bases
        names = _names(self._functions)
        self.methods: tuple[CallableMethod, ...] = tuple(
            self._method(index, function, names[index][0])
            for index, function in enumerate(self._functions)
        )
        self._by_name: dict[str, list[CallableMethod]] = {}
        for method, known in zip(self.methods, names, strict=True):
            for name in known:
                self._by_name.setdefault(name, []).append(method)

    def _method(self, index: int, function: Function, name: str) -> CallableMethod:
        names = [argument.csharp_name for argument in function.arguments]
        comments = self._description.documentation
        comment = comments.comment(function.owner.path, function.name, names)
        return CallableMethod(
            name,
            function,
            comment,
            lambda: self._codecs.make(self._base + index, function),
            None if function.stream is None else lambda: self._stream(index),
        )

    def _stream(self, index: int) -> JsonStream:
        """What begins the stream of a function, goes on with it, and ends it."""
        position = sum(f.stream is not None for f in self._functions[:index])
        stream = self._streams[position]
        first = self._base + len(self._functions) + _ENTRIES * position
        codecs = [self._codecs.make(first + n, entry) for n, entry in enumerate(stream.entries)]
        assert stream.result is not None
        return JsonStream(codecs[0], codecs[1], codecs[2], stream.result)

    @property
    def _source(self) -> str:
        return dispatcher_source([*self._functions, *self._streams], base=self._base)

    @property
    def assembly_name(self) -> str:
        """Simple name of the assembly."""
        return self._description.assembly.name

    @property
    def names(self) -> list[str]:
        """What can be called, each once."""
        return list(dict.fromkeys(method.name for method in self.methods))

    @property
    def dispatcher_name(self) -> str:
        """Simple name of the dispatcher that belongs to these methods, as this version makes it."""
        return dispatcher_name(self._description, self._source)

    def dispatcher(
        self, *, timeout: float | None = None, cancellation: Cancellation | None = None
    ) -> Assembly:
        """Compile what is between bytes and the methods."""
        made, _ = compile_dispatcher(
            self._description, self._source, timeout=timeout, cancellation=cancellation
        )
        return made

    def dependencies(self) -> list[Assembly | bytes]:
        """What the dispatcher needs."""
        return support_of(self._description)

    def find(self, name: str | None) -> Sequence[CallableMethod]:
        """Methods of a name; ``None``: the only one there is. MethodNotFound if there is none."""
        known = self.names
        if name is None and len(known) == 1:
            return self._by_name[known[0]]
        found = self._by_name.get(name or "")
        if found is not None:
            return found
        refused = [f for f in self.refused if f.name == name]
        if refused:
            raise MethodNotFound(f"{name}() cannot be called: {refused[0].reason}", known)
        asked = "the name of a method, because there are several" if name is None else "a method"
        raise MethodNotFound(
            f"expected {asked}: {', '.join(known)}; found {name or 'none'!r}", known
        )

    def failure(self, error: InvocationError, method: CallableMethod) -> DotnetHostError:
        """The same error, as the built-in of Python that it means."""
        return typed_error(error, method.function.name, self._bases)

    def describe(self) -> dict[str, Any]:
        """All signatures, with schemas."""
        schemas = SchemaMaker()
        methods = [method.describe(schemas) for method in self.methods]
        return {
            "methods": methods,
            "not_callable": [{"name": f.name, "reason": f.reason} for f in self.refused],
            "definitions": schemas.definitions,
        }


def _refused(function: Function | Refused) -> Function | Refused:
    """The same, or why no request can have it."""
    if isinstance(function, Refused):
        return function
    shapes = [argument.shape for argument in function.arguments]
    if function.result is not None:
        shapes.append(function.result)
    if not any(map(has_handles, shapes)):
        return function
    reason = "objects of classes stay in .NET, and requests have none; use records or structs"
    if not any(has_kind(shape, (Handle,)) for shape in shapes):
        reason = "requests do not say which type an object is of; use JsonElement"
    return Refused(function.owner, function.name, reason)


def _nothing_to_call(refused: Sequence[Refused]) -> str:
    if refused:
        return f"{refused[0].name}() cannot be called: {refused[0].reason}"
    return (
        "expected a handler or a public static method, found neither; write 'public static' before "
        "a method, or implement MinimalRuntime.IFunctionHandler"
    )


def read_arguments(
    methods: Sequence[CallableMethod], body: bytes, *, stream_number: int | None = None
) -> tuple[CallableMethod, bytes]:
    """The method for these arguments, and the payload of its call.

    Args:
        methods: of one name.
        body: JSON, an object of named arguments; nothing at all for none.
        stream_number: for the payload of the call that begins a stream, of a method that returns
            one.

    Raises:
        ArgumentNotValid: an argument will not do.
        MarshallingError: it is no JSON, or no object.
    """
    arguments = _loads(body, exact=any(method.is_exact for method in methods))
    if not isinstance(arguments, dict):
        raise ArgumentNotValid("", "an object of named arguments", describe(arguments))
    if len(methods) == 1:
        return methods[0], methods[0].payload(arguments, stream_number=stream_number)
    best: tuple[int, CallableMethod, bytes] | None = None
    reasons: list[ArgumentNotValid] = []
    for method in methods:
        try:
            payload = method.payload(arguments, stream_number=stream_number)
        except ArgumentNotValid as reason:
            reasons.append(reason)
        else:
            distance = method.distance(arguments)
            if best is None or distance < best[0]:
                best = (distance, method, payload)
    if best is None:
        raise ArgumentNotValid(
            reasons[0].parameter,
            f"arguments for one of {', '.join(method.csharp for method in methods)}",
            "; ".join(f"{r.parameter}: {r.given} for {r.expected}" for r in reasons),
        )
    return best[1], best[2]


def _loads(body: bytes, *, exact: bool) -> Any:  # noqa: ANN401 - whatever JSON has
    if not body.strip():
        return {}
    try:
        return json.loads(
            body.decode(), parse_float=_exact if exact else None, parse_constant=_no_constant
        )
    except UnicodeDecodeError as error:
        raise MarshallingError(
            f"expected JSON in UTF-8, found bytes that are none: {error.reason}; encode it"
        ) from None
    except (ValueError, RecursionError) as error:
        raise MarshallingError(
            f"expected JSON, an object of named arguments, found what is none: {error}; send for "
            'example {"name": "Ada"}'
        ) from None


def _exact(text: str) -> Decimal | float:
    """A number with all its digits. Exponents of more than 18 digits are infinity, or zero."""
    try:
        return Decimal(text)
    except InvalidOperation:
        return float(text)


def _no_constant(name: str) -> None:
    raise ValueError(f'{name} is not JSON, write "{name}"')


def _names(functions: Sequence[Function]) -> list[list[str]]:
    """What each function can be called by; the first is what it is shown as."""
    forms = [_forms(function) for function in functions]
    owners: dict[str, set[tuple[str, ...]]] = {}
    for function, known in zip(functions, forms, strict=True):
        for name in known:
            owners.setdefault(name, set()).add(function.owner.path)
    return [[name for name in known if len(owners[name]) == 1] for known in forms]


def _forms(function: Function) -> list[str]:
    path, name = function.owner.path, function.name
    return list(dict.fromkeys((name, f"{path[-1]}.{name}", ".".join((*path, name)))))


def _has_decimal(shape: Shape) -> bool:
    pending, seen = [shape], set[int]()
    while pending:
        part = pending.pop()
        if isinstance(part, Fixed) and part.kind is Kind.DECIMAL:
            return True
        if id(part) not in seen:
            seen.add(id(part))
            pending += part.parts()
    return False


def short_type(shape: Shape) -> str:
    """A type as people write it: without namespaces."""
    if not shape.csharp:
        return f"({', '.join(map(short_type, shape.parts()))})"
    return _NAMESPACES.sub("", shape.csharp.replace("global::", "").replace("@", ""))


def _csharp(value: object) -> str:
    """A default, as C# writes it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return str(getattr(value, "name", None) or value)
