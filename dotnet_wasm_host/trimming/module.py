"""An assembly with its metadata indexed by who owns what."""

from __future__ import annotations

import struct
from contextlib import contextmanager
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, TypeVar, final

from dotnet_wasm_host.ecma335.binary import Allowance, MalformedImage
from dotnet_wasm_host.ecma335.il import Body, parse_body
from dotnet_wasm_host.ecma335.metadata import SHARED_BYTES, SHARING, Metadata
from dotnet_wasm_host.ecma335.rows import (
    AssemblyRefRow,
    CustomAttributeRow,
    ExportedTypeRow,
    FieldRow,
    GenericParamConstraintRow,
    GenericParamRow,
    InterfaceImplRow,
    ManifestResourceRow,
    MethodDefRow,
    MethodImplRow,
    NestedClassRow,
    PropertyMapRow,
    PropertyRow,
    TypeDefRow,
    TypeRefRow,
)
from dotnet_wasm_host.ecma335.tables import (
    HAS_CUSTOM_ATTRIBUTE,
    IMPLEMENTATION,
    RESOLUTION_SCOPE,
    TYPE_OR_METHOD_DEF,
    Table,
)
from dotnet_wasm_host.errors import DotnetHostError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = ["CORE", "Module", "damage_is_malformed"]

_Value = TypeVar("_Value")
#: The assembly that the runtime cannot do without.
CORE = "System.Private.CoreLib"
#: Types inside of types; what C# programs have is below 10.
MAX_NESTING = 100


