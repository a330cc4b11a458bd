"""Compiles a batch of methods to one module."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dotnet_wasm_host.jit.control_flow import Work, find_blocks
from dotnet_wasm_host.jit.emission import THUNK, FunctionEmitter
from dotnet_wasm_host.jit.helpers import CALL_TYPES, HELPERS
from dotnet_wasm_host.jit.instructions import ENTRIES, decode
from dotnet_wasm_host.jit.interface import (
    CannotCompile,
    CompiledBatch,
    CompilerLimits,
    Entry,
    OutOfView,
    Rejected,
    Statistics,
)
from dotnet_wasm_host.jit.ir import Access, Kind
from dotnet_wasm_host.jit.selection.context import SelectionContext
from dotnet_wasm_host.jit.selection.control import connect_finally
from dotnet_wasm_host.jit.selection.table import select
from dotnet_wasm_host.jit.view import Words
from dotnet_wasm_host.wasm.assembly import call
from dotnet_wasm_host.wasm.builder import ModuleBuilder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from dotnet_wasm_host.jit.control_flow import Block
    from dotnet_wasm_host.jit.instructions import Instruction
    from dotnet_wasm_host.jit.interface import GuestView, LinkTarget, MintFacts
    from dotnet_wasm_host.wasm.binary import ValueType

__all__ = ["compile_batch"]

#: Entries of a method that are compiled: its start and heads of loops. Each is a function.
_MAX_ENTRIES = 8


@dataclass(frozen=True, slots=True)
class _Function:
    method: int
    instruction: int
    local_types: tuple[ValueType, ...]
    body: bytes


def compile_batch(
    facts: MintFacts,
    view: GuestView,
    target: LinkTarget,
    methods: Sequence[int],
    limits: CompilerLimits | None = None,
    *,
    before_method: Callable[[int], object] = int,
) -> CompiledBatch:
    """Compile ``methods`` (addresses of ``InterpMethod``).

    ``before_method`` is told which method the view is read for from then on.

    Never raises because of what the view says: a method that cannot be compiled is in
    ``rejected``.
    """
    started = time.perf_counter()
    batch = _Batch(facts, Words(view), limits or CompilerLimits())
    for method in dict.fromkeys(methods):
        before_method(method)
        batch.add(method)
    return batch.finish(target, started)


class _Batch:
    """One module while it is made."""

    def __init__(self, facts: MintFacts, words: Words, limits: CompilerLimits) -> None:
        self._facts = facts
        self._words = words
        self._limits = limits
        self._builder = ModuleBuilder()
        self._builder.import_memory("env", "memory")
        self._builder.import_table("env", "__indirect_function_table")
        self._helpers = {
            name: self._builder.import_function("env", name, kind) for name, kind in HELPERS.items()
        }
        self._types = {name: self._builder.type(kind) for name, kind in CALL_TYPES.items()}
        self._functions: list[_Function] = []
        self._rejected: list[Rejected] = []
        self._unused: list[tuple[int, int]] = []
        self._methods = 0
        self._bytes = 0
        self._instructions = 0
        self._exits: Counter[str] = Counter()

    def add(self, method: int) -> None:
        """Compile a method, or note why not."""
        try:
            if self._methods >= self._limits.batch_methods:
                raise CannotCompile(f"is beyond {self._limits.batch_methods} methods of a batch")
            functions = self._compile(method)
            size = sum(len(function.body) for function in functions)
            if self._bytes + size > self._limits.batch_bytes:
                raise CannotCompile(f"is beyond {self._limits.batch_bytes} bytes of a batch")
        except OutOfView:
            self._rejected.append(Rejected(method, "refers to what is not in memory"))
        except CannotCompile as error:
            self._rejected.append(Rejected(method, error.reason, error.opcode))
        else:
            self._methods += 1
            self._bytes += size
            self._functions += functions

    def finish(self, target: LinkTarget, started: float) -> CompiledBatch:
        """The batch, for one place of the function table."""
        indices, entries = [], []
        for slot, function in enumerate(self._functions):
            indices.append(self._builder.add_function(THUNK, function.local_types, function.body))
            entries.append(Entry(function.method, (function.instruction,), slot))
        if indices:
            self._builder.add_elements(target.first_slot, indices)
        seconds = time.perf_counter() - started
        statistics = Statistics(self._methods, self._instructions, dict(self._exits), seconds)
        return CompiledBatch(
            self._builder.emit() if indices else b"", len(indices), tuple(entries), (),
            tuple(self._rejected), statistics, tuple(self._unused),
        )  # fmt: skip

    def _compile(self, method: int) -> list[_Function]:
        code, content = self._code(method)
        instructions = decode(self._facts.opcodes, content)
        entries = [it.at for it in instructions if it.name in ENTRIES]
        compiled: set[int] = set()
        try:
            return self._compile_entries(
                method, code, instructions, entries[:_MAX_ENTRIES], compiled
            )
        finally:
            self._unused += ((method, code + 2 * at) for at in entries if at not in compiled)

    def _compile_entries(
        self,
        method: int,
        code: int,
        instructions: Sequence[Instruction],
        entries: Sequence[int],
        compiled: set[int],
    ) -> list[_Function]:
        if not entries:
            raise CannotCompile("has no entry instruction")
        o = self._facts.offsets
        context = SelectionContext(
            self._facts, self._words, code,
            self._words.u32(method + o.interp_method_data_items),
            self._words.u32(method + o.interp_method_clause_data_offsets),
        )  # fmt: skip
        operations = [select(context, instruction) for instruction in instructions]
        connect_finally(code, operations)
        taken = [span for op in operations for span in op.ranges if span.access is Access.ADDRESS]
        functions, work = [], Work(self._limits.method_work)
        for entry in entries:
            work.charge(len(operations))
            blocks = find_blocks(operations, entry, self._limits.method_blocks)
            emitter = FunctionEmitter(
                blocks, entry, taken, self._helper, self._types.__getitem__, work
            )
            if not emitter.repeats and _exits(blocks.values()):
                continue  # to go in and out again costs more than what is done between
            body = emitter.write_function()
            functions.append(_Function(method, code + 2 * entry, tuple(emitter.local_types), body))
        if not functions:
            raise CannotCompile("is left before it repeats anything")
        compiled.update((function.instruction - code) // 2 for function in functions)
        self._instructions += len(operations)
        self._exits.update(op.name for op in operations if op.kind is Kind.EXIT)
        return functions

    def _helper(self, name: str) -> bytes:
        return call(self._helpers[name])

    def _code(self, method: int) -> tuple[int, bytes]:
        """Address and content of a method's code, where it is the code that is executed."""
        words, o = self._words, self._facts.offsets
        code = words.pointer(method + o.interp_method_code)
        jinfo = words.pointer(method + o.interp_method_jinfo)
        if words.u32(jinfo + o.jit_info_code_start) != code:
            raise CannotCompile("is not transformed")
        size = words.u32(jinfo + o.jit_info_code_size)
        if size > 2 * self._limits.method_units:
            raise CannotCompile(f"has more than {self._limits.method_units} units of code")
        return code, words.block(code, size)


def _exits(blocks: Iterable[Block]) -> bool:
    return any(block.operations[-1].kind is Kind.EXIT for block in blocks)
