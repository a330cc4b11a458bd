"""Adding to a compiled module without moving what is there."""

from __future__ import annotations

from dataclasses import replace
from typing import final

from dotnet_wasm_host.engines.instructions import CALL, REF_FUNC, Scanner
from dotnet_wasm_host.wasm import (
    OP_END,
    OP_I32_CONST,
    ExternKind,
    FunctionType,
    Global,
    Import,
    MalformedModule,
    Module,
    Reader,
    SectionId,
    sleb128,
    uleb128,
    vector,
)

__all__ = ["ModuleEditor"]

_REFERENCES = Scanner(frozenset({CALL, REF_FUNC}))
#: 5.5.12: bits of an element segment's kind. Kinds above 3 hold expressions.
_NOT_ACTIVE, _EXPLICIT, _EXPRESSIONS = 1, 2, 4


@final
class ModuleEditor:
    """A module taken apart so far that functions, globals and imports can be added.

    Raises:
        MalformedModule: not a module, or one with something that compilers for .NET do not
            write: a global that is no constant i32, an element segment of expressions.

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
        self.bodies = module.bodies()
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
        elements = module.section(SectionId.ELEMENT)
        if elements:
            reader = Reader(elements)
            segments = reader.items(lambda r: _renumbered_segment(r, old, new))
            module.set_section(SectionId.ELEMENT, segments)


def _renumbered(body: bytes, old: bytes, new: bytes) -> bytes:
    pieces, done = [], 0
    for start, end, encoding in _REFERENCES.find(body):
        if body[start + len(encoding) : end] == old:
            pieces += [body[done:start], encoding, new]
            done = end
    return b"".join([*pieces, body[done:]])


def _renumbered_segment(reader: Reader, old: int, new: int) -> bytes:
    kind = reader.uleb128()
    if kind & _EXPRESSIONS:
        raise MalformedModule("an element segment holds expressions")
    head = uleb128(kind)
    if not kind & _NOT_ACTIVE:
        if kind & _EXPLICIT:
            head += uleb128(reader.uleb128())
        if reader.byte() != OP_I32_CONST:
            raise MalformedModule("an element segment's offset is not a constant")
        head += bytes([OP_I32_CONST]) + sleb128(reader.sleb128()) + reader.take(1)
        if head[-1] != OP_END:
            raise MalformedModule("an element segment's offset is not a constant")
    if kind:
        head += reader.take(1)
    indices = reader.items(Reader.uleb128)
    return head + uleb128(len(indices)) + b"".join(uleb128(new if i == old else i) for i in indices)
