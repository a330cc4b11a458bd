"""Compiles a batch of methods to one module."""

from __future__ import annotations

import time
from collections import Counter, deque
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dotnet_wasm_host.jit.control_flow import Work, find_blocks
from dotnet_wasm_host.jit.conventions import (
    DIRECT,
    THUNK,
    Direct,
    Thunk,
    give_up,
    signature_type,
    write_direct,
)
from dotnet_wasm_host.jit.emission import FunctionEmitter
from dotnet_wasm_host.jit.helpers import CALL_TYPES, Helpers
from dotnet_wasm_host.jit.interface import (
    Callee,
    CannotCompile,
    CompiledBatch,
    CompilerLimits,
    Entry,
    OutOfView,
    Rejected,
    Signature,
    Statistics,
)
from dotnet_wasm_host.jit.ir import Kind, Slot
from dotnet_wasm_host.jit.methods import (
    callable_methods,
    is_not_optimised,
    leave_for_call,
    leave_for_context,
    read_method,
)
from dotnet_wasm_host.jit.selection.table import select
from dotnet_wasm_host.jit.shape import Shape
from dotnet_wasm_host.jit.surroundings import Surroundings
from dotnet_wasm_host.jit.view import Words
from dotnet_wasm_host.wasm.assembly import call, call_indirect, i32
from dotnet_wasm_host.wasm.builder import ModuleBuilder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from dotnet_wasm_host.jit.interface import GuestView, LinkTarget, MintFacts
    from dotnet_wasm_host.jit.methods import Method
    from dotnet_wasm_host.wasm.binary import ValueType

__all__ = ["compile_batch"]

#: Entries of a method that are compiled. Each is a function of all that is reached from there: no
#: further one is written once they have so many bytes together.
_MAX_ENTRIES, _ENTRY_BYTES = 16, 64 << 10
#: Operations of a method that is written twice, with values for arguments and without.
_SMALL = 48


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
    pace: Callable[[], object] | None = None,
) -> CompiledBatch:
    """Compile ``methods`` (addresses of ``InterpMethod``), and what they call directly.

    ``before_method`` is told which method the view is read for from then on. ``pace`` is called
    every fifty steps or so, and may let others work.

    Never raises because of what the view says: a method that cannot be compiled is in
    ``rejected``.
    """
    started = time.perf_counter()
    limits = limits or CompilerLimits()
    work = Work(limits.batch_work, pace=pace)
    batch = _Batch(facts, Words(view), target, limits, before_method, work)
    batch.read(dict.fromkeys(methods))
    batch.write()
    return batch.finish(started)


