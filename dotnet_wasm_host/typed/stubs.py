"""``.pyi`` stubs: what type checkers and editors read of a module of C#."""

from __future__ import annotations

import enum
import inspect
from typing import TYPE_CHECKING, Any, final

from dotnet_wasm_host.typed.shapes import (
    Blob,
    Block,
    Checked,
    Delegate,
    Dynamic,
    Fixed,
    Grid,
    Json,
    Kind,
    Mapping,
    Number,
    Optional,
    Record,
    Sequence,
    Shape,
    Text,
    Tuple,
    Wide,
    bare_shape,
)
from dotnet_wasm_host.typed.signatures import Function, Role

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dotnet_wasm_host.typed.definitions import TypeDefinition
    from dotnet_wasm_host.typed.description import Description
    from dotnet_wasm_host.typed.signatures import Argument

__all__ = ["stub_text"]

_MEMBERS = ("Functions",)
_KINDS = {
    Kind.BOOL: "bool",
    Kind.INTEGER: "int",
    Kind.FLOAT: "float",
    Kind.CHAR: "str",
    Kind.DECIMAL: "decimal.Decimal",
    Kind.UUID: "uuid.UUID",
    Kind.DATETIME: "datetime.datetime",
    Kind.MOMENT: "datetime.datetime",
    Kind.DATE: "datetime.date",
    Kind.TIME: "datetime.time",
    Kind.DURATION: "datetime.timedelta",
}


def stub_text(description: Description) -> str:
    """The stub of a module whose names are those of a :class:`CSharpModule`."""
    writer = _Writer(description)
    body = [*writer.classes(), *writer.functions()]
    head = [
        f"# Stub of {description.assembly.name}, made by dotnet-wasm-host stubs.",
        "import datetime",
        "import decimal",
        "import uuid",
        "from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator",
        "from collections.abc import Mapping, Sequence",
        "from dataclasses import dataclass",
        "from enum import IntEnum, IntFlag",
        "from types import TracebackType",
        "from typing import Any, ClassVar, overload",
        "from typing_extensions import Buffer, Self",
        "from dotnet_wasm_host import CSharpObject",
        "",
    ]
    return "\n".join((*head, *body)) + "\n"


