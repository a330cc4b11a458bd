"""Weave C# into an assembly: its types are copied, and methods hand over to static ones of theirs.

What the types refer to is found in the assembly by name, or through its references to others, and
made visible inside of it. Rows and bodies get behind what is there, so nothing is renumbered. The
C# has no generic types or methods of its own and no explicit implementations. Custom attributes,
properties and constants stay behind: nothing that runs needs them.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, NamedTuple, final

from dotnet_wasm_host.ecma335.binary import MalformedImage
from dotnet_wasm_host.ecma335.il import FAT_HEADER, FILTER, Body, Op, encode_body, tokens
from dotnet_wasm_host.ecma335.metadata import read_compressed
from dotnet_wasm_host.ecma335.rows import (
    AssemblyRefRow,
    ClassLayoutRow,
    FieldRow,
    FieldRvaRow,
    InterfaceImplRow,
    MemberRefRow,
    MethodDefRow,
    ParamRow,
    TypeDefRow,
    TypeRefRow,
)
from dotnet_wasm_host.ecma335.signatures import MethodSignature, SignatureReader
from dotnet_wasm_host.ecma335.tables import (
    MEMBER_REF_PARENT,
    RESOLUTION_SCOPE,
    TYPE_DEF_OR_REF,
    Table,
)
from dotnet_wasm_host.ecma335.webcil import to_pe
from dotnet_wasm_host.overriding import override
from dotnet_wasm_host.trimming.module import Module
from dotnet_wasm_host.trimming.retargeting import ROW_BITS, ROW_MASK, Retargeting
from runtime_artifacts.pipeline.assembly_draft import AssemblyDraft

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "Edit",
    "Guard",
    "Replacement",
    "Weave",
    "body_hash",
    "edited",
    "find",
    "for_compiler",
    "weave",
]

#: II.23.1.5: a constant, which compilers write into code.
LITERAL = 0x40
#: II.23.2.1: the method has a ``this``.
HAS_THIS = 0x20
#: II.23.1.16.
_BOOLEAN = 0x02
#: III.3.38: the opcodes of the first four arguments are short.
_SHORTHANDS, _LDARG_S = 4, 0x0E
#: References to the base library have one of these scopes.
_BASE = ("System.Runtime", "System.Private.CoreLib")


class Replacement(NamedTuple):
    """A method that hands over.

    Attributes:
        type, method: of the assembly.
        parameters: how many the method has, ``this`` left out.
        sha256: of the body that it had.
        by: the static method in its place, ``Namespace.Type::Method``. It takes ``this`` first.
    """

    type: str
    method: str
    parameters: int
    sha256: str
    by: str


class Guard(NamedTuple):
    """A method without result that asks another one first, and returns if that says true.

    Attributes:
        type, method, parameters, sha256: see :class:`Replacement`.
        by: the static method that is asked, with the same arguments.
    """

    type: str
    method: str
    parameters: int
    sha256: str
    by: str


class Edit(NamedTuple):
    """An instruction that becomes another one of its size.

    Attributes:
        assembly: simple name.
        type, method, parameters, sha256: see :class:`Replacement`.
        offset: of the instruction in the code.
        old, new: the bytes.
    """

    assembly: str
    type: str
    method: str
    parameters: int
    sha256: str
    offset: int
    old: bytes
    new: bytes


class Weave(NamedTuple):
    """What one assembly gets.

    Attributes:
        assembly: simple name.
        code: file of the compiled C#, in ``guest/bin``.
        replacements: which methods hand over to that.
    """

    assembly: str
    code: str
    replacements: tuple[Replacement | Guard, ...]


def edited(assembly: bytes, edit: Edit) -> bytes:
    """``assembly`` with one instruction changed; MalformedImage as for :func:`weave`."""
    module = Module(0, edit.assembly, assembly, is_root=False)
    method = find(module, edit)
    body = module.body(method)
    assert body is not None
    assert body.code.startswith(edit.old, edit.offset)
    assert len(edit.old) == len(edit.new)
    image = module.metadata.image
    start = image.file_offset(module.metadata.row(MethodDefRow, method).rva)
    # The header is in front of the code: 1 or 12 bytes.
    place = assembly.index(body.code, start, start + FAT_HEADER.size + len(body.code)) + edit.offset
    return assembly[:place] + edit.new + assembly[place + len(edit.new) :]


def for_compiler(assembly: bytes) -> bytes:
    """A raw webcil assembly as a PE file in which everything is public."""
    draft = AssemblyDraft(assembly)
    draft.publish()
    return to_pe(draft.webcil())


def body_hash(module: Module, method: int) -> str:
    """SHA-256 of a method's code, with names in the place of tokens: rows may be renumbered."""
    body = module.body(method)
    if body is None:
        return "no body"
    code, names = bytearray(body.code), []
    for position, op, token in tokens(body.code):
        code[position : position + 4] = bytes(4)
        names.append(_name(module, op, token))
    whole = bytes(code) + repr((names, body.clauses and len(body.clauses))).encode()
    return hashlib.sha256(whole).hexdigest()