@final
class Module:
    """One assembly. Types, methods and fields are their row numbers, counted from 1."""

    def __init__(self, index: int, name: str, data: bytes, *, is_root: bool) -> None:
        self.index = index
        self.name = name
        self.data = data
        #: Kept byte for byte, and everything in it taken as used.
        self.is_root = is_root
        self.metadata: Metadata = Metadata(data)
        md = self.metadata
        self.is_core: bool = name == CORE
        self.enclosing: dict[int, int] = {
            row.nested: row.enclosing for row in md.rows(NestedClassRow)
        }
        self.nested: dict[int, list[int]] = _grouped((e, n) for n, e in self.enclosing.items())
        types = md.rows(TypeDefRow)
        self._field_starts = _starts((row.field_list for row in types), md.count(Table.FIELD))
        self._method_starts = _starts(
            (row.method_list for row in types), md.count(Table.METHOD_DEF)
        )
        self._parameter_starts = _starts(
            (row.param_list for row in md.rows(MethodDefRow)), md.count(Table.PARAM)
        )
        _check_nesting(self.enclosing, len(types))
        self.field_owner: list[int] = _owners(self._field_starts)
        self.method_owner: list[int] = _owners(self._method_starts)
        self.interfaces: dict[int, list[int]] = _grouped(
            (owner, row) for row, (owner, _) in enumerate(md.rows(InterfaceImplRow), 1)
        )
        self.method_impls: dict[int, list[tuple[int, int]]] = _grouped(
            (owner, (body, declaration)) for owner, body, declaration in md.rows(MethodImplRow)
        )
        self.generic_parameters: dict[int, list[int]] = _grouped(
            (owner, row) for row, (_, _, owner, _) in enumerate(md.rows(GenericParamRow), 1)
        )
        self.constraints: dict[int, list[int]] = _grouped(
            (owner, row) for row, (owner, _) in enumerate(md.rows(GenericParamConstraintRow), 1)
        )
        self.attributes: dict[int, list[int]] = _grouped(
            (owner, row) for row, (owner, _, _) in enumerate(md.rows(CustomAttributeRow), 1)
        )
        self._full_names: dict[int, str] = {}
        self._name_length = Allowance("names of types", SHARED_BYTES + SHARING * len(data))
        self.by_name: dict[str, int] = {
            self.full_name(row): row for row in range(1, len(types) + 1)
        }
        self._method_names: dict[int, dict[str, list[int]]] = {}
        self._field_names: dict[int, dict[str, list[int]]] = {}

    @property
    def types(self) -> range:
        """All types, ``<Module>`` first."""
        return self.metadata.numbers(Table.TYPE_DEF)

    def full_name(self, type_: int) -> str:
        """``Namespace.Name``, nested ones behind a slash."""
        name = self._full_names.get(type_)
        if name is None:
            _, simple, namespace, *_ = self.metadata.row(TypeDefRow, type_)
            name = self.metadata.string(simple)
            if type_ in self.enclosing:
                name = f"{self.full_name(self.enclosing[type_])}/{name}"
            elif namespace:
                name = f"{self.metadata.string(namespace)}.{name}"
            self._name_length.spend(len(name))
            self._full_names[type_] = name
        return name

    def methods(self, type_: int) -> range:
        """Methods of a type."""
        return range(self._method_starts[type_ - 1], self._method_starts[type_])

    def fields(self, type_: int) -> range:
        """Fields of a type."""
        return range(self._field_starts[type_ - 1], self._field_starts[type_])

    def properties(self, type_: int) -> range:
        """Properties of a type (II.22.35)."""
        maps = self.metadata.rows(PropertyMapRow)
        ends = [*(row.property_list for row in maps[1:]), len(self.metadata.rows(PropertyRow)) + 1]
        for row, end in zip(maps, ends, strict=False):
            if row.parent == type_:
                return range(row.property_list, end)
        return range(0)

    def type_ref_name(self, row: int) -> str:
        """Full name in a TypeRef, nested ones behind a slash."""
        *nested, outermost = self._enclosing_refs(row)
        _, name, namespace = self.metadata.row(TypeRefRow, outermost)
        text = self.metadata.string(name)
        names = [f"{self.metadata.string(namespace)}.{text}" if namespace else text]
        inner = (self.metadata.row(TypeRefRow, n).name for n in reversed(nested))
        names += map(self.metadata.string, inner)
        return "/".join(names)

    def type_ref_scope(self, row: int) -> str:
        """Simple name of the assembly that a TypeRef points into."""
        scope = self.metadata.row(TypeRefRow, self._enclosing_refs(row)[-1]).resolution_scope
        table, parent = RESOLUTION_SCOPE.split(scope)
        if table is Table.ASSEMBLY_REF:
            return self.metadata.string(self.metadata.row(AssemblyRefRow, parent).name)
        return self.name

    def _enclosing_refs(self, row: int) -> list[int]:
        """A TypeRef and those that it is nested in, the outermost last."""
        rows = [row]
        while len(rows) <= MAX_NESTING:
            scope = self.metadata.row(TypeRefRow, rows[-1]).resolution_scope
            table, parent = RESOLUTION_SCOPE.split(scope)
            if table is not Table.TYPE_REF or not parent:
                return rows
            rows.append(parent)
        raise MalformedImage(f"type reference {row} is nested in more than {MAX_NESTING} others")

    @cached_property
    def forwarders(self) -> dict[str, str]:
        """II.22.14: full name of a type that lives elsewhere to the assembly it is in."""
        metadata = self.metadata
        found = {}
        for _, _, name, namespace, coded in metadata.rows(ExportedTypeRow):
            table, row = IMPLEMENTATION.split(coded)
            if table is Table.ASSEMBLY_REF:
                text = metadata.string(name)
                full = f"{metadata.string(namespace)}.{text}" if namespace else text
                found[full] = metadata.string(metadata.row(AssemblyRefRow, row).name)
        return found

    def method_name(self, method: int) -> str:
        """Name of a method."""
        return self.metadata.string(self.metadata.row(MethodDefRow, method).name)

    def field_name(self, field: int) -> str:
        """Name of a field."""
        return self.metadata.string(self.metadata.row(FieldRow, field).name)

    def methods_named(self, type_: int, name: str) -> list[int]:
        """Methods of a type with that name."""
        names = self._method_names.get(type_)
        if names is None:
            names = {}
            for method in self.methods(type_):
                names.setdefault(self.method_name(method), []).append(method)
            self._method_names[type_] = names
        return names.get(name, [])

    def fields_named(self, type_: int, name: str) -> list[int]:
        """Fields of a type with that name."""
        names = self._field_names.get(type_)
        if names is None:
            names = {}
            for field in self.fields(type_):
                names.setdefault(self.field_name(field), []).append(field)
            self._field_names[type_] = names
        return names.get(name, [])

    def parameters(self, method: int) -> range:
        """Rows of Param of a method (II.22.33); the one with sequence 0 is its result."""
        return range(self._parameter_starts[method - 1], self._parameter_starts[method])

    def attributes_of(self, table: Table, row: int) -> list[int]:
        """Rows of CustomAttribute on something."""
        return self.attributes.get(HAS_CUSTOM_ATTRIBUTE.join(table, row), [])

    def generics_of(self, table: Table, row: int) -> list[int]:
        """Rows of GenericParam of a type or method."""
        return self.generic_parameters.get(TYPE_OR_METHOD_DEF.join(table, row), [])

    def body(self, method: int) -> Body | None:
        """Body of a method; None if it has none."""
        rva, implementation, *_ = self.metadata.row(MethodDefRow, method)
        # II.23.1.11: only IL has a body that reads like one.
        if not rva or implementation & 0x3:
            return None
        content, offset = self.content(rva)
        return parse_body(content, offset)

    def content(self, rva: int) -> tuple[bytes, int]:
        """The section that holds an address, and the offset in it."""
        for section in self.metadata.image.sections:
            offset = rva - section.virtual_address
            if 0 <= offset < len(section.content):
                return section.content, offset
        return self.metadata.image.at(rva, 1), 0

    def resources(self) -> dict[str, bytes]:
        """Embedded resources by name."""
        start, _ = self._resource_directory()
        found = {}
        for offset, _, name, implementation in self.metadata.rows(ManifestResourceRow):
            if implementation == 0:
                content, position = self.content(start + offset)
                size = int.from_bytes(content[position : position + 4], "little")
                data = content[position + 4 : position + 4 + size]
                found[self.metadata.string(name)] = data
        return found

    def _resource_directory(self) -> tuple[int, int]:
        header, offset = self.content(self.metadata.image.cli_header[0])
        # II.25.3.3: the address and size of the resources are at 24 of the CLI header.
        rva, size = header[offset + 24 : offset + 28], header[offset + 28 : offset + 32]
        return int.from_bytes(rva, "little"), int.from_bytes(size, "little")


