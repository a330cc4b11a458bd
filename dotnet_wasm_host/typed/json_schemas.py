"""JSON Schema (2020-12, as OpenAPI 3.1 has it) of arguments and results."""

from __future__ import annotations

import enum
from typing import Any

from dotnet_wasm_host.typed.json_writing import TYPE, has_text_keys
from dotnet_wasm_host.typed.shapes import (
    Blob,
    Block,
    Checked,
    Fixed,
    Grid,
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
from dotnet_wasm_host.typed.values import integer_range

__all__ = ["SchemaMaker"]

_TEXTS = {
    Kind.UUID: "uuid",
    Kind.DATETIME: "date-time",
    Kind.MOMENT: "date-time",
    Kind.DATE: "date",
    Kind.TIME: "time",
    Kind.DURATION: "duration",
}
_INTEGERS = {"i": "int32", "q": "int64"}
_FLOATS = {"e": "half", "f": "float", "d": "double"}


class SchemaMaker:
    """Makes schemas; those of records are :attr:`definitions`, to which others refer.

    Args:
        where: what stands before a record's name in a reference.
        prefix: what its name there begins with.
        definitions: where others have put theirs.
    """

    def __init__(
        self,
        where: str = "#/definitions/",
        prefix: str = "",
        definitions: dict[str, dict[str, Any]] | None = None,
    ) -> None:
        self._where = where
        self._prefix = prefix
        self._names: dict[tuple[int, bool], str] = {}
        self.definitions: dict[str, dict[str, Any]] = {} if definitions is None else definitions

    def argument(self, shape: Shape, *, nullable: bool = False) -> dict[str, Any]:
        """What a parameter takes, at its best; docs/worker.md says what it takes besides."""
        schema = self._schema(shape, result=False)
        return _or_null(schema) if nullable else schema

    def result(self, shape: Shape) -> dict[str, Any]:
        """What a method gives, null included where .NET has it."""
        return self._schema(shape, result=True)

    def _schema(self, shape: Shape, *, result: bool) -> dict[str, Any]:  # noqa: PLR0911 - by kind
        if isinstance(shape, Fixed):
            return _fixed(shape, result=result)
        if isinstance(shape, Json):
            return {}
        if isinstance(shape, Wide):
            return {"type": "integer"}
        if isinstance(shape, Checked):
            made = self._reference(shape.value, result=result)
            return _or_null(made) if shape.is_nullable else made
        if isinstance(shape, Optional):
            return _or_null(self._schema(shape.value, result=result))
        if isinstance(shape, Tuple):
            items = [self._schema(item, result=result) for item in shape.items]
            count = len(items)
            return {"type": "array", "prefixItems": items, "minItems": count, "maxItems": count}
        made = self._reference(shape, result=result)
        is_value = isinstance(shape, Record) and not shape.is_class
        return _or_null(made) if result and not is_value else made

    def _reference(self, shape: Shape, *, result: bool) -> dict[str, Any]:  # noqa: PLR0911 - by kind
        """What may be null."""
        if isinstance(shape, Text):
            return {"type": "string"}
        if isinstance(shape, Blob):
            return {"type": "string", "contentEncoding": "base64", "format": "byte"}
        if isinstance(shape, (Block, Sequence)):
            return {"type": "array", "items": self._schema(shape.element, result=result)}
        if isinstance(shape, Grid):
            made = self._schema(shape.element, result=result)
            for _ in range(shape.rank):
                made = {"type": "array", "items": made}
            return made
        if isinstance(shape, Mapping):
            value = self._schema(shape.value, result=result)
            if has_text_keys(shape):
                return {"type": "object", "additionalProperties": value}
            pair = [self._schema(shape.key, result=result), value]
            items = {"type": "array", "prefixItems": pair, "minItems": 2, "maxItems": 2}
            return {"type": "array", "items": items}
        assert isinstance(shape, Record)
        own = [] if shape.is_abstract else [{"$ref": self._where + self._define(shape)}]
        # Those that derive from it say which they are.
        others = [{"$ref": self._where + self._define(other, said=True)} for other in shape.derived]
        return {"anyOf": [*own, *others]} if others else own[0]

    def _define(self, shape: Record, *, said: bool = False) -> str:
        name = self._names.get((id(shape), said))
        if name is None:
            wanted = name = self._prefix + shape.name + ("OfType" if said else "")
            number = 1
            while name in self.definitions:
                number += 1
                name = f"{wanted}{number}"
            self._names[id(shape), said] = name
            # Known before its fields are, which may have it inside.
            definition = self.definitions[name] = {"type": "object", "title": shape.name}
            properties = {TYPE: {"const": shape.name}} if said else {}
            properties.update(
                (field.name, self._schema(field.shape, result=True)) for field in shape.fields
            )
            definition["properties"] = properties
            definition["required"] = list(properties)
            definition["additionalProperties"] = False
        return name


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    kind = schema.get("type")
    if isinstance(kind, str) and "enum" not in schema:
        return {**schema, "type": [kind, "null"]}
    if isinstance(kind, list):
        return {**schema, "type": kind if "null" in kind else [*kind, "null"]}
    return {"anyOf": [schema, {"type": "null"}]} if schema else schema


def _fixed(shape: Fixed, *, result: bool) -> dict[str, Any]:  # noqa: PLR0911 - one for each kind
    kind = shape.kind
    if kind in _TEXTS:
        return {"type": "string", "format": _TEXTS[kind]}
    if kind is Kind.BOOL:
        return {"type": "boolean"}
    if kind is Kind.INTEGER:
        low, high = integer_range(shape)
        named = {"format": _INTEGERS[shape.format]} if shape.format in _INTEGERS else {}
        return {"type": "integer", **named, "minimum": low, "maximum": high}
    if kind is Kind.FLOAT:
        type_: str | list[str] = ["number", "string"] if result else "number"
        return {"type": type_, "format": _FLOATS[shape.format]}
    if kind is Kind.CHAR:
        return {"type": "string", "minLength": 1, "maxLength": 1}
    if kind is Kind.DECIMAL:
        return {"type": "string" if result else ["string", "number"], "format": "decimal"}
    names = list(shape.python.__members__)
    if issubclass(shape.python, enum.IntFlag):
        return {"type": ["string", "integer"], "title": shape.python.__name__, "examples": names}
    members = {"type": "string", "title": shape.python.__name__, "enum": names}
    # A number that has no name is a value of the enum, too.
    return {"anyOf": [members, {"type": "integer"}]} if result else members