def weave(one: Weave, assembly: bytes, code: bytes) -> bytes:
    """``assembly``, raw webcil, with the types of ``code``, and with the replacements.

    Raises:
        MalformedImage: a method is not there or has another body, or the code refers to
            something that the assembly does not have.
    """
    target = Module(0, one.assembly, assembly, is_root=False)
    source = Module(1, PurePosixPath(one.code).stem, code, is_root=False)
    return _Weaver(target, source).weave(one.replacements)


@final
class _Weaver(Retargeting):
    """Copies all types of ``source`` into ``target``, whose methods hand over to theirs."""

    def __init__(self, target: Module, source: Module) -> None:
        self._target, self._source = target, source
        self._draft = draft = AssemblyDraft(target.data)
        types = [t for t in source.types[1:] if not _is_of_compilers(source.full_name(t))]
        joined = {t: row for t in types if (row := self._joined(t))}
        self._types = [t for t in types if t not in joined]
        fields = [f for t in self._types for f in source.fields(t) if not _is_constant(source, f)]
        self._methods = [m for t in self._types for m in source.methods(t)]
        new = {
            table: {old: number for number, old in enumerate(rows, len(draft.rows[table]) + 1)}
            for table, rows in (
                (Table.TYPE_DEF, self._types),
                (Table.FIELD, fields),
                (Table.METHOD_DEF, self._methods),
            )
        }
        new[Table.TYPE_DEF] |= joined
        super().__init__(source.name, source.metadata, draft, new)
        self._references = {
            target.type_ref_name(row): row for row in target.metadata.numbers(Table.TYPE_REF)
        }
        if source.generic_parameters or source.method_impls:
            raise MalformedImage(f"{source.name} has generic types, or explicit implementations")

    def _joined(self, type_: int) -> int:
        """The type of that name in the assembly, for one that only has types inside of it."""
        source, name = self._source, self._source.full_name(type_)
        if name not in self._target.by_name or name.startswith("<"):
            return 0
        if source.fields(type_) or source.methods(type_):
            raise MalformedImage(f"{name} has members in the code and in {self._target.name}")
        return self._target.by_name[name]

    def weave(self, replacements: Sequence[Replacement | Guard]) -> bytes:
        for type_ in self._types:
            self._copy_type(type_)
        layouts = {row.parent: row for row in self._source.metadata.rows(ClassLayoutRow)}
        for type_ in self._types:
            self._copy_relations(type_, layouts)
        for rva, field in self._source.metadata.rows(FieldRvaRow):
            self._copy_content(rva, field, layouts)
        for replacement in replacements:
            self._replace(replacement)
        return self._draft.webcil()

    def _copy_type(self, type_: int) -> None:
        source, draft = self._source, self._draft
        row = source.metadata.row(TypeDefRow, type_)
        name = source.metadata.string(row.name)
        if source.full_name(type_) in self._target.by_name:
            # Classes that compilers make for initial contents have one name everywhere.
            name = f"{name}.{source.name}"
        draft.add(
            Table.TYPE_DEF,
            row.flags,
            name,
            source.metadata.string(row.namespace),
            self.type(row.extends) if row.extends else 0,
            len(draft.rows[Table.FIELD]) + 1,
            len(draft.rows[Table.METHOD_DEF]) + 1,
        )
        for field in source.fields(type_):
            if not _is_constant(source, field):
                flags, text, index = source.metadata.row(FieldRow, field)
                draft.add(Table.FIELD, flags, source.metadata.string(text), self.signature(index))
        for method in source.methods(type_):
            self._copy_method(method)

    def _copy_method(self, method: int) -> None:
        source, draft = self._source, self._draft
        row = source.metadata.row(MethodDefRow, method)
        body = source.body(method)
        draft.add(
            Table.METHOD_DEF,
            draft.body(encode_body(self.body(body))) if body is not None else 0,
            row.impl_flags,
            row.flags,
            source.method_name(method),
            self.signature(row.signature),
            len(draft.rows[Table.PARAM]) + 1,
        )
        for parameter in source.parameters(method):
            flags, sequence, text = source.metadata.row(ParamRow, parameter)
            draft.add(Table.PARAM, flags, sequence, source.metadata.string(text))

    def _copy_relations(self, type_: int, layouts: Mapping[int, ClassLayoutRow]) -> None:
        source, draft = self._source, self._draft
        new = self.renumber(Table.TYPE_DEF, type_)
        if type_ in layouts:
            packing, size, _ = layouts[type_]
            draft.add(Table.CLASS_LAYOUT, packing, size, new)
        if type_ in source.enclosing:
            outer = self.renumber(Table.TYPE_DEF, source.enclosing[type_])
            draft.add(Table.NESTED_CLASS, new, outer)
        for row in source.interfaces.get(type_, ()):
            interface = source.metadata.row(InterfaceImplRow, row).interface
            draft.add(Table.INTERFACE_IMPL, new, self.type(interface))

    def _copy_content(self, rva: int, field: int, layouts: Mapping[int, ClassLayoutRow]) -> None:
        """II.22.18: what a field has to begin with."""
        source = self._source
        signature = source.metadata.blob(source.metadata.row(FieldRow, field).signature)
        size = layouts[_value_type(signature)].class_size
        content, offset = source.content(rva)
        address = self._draft.data(content[offset : offset + size])
        self._draft.add(Table.FIELD_RVA, address, self.renumber(Table.FIELD, field))

    @override
    def _type_reference(self, row: int) -> int:
        name = self._source.type_ref_name(row)
        found = self._target.by_name.get(name)
        if found is not None:
            self._draft.show(Table.TYPE_DEF, found)
            return TYPE_DEF_OR_REF.join(Table.TYPE_DEF, found)
        if name not in self._references:
            self._references[name] = self._refer(row, name)
        return TYPE_DEF_OR_REF.join(Table.TYPE_REF, self._references[name])

    def _refer(self, row: int, name: str) -> int:
        """Add a reference to a type of the base library."""
        _, text, namespace = self._source.metadata.row(TypeRefRow, row)
        strings, scopes = self._source.metadata.string, self._target.metadata.rows(AssemblyRefRow)
        names = [self._target.metadata.string(scope.name) for scope in scopes]
        known = [number for number, scope in enumerate(names, 1) if scope in _BASE]
        if not known or self._source.type_ref_scope(row) not in _BASE or "/" in name:
            raise MalformedImage(f"the code refers to {name}, which {self._target.name} has not")
        coded = RESOLUTION_SCOPE.join(Table.ASSEMBLY_REF, known[0])
        return self._draft.add(Table.TYPE_REF, coded, strings(text), strings(namespace))

    @override
    def _member_reference(self, row: int) -> int:
        parent, name_, signature = self._source.metadata.row(MemberRefRow, row)
        name, blob = self._source.metadata.string(name_), self.signature(signature)
        table, owner = MEMBER_REF_PARENT.split(parent)
        kind, type_ = TYPE_DEF_OR_REF.split(self.type(TYPE_DEF_OR_REF.join(table, owner)))
        if kind is not Table.TYPE_DEF:
            coded = MEMBER_REF_PARENT.join(kind, type_)
            reference = self.once(Table.MEMBER_REF, coded, name, blob)
            return int(Table.MEMBER_REF) << ROW_BITS | reference
        metadata = self._target.metadata
        for method in self._target.methods_named(type_, name):
            if metadata.blob(metadata.row(MethodDefRow, method).signature) == blob:
                return self._shown(Table.METHOD_DEF, method)
        for field in self._target.fields_named(type_, name):
            if metadata.blob(metadata.row(FieldRow, field).signature) == blob:
                return self._shown(Table.FIELD, field)
        owner_name = self._target.full_name(type_)
        raise MalformedImage(f"the code refers to {owner_name}::{name}, not there")

    def _shown(self, table: Table, row: int) -> int:
        self._draft.show(table, row)
        return int(table) << ROW_BITS | row

    def _replace(self, replacement: Replacement | Guard) -> None:
        method = find(self._target, replacement)
        by = self._handed_over_to(replacement, method)
        count = len(self._new_signature(by).parameters)
        code = _call_with_arguments(self.renumber(Table.METHOD_DEF, by), count)
        if isinstance(replacement, Guard):
            body = self._target.body(method)
            assert body is not None
            body = _behind(code + bytes([Op.BRFALSE_S, 1, Op.RET]), count, body)
        else:
            code += bytes([Op.RET])
            body = Body(max(count, 1), init_locals=False, locals_token=0, code=code)
        rows = self._draft.rows[Table.METHOD_DEF]
        rows[method - 1] = rows[method - 1]._replace(rva=self._draft.body(encode_body(body)))

    def _handed_over_to(self, replacement: Replacement | Guard, method: int) -> int:
        """The only method of that name whose parameters and result fit."""
        metadata = self._target.metadata
        wanted = _signature(metadata.blob(metadata.row(MethodDefRow, method).signature))
        result = _BOOLEAN if isinstance(replacement, Guard) else wanted.result
        is_instance = bool(wanted.convention & HAS_THIS)
        owner, _, name = replacement.by.partition("::")
        found = [
            old
            for old in self._methods
            if self._source.full_name(self._source.method_owner[old]) == owner
            and self._source.method_name(old) == name
            and not (new := self._new_signature(old)).convention & HAS_THIS
            and new.parameters[is_instance:] == wanted.parameters
            and new.result == result
        ]
        if len(found) != 1:
            raise MalformedImage(
                f"the code has {replacement.by} with the signature of {replacement.type}."
                f"{replacement.method} {len(found)} times, not once"
            )
        return found[0]

    def _new_signature(self, method: int) -> MethodSignature:
        index = self._source.metadata.row(MethodDefRow, method).signature
        return _signature(self.signature(index))


