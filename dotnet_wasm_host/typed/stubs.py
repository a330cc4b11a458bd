"""``.pyi`` stubs: what type checkers and editors read of a module of C#."""

from __future__ import annotations

import enum
import inspect
from typing import TYPE_CHECKING, Any, final

from dotnet_wasm_host.typed.shapes import (
    Blob,
    Block,
    Fixed,
    Json,
    Kind,
    Mapping,
    Optional,
    Record,
    Sequence,
    Shape,
    Text,
    Tuple,
    Wide,
)
from dotnet_wasm_host.typed.signatures import Function

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dotnet_wasm_host.typed.metadata import TypeDefinition
    from dotnet_wasm_host.typed.module import Description

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
        "from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence",
        "from dataclasses import dataclass",
        "from enum import IntEnum, IntFlag",
        "from typing import Any, overload",
        "from typing_extensions import Buffer",
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
            if record is None:
                base = "IntFlag" if issubclass(cls, enum.IntFlag) else "IntEnum"
                yield f"\nclass {cls.__name__}({base}):"
                lines = [f"    {n} = {int(m)}" for n, m in _members(cls)]
            else:
                yield "\n@dataclass(frozen=True)"
                yield f"class {cls.__name__}:"
                lines = [f"    {f.name}: {self._result(f.shape)}" for f in record.fields]
            yield from _docstring(documentation.of_type(of.path), "    ")
            yield from lines or ["    ..."]

    # ---------------------------------------------------------------- functions

    def functions(self) -> Iterator[str]:
        """Functions, and static classes with theirs."""
        by_owner: dict[TypeDefinition, list[Function]] = {}
        for function in self._description.functions:
            if isinstance(function, Function):
                by_owner.setdefault(function.owner, []).append(function)
        for owner, functions in by_owner.items():
            if owner.path == _MEMBERS:
                yield ""
                yield from self._methods(functions, "")
            elif owner not in self._description.shapes.classes:
                yield f"\nclass {owner.name}:"
                yield from self._methods(functions, "    ")

    def _methods(self, functions: list[Function], indent: str) -> Iterator[str]:
        names = [function.name for function in functions]
        for function in functions:
            if names.count(function.name) > 1:
                yield f"{indent}@overload"
            if indent:
                yield f"{indent}@staticmethod"
            yield f"{indent}{self._signature(function)}"
            names_ = [argument.csharp_name for argument in function.arguments]
            text = self._description.documentation.of_method(
                function.owner.path, function.name, names_
            )
            yield from _docstring(text, indent + "    ")
            yield f"{indent}    ..."

    def _signature(self, function: Function) -> str:
        parameters = []
        for argument in function.given:
            type_ = self._argument(argument.shape)
            if argument.default == (None,) and not isinstance(argument.shape, Optional):
                type_ += " | None"
            parameters.append(f"{argument.name}: {type_}{' = ...' if argument.default else ''}")
        answer = function.answer
        result = "None" if answer is None else self._result(answer)
        if function.stream:
            iterator = "AsyncIterator" if function.asynchronous else "Iterator"
            return f"def {function.name}({', '.join(parameters)}) -> {iterator}[{result}]:"
        head = "async def" if function.is_async else "def"
        return f"{head} {function.name}({', '.join(parameters)}) -> {result}:"

    # ---------------------------------------------------------------- types

    def _result(self, shape: Shape) -> str:  # noqa: PLR0911 - one for each kind of shape
        """What Python gets."""
        if isinstance(shape, Fixed):
            return self._fixed(shape)
        if isinstance(shape, Optional):
            return f"{self._result(shape.value)} | None"
        if isinstance(shape, Tuple):
            return f"tuple[{', '.join(map(self._result, shape.items)) or '()'}]"
        if isinstance(shape, Mapping):
            return f"dict[{self._result(shape.key)}, {self._result(shape.value)}]"
        if isinstance(shape, (Block, Sequence)):
            if shape.result == "memoryview":
                return "memoryview"
            return f"{shape.result}[{self._result(shape.element)}]"
        return self._named(shape)

    def _argument(self, shape: Shape) -> str:  # noqa: PLR0911 - one for each kind of shape
        """What Python gives."""
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
        if isinstance(shape, Blob):
            return "Buffer | Sequence[int]"
        if isinstance(shape, Record):
            return f"{shape.name} | Mapping[str, Any]"
        return self._result(shape)

    def _fixed(self, shape: Fixed) -> str:
        if shape.kind is Kind.ENUM:
            return str(shape.python.__name__)
        return _KINDS[shape.kind]

    def _named(self, shape: Shape) -> str:
        kinds: dict[type, str] = {Text: "str", Blob: "bytes", Wide: "int", Json: "Any"}
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
