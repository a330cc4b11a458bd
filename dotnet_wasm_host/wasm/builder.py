"""Building a module out of imports, functions, exports and elements."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, final

from dotnet_wasm_host.wasm.assembly import END, run_lengths
from dotnet_wasm_host.wasm.binary import (
    ExternKind,
    FunctionType,
    MemoryLimits,
    ValueType,
    uleb128,
    vector,
)
from dotnet_wasm_host.wasm.module import (
    DataSegment,
    ElementSegment,
    Export,
    Import,
    Module,
    SectionId,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["ModuleBuilder"]


@final
class ModuleBuilder:
    """Collects what a module has. All imports come before the first function."""

    def __init__(self) -> None:
        self._types: dict[FunctionType, int] = {}
        self._imports: list[Import] = []
        self._functions: list[tuple[int, bytes]] = []
        self._exports: list[Export] = []
        self._elements: list[ElementSegment] = []
        self._data: list[DataSegment] = []
        self._imported = 0

    def type(self, kind: FunctionType) -> int:
        """Index of a function type."""
        return self._types.setdefault(kind, len(self._types))

    def import_function(self, module: str, name: str, kind: FunctionType) -> int:
        """Import a function; its index."""
        if self._functions:
            raise ValueError("expected imports before functions, found a function; import first")
        self._imports.append(Import(module, name, ExternKind.FUNCTION, self.type(kind)))
        self._imported += 1
        return self._imported - 1

    def rename_imports(self, names: Mapping[str, str]) -> None:
        """Import something else of the same type in their place."""
        self._imports = [
            replace(item, name=names.get(item.name, item.name)) for item in self._imports
        ]

    def import_memory(self, module: str, name: str) -> None:
        """Import memory 0, of any size."""
        self._imports.append(Import(module, name, ExternKind.MEMORY, MemoryLimits(1)))

    def import_table(self, module: str, name: str) -> None:
        """Import a table of functions, of any size."""
        kind = bytes([ValueType.FUNCREF]) + MemoryLimits(1).encode()
        self._imports.append(Import(module, name, ExternKind.TABLE, kind))

    def add_function(
        self, kind: FunctionType, local_types: Sequence[ValueType], instructions: bytes
    ) -> int:
        """Add a function; its index. ``instructions`` end before the closing ``end``."""
        self._functions.append((self.type(kind), run_lengths(local_types) + instructions + END))
        return self._imported + len(self._functions) - 1

    def export_function(self, name: str, function: int) -> None:
        """Export a function."""
        self._exports.append(Export(name, ExternKind.FUNCTION, function))

    def add_elements(self, first: int, functions: Sequence[int]) -> None:
        """Put functions into table 0, from slot ``first``."""
        self._elements.append(ElementSegment(first, tuple(functions)))

    def add_data(self, address: int, content: bytes) -> None:
        """Put bytes into memory 0."""
        self._data.append(DataSegment(address, content))

    def emit(self) -> bytes:
        """The module's bytes."""
        module = Module()
        module.set_section(SectionId.TYPE, [kind.encode() for kind in self._types])
        module.set_section(SectionId.IMPORT, [item.encode() for item in self._imports])
        module.set_section(SectionId.FUNCTION, [uleb128(kind) for kind, _ in self._functions])
        module.set_section(SectionId.EXPORT, [item.encode() for item in self._exports])
        module.set_section(SectionId.ELEMENT, [item.encode() for item in self._elements])
        module.set_section(SectionId.CODE, [vector(body) for _, body in self._functions])
        if self._data:
            module.set_section(SectionId.DATA, [item.encode() for item in self._data])
        return module.emit()
