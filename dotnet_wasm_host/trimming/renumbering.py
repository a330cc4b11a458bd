"""Tokens and references of an assembly, as the assembly that is written has them."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, final

from dotnet_wasm_host.ecma335.binary import MalformedImage
from dotnet_wasm_host.ecma335.il import Op
from dotnet_wasm_host.ecma335.rows import (
    AssemblyRow,
    MemberRefRow,
    ModuleRefRow,
    TypeDefRow,
    TypeRefRow,
)
from dotnet_wasm_host.ecma335.tables import (
    MEMBER_REF_PARENT,
    RESOLUTION_SCOPE,
    TYPE_DEF_OR_REF,
    Table,
)
from dotnet_wasm_host.overriding import override
from dotnet_wasm_host.trimming.retargeting import Retargeting
from dotnet_wasm_host.trimming.world import ROW_BITS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dotnet_wasm_host.ecma335.writer import AssemblyWriter
    from dotnet_wasm_host.trimming.marking import Marker
    from dotnet_wasm_host.trimming.module import Module
    from dotnet_wasm_host.trimming.world import World

__all__ = ["Renumbering"]

#: II.23.1.2: the whole public key follows, not only its hash.
HAS_PUBLIC_KEY = 0x1


@final
class Renumbering(Retargeting):
    """Tokens and indices of what was marked, among the rows that are left.

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
        super().__init__(module.name, module.metadata, writer, new)
        self.texts: set[str] = set()
        self._world = world
        self._marker = marker
        self._module = module

    @override
    def _literal(self, op: int, content: bytes) -> int:
        if op == Op.LDSTR:
            self.texts.add(content[:-1].decode("utf-16-le", "replace"))
        return super()._literal(op, content)

    @override
    def _type_reference(self, row: int) -> int:
        coded = TYPE_DEF_OR_REF.join(Table.TYPE_REF, row)
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

    @override
    def _member_reference(self, row: int) -> int:
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
        cells = new, self._metadata.string(name), self.signature(signature)
        return int(Table.MEMBER_REF) << ROW_BITS | self.once(Table.MEMBER_REF, *cells)

    def _check_marked(self, row: int) -> None:
        token = int(Table.MEMBER_REF) << ROW_BITS | row
        reference = self._world.reference(self._module, token)
        marked = self._marker.methods if reference.kind == "method" else self._marker.fields
        if reference.target and reference.target not in marked:
            name = self._metadata.string(self._metadata.row(MemberRefRow, row).name)
            raise AssertionError(f"{name}, which {self._module.name} refers to, was not marked")


def _public_key_token(key: bytes) -> bytes:
    """II.6.3: the last 8 bytes of the key's SHA-1, backwards."""
    return hashlib.sha1(key).digest()[-8:][::-1]  # noqa: S324 - not for security
