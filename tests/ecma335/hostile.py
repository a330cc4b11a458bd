"""Assemblies that no compiler makes, written row by row."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from dotnet_wasm_host.ecma335.tables import RESOLUTION_SCOPE, TYPE_DEF_OR_REF, Table
from dotnet_wasm_host.ecma335.writer import AssemblyWriter

if TYPE_CHECKING:
    from dotnet_wasm_host.ecma335.writer import Cell

#: II.23.2.1: an instance method without parameters that returns nothing.
NOTHING = b"\x20\x00\x01"
VISIBLE = 1


@final
class Hostile:
    """An assembly with a module, ``<Module>`` and what a test adds."""

    def __init__(self, name: str = "Hostile") -> None:
        self.writer = AssemblyWriter()
        self.add(Table.MODULE, 0, f"{name}.dll", 1, 0, 0)
        self.add(Table.ASSEMBLY, 0x8004, 1, 0, 0, 0, 0, b"", name, "")
        self.type("<Module>")

    def add(self, table: Table, *cells: Cell) -> int:
        return self.writer.add(table, *cells)

    def type(self, name: str, *, extends: int = 0, fields: int = 1, methods: int = 1) -> int:
        """A TypeDef whose members begin at these rows."""
        return self.add(Table.TYPE_DEF, VISIBLE, name, "", extends, fields, methods)

    def method(self, name: str, signature: bytes = NOTHING) -> int:
        return self.add(Table.METHOD_DEF, 0, 0, 0x6, name, signature, 1)

    def assembly_ref(self, name: str) -> int:
        return self.add(Table.ASSEMBLY_REF, 10, 0, 0, 0, 0, b"", name, "", b"")

    def type_ref(self, name: str, assembly: int, namespace: str = "System") -> int:
        scope = RESOLUTION_SCOPE.join(Table.ASSEMBLY_REF, assembly)
        return self.add(Table.TYPE_REF, scope, name, namespace)

    def bytes(self) -> bytes:
        return self.writer.webcil()


def type_def(row: int) -> int:
    """TypeDefOrRef index of a type of the assembly itself."""
    return TYPE_DEF_OR_REF.join(Table.TYPE_DEF, row)
