"""Copy the types of one assembly into another one.

What the types refer to is found there by name: types of the base library itself, or its references
to others. Custom attributes, properties and constants stay behind; nothing that runs needs them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, final

from dotnet_wasm_host.ecma335.binary import MalformedImage
from dotnet_wasm_host.ecma335.il import CATCH, encode_body, tokens
from dotnet_wasm_host.ecma335.metadata import read_compressed
from dotnet_wasm_host.ecma335.rows import (
    AssemblyRefRow,
    ClassLayoutRow,
    FieldRow,
    FieldRvaRow,
    InterfaceImplRow,
    MemberRefRow,
    MethodDefRow,
    MethodSpecRow,
    ParamRow,
    StandAloneSigRow,
    TypeDefRow,
    TypeRefRow,
    TypeSpecRow,
)
from dotnet_wasm_host.ecma335.signatures import rename, rename_type
from dotnet_wasm_host.ecma335.tables import (
    MEMBER_REF_PARENT,
    METHOD_DEF_OR_REF,
    RESOLUTION_SCOPE,
    TYPE_DEF_OR_REF,
    Table,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from dotnet_wasm_host.ecma335.il import Body
    from dotnet_wasm_host.trimming.module import Module
    from runtime_artifacts.pipeline.appending import GrowingAssembly

__all__ = ["Transplant"]

_ROW_BITS, _ROW_MASK = 24, 0xFFFFFF
#: II.24.2.4: the first byte of a token into the #US heap.
_USER_STRING = 0x70
#: II.23.1.5: a constant, which code has in itself.
_LITERAL = 0x40
#: Compilers put these into each assembly.
_OF_COMPILERS = ("Microsoft.CodeAnalysis.", "System.Runtime.CompilerServices.")
#: References to the base library have one of these scopes.
_BASE = ("System.Runtime", "System.Private.CoreLib")


@final
class Transplant:
    """Copies all types of ``source`` into ``into``, which is ``target`` while it grows.

    Attributes:
        methods: by type and name of the source's methods, their numbers and signatures in the
            target.
    """

    def __init__(self, source: Module, target: Module, into: GrowingAssembly) -> None:
        self.methods: dict[tuple[str, str], list[tuple[int, bytes]]] = {}
        self._source, self._target, self._into = source, target, into
        self._types = [t for t in source.types if t > 1 and not self._is_left(t)]
        fields = [f for t in self._types for f in source.fields(t) if not self._is_literal(f)]
        methods = [m for t in self._types for m in source.methods(t)]
        self._new = {
            table: {old: into.next_row(table) + index for index, old in enumerate(rows)}
            for table, rows in (
                (Table.TYPE_DEF, self._types),
                (Table.FIELD, fields),
                (Table.METHOD_DEF, methods),
            )
        }
        self._memo: dict[tuple[object, ...], int] = {}
        self._references = {
            target.type_ref_name(row): row for row in target.metadata.numbers(Table.TYPE_REF)
        }
        if source.generic_parameters or source.method_impls:
            raise MalformedImage(f"{source.name} has generic types, or explicit implementations")

    def _is_left(self, type_: int) -> bool:
        return self._source.full_name(type_).startswith(_OF_COMPILERS)

    def _is_literal(self, field: int) -> bool:
        return bool(self._source.metadata.row(FieldRow, field).flags & _LITERAL)

    def copy(self) -> None:
        """Copy everything."""
        source, into = self._source, self._into
        for type_ in self._types:
            self._copy_type(type_)
        layouts = {row.parent: row for row in source.metadata.rows(ClassLayoutRow)}
        for type_ in self._types:
            new = self._new[Table.TYPE_DEF][type_]
            if type_ in layouts:
                packing, size, _ = layouts[type_]
                into.add(Table.CLASS_LAYOUT, packing, size, new)
            if type_ in source.enclosing:
                outer = self._new[Table.TYPE_DEF][source.enclosing[type_]]
                into.add(Table.NESTED_CLASS, new, outer)
            for row in source.interfaces.get(type_, ()):
                interface = source.metadata.row(InterfaceImplRow, row).interface
                into.add(Table.INTERFACE_IMPL, new, self._type(interface))
        self._copy_contents()

    def _copy_type(self, type_: int) -> None:
        source, into = self._source, self._into
        row = source.metadata.row(TypeDefRow, type_)
        name = source.metadata.string(row.name)
        if source.full_name(type_) in self._target.by_name:
            # Classes that compilers make for initial contents have one name everywhere.
            name = f"{name}.{source.name}"
        into.add(
            Table.TYPE_DEF,
            row.flags,
            into.string(name),
            into.string(source.metadata.string(row.namespace)),
            self._type(row.extends) if row.extends else 0,
            into.next_row(Table.FIELD),
            into.next_row(Table.METHOD_DEF),
        )
        for field in source.fields(type_):
            if field in self._new[Table.FIELD]:
                flags, text, signature = source.metadata.row(FieldRow, field)
                blob = rename(source.metadata.blob(signature), self._type)
                into.add(
                    Table.FIELD, flags, into.string(source.metadata.string(text)), into.blob(blob)
                )
        for method in source.methods(type_):
            self._copy_method(type_, method)

    def _copy_method(self, type_: int, method: int) -> None:
        source, into = self._source, self._into
        row = source.metadata.row(MethodDefRow, method)
        name = source.metadata.string(row.name)
        signature = rename(source.metadata.blob(row.signature), self._type)
        new = into.add(
            Table.METHOD_DEF,
            0,
            row.impl_flags,
            row.flags,
            into.string(name),
            into.blob(signature),
            into.next_row(Table.PARAM),
        )
        for parameter in source.parameters(method):
            flags, sequence, text = source.metadata.row(ParamRow, parameter)
            into.add(Table.PARAM, flags, sequence, into.string(source.metadata.string(text)))
        if body := source.body(method):
            into.address(Table.METHOD_DEF, new, into.place(encode_body(self._body(body))))
        key = (source.full_name(type_).rpartition(".")[2], name)
        self.methods.setdefault(key, []).append((new, signature))

    def _body(self, body: Body) -> Body:
        code = bytearray(body.code)
        for position, _, token in tokens(body.code):
            code[position : position + 4] = self._token(token).to_bytes(4, "little")
        return replace(
            body,
            code=bytes(code),
            locals_token=self._token(body.locals_token) if body.locals_token else 0,
            clauses=tuple(
                clause._replace(extra=self._token(clause.extra)) if clause.kind == CATCH else clause
                for clause in body.clauses
            ),
        )

    def _token(self, token: int) -> int:
        table, row = token >> _ROW_BITS, token & _ROW_MASK
        if table == _USER_STRING:
            content = self._source.metadata.user_string(row)
            place = self._once(("literal", content), lambda: self._into.user_string(content))
            return _USER_STRING << _ROW_BITS | place
        kind = Table(table)
        if kind in {Table.TYPE_DEF, Table.TYPE_REF, Table.TYPE_SPEC}:
            new_kind, new = TYPE_DEF_OR_REF.split(self._type(TYPE_DEF_OR_REF.join(kind, row)))
            return int(new_kind) << _ROW_BITS | new
        if kind in self._new:
            return int(kind) << _ROW_BITS | self._new[kind][row]
        return int(kind) << _ROW_BITS | self._other(kind, row)

    def _other(self, kind: Table, row: int) -> int:
        """The row that says the same as one of the source, added at its first use."""
        metadata, into = self._source.metadata, self._into
        if kind is Table.STAND_ALONE_SIG:
            blob = rename(metadata.blob(metadata.row(StandAloneSigRow, row).signature), self._type)
            return self._once((kind, blob), lambda: into.add(kind, into.blob(blob)))
        if kind is Table.METHOD_SPEC:
            method, arguments = metadata.row(MethodSpecRow, row)
            table, number = METHOD_DEF_OR_REF.split(method)
            token = self._token(int(table) << _ROW_BITS | number)
            coded = METHOD_DEF_OR_REF.join(table, token & _ROW_MASK)
            blob = rename(metadata.blob(arguments), self._type)
            return self._once((kind, coded, blob), lambda: into.add(kind, coded, into.blob(blob)))
        if kind is not Table.MEMBER_REF:
            raise MalformedImage(f"code of {self._source.name} refers to {kind.name}")
        parent, name, signature = metadata.row(MemberRefRow, row)
        table, owner = MEMBER_REF_PARENT.split(parent)
        kept, place = TYPE_DEF_OR_REF.split(self._type(TYPE_DEF_OR_REF.join(table, owner)))
        coded = MEMBER_REF_PARENT.join(kept, place)
        text, blob = metadata.string(name), rename(metadata.blob(signature), self._type)
        return self._once(
            (kind, coded, text, blob),
            lambda: into.add(kind, coded, into.string(text), into.blob(blob)),
        )

    def _once(self, key: tuple[object, ...], add: Callable[[], int]) -> int:
        found = self._memo.get(key)
        if found is None:
            found = self._memo[key] = add()
        return found

    def _type(self, coded: int) -> int:
        """The TypeDefOrRef index of the target that means what one of the source means."""
        table, row = TYPE_DEF_OR_REF.split(coded)
        if table is Table.TYPE_DEF:
            return TYPE_DEF_OR_REF.join(table, self._new[table][row])
        if table is Table.TYPE_SPEC:
            signature = self._source.metadata.row(TypeSpecRow, row).signature
            blob = rename_type(self._source.metadata.blob(signature), self._type)
            place = self._once((table, blob), lambda: self._into.add(table, self._into.blob(blob)))
            return TYPE_DEF_OR_REF.join(table, place)
        name = self._source.type_ref_name(row)
        if name in self._target.by_name:
            return TYPE_DEF_OR_REF.join(Table.TYPE_DEF, self._target.by_name[name])
        if name not in self._references:
            self._references[name] = self._refer(row, name)
        return TYPE_DEF_OR_REF.join(Table.TYPE_REF, self._references[name])

    def _refer(self, row: int, name: str) -> int:
        """Add a reference to a type of the base library."""
        _, text, namespace = self._source.metadata.row(TypeRefRow, row)
        strings = self._source.metadata.string
        for number, scope in enumerate(self._target.metadata.rows(AssemblyRefRow), 1):
            if self._target.metadata.string(scope.name) in _BASE and "/" not in name:
                return self._into.add(
                    Table.TYPE_REF,
                    RESOLUTION_SCOPE.join(Table.ASSEMBLY_REF, number),
                    self._into.string(strings(text)),
                    self._into.string(strings(namespace)),
                )
        raise MalformedImage(f"{self._target.name} has no way to refer to {name}")

    def _copy_contents(self) -> None:
        """II.22.18: initial contents of fields."""
        source, into = self._source, self._into
        sizes = {row.parent: row.class_size for row in source.metadata.rows(ClassLayoutRow)}
        for rva, field in source.metadata.rows(FieldRvaRow):
            signature = source.metadata.blob(source.metadata.row(FieldRow, field).signature)
            content, offset = source.content(rva)
            size = sizes[_value_type(signature)]
            row = into.add(Table.FIELD_RVA, 0, self._new[Table.FIELD][field])
            into.address(Table.FIELD_RVA, row, into.place(content[offset : offset + size]))


def _value_type(signature: bytes) -> int:
    """II.23.2.4: the row of a field's type, which is a value type of the same assembly."""
    if signature[:2] != b"\x06\x11":
        raise MalformedImage("a field with content has a primitive type")
    coded, _ = read_compressed(signature, 2)
    return TYPE_DEF_OR_REF.split(coded)[1]