class _Batch:
    """One module while it is made."""

    def __init__(
        self,
        facts: MintFacts,
        words: Words,
        target: LinkTarget,
        limits: CompilerLimits,
        before_method: Callable[[int], object],
        work: Work,
    ) -> None:
        self._facts = facts
        self._words = words
        self._target = target
        self._limits = limits
        self._before_method = before_method
        self._all_work = work
        self._calls = bool(target.thread_context and target.records)
        self._builder = builder = ModuleBuilder()
        builder.import_memory("env", "memory")
        builder.import_table("env", "__indirect_function_table")
        self._helpers = Helpers(builder)
        self._types = {name: builder.type(kind) for name, kind in CALL_TYPES.items()}
        self._types["direct"] = builder.type(DIRECT)
        self._methods: dict[int, Method] = {}
        self._late: set[int] = set()
        self._work: dict[int, Work] = {}
        self._requested: Mapping[int, object] = {}
        self._callable: tuple[int, ...] = ()
        self._callees: dict[int, tuple[Callee, bytes]] = {}
        self._directs: list[_Function] = []
        self._plain: dict[int, _Function] = {}
        self._thunks: list[_Function] = []
        self._shapes: dict[int, Shape] = {}
        self._rejected: list[Rejected] = []
        self._unused: list[tuple[int, int]] = []
        self._bytes = 0
        self._exits: Counter[str] = Counter()

    def read(self, methods: Mapping[int, object]) -> None:
        """Decode and select the methods, and those that they call."""
        self._requested = methods
        pending = deque(methods)
        seen = {*methods, *self._target.callees}
        while pending:
            address = pending.popleft()
            if len(self._methods) >= self._limits.batch_methods:
                self._reject(address, f"is beyond {self._limits.batch_methods} methods of a batch")
                continue
            self._before_method(address)
            try:
                if address not in methods and is_not_optimised(self._facts, self._words, address):
                    self._late.add(address)
                    continue
                work = self._work[address] = Work(self._limits.method_work, self._all_work)
                method = read_method(self._facts, self._words, self._limits, address, select, work)
            except OutOfView:
                self._reject(address, "refers to what is not in memory")
            except CannotCompile as error:
                self._reject(address, error.reason, error.opcode)
            else:
                self._methods[address] = method
                if self._calls:
                    called = [other for other in method.calls.values() if other not in seen]
                    seen.update(called)
                    pending.extend(dict.fromkeys(called))

    def _reject(self, method: int, reason: str, opcode: str = "") -> None:
        if method in self._requested:
            self._rejected.append(Rejected(method, reason, opcode))

    def write(self) -> None:
        """Write all functions."""
        known = self._target.callees if self._calls else {}
        late = self._late
        found = self._find_callable({*known, *late})
        for method in self._methods.values():
            for operation in method.operations:
                called = method.calls.get(operation.at)
                if called is not None and not (
                    called in found or called in known or called in late
                ):
                    leave_for_call(operation)
            if not self._calls:
                leave_for_context(method)
        self._callable = tuple(address for address in self._methods if address in found)
        self._callees = {
            address: (
                callee,
                i32(callee.typed_slot)
                + call_indirect(self._builder.type(signature_type(callee.signature))),
            )
            for address, callee in known.items()
        }
        giving_up = self._builder.add_function(*give_up(self._target.records))
        self._give_slots(giving_up + 1)
        for method in self._methods.values():
            self._give_values(method)
        for address in self._callable:
            self._directs.append(self._direct(self._methods[address], call(giving_up)))
            self._write_plain(self._methods[address], call(giving_up))
        for method in self._methods.values():
            if method.address in self._requested or method.address in found:
                self._write_thunks(method)
                self._shapes.pop(method.address, None)

    def _give_slots(self, first: int) -> None:
        """Typed functions come first, then those that call them for callers that know nothing."""
        more = len(self._callable)
        for number, address in enumerate(self._callable):
            method = self._methods[address]
            slot = number
            if not method.signature.is_plain:
                slot, more = more, more + 1
            callee = Callee(
                address, slot, number, method.frame_size, method.result_size, method.is_found,
                method.is_boxed, method.signature,
            )  # fmt: skip
            self._callees[address] = (callee, call(first + number))

    def _give_values(self, method: Method) -> None:
        """Say which slots calls of methods that are known read and write."""
        for operation in method.operations:
            called = method.calls.get(operation.at)
            if called is None or called not in self._callees or operation.kind is Kind.EXIT:
                continue
            signature, base = self._callees[called][0].signature, operation.operands[1]
            operation.uses += tuple(
                Slot(base + offset, value_type)
                for offset, value_type in signature.arguments
                # Constructors get an object there that is made in the instruction.
                if offset or operation.name == "call"
            )
            if signature.result is not None:
                operation.defs += (Slot(operation.operands[0], signature.result),)

    def _find_callable(self, known: set[int]) -> set[int]:
        if not self._calls:
            return set()
        try:
            return callable_methods(self._methods, known, self._all_work)
        except CannotCompile:
            return set()

    def finish(self, started: float) -> CompiledBatch:
        """The batch, for one place of the function table."""
        builder, entries = self._builder, []
        callees = [self._callees[address][0] for address in self._callable]
        indices = [
            builder.add_function(
                signature_type(callee.signature), function.local_types, function.body
            )
            for callee, function in zip(callees, self._directs, strict=True)
        ]
        for callee, index in zip(callees, tuple(indices), strict=True):
            if not callee.signature.is_plain:
                plain = self._plain.get(callee.method)
                code = (
                    write_direct(callee.signature, call(index))
                    if plain is None
                    else (plain.local_types, plain.body)
                )
                indices.append(builder.add_function(DIRECT, *code))
        for function in self._thunks:
            slot = len(indices)
            indices.append(builder.add_function(THUNK, function.local_types, function.body))
            entries.append(Entry(function.method, (function.instruction,), slot))
        self._helpers.share_names()
        if indices:
            builder.add_elements(self._target.first_slot, indices)
        compiled = {function.method for function in self._thunks}
        instructions = sum(len(self._methods[address].operations) for address in compiled)
        exits = {}
        for address in compiled:
            operations = self._methods[address].operations
            exits[address] = Counter(op.name for op in operations if op.kind is Kind.EXIT)
            self._exits.update(exits[address])
        seconds = time.perf_counter() - started
        statistics = Statistics(
            len(compiled), instructions, dict(self._exits), seconds, self._all_work.taken
        )
        return CompiledBatch(
            builder.emit() if indices else b"", len(indices), tuple(entries),
            tuple(callees),
            tuple(self._rejected), statistics, tuple(self._unused), exits,
            {address: self._methods[address].made_calls for address in compiled},
        )  # fmt: skip

    def _direct(self, method: Method, giving_up: bytes) -> _Function:
        """What compiled code calls; one that cannot be written is given up at once."""
        convention = Direct(method.code, giving_up, method.signature)
        try:
            found = self._emit(method, 0, convention)
        except CannotCompile:
            found = None
        after = method.operations[1].at
        return found or _Function(method.address, method.code, (), convention.leave(after))

    def _write_plain(self, method: Method, giving_up: bytes) -> None:
        """A small method once more for callers that find it: one call instead of two."""
        if method.is_found and not method.signature.is_plain and len(method.operations) <= _SMALL:
            with suppress(CannotCompile):
                convention = Direct(method.code, giving_up, Signature())
                found = self._emit(method, 0, convention)
                if found is not None:
                    self._plain[method.address] = found

    def _write_thunks(self, method: Method) -> None:
        """What the interpreter calls, for each entry that is worth it."""
        compiled = set()
        direct = method.address in self._callable
        reason: tuple[str, str] | None = None  # not the error, which knows this frame
        written = 0
        for entry in method.best_entries(self._target.hot)[:_MAX_ENTRIES]:
            if written > _ENTRY_BYTES:
                break
            takes_records = entry == 0 and (direct or method.address in self._target.former)
            convention = Thunk(entry, self._target.records if takes_records else 0)
            try:
                found = self._emit(method, entry, convention, needed=direct and entry == 0)
            except CannotCompile as error:
                found, reason = None, (error.reason, error.opcode)
            if found is None and takes_records:
                code = convention.begin() + convention.leave(method.operations[1].at)
                found = _Function(method.address, method.code, (), code)
            if found is not None:
                written += len(found.body)
                self._thunks.append(found)
                compiled.add(entry)
        self._unused += (
            (method.address, method.code + 2 * at) for at in method.entries if at not in compiled
        )
        if not compiled:
            if not method.entries:
                self._reject(method.address, "has no entry instruction")
            elif reason is not None:
                self._reject(method.address, *reason)
            else:
                self._reject(method.address, "is left before it repeats anything")

    def _shape(self, method: Method, entry: int) -> Shape:
        """Of functions that begin at an entry: at the start there are up to three."""
        shape = self._shapes.get(method.address) if entry == 0 else None
        if shape is None:
            blocks = find_blocks(method.operations, entry, self._limits.method_blocks)
            shape = Shape(blocks, entry, method.taken, self._work[method.address])
            if entry == 0:
                self._shapes[method.address] = shape
        return shape

    def _emit(
        self, method: Method, entry: int, convention: Direct | Thunk, *, needed: bool = True
    ) -> _Function | None:
        """A function; none where it is not worth it."""
        work = self._work[method.address]
        work.charge(len(method.operations))
        shape = self._shape(method, entry)
        target, o = self._target, self._facts.offsets
        around = Surroundings(
            self._helpers, self._types, self._callees, method.frame_size,
            target.thread_context + o.thread_context_stack_end,
            target.thread_context + o.thread_context_stack_pointer,
            target.records, o.interp_method_jit_call_info, target.budget, o.object_boxed_data,
        )  # fmt: skip
        if not needed and not shape.loops and shape.exits:
            return None  # to go in and out again costs more than what is done between
        emitter = FunctionEmitter(shape, convention, around, work)
        body = emitter.write_function()
        if isinstance(convention, Thunk):
            body = convention.begin() + body
        if len(body) > self._limits.method_bytes:
            raise CannotCompile(f"is beyond {self._limits.method_bytes} bytes of a function")
        if self._bytes + len(body) > self._limits.batch_bytes:
            raise CannotCompile(f"is beyond {self._limits.batch_bytes} bytes of a batch")
        self._bytes += len(body)
        instruction = method.code + 2 * entry
        return _Function(method.address, instruction, tuple(emitter.local_types), body)
