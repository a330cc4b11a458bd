"""Weave C# into an assembly: types are added, and methods hand over to static ones of theirs.

The C# is compiled against the assembly itself, with everything in it public
(:func:`for_compiler`). What it uses is made visible inside of the assembly. It has no generic
types or methods of its own, no lambdas and no constants that reflection could look for.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple, final

from dotnet_wasm_host.ecma335.binary import MalformedImage
from dotnet_wasm_host.ecma335.il import CATCH, FAT_HEADER, FILTER, Body, Op, encode_body, tokens
from dotnet_wasm_host.ecma335.rows import (
    FieldRow,
    MemberRefRow,
    MethodDefRow,
    MethodSpecRow,
    StandAloneSigRow,
    TypeDefRow,
    TypeSpecRow,
)
from dotnet_wasm_host.ecma335.signatures import rename, rename_type
from dotnet_wasm_host.ecma335.tables import (
    MEMBER_REF_PARENT,
    METHOD_DEF_OR_REF,
    TYPE_DEF_OR_REF,
    Table,
)
from dotnet_wasm_host.ecma335.webcil import to_pe
from dotnet_wasm_host.trimming.module import Module
from runtime_artifacts.pipeline.assembly_draft import AssemblyDraft

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Edit", "Guard", "Replacement", "body_hash", "edited", "find", "for_compiler", "weave"]

USER_STRING = 0x70
#: II.23.1.5: a constant, which compilers write into code.
LITERAL = 0x40
#: II.23.2.1: the method has a ``this``.
HAS_THIS = 0x20
_SHORTHANDS = 4
_LDARG_S = 0x0E
#: What compilers put into every assembly.
_GENERATED = ("Microsoft.CodeAnalysis.", "System.Runtime.CompilerServices.", "<")


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


def weave(assembly: bytes, code: bytes, replacements: Sequence[Replacement | Guard]) -> bytes:
    """``assembly``, raw webcil, with the types of ``code`` and the replacements.

    Raises:
        MalformedImage: a method is not there or has another body, or the code refers to
            something that the assembly does not have.
    """
    return _Weaver(assembly, code).weave(replacements)


@final
class _Weaver:
    def __init__(self, assembly: bytes, code: bytes) -> None:
        self._core = Module(0, "core", assembly, is_root=False)
        self._code = Module(1, "code", code, is_root=False)
        self._draft = AssemblyDraft(assembly)
        self._types: dict[int, int] = {}
        self._methods: dict[int, int] = {}
        self._fields: dict[int, int] = {}
        self._memo: dict[tuple[Table, tuple[int | str | bytes, ...]], int] = {}

    def weave(self, replacements: Sequence[Replacement | Guard]) -> bytes:
        self._number()
        self._add_types()
        for replacement in replacements:
            self._replace(replacement)
        return self._draft.webcil()

    def _number(self) -> None:
        """Give everything that is added its number."""
        rows = self._draft.rows
        types, methods = len(rows[Table.TYPE_DEF]), len(rows[Table.METHOD_DEF])
        fields = len(rows[Table.FIELD])
        for type_ in self._code.types[1:]:
            name = self._code.full_name(type_)
            known = self._core.by_name.get(name)
            if known is not None:
                self._types[type_] = known
            elif not name.startswith(_GENERATED):
                self._types[type_] = types = types + 1
                for field in self._code.fields(type_):
                    if not self._code.metadata.row(FieldRow, field).flags & LITERAL:
                        self._fields[field] = fields = fields + 1
                for method in self._code.methods(type_):
                    self._methods[method] = methods = methods + 1

    def _add_types(self) -> None:
        draft, metadata = self._draft, self._code.metadata
        existing = len(draft.rows[Table.TYPE_DEF])
        for old, new in self._types.items():
            if new <= existing:
                continue
            row = metadata.row(TypeDefRow, old)
            name, space = metadata.string(row.name), metadata.string(row.namespace)
            fields = [f for f in self._code.fields(old) if f in self._fields]
            added = TypeDefRow(
                row.flags,
                draft.string(name),
                draft.string(space) if space else 0,
                self._type(row.extends) if row.extends else 0,
                len(draft.rows[Table.FIELD]) + 1,
                len(draft.rows[Table.METHOD_DEF]) + 1,
            )
            draft.rows[Table.TYPE_DEF].append(added)
            for field in fields:
                self._add_field(metadata.row(FieldRow, field))
            for method in self._code.methods(old):
                self._add_method(method)
            if old in self._code.enclosing:
                draft.add(Table.NESTED_CLASS, new, self._types[self._code.enclosing[old]])

    def _add_field(self, row: FieldRow) -> None:
        text = self._draft.string(self._code.metadata.string(row.name))
        signature = self._signature(row.signature)
        self._draft.rows[Table.FIELD].append(FieldRow(row.flags, text, signature))

    def _add_method(self, method: int) -> None:
        row = self._code.metadata.row(MethodDefRow, method)
        body = self._code.body(method)
        self._draft.rows[Table.METHOD_DEF].append(
            row._replace(
                rva=self._body(body) if body is not None else 0,
                name=self._draft.string(self._code.method_name(method)),
                signature=self._signature(row.signature),
                param_list=len(self._draft.rows[Table.PARAM]) + 1,
            )
        )

    def _signature(self, index: int) -> int:
        return self._draft.blob(rename(self._code.metadata.blob(index), self._type))

    def _body(self, body: Body) -> int:
        code = bytearray(body.code)
        for position, _, token in tokens(body.code):
            code[position : position + 4] = self._token(token).to_bytes(4, "little")
        clauses = tuple(
            c._replace(extra=self._token(c.extra)) if c.kind == CATCH else c for c in body.clauses
        )
        local = self._token(body.locals_token) if body.locals_token else 0
        return self._draft.body(
            encode_body(replace(body, code=bytes(code), clauses=clauses, locals_token=local))
        )

    def _token(self, token: int) -> int:
        table, row = token >> 24, token & 0xFFFFFF
        if table == USER_STRING:
            content = self._code.metadata.user_string(row)
            return USER_STRING << 24 | self._draft.user_string(content)
        kind = Table(table)
        if kind in {Table.TYPE_DEF, Table.TYPE_REF, Table.TYPE_SPEC}:
            kind, new = TYPE_DEF_OR_REF.split(self._type(TYPE_DEF_OR_REF.join(kind, row)))
        elif kind is Table.METHOD_DEF:
            new = self._methods[row]
        elif kind is Table.FIELD:
            new = self._fields[row]
        elif kind is Table.MEMBER_REF:
            kind, new = self._member(row)
        elif kind is Table.METHOD_SPEC:
            coded, blob = self._code.metadata.row(MethodSpecRow, row)
            table_, place = METHOD_DEF_OR_REF.split(coded)
            target = self._token(int(table_) << 24 | place)
            method = METHOD_DEF_OR_REF.join(Table(target >> 24), target & 0xFFFFFF)
            arguments = rename(self._code.metadata.blob(blob), self._type)
            new = self._once(kind, method, arguments)
        elif kind is Table.STAND_ALONE_SIG:
            signature = self._code.metadata.row(StandAloneSigRow, row).signature
            new = self._once(kind, rename(self._code.metadata.blob(signature), self._type))
        else:
            raise MalformedImage(f"token {token:#x} in code that is to be woven in")
        return int(kind) << 24 | new

    def _once(self, table: Table, *cells: int | str | bytes) -> int:
        key = (table, cells)
        if key not in self._memo:
            draft = self._draft
            self._memo[key] = draft.add(
                table,
                *(
                    draft.blob(c) if type(c) is bytes else draft.string(c) if type(c) is str else c
                    for c in cells
                ),  # type: ignore[arg-type]
            )
        return self._memo[key]

    def _type(self, coded: int) -> int:
        table, row = TYPE_DEF_OR_REF.split(coded)
        if table is Table.TYPE_DEF:
            return TYPE_DEF_OR_REF.join(table, self._types[row])
        if table is Table.TYPE_REF:
            name = self._code.type_ref_name(row)
            found = self._core.by_name.get(name)
            if found is None:
                raise MalformedImage(f"the code refers to {name}, which the assembly has not")
            self._draft.show(Table.TYPE_DEF, found)
            return TYPE_DEF_OR_REF.join(Table.TYPE_DEF, found)
        blob = self._code.metadata.blob(self._code.metadata.row(TypeSpecRow, row).signature)
        return TYPE_DEF_OR_REF.join(table, self._once(table, rename_type(blob, self._type)))

    def _member(self, row: int) -> tuple[Table, int]:
        parent, name_, signature = self._code.metadata.row(MemberRefRow, row)
        name = self._code.metadata.string(name_)
        blob = rename(self._code.metadata.blob(signature), self._type)
        table, owner = MEMBER_REF_PARENT.split(parent)
        kind, type_ = TYPE_DEF_OR_REF.split(self._type(TYPE_DEF_OR_REF.join(table, owner)))
        if kind is Table.TYPE_SPEC:
            coded = MEMBER_REF_PARENT.join(kind, type_)
            return Table.MEMBER_REF, self._once(Table.MEMBER_REF, coded, name, blob)
        metadata = self._core.metadata
        for method in self._core.methods_named(type_, name):
            if metadata.blob(metadata.row(MethodDefRow, method).signature) == blob:
                self._draft.show(Table.METHOD_DEF, method)
                return Table.METHOD_DEF, method
        for field in self._core.fields_named(type_, name):
            if metadata.blob(metadata.row(FieldRow, field).signature) == blob:
                self._draft.show(Table.FIELD, field)
                return Table.FIELD, field
        raise MalformedImage(f"the code refers to {self._core.full_name(type_)}::{name}, not there")

    def _replace(self, replacement: Replacement | Guard) -> None:
        method = find(self._core, replacement)
        count = self._arguments(self._core, method)
        code = b"".join(
            bytes([Op.LDARG_0 + n]) if n < _SHORTHANDS else bytes([_LDARG_S, n])
            for n in range(count)
        )
        token = int(Table.METHOD_DEF) << 24 | self._target(replacement.by, count)
        code += bytes([Op.CALL]) + token.to_bytes(4, "little")
        if isinstance(replacement, Guard):
            body = self._core.body(method)
            assert body is not None
            body = _behind(code + bytes([Op.BRFALSE_S, 1, Op.RET]), count, body)
        else:
            code += bytes([Op.RET])
            body = Body(max(count, 1), init_locals=False, locals_token=0, code=code)
        rows = self._draft.rows[Table.METHOD_DEF]
        rows[method - 1] = rows[method - 1]._replace(rva=self._draft.body(encode_body(body)))

    def _target(self, by: str, arguments: int) -> int:
        owner, _, name = by.partition("::")
        targets = [
            new
            for old, new in self._methods.items()
            if self._code.full_name(self._code.method_owner[old]) == owner
            and self._code.method_name(old) == name
            and self._arguments(self._code, old) == arguments
        ]
        if len(targets) != 1:
            raise MalformedImage(f"the code has {by} {len(targets)} times, not once")
        return targets[0]

    def _arguments(self, module: Module, method: int) -> int:
        return _parameters(module, method) + bool(_convention(module, method) & HAS_THIS)


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
    table, row = token >> 24, token & 0xFFFFFF
    if op == Op.LDSTR:
        return module.metadata.user_string(row).hex()
    if table == Table.METHOD_DEF:
        return f"{module.full_name(module.method_owner[row])}::{module.method_name(row)}"
    if table == Table.FIELD:
        return f"{module.full_name(module.field_owner[row])}::{module.field_name(row)}"
    if table == Table.TYPE_DEF:
        return module.full_name(row)
    return Table(table).name