@final
class _Writer:
    def __init__(self, description: Description) -> None:
        self._description = description

    # ---------------------------------------------------------------- classes

    def classes(self) -> Iterator[str]:
        """Enums and records."""
        documentation = self._description.documentation
        for of, cls in self._description.shapes.classes.items():
            record = self._description.shapes.records.get(of)
            if isinstance(self._description.shapes.objects.get(of), Delegate):
                continue
            if of in self._description.shapes.objects:
                yield from self._object(of, cls)
                continue
            if record is None:
                base = "IntFlag" if issubclass(cls, enum.IntFlag) else "IntEnum"
                yield f"\nclass {cls.__name__}({base}):"
                lines = [f"    {n} = {int(m)}" for n, m in _members(cls)]
            else:
                yield from self._record_head(record)
                lines = self._record_body(record)
            yield from _docstring(documentation.of_type(of.path), "    ")
            yield from lines or ["    ..."]

    def _bases(self, record: Record) -> list[Record]:
        """Records that it derives from, without those that these derive from."""
        records = self._description.shapes.records.values()
        bases = [other for other in records if record in other.derived]
        return [
            base
            for base in bases
            if not any(other is not base and other in base.derived for other in bases)
        ]

    def _record_head(self, record: Record) -> Iterator[str]:
        bases = ", ".join(base.name for base in self._bases(record))
        yield "" if record.is_abstract else "\n@dataclass(frozen=True)"
        yield f"class {record.name}{f'({bases})' if bases else ''}:"

    def _record_body(self, record: Record) -> list[str]:
        if record.is_abstract:
            return ["    def __init__(self) -> None: ..."]
        lines = [f"    {f.name}: {self._result(f.shape)}" for f in record.fields]
        bases = self._bases(record)
        if any(base.fields for base in bases):
            # Its own order, which is not always that of dataclasses.
            given = "".join(f", {f.name}: {self._result(f.shape)}" for f in record.fields)
            lines.append(f"    def __init__(self{given}) -> None: ...")
        return lines

    def _object(self, of: TypeDefinition, cls: type) -> Iterator[str]:
        """A class whose objects stay in .NET."""
        known = {c: c.__name__ for c in self._description.shapes.classes.values()}
        bases = ", ".join(known.get(base, "CSharpObject") for base in cls.__bases__)
        yield f"\nclass {cls.__name__}({bases}):"
        yield from _docstring(self._description.documentation.of_type(of.path), "    ")
        members = self._by_role(of)
        yield from self._constructors(members.get(Role.CONSTRUCTOR, []))
        yield from self._methods(members.get(Role.METHOD, []), "    ")
        yield from self._methods(members.get(Role.OPERATOR, []), "    ")
        for function in members.get(Role.ADDER, []):
            yield f"    {function.name}: Any"
        yield from self._methods(members.get(Role.STATIC, []), "    ", static=True)
        yield from self._properties(members)
        yield from self._statics(members)
        if "__enter__" in vars(cls):
            yield "    def __enter__(self) -> Self: ..."
            yield "    def __exit__("
            yield "        self,"
            yield "        kind: type[BaseException] | None,"
            yield "        error: BaseException | None,"
            yield "        trace: TracebackType | None,"
            yield "        /,"
            yield "    ) -> None: ..."
        yield from self._collection(members)

    def _by_role(self, of: TypeDefinition) -> dict[Role, list[Function]]:
        members: dict[Role, list[Function]] = {}
        for function in self._description.functions:
            if isinstance(function, Function) and function.owner is of:
                members.setdefault(function.role, []).append(function)
        return members

    def _constructors(self, functions: list[Function]) -> Iterator[str]:
        for function in functions:
            if len(functions) > 1:
                yield "    @overload"
            parameters = ", ".join(("self", *map(self._parameter, function.given)))
            yield f"    def __init__({parameters}) -> None: ..."

    def _properties(self, members: dict[Role, list[Function]]) -> Iterator[str]:
        setters = {f.name: f for f in members.get(Role.SETTER, [])}
        for function in members.get(Role.GETTER, []):
            result = self._answer(function)
            yield "    @property"
            yield f"    def {function.name}(self) -> {result}:"
            text = self._description.documentation.of_member(function.owner.path, function.name)
            yield from _docstring(text, "        ")
            yield "        ..."
            if function.name in setters:
                given = self._argument(setters[function.name].given[-1].shape)
                yield f"    @{function.name}.setter"
                yield f"    def {function.name}(self, value: {given}) -> None: ..."

    def _statics(self, members: dict[Role, list[Function]]) -> Iterator[str]:
        for function in members.get(Role.STATIC_GETTER, []):
            yield f"    {function.name}: ClassVar[{self._answer(function)}]"

    def _collection(self, members: dict[Role, list[Function]]) -> Iterator[str]:
        items = [*members.get(Role.ITEM_GETTER, []), *members.get(Role.ITEM_SETTER, [])]
        for function in items:
            keys = [self._argument(a.shape) for a in function.given[1:]]
            value = [f"value: {keys.pop()}"] if function.role is Role.ITEM_SETTER else []
            key = keys[0] if len(keys) == 1 else f"tuple[{', '.join(keys)}]"
            if sum(f.role is function.role for f in items) > 1:
                yield "    @overload"
            parameters = ", ".join(("self", f"key: {key}", "/", *value[:1]))
            yield f"    def {function.name}({parameters}) -> {self._answer(function)}: ..."
        for function in members.get(Role.ITERATOR, []):
            yield f"    def __iter__(self) -> {self._answer(function)}: ..."
        counts = [f.name for f in members.get(Role.GETTER, []) if f.name in {"Count", "Length"}]
        if counts and (items or Role.ITERATOR in members):
            yield "    def __len__(self) -> int: ..."
            if any(f.name == "Contains" for f in members.get(Role.METHOD, [])):
                yield "    def __contains__(self, item: object, /) -> bool: ..."

    # ---------------------------------------------------------------- functions

    def functions(self) -> Iterator[str]:
        """Functions, and static classes with theirs."""
        owners = dict.fromkeys(f.owner for f in self._description.functions)
        for owner in owners:
            members = self._by_role(owner)
            methods = members.get(Role.STATIC, [])
            if owner.path == _MEMBERS:
                yield ""
                yield from self._methods(methods, "")
                for function in members.get(Role.STATIC_GETTER, []):
                    yield f"{function.name}: {self._answer(function)}"
            elif owner.row and owner not in self._description.shapes.classes and members:
                yield f"\nclass {owner.name}:"
                yield from self._methods(methods, "    ", static=True)
                yield from self._statics(members)

    def _methods(
        self, functions: list[Function], indent: str, *, static: bool = False
    ) -> Iterator[str]:
        names = [function.name for function in functions]
        for function in functions:
            if names.count(function.name) > 1:
                yield f"{indent}@overload"
            if static:
                yield f"{indent}@staticmethod"
            yield f"{indent}{self._signature(function)}"
            names_ = [argument.csharp_name for argument in function.arguments]
            text = self._description.documentation.of_method(
                function.owner.path, function.name, names_
            )
            yield from _docstring(text, indent + "    ")
            yield f"{indent}    ..."

    def _signature(self, function: Function) -> str:
        given = list(map(self._parameter, function.given))
        if function.role is Role.OPERATOR:
            given[:2] = ["self", *(f"{text}, /" for text in given[1:2])]
        parameters = ", ".join(given)
        result = self._answer(function)
        head = "async def" if function.is_async and not function.stream else "def"
        return f"{head} {function.name}({parameters}) -> {result}:"

    def _parameter(self, argument: Argument) -> str:
        if argument.name == "self":
            return "self"
        type_ = self._argument(argument.shape)
        if argument.is_params and (item := next(bare_shape(argument.shape).parts(), None)):
            return f"*{argument.name}: {self._argument(item)} | {type_}"
        if argument.default == (None,) and not type_.endswith(" | None"):
            type_ += " | None"
        return f"{argument.name}: {type_}{' = ...' if argument.default else ''}"

    def _answer(self, function: Function) -> str:
        """What Python gets of a function."""
        answer = function.answer
        result = "None" if answer is None else self._result(answer)
        if function.stream:
            return f"{'Async' if function.asynchronous else ''}Iterator[{result}]"
        return result

    # ---------------------------------------------------------------- types

    def _result(self, shape: Shape) -> str:  # noqa: PLR0911 - one for each kind of shape
        """What Python gets."""
        if isinstance(shape, Checked):
            return self._result(shape.value) + (" | None" if shape.is_nullable else "")
        if isinstance(shape, Fixed):
            return self._fixed(shape)
        if isinstance(shape, Optional):
            return f"{self._result(shape.value)} | None"
        if isinstance(shape, Tuple):
            return f"tuple[{', '.join(map(self._result, shape.items)) or '()'}]"
        if isinstance(shape, Grid):
            return f"{'list[' * shape.rank}{self._result(shape.element)}{']' * shape.rank}"
        if isinstance(shape, Mapping):
            return f"dict[{self._result(shape.key)}, {self._result(shape.value)}]"
        if isinstance(shape, (Block, Sequence)):
            if shape.result == "memoryview":
                return "memoryview"
            return f"{shape.result}[{self._result(shape.element)}]"
        return self._named(shape)

    def _argument(self, shape: Shape) -> str:  # noqa: PLR0911 - one for each kind of shape
        """What Python gives."""
        if isinstance(shape, Checked):
            return self._argument(shape.value) + (" | None" if shape.is_nullable else "")
        if isinstance(shape, Optional):
            return f"{self._argument(shape.value)} | None"
        if isinstance(shape, Tuple):
            return f"tuple[{', '.join(map(self._argument, shape.items)) or '()'}]"
        if isinstance(shape, Mapping):
            return f"Mapping[{self._argument(shape.key)}, {self._argument(shape.value)}]"
        if isinstance(shape, Block):
            return f"Iterable[{self._fixed(shape.element)}] | Buffer"
        if isinstance(shape, Sequence):
            return f"Iterable[{self._argument(shape.element)}]"
        if isinstance(shape, Grid):
            items = f"{'Sequence[' * shape.rank}{self._argument(shape.element)}{']' * shape.rank}"
            return f"{items} | Buffer" if isinstance(shape.element, Number) else items
        if isinstance(shape, Blob):
            return "Buffer | Sequence[int]"
        if isinstance(shape, Record):
            return f"{shape.name} | Mapping[str, Any]"
        return self._result(shape)

    def _fixed(self, shape: Fixed) -> str:
        if isinstance(shape, Delegate):
            given = ", ".join(map(self._result, shape.parameters))
            result = "None" if shape.result is None else self._argument(shape.result)
            if shape.task:
                result = f"Awaitable[{result}]"
            return f"Callable[[{given}], {result}]"
        if shape.kind in {Kind.ENUM, Kind.OBJECT}:
            return str(shape.python.__name__)
        return _KINDS[shape.kind]

    def _named(self, shape: Shape) -> str:
        kinds: dict[type, str] = {Text: "str", Blob: "bytes", Wide: "int", Json: "Any",
                                  Dynamic: "Any"}  # fmt: skip
        if isinstance(shape, Record):
            return shape.name
        return kinds[type(shape)]


def _members(cls: type) -> list[tuple[str, Any]]:
    members: dict[str, Any] = cls.__members__  # type: ignore[attr-defined]
    return list(members.items())


def _docstring(text: str, indent: str) -> Iterator[str]:
    if not text:
        return
    first, *rest = inspect.cleandoc(text).replace("\\", "\\\\").replace('"""', "'''").splitlines()
    if not rest:
        yield f'{indent}"""{first}"""'
        return
    yield f'{indent}"""{first}'
    yield from (f"{indent}{line}" if line else "" for line in rest)
    yield f'{indent}"""'