def _signature(blob: bytes) -> MethodSignature:
    """A signature whose types are row numbers."""
    return SignatureReader(blob, lambda coded: coded).method()


def _is_of_compilers(type_: str) -> bool:
    """Whether compilers put it into each assembly, for attributes, which stay behind."""
    return type_.startswith(("Microsoft.CodeAnalysis.", "System.Runtime.CompilerServices."))


def _is_constant(module: Module, field: int) -> bool:
    """Whether a field is a constant, which no code refers to."""
    return bool(module.metadata.row(FieldRow, field).flags & LITERAL)


def _value_type(signature: bytes) -> int:
    """II.23.2.4: the row of a field's type, which is a value type of the same assembly."""
    if signature[:2] != b"\x06\x11":
        raise MalformedImage("a field with content has a primitive type")
    coded, _ = read_compressed(signature, 2)
    return TYPE_DEF_OR_REF.split(coded)[1]


def _call_with_arguments(method: int, count: int) -> bytes:
    """Code that calls a method with the arguments that it runs with itself."""
    loads = b"".join(
        bytes([Op.LDARG_0 + number]) if number < _SHORTHANDS else bytes([_LDARG_S, number])
        for number in range(count)
    )
    token = int(Table.METHOD_DEF) << ROW_BITS | method
    return loads + bytes([Op.CALL]) + token.to_bytes(4, "little")