@contextmanager
def damage_is_malformed() -> Iterator[None]:
    """Turn what reading a damaged assembly can end in to :class:`MalformedImage`.

    Rows refer to rows, and whoever follows them relies on what a compiler writes: a number of a row
    that does not exist is an IndexError somewhere, text that is none a UnicodeError.
    """
    try:
        yield
    except DotnetHostError:
        raise
    except (
        *(ValueError, LookupError, ArithmeticError, TypeError),
        *(RecursionError, AssertionError, struct.error),
    ) as error:
        raise MalformedImage(f"an assembly is damaged: {type(error).__name__}: {error}") from error


def _grouped(pairs: Iterable[tuple[int, _Value]]) -> dict[int, list[_Value]]:
    groups: dict[int, list[_Value]] = {}
    for key, value in pairs:
        groups.setdefault(key, []).append(value)
    return groups


def _starts(lists: Iterable[int], count: int) -> list[int]:
    """First members of the owners in a table, and where the last one's end (II.22.37)."""
    starts = [*lists, count + 1]
    if starts[0] < 1 or any(start > end for start, end in pairwise(starts)):
        raise MalformedImage("members in the metadata are not in the order of their owners")
    return starts


def _check_nesting(enclosing: Mapping[int, int], count: int) -> None:
    """Refuse types that are nested in each other, in what there is not, or in too many."""
    for type_, outer in enclosing.items():
        depth = 0
        around: int | None = outer
        while around is not None:
            depth += 1
            if not (0 < around <= count and 0 < type_ <= count) or depth > MAX_NESTING:
                raise MalformedImage(f"type {type_} cannot be nested in type {outer}")
            around = enclosing.get(around)


def _owners(starts: list[int]) -> list[int]:
    """Owner of each row, by row number; index 0 is nobody's."""
    owners = [0] * starts[0]
    for owner, (start, end) in enumerate(pairwise(starts), 1):
        owners += [owner] * (end - start)
    return owners
