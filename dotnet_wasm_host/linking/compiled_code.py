"""Compiled methods as a part of a standalone module: nothing has to be linked when it starts.

A batch of the compiler is a module that imports what it calls by name. Here its functions become
functions of the file: types and calls get other numbers, helpers are found among the template's
exports, and the slots of the function table are filled by an element segment.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, final

from dotnet_wasm_host.wasm.assembly import END, IF, UNREACHABLE, call
from dotnet_wasm_host.wasm.binary import (
    ExternKind,
    FunctionType,
    MalformedModule,
    MemoryLimits,
    Reader,
    ValueType,
    uleb128,
    vector,
)
from dotnet_wasm_host.wasm.instructions import CALL, CALL_INDIRECT, REF_FUNC, Scanner
from dotnet_wasm_host.wasm.module import ElementSegment, Module, SectionId

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["CompiledCode", "Helper", "append_code"]

_BLOCKS = frozenset({b"\x02", b"\x03", b"\x04"})
_SCANNER = Scanner(frozenset({CALL, CALL_INDIRECT, REF_FUNC}) | _BLOCKS)
_EMPTY = 0x40
#: Helpers that enter the runtime, which may throw; the others are functions of numbers.
_RUNTIME = "mono_"


@dataclass(frozen=True, slots=True)
class CompiledCode:
    """Methods that were compiled for a booted memory, which points to their slots.

    Attributes:
        batches: modules of the compiler, in the order in which they were linked there.
        first_slot: entries of the function table without them.
        slots: entries that they fill.
        methods: how many there are.
    """

    batches: Sequence[bytes]
    first_slot: int
    slots: int
    methods: int


class Helper(NamedTuple):
    """What a batch may import: a function of the template."""

    number: int
    kind: FunctionType


def append_code(
    module: Module, code: CompiledCode, helpers: Mapping[str, Helper], unwinding: int
) -> int:
    """Put compiled methods into ``module``; bytes of code that they are.

    Args:
        module: a standalone module. Its numbers stay as they are.
        code: what is put in.
        helpers: functions that it may call, by name.
        unwinding: index of the global that is set while a C++ exception is on its way. Compiled
            code has no checks for those, so one that comes out of a helper ends the instance.

    Raises:
        MalformedModule: the module or a batch is not of the shape that is expected.
    """
    appended = _Appended(module, helpers, unwinding)
    for batch in code.batches:
        appended.take(Module.parse(batch))
    _set_table(module, code)
    return appended.finish()


def _set_table(module: Module, code: CompiledCode) -> None:
    reader = Reader(module.section(SectionId.TABLE))
    count, kind, limits = reader.uleb128(), reader.byte(), reader.memory_limits()
    if (count, kind, limits.minimum) != (1, ValueType.FUNCREF, code.first_slot):
        raise MalformedModule(
            f"the template's function table has {limits.minimum} entries, not {code.first_slot}"
        )
    entries = MemoryLimits(code.first_slot + code.slots)
    module.set_section(SectionId.TABLE, [bytes([kind]) + entries.encode()])


@final
class _Appended:
    """Types, functions and elements of batches on their way into a module."""

    def __init__(self, module: Module, helpers: Mapping[str, Helper], unwinding: int) -> None:
        self._module = module
        self._helpers = helpers
        self._thrown = b"\x23" + uleb128(unwinding) + IF + UNREACHABLE + END
        self._types = {kind: number for number, kind in enumerate(module.types())}
        self._kinds = module.function_type_indices()
        self._bodies = module.bodies()
        self._elements = module.element_segments()
        imported = sum(item.kind is ExternKind.FUNCTION for item in module.imports())
        self._first = imported + len(self._bodies)
        self._before = len(self._bodies)

    def take(self, batch: Module) -> None:
        """Append the functions of a batch."""
        kinds = batch.types()
        types = [self._types.setdefault(kind, len(self._types)) for kind in kinds]
        calls = self._imported(batch, kinds)
        first = self._first + len(self._bodies) - self._before
        own = batch.function_type_indices()
        calls += [call(first + number) for number in range(len(own))]
        for segment in batch.element_segments():
            functions = (function - (len(calls) - len(own)) for function in segment.functions)
            placed = ElementSegment(segment.offset, tuple(first + number for number in functions))
            if min(placed.functions, default=first) < first:
                raise MalformedModule("a batch puts a helper into the function table")
            self._elements.append(placed)
        self._kinds += [types[kind] for kind in own]
        self._bodies += [_renumbered(body, types, calls) for body in batch.bodies()]

    def _imported(self, batch: Module, kinds: Sequence[FunctionType]) -> list[bytes]:
        """What calls each function that the batch imports."""
        calls = list[bytes]()
        for item in batch.imports():
            if item.kind is not ExternKind.FUNCTION:
                continue  # there is one memory and one table
            helper = self._helpers.get(item.name)
            if helper is None or not isinstance(item.type, int) or kinds[item.type] != helper.kind:
                raise MalformedModule(f"the template has no {item.name} as a batch wants it")
            check = self._thrown if item.name.startswith(_RUNTIME) else b""
            calls.append(call(helper.number) + check)
        return calls

    def finish(self) -> int:
        """Write everything; how many bytes the appended functions are."""
        bodies = [vector(body) for body in self._bodies]
        for section, items in (
            (SectionId.TYPE, [kind.encode() for kind in self._types]),
            (SectionId.FUNCTION, [uleb128(kind) for kind in self._kinds]),
            (SectionId.ELEMENT, [segment.encode() for segment in self._elements]),
            (SectionId.CODE, bodies),
        ):
            self._module.set_section(section, items)
        return sum(map(len, bodies[self._before :]))


def _renumbered(body: bytes, types: Sequence[int], calls: Sequence[bytes]) -> bytes:
    pieces, done = list[bytes](), 0
    for start, end, encoding in _SCANNER.find(body):
        number = Reader(body, start + 1)
        if encoding in _BLOCKS:
            if body[start + 1] < _EMPTY:
                raise MalformedModule("a batch has a block with parameters")
            continue
        if encoding == REF_FUNC:
            raise MalformedModule("a batch refers to a function")
        pieces.append(body[done:start])
        if encoding == CALL:
            pieces.append(calls[number.uleb128()])
        else:
            kind = types[number.uleb128()]
            pieces.append(CALL_INDIRECT + uleb128(kind) + body[number.pos : end])
        done = end
    return b"".join([*pieces, body[done:]])
