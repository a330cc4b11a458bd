"""Tokens and references of an assembly, as the assembly that is written has them."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, final

from dotnet_wasm_host.ecma335.binary import MalformedImage
from dotnet_wasm_host.ecma335.il import Op
from dotnet_wasm_host.ecma335.rows import (
    AssemblyRow,
    MemberRefRow,
    MethodSpecRow,
    ModuleRefRow,
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
from dotnet_wasm_host.trimming.world import ROW_BITS, ROW_MASK

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dotnet_wasm_host.ecma335.writer import AssemblyWriter
    from dotnet_wasm_host.trimming.marking import Marker
    from dotnet_wasm_host.trimming.module import Module
    from dotnet_wasm_host.trimming.world import World

__all__ = ["USER_STRING", "Renumbering"]

#: II.24.2.4: the first byte of a token into the #US heap.
USER_STRING = 0x70
#: II.23.1.2: the whole public key follows, not only its hash.
HAS_PUBLIC_KEY = 0x1


@final
class Renumbering:
    """Gives tokens and indices their new values; adds references at their first use.

    Args:
        new: table to old row to new row, of what is defined in the assembly.

    Attributes:
        texts: literals of the code that was renumbered.
    """

    def __init__(
        self,
        world: World,
        marker: Marker,
        module: Module,
        writer: AssemblyWriter,
        new: Mapping[Table, Mapping[int, int]],
    ) -> None:
        self.texts: set[str] = set()
        self._world = world
        self._marker = marker
        self._module = module
        self._metadata = module.metadata
        self._writer = writer
        self._new = new
        self._memo: dict[tuple[object, ...], int] = {}

    def token(self, op: int, token: int) -> int:
        """The token that says the same in the new assembly."""
        table, row = token >> ROW_BITS, token & ROW_MASK
        if table == USER_STRING:
            content = self._metadata.user_string(row)
            if op == Op.LDSTR:
                self.texts.add(content[:-1].decode("utf-16-le", "replace"))
            return USER_STRING << ROW_BITS | self._writer.user_string(content)
        kind = Table(table)
        if kind in {Table.TYPE_DEF, Table.TYPE_REF, Table.TYPE_SPEC}:
            new_kind, new = TYPE_DEF_OR_REF.split(self.type(TYPE_DEF_OR_REF.join(kind, row)))
            return int(new_kind) << ROW_BITS | new
        if kind in {Table.METHOD_DEF, Table.FIELD}:
            return int(kind) << ROW_BITS | self.renumber(kind, row)
        if kind is Table.MEMBER_REF:
            return int(kind) << ROW_BITS | self._member_ref(row)
        if kind is Table.METHOD_SPEC:
            return int(kind) << ROW_BITS | self._method_spec(row)
        if kind is Table.STAND_ALONE_SIG:
            blob = self._metadata.blob(self._metadata.row(StandAloneSigRow, row).signature)
            return int(kind) << ROW_BITS | self.once(kind, rename(blob, self.type))
        raise MalformedImage(f"token {token:#x} in code of {self._module.name}")

    def renumber(self, table: Table, row: int) -> int:
        """The new number of a row that was marked."""
        new = self._new[table].get(row)
        if new is None:
            raise AssertionError(f"{table.name} {row} of {self._module.name} was not marked")
        return new

    def once(self, table: Table, *cells: int | str | bytes) -> int:
        """The row with these cells, added at its first use."""
        key = (table, *cells)
        found = self._memo.get(key)
        if found is None:
            found = self._memo[key] = self._writer.add(table, *cells)
        return found

    def type(self, coded: int) -> int:
        """A TypeDefOrRef index of the new assembly."""
        key = ("type", coded)
        found = self._memo.get(key)
        if found is None:
            found = self._memo[key] = self._new_type(coded)
        return found

    def _new_type(self, coded: int) -> int:
        table, row = TYPE_DEF_OR_REF.split(coded)
        if table is Table.TYPE_DEF:
            return TYPE_DEF_OR_REF.join(table, self.renumber(table, row))
        if table is Table.TYPE_SPEC:
            blob = self._metadata.blob(self._metadata.row(TypeSpecRow, row).signature)
            return TYPE_DEF_OR_REF.join(table, self.once(table, rename_type(blob, self.type)))
        target = self._world.definition(self._world.type_of(self._module, coded))
        if target is None:
            return TYPE_DEF_OR_REF.join(Table.TYPE_REF, self._dangling(row))
        return self._reference_to(target)

    def _reference_to(self, target: int) -> int:
        module, row = self._world.locate(target)
        if target not in self._marker.types:
            raise AssertionError(f"{self._world.full_name(target)} was not marked")
        if module is self._module:
            return TYPE_DEF_OR_REF.join(Table.TYPE_DEF, self.renumber(Table.TYPE_DEF, row))
        return TYPE_DEF_OR_REF.join(Table.TYPE_REF, self._type_ref(module, row))

    def _type_ref(self, module: Module, row: int) -> int:
        """References go straight to where a type is, past assemblies that forward to it."""
        _, name, space, *_ = module.metadata.row(TypeDefRow, row)
        if row in module.enclosing:
            outer = self._type_ref(module, module.enclosing[row])
            scope = RESOLUTION_SCOPE.join(Table.TYPE_REF, outer)
        else:
            scope = RESOLUTION_SCOPE.join(Table.ASSEMBLY_REF, self.assembly_ref(module))
        text = module.metadata.string
        return self.once(Table.TYPE_REF, scope, text(name), text(space))

    def _dangling(self, row: int) -> int:
        """A reference to what is nowhere stays what it is."""
        scope, name, space = self._metadata.row(TypeRefRow, row)
        table, parent = RESOLUTION_SCOPE.split(scope)
        if table is Table.TYPE_REF:
            new = self._dangling(parent)
        elif table is Table.ASSEMBLY_REF:
            *numbers, key, assembly, culture, hash_ = self._metadata.row(table, parent)
            text, blob = self._metadata.string, self._metadata.blob
            new = self.once(table, *numbers, blob(key), text(assembly), text(culture), blob(hash_))
        else:
            raise MalformedImage(f"a TypeRef of {self._module.name} into {table.name}")
        text = self._metadata.string
        return self.once(Table.TYPE_REF, RESOLUTION_SCOPE.join(table, new), text(name), text(space))

    def assembly_ref(self, module: Module) -> int:
        """The AssemblyRef of a module."""
        _, *version, flags, key, name, culture = module.metadata.row(AssemblyRow, 1)
        text = module.metadata.string
        token = _public_key_token(module.metadata.blob(key)) if flags & HAS_PUBLIC_KEY else b""
        return self.once(Table.ASSEMBLY_REF, *version, 0, token, text(name), text(culture), b"")

    def module_ref(self, row: int) -> int:
        """The ModuleRef of a native library."""
        name = self._metadata.row(ModuleRefRow, row).name
        return self.once(Table.MODULE_REF, self._metadata.string(name))

    def _member_ref(self, row: int) -> int:
        parent, name, signature = self._metadata.row(MemberRefRow, row)
        self._check_marked(row)
        table, owner = MEMBER_REF_PARENT.split(parent)
        if table is Table.METHOD_DEF:
            new = MEMBER_REF_PARENT.join(table, self.renumber(table, owner))
        elif table is Table.MODULE_REF:
            new = MEMBER_REF_PARENT.join(table, self.module_ref(owner))
        else:
            kind, place = TYPE_DEF_OR_REF.split(self.type(TYPE_DEF_OR_REF.join(table, owner)))
            new = MEMBER_REF_PARENT.join(kind, place)
        blob = rename(self._metadata.blob(signature), self.type)
        return self.once(Table.MEMBER_REF, new, self._metadata.string(name), blob)

    def _check_marked(self, row: int) -> None:
        token = int(Table.MEMBER_REF) << ROW_BITS | row
        reference = self._world.reference(self._module, token)
        marked = self._marker.methods if reference.kind == "method" else self._marker.fields
        if reference.target and reference.target not in marked:
            name = self._metadata.string(self._metadata.row(MemberRefRow, row).name)
            raise AssertionError(f"{name}, which {self._module.name} refers to, was not marked")

    def _method_spec(self, row: int) -> int:
        method, blob = self._metadata.row(MethodSpecRow, row)
        arguments = rename(self._metadata.blob(blob), self.type)
        return self.once(Table.METHOD_SPEC, self.method(method), arguments)

    def method(self, coded: int) -> int:
        """A MethodDefOrRef index of the new assembly."""
        table, row = METHOD_DEF_OR_REF.split(coded)
        token = self.token(0, int(table) << ROW_BITS | row)
        return METHOD_DEF_OR_REF.join(table, token & ROW_MASK)


def _public_key_token(key: bytes) -> bytes:
    """II.6.3: the last 8 bytes of the key's SHA-1, backwards."""
    return hashlib.sha1(key).digest()[-8:][::-1]  # noqa: S324 - not for security
