"""What of an assembly can be called from Python."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dotnet_wasm_host.columns.sources import ColumnSource
from dotnet_wasm_host.typed.building import ShapeBuilder
from dotnet_wasm_host.typed.column_methods import read_column_methods
from dotnet_wasm_host.typed.framework import framework_type
from dotnet_wasm_host.typed.members import read_members, read_statics
from dotnet_wasm_host.typed.metadata import TypeReader
from dotnet_wasm_host.typed.signatures import Function, Refused, read_functions
from dotnet_wasm_host.typed.unsupported import Unsupported

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dotnet_wasm_host.assembly import Assembly
    from dotnet_wasm_host.columns.methods import ColumnMethod
    from dotnet_wasm_host.typed.definitions import TypeDefinition
    from dotnet_wasm_host.typed.documentation import Documentation

__all__ = ["Description"]

#: Classes whose members Python has; objects of others can be passed on.
_MOST_CLASSES = 500


class Description:
    """What of an assembly can be called from Python."""

    def __init__(
        self,
        assembly: Assembly,
        library: Mapping[str, bytes],
        documentation: Documentation,
        *,
        nullability: bool = True,
    ) -> None:
        self.assembly: Assembly = assembly
        self.library: Mapping[str, bytes] = library
        self.documentation: Documentation = documentation
        self.module: str = assembly.name
        reader = TypeReader(assembly.data)
        self.shapes: ShapeBuilder = ShapeBuilder(
            [reader, *map(TypeReader, library.values())],
            self.module,
            framework_type,
            nullability=nullability,
        )
        self.types: list[TypeDefinition] = [
            t for t in reader.types.values() if t.is_visible and not t.generic_count
        ]
        self.functions: list[Function | Refused] = [
            function
            for of in self.types
            if not of.is_enum
            for function in (*read_functions(of, self.shapes), *read_statics(of, self.shapes))
        ]
        for of in self.types:
            self._name(of)
        self.functions += self._members()
        self.shapes.finish()
        for of, cls in self.shapes.classes.items():
            cls.__doc__ = documentation.of_type(of.path) or cls.__doc__
        self.bases: dict[str, str] = {
            _runtime_name(t.full_name): _base(t) for t in reader.types.values()
        }
        #: What of it can be called over columns, or why not, by type and name.
        self.column_methods: dict[tuple[TypeDefinition, str], list[ColumnMethod | str]] = {}
        for of in self.types:
            for name, found in read_column_methods(of):
                self.column_methods.setdefault((of, name), []).append(found)

    @property
    def has_columns(self) -> bool:
        """Whether a method takes columns."""
        return any(not isinstance(m, str) for found in self.column_methods.values() for m in found)

    def column_source(self, method: ColumnMethod) -> ColumnSource:
        """What the kernel of a method is made of."""
        return ColumnSource(method, self.assembly, tuple(self.library.values()), self.bases)

    def refuse(self, functions: Mapping[Function, str]) -> None:
        """Leave functions out, each for a reason."""
        self.functions = [
            Refused(f.owner, f.name, functions[f], f.role)
            if isinstance(f, Function) and f in functions
            else f
            for f in self.functions
        ]

    def _members(self) -> Iterator[Function | Refused]:
        """Of classes whose objects stay in .NET; their members may bring other classes."""
        read = 0
        objects = self.shapes.objects
        while read < len(objects) and read < _MOST_CLASSES:
            of, shape = list(objects.items())[read]
            read += 1
            yield from read_members(of, shape, self.shapes)
            if of.row and of not in self.types:
                yield from read_functions(of, self.shapes)
                yield from read_statics(of, self.shapes)

    def _name(self, of: TypeDefinition) -> None:
        """Make the class of a record or enum, which a user may want without a method."""
        if not of.is_static:
            try:
                self.shapes.build(("T", of))
            except Unsupported:
                return


def _base(of: TypeDefinition) -> str:
    base = of.reader.base_type(of)
    return _runtime_name(of.base if base is None else base.full_name)


def _runtime_name(name: str) -> str:
    """A name as ``Type.FullName`` has it."""
    return name.replace("/", "+")