def _behind(start: bytes, stack: int, body: Body) -> Body:
    """A body with code in front of its own. Branches are relative, clauses are not."""
    moved = len(start)
    clauses = tuple(
        c._replace(
            try_start=c.try_start + moved,
            handler_start=c.handler_start + moved,
            extra=c.extra + moved if c.kind == FILTER else c.extra,
        )
        for c in body.clauses
    )
    stack = max(stack, body.max_stack)
    return replace(body, max_stack=stack, code=start + body.code, clauses=clauses)


def find(module: Module, replacement: Replacement | Guard | Edit) -> int:
    """The method to replace; MalformedImage if it is not there or not the known one."""
    type_ = module.by_name.get(replacement.type)
    methods = [] if type_ is None else module.methods_named(type_, replacement.method)
    found = {
        body_hash(module, method): method
        for method in methods
        if _parameters(module, method) == replacement.parameters
    }
    if replacement.sha256 not in found:
        raise MalformedImage(
            f"{replacement.type}.{replacement.method} is not the method this version knows but "
            f"{' or '.join(found) or 'not there'}; docs/artifacts.md says what to look at"
        )
    return found[replacement.sha256]


def _convention(module: Module, method: int) -> int:
    return module.metadata.blob(module.metadata.row(MethodDefRow, method).signature)[0]


def _parameters(module: Module, method: int) -> int:
    """II.23.2.1; no method that is replaced is generic."""
    return module.metadata.blob(module.metadata.row(MethodDefRow, method).signature)[1]


def _name(module: Module, op: int, token: int) -> str:
    table, row = token >> ROW_BITS, token & ROW_MASK
    if op == Op.LDSTR:
        return module.metadata.user_string(row).hex()
    if table == Table.METHOD_DEF:
        return f"{module.full_name(module.method_owner[row])}::{module.method_name(row)}"
    if table == Table.FIELD:
        return f"{module.full_name(module.field_owner[row])}::{module.field_name(row)}"
    if table == Table.TYPE_DEF:
        return module.full_name(row)
    return Table(table).name
