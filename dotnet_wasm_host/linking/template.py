"""The template of standalone modules, and what a file changes in it.

``runtime_artifacts/pipeline/standalone_template.py`` makes it. Its last functions are trampolines,
one for each import in their order: all calls of an import go through them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from dotnet_wasm_host.errors import ArtifactError
from dotnet_wasm_host.linking.compiled_code import Helper, append_code
from dotnet_wasm_host.wasm.assembly import END, UNREACHABLE, call, i32, local_get
from dotnet_wasm_host.wasm.binary import (
    ExternKind,
    FunctionType,
    MalformedModule,
    MemoryLimits,
    ValueType,
    uleb128,
    vector,
)
from dotnet_wasm_host.wasm.module import DataSegment, Export, Global, Import, Module, SectionId

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from dotnet_wasm_host.linking.compiled_code import CompiledCode

__all__ = ["NAME", "Template"]

#: Its name among the artifacts.
NAME = "standalone.template.wasm"
#: The exported global that is set while a C++ exception is on its way.
_UNWINDING = "unwinding"


@final
class Template:
    """A template on its way to one module.

    Raises:
        ArtifactError: it is not the template that this version knows.
    """

    def __init__(self, content: bytes) -> None:
        try:
            self._module = Module.parse(content)
            self._exports = {export.name: export for export in self._module.exports()}
            self._imports = self._module.imports()
            self._globals = self._module.globals()
            self._static_data = self._module.data_segments()
            self._layout = self._globals[self._exports["layout"].index].value
        except (MalformedModule, LookupError) as error:
            raise ArtifactError(f"{NAME} is damaged: {error}; build the artifacts again") from error

    def set_imports(self, wanted: Callable[[Import], bool]) -> None:
        """Import what is wanted; calls of the rest trap.

        Numbers of all other functions stay as they are: a function that only traps stands in for
        each import that goes.
        """
        module, imports = self._module, self._imports
        types, kinds, bodies = module.types(), module.function_type_indices(), module.bodies()
        kept = [item for item in imports if wanted(item)]
        first = len(bodies) - len(imports)
        for place, item in enumerate(imports):
            assert isinstance(item.type, int)  # the template imports functions only
            instructions = UNREACHABLE
            if item in kept:
                parameters = range(len(types[item.type].params))
                instructions = b"".join(map(local_get, parameters)) + call(kept.index(item))
            bodies[first + place] = b"\0" + instructions + END
        gone = len(imports) - len(kept)
        nothing = module.append_type(FunctionType())
        module.set_section(SectionId.IMPORT, [item.encode() for item in kept])
        kinds = [nothing] * gone + kinds
        bodies = [b"\0" + UNREACHABLE + END] * gone + bodies
        module.set_section(SectionId.FUNCTION, [uleb128(kind) for kind in kinds])
        module.set_section(SectionId.CODE, [vector(body) for body in bodies])

    def set_globals(self, values: Mapping[str, int]) -> None:
        """What globals start with, by exported name."""
        for name, value in values.items():
            export = self._exports.get(name)
            if export is None:
                raise ArtifactError(f"{NAME} has no global {name!r}; build the artifacts again")
            self._globals[export.index] = Global(value, mutable=True)
        self._module.set_section(SectionId.GLOBAL, [item.encode() for item in self._globals])

    def own_data(self, layout: bytes) -> list[DataSegment]:
        """The adapter's static data, with the layout that it is told."""
        return [*self._static_data, DataSegment(self._layout, layout)]

    def fill_memory(self, data: Sequence[DataSegment], pages: int, max_pages: int) -> None:
        """Set memory's size and what it starts with; later segments go over earlier ones."""
        self._module.remove_sections(SectionId.DATA_COUNT)
        self._module.set_section(SectionId.DATA, [segment.encode() for segment in data])
        limits = MemoryLimits(pages, max_pages)
        self._module.set_section(SectionId.MEMORY, [limits.encode()])

    def set_exports(self, names: Sequence[str], calls: Mapping[str, tuple[str, int]]) -> None:
        """Export functions and memory by name, and calls of one with a constant under new names."""
        exports = [self._exports[name] for name in names]
        kind = FunctionType((), (ValueType.I32,))
        for name, (callee, argument) in calls.items():
            instructions = i32(argument) + call(self._exports[callee].index)
            function = self._module.append_function(kind, instructions)
            exports.append(Export(name, ExternKind.FUNCTION, function))
        self._module.set_section(SectionId.EXPORT, [export.encode() for export in exports])

    def add_code(self, code: CompiledCode) -> int:
        """Put compiled methods in, after :meth:`set_imports`; bytes of code that they are."""
        module, stand_ins = self._module, len(self._imports)
        types, kinds = module.types(), module.function_type_indices()
        imported = len(module.imports())
        try:
            helpers = {
                name: Helper(export.index, types[kinds[export.index - imported]])
                for name, export in self._exports.items()
                if export.kind is ExternKind.FUNCTION and export.index >= stand_ins
            }
            return append_code(module, code, helpers, self._exports[_UNWINDING].index)
        except (MalformedModule, LookupError) as error:
            raise ArtifactError(
                f"{NAME} does not fit the compiler of methods: {error}; build the artifacts again"
            ) from error

    def append_custom(self, section: bytes) -> None:
        """Append a custom section: name and content."""
        self._module.sections.append((int(SectionId.CUSTOM), section))

    def emit(self) -> bytes:
        """The module."""
        return self._module.emit()
