"""Adding to a compiled module without moving what is there."""

from __future__ import annotations

from dataclasses import replace
from typing import final

from dotnet_wasm_host.wasm.binary import ExternKind, FunctionType, MalformedModule, uleb128, vector
from dotnet_wasm_host.wasm.instructions import CALL, REF_FUNC, Scanner
from dotnet_wasm_host.wasm.module import Global, Import, Module, SectionId

__all__ = ["ModuleEditor"]

_REFERENCES = Scanner(frozenset({CALL, REF_FUNC}))


@final
class ModuleEditor:
    """A module taken apart so far that functions, globals and imports can be added.

    Raises:
        MalformedModule: not a module, or one with something that compilers for .NET do not
            write: a global that is no constant i32, a second function table.

    Attributes:
        bodies: locals and instructions of each function the module defines; may be changed.
    """

    def __init__(self, wasm: bytes) -> None:
        self._module = module = Module.parse(wasm)
        self._types = module.types()
        self._imports = module.imports()
        self._type_indices = module.function_type_indices()
        self._globals = module.globals()
        self._exports = module.exports()
        self.bodies: list[bytes] = module.bodies()
        if len(self._type_indices) != len(self.bodies):
            raise MalformedModule(f"{len(self._type_indices)} functions, {len(self.bodies)} bodies")

    def add_function(self, kind: FunctionType, body: bytes) -> int:
        """Append a function; its index. ``body`` has its locals and its final ``end``."""
        self._type_indices.append(self._type(kind))
        self.bodies.append(body)
        return self._imported(ExternKind.FUNCTION) + len(self.bodies) - 1

    def add_global(self, value: int) -> int:
        """Append a mutable i32; its index."""
        self._globals.append(Global(value, mutable=True))
        return self._imported(ExternKind.GLOBAL) + len(self._globals) - 1

    def add_imported_function(self, module: str, name: str, kind: FunctionType) -> int:
        """Import one function more; its index.

        Imports come before all other functions. So that every other index stays as it is, the
        new one takes the index of the first function that the module defines, which moves to
        the end.
        """
        index = self._imported(ExternKind.FUNCTION)
        self._imports.append(Import(module, name, ExternKind.FUNCTION, self._type(kind)))
        if self.bodies:
            self._type_indices.append(self._type_indices.pop(0))
            self.bodies.append(self.bodies.pop(0))
            self._renumber(index, index + len(self.bodies))
        return index

    def emit(self) -> bytes:
        """The module's bytes."""
        for section_id, items in (
            (SectionId.TYPE, [item.encode() for item in self._types]),
            (SectionId.IMPORT, [item.encode() for item in self._imports]),
            (SectionId.FUNCTION, [uleb128(index) for index in self._type_indices]),
            (SectionId.GLOBAL, [item.encode() for item in self._globals]),
            (SectionId.EXPORT, [item.encode() for item in self._exports]),
            (SectionId.CODE, [vector(body) for body in self.bodies]),
        ):
            self._module.set_section(section_id, items)
        return self._module.emit()

    def _imported(self, kind: ExternKind) -> int:
        return sum(item.kind is kind for item in self._imports)

    def _type(self, kind: FunctionType) -> int:
        if kind not in self._types:
            self._types.append(kind)
        return self._types.index(kind)

    def _renumber(self, old: int, new: int) -> None:
        """Let everything that refers to function ``old`` refer to ``new``."""
        self._exports = [
            replace(e, index=new) if e.kind is ExternKind.FUNCTION and e.index == old else e
            for e in self._exports
        ]
        old_index, new_index = uleb128(old), uleb128(new)
        for position, body in enumerate(self.bodies):
            if CALL + old_index in body or REF_FUNC + old_index in body:
                self.bodies[position] = _renumbered(body, old_index, new_index)
        module = self._module
        if module.section(SectionId.START) == old_index:
            module.replace_section(SectionId.START, new_index)
        segments = [
            replace(s, functions=tuple(new if f == old else f for f in s.functions))
            for s in module.element_segments()
        ]
        module.set_section(SectionId.ELEMENT, [segment.encode() for segment in segments])


def _renumbered(body: bytes, old: bytes, new: bytes) -> bytes:
    pieces, done = [], 0
    for start, end, encoding in _REFERENCES.find(body):
        if body[start + len(encoding) : end] == old:
            pieces += [body[done:start], encoding, new]
            done = end
    return b"".join([*pieces, body[done:]])
