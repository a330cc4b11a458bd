"""Methods of one guest that run often, and the compiled code that they get.

The interpreter tells of a method when it has run often. Between two calls its owner translates
what has been told, outside of its lock if it likes, and links the result: a module on the
instance's memory and function table, and a patch of each entry instruction.
"""

from __future__ import annotations

import struct
import weakref
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, final

from dotnet_wasm_host.abi import COMPILED_SLOTS
from dotnet_wasm_host.errors import MemoryAccessError
from dotnet_wasm_host.imports.host_work import ITEM, RECORD
from dotnet_wasm_host.imports.mono import JITERPRETER_TRAINING
from dotnet_wasm_host.jit.conventions import BOXED, MAX_FOUND_FRAME, PLAIN_CALLS
from dotnet_wasm_host.jit.interface import BUDGET, LinkTarget
from dotnet_wasm_host.jit.reports import JitMethod, JitStats
from dotnet_wasm_host.jit.translation import Taken
from dotnet_wasm_host.jit.view import LivePages
from dotnet_wasm_host.wasm.builder import ModuleBuilder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from dotnet_wasm_host.engines.base import CodeLinker, CompiledModule
    from dotnet_wasm_host.imports.host import Host
    from dotnet_wasm_host.jit.interface import Callee, CompiledBatch, Entry, MintFacts
    from dotnet_wasm_host.jit.translation import Translation

    Translate = Callable[[Taken], Translation]
    #: Why a method stays interpreted, or nothing; what makes it leave compiled code.
    _Outcome = tuple[str, Mapping[str, int]]

__all__ = ["HotMethods", "Linked", "Prepared"]

#: WebAssembly of one guest. Machine code is some three times as large.
MAX_CODE_BYTES = 16 << 20
#: Methods that wait to be compiled; more are not noted.
MAX_PENDING = 4_096
#: Units of ``Limits.host_work``: for a step of the compiler (``CompilerLimits``), and for a byte
#: of WebAssembly that the engine compiles; some microseconds of a core are 1,024.
STEP, CODE_BYTE = ITEM, 4 * ITEM
_ENTER = "tier_enter_jiterpreter"
_PREPARE = "tier_prepare_jiterpreter"
_NOP = "tier_nop_jiterpreter"
#: Opcode, and slot from the first that the interpreter was told.
_PATCH = struct.Struct("<HH")
#: Bytes of a method's name.
_MAX_NAME = 4096
#: Methods of a batch that is compiled for an image: each is a module that instances link.
_PREPARED_BATCH = 512
#: How often a method is compiled whose batch was thrown away.
_MAX_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Linked:
    """What linking a translation gave: methods, and methods that had changed meanwhile."""

    methods: int
    discarded: int


@dataclass(frozen=True, slots=True)
class _Patch:
    method: int
    address: int
    before: bytes
    after: bytes


@dataclass(frozen=True, slots=True)
class Prepared:
    """Compiled code for fresh instances of an image: all of them have the same memory.

    Attributes:
        first_slot: of the function table.
        records: address of the records.
        modules: machine code, in the order in which it is linked.
        patches: of entry instructions and methods.
        callees: methods that later batches may call.
        slots: of the table that are taken.
        code_bytes: of WebAssembly.
        methods: with compiled code.
        outcomes: what became of each method.
        calls: that compiled code makes (``CompiledBatch.calls``).
    """

    first_slot: int
    records: int
    modules: tuple[CompiledModule, ...]
    patches: tuple[_Patch, ...]
    callees: Mapping[int, Callee]
    slots: int
    code_bytes: int
    methods: int
    outcomes: Mapping[int, _Outcome]
    calls: Mapping[int, tuple[tuple[int, int], ...]]


@final
class HotMethods:
    """Not thread-safe: the runtime holds its lock.

    Args:
        host: the instance. Its owner keeps it.
        linker: adds code to the instance.
        facts: of the code module that runs in it.
        records: address of records of its methods (``ImageState.records``).
        thread_context: where it keeps the ends of its stack, 0 if that is not known: then compiled
            code calls nothing.
        budget: of the interpreter's stack (``LinkTarget``).

    Attributes:
        on_noted: called when a method has been noted, in the middle of a call.
    """

    def __init__(
        self,
        host: Host,
        linker: CodeLinker,
        facts: MintFacts,
        records: int,
        thread_context: int,
        budget: int = BUDGET,
    ) -> None:
        self._host: Host = weakref.proxy(host)  # which refers to this object
        self._linker = linker
        self._facts = facts
        number = facts.numbers
        self._enter = number[_ENTER]
        self._prepare = number[_PREPARE].to_bytes(2, "little")
        self._nop = number[_NOP].to_bytes(2, "little")
        # Nothing has been linked: this is where the interpreter was told that its slots begin.
        self._table = linker.table_size
        self._used_slots = 0
        self._records = records
        self._context = thread_context
        self._budget = budget
        self._pages: LivePages | None = None
        self._callees: dict[int, Callee] = {}
        self._calls: dict[int, tuple[tuple[int, int], ...]] = {}
        self._former: set[int] = set()
        self._attempts: Counter[int] = Counter()
        self._pending: dict[int, None] = {}
        self._seen: set[tuple[int, int]] = set()
        self._places: set[int] = set()
        self._outcomes: dict[int, _Outcome] = {}
        self._patches: list[_Patch] = []
        self._methods = self._code_bytes = self._rejected = self._discarded = self._work = 0
        self.on_noted = _nothing
        method = weakref.WeakMethod(self._note)
        host.mono.tier_up = lambda *arguments: (
            note(*arguments) if (note := method()) else JITERPRETER_TRAINING
        )

    def _note(self, frame: int, _method: int, ip: int, _index: int, start: int, _size: int) -> int:
        """The interpreter has run a method often. In the middle of a call."""
        offset = self._facts.offsets.interp_frame_imethod
        self._charge_call(RECORD)
        try:
            method = self._host.memory.read_u32(frame + offset)
        except MemoryAccessError:
            return JITERPRETER_TRAINING
        if len(self._places) < 4 * MAX_PENDING:
            self._places.add(ip)
        if (method, start) not in self._seen and len(self._seen) < 4 * MAX_PENDING:
            self._seen.add((method, start))
            if len(self._pending) < MAX_PENDING:
                self._pending[method] = None
                self.on_noted()
        return JITERPRETER_TRAINING

    @property
    def stats(self) -> JitStats:
        """Counters since the instance was started."""
        return JitStats(
            self._methods, self._code_bytes, len(self._pending), self._rejected, self._discarded,
            self._work,
        )  # fmt: skip

    def adopt(self, prepared: Prepared) -> bool:
        """Take code that was compiled for a fresh instance of the same image, which this one is.

        False where something is not where it was then; nothing has been taken.
        """
        first = self._table
        if (first, self._records) != (prepared.first_slot, prepared.records):
            return False
        self._reserve(prepared.slots)
        for module in prepared.modules:
            self._linker.link(module)
        self._patches += prepared.patches
        self._callees.update(prepared.callees)
        self._used_slots, self._code_bytes = prepared.slots, prepared.code_bytes
        self._methods = prepared.methods
        self._outcomes.update(prepared.outcomes)
        self._calls.update(prepared.calls)
        return True

    def prepare(
        self,
        methods: Sequence[int],
        translate: Translate,
        compile_module: Callable[[bytes], CompiledModule],
    ) -> Prepared | None:
        """Code for fresh instances of the image that this one is of, ``None`` if there is none.

        This instance gets it, too. The last module writes the patches where it is instantiated.
        """
        self.expect(methods)
        modules = []
        while (taken := self.take(_PREPARED_BATCH)) is not None:
            translation = translate(taken)
            self.link(translation)
            if translation.module is not None:
                modules.append(translation.module)
        if not modules:
            return None
        builder = ModuleBuilder()
        builder.import_memory("env", "memory")
        for patch in self._patches:
            builder.add_data(patch.address, patch.after)
        modules.append(compile_module(builder.emit()))
        return Prepared(
            self._table, self._records, tuple(modules), tuple(self._patches),
            dict(self._callees), self._used_slots, self._code_bytes, self._methods,
            dict(self._outcomes), dict(self._calls),
        )  # fmt: skip

    def describe(self) -> tuple[JitMethod, ...]:
        """The methods that were compiled, or looked at and not, by name."""
        found = [
            JitMethod(self._name(method), not reason, reason, dict(exits))
            for method, (reason, exits) in self._outcomes.items()
        ]
        return tuple(sorted(found, key=lambda it: (not it.compiled, it.name)))

    def _name(self, method: int) -> str:
        """As Mono writes it. It was a method when it was noted, and nothing was unloaded since."""
        memory = self._host.memory
        described = memory.read_u32(method + self._facts.offsets.interp_method_method)
        text = self._host.call("mono_wasm_method_get_full_name", described)
        if not text:
            return f"method at {method:#x}"
        try:
            return memory.read_c_string(text, _MAX_NAME).decode(errors="replace")
        finally:
            self._host.call("free", text)

    def close(self) -> None:
        """The instance is about to go: nothing of it is read any more, by no thread."""
        if self._pages is not None:
            self._pages.close()

    def expect(self, methods: Sequence[int]) -> None:
        """Methods that ran often before the image was made, and are not told of again."""
        self._pending.update(dict.fromkeys(methods[:MAX_PENDING]))
        if self._pending:
            self.on_noted()

    @property
    def hot(self) -> tuple[int, ...]:
        """Methods that are compiled or wait to be, for an image of the guest."""
        read = self._host.memory.read
        compiled = (p.method for p in self._patches if read(p.address, len(p.after)) == p.after)
        return tuple(dict.fromkeys((*compiled, *self._pending)))

    def forget_pending(self) -> None:
        """Something was unloaded: addresses of methods may mean others from now on."""
        self._pending.clear()
        self._seen.clear()
        self._places.clear()
        self._outcomes.clear()
        # A call of what is there now must not run what was there before.
        self._callees.clear()
        self._calls.clear()

    def take(self, limit: int = MAX_PENDING) -> Taken | None:
        """What is to be compiled, at most ``limit`` methods; what they call is not counted.

        ``None`` where nothing waits, or there is no more room.
        """
        waiting = [method for method in self._pending if method not in self._callees]
        # The rest of a batch is for what these call.
        methods = waiting[:limit]
        self._pending = dict.fromkeys(waiting[limit:])
        left = self._host.work.budget - self._work
        if not methods or left <= 0 or self._code_bytes >= MAX_CODE_BYTES:
            return None
        first = self._table + self._used_slots
        target = LinkTarget(
            first, self._context, self._records, dict(self._callees), frozenset(self._former),
            self._budget, frozenset(self._places),
        )  # fmt: skip
        self.close()  # whoever took the last batch has done with it, or never will
        self._pages = LivePages(self._host.instance.memory)
        return Taken(methods, self._pages, target, left // STEP)

    def _charge_call(self, units: int) -> None:
        """Note work that is done in the middle of a call, which pays for it."""
        self._work += units
        self._host.work.charge(units)

    def _charge(self, units: int) -> None:
        """Note work that is done between calls."""
        self._work += units
        self._host.work.add(units)

    def link(self, translation: Translation) -> Linked:
        """Give methods their compiled code. No code of the guest may run.

        What has changed since it was read stays interpreted: the method may have been freed, and
        something else be there.
        """
        batch = translation.batch
        read = translation.copied
        self._charge(STEP * batch.statistics.work + CODE_BYTE * len(batch.wasm) + read)
        self._rejected += len(batch.rejected)
        self._outcomes.update((it.method, (str(it), {})) for it in batch.rejected)
        compiled = {it.method for it in batch.entries} | {it.method for it in batch.callees}
        valid = translation.seen.unchanged(
            self._host.memory.read,
            (
                place
                for calls in batch.calls.values()
                for place, callee in calls
                # Compiled code looks there again: another method may be there by now.
                if callee not in compiled and callee not in translation.known
            ),
        )
        for method, address in batch.unused:
            if method in valid:
                self._stop_counting(address)
        self._compile_callers_again({it.method for it in batch.rejected})
        if translation.module is None:
            return Linked(0, 0)
        if self._used_slots + batch.slots > COMPILED_SLOTS:
            self._rejected += batch.statistics.methods
            return Linked(0, 0)
        if batch.callees and not compiled <= valid:
            # Some method may call one that has changed. The others are compiled another time.
            return self._try_again(batch, valid)
        self._reserve(self._used_slots + batch.slots)
        self._linker.link(translation.module)
        return self._take_in(batch, valid)

    def _take_in(self, batch: CompiledBatch, valid: set[int]) -> Linked:
        """Point to the code of a batch that is linked."""
        first = self._used_slots
        self._used_slots += batch.slots
        self._code_bytes += len(batch.wasm)
        wanted = {entry.method for entry in batch.entries}
        for entry in batch.entries:
            if entry.method in valid:
                self._patch(entry, first)
        table = self._table + first
        for callee in batch.callees:
            self._callees[callee.method] = replace(
                callee, slot=table + callee.slot, typed_slot=table + callee.typed_slot
            )
            if callee.frame_size <= MAX_FOUND_FRAME:
                flags = (0 if callee.is_found else PLAIN_CALLS) | (BOXED if callee.is_boxed else 0)
                self._let_find(callee.method, table + callee.slot | flags)
        self._outcomes.update((method, ("", batch.exits[method])) for method in wanted & valid)
        self._calls.update(batch.calls)
        lost = wanted.difference(callee.method for callee in batch.callees)
        for method in lost & self._former:
            self._let_find(method, 0)
        self._compile_callers_again(lost)
        self._methods += len(wanted & valid)
        self._discarded += len(wanted - valid)
        return Linked(len(wanted & valid), len(wanted - valid))

    def _compile_callers_again(self, lost: set[int]) -> None:
        """Compile methods once more that call one of these, or call one that does.

        They were compiled when it was not known that these cannot be called: each such call is
        given up by all that are on the way, which is slower than the interpreter. All of them must
        be compiled again, because each calls the others' former code.
        """
        if not lost or not self._calls:
            return
        callers: dict[int, set[int]] = {}
        read = self._host.memory.read_u32
        for caller, calls in self._calls.items():
            for place, callee in calls:
                now = callee if callee in self._callees else read(place)
                callers.setdefault(now, set()).add(caller)
        pending, seen = list(lost), set(lost)
        while pending:
            for caller in callers.get(pending.pop(), set()) - seen:
                seen.add(caller)
                pending.append(caller)
                self._compile_again(caller)

    def _compile_again(self, method: int) -> None:
        if method in self._pending or self._attempts[method] >= _MAX_ATTEMPTS:
            return
        self._attempts[method] += 1
        self._former.add(method)
        self._methods -= self._callees.pop(method, None) is not None
        self._pending[method] = None

    def _try_again(self, batch: CompiledBatch, valid: set[int]) -> Linked:
        wanted = {entry.method for entry in batch.entries}
        for method in wanted & valid:
            self._attempts[method] += 1
            if self._attempts[method] < _MAX_ATTEMPTS:
                self._pending[method] = None
        self._discarded += len(wanted)
        return Linked(0, len(wanted))

    def unlink(self) -> None:
        """Take all patches back, for a copy of memory without the compiled code."""
        # The last first: a method may have been compiled twice.
        self._exchange((p.address, p.after, p.before) for p in reversed(self._patches))

    def relink(self) -> None:
        """Put patches in again after :meth:`unlink`."""
        self._exchange((p.address, p.before, p.after) for p in self._patches)

    def _exchange(self, places: Iterable[tuple[int, bytes, bytes]]) -> None:
        memory = self._host.memory
        for address, expected, content in places:
            # A method that was freed has something else there.
            if memory.read(address, len(expected)) == expected:
                memory.write(address, content)

    def _reserve(self, slots: int) -> None:
        """Have so many slots of the table: growing it by all of them would take its time."""
        missing = self._table + slots - self._linker.table_size
        if missing > 0:
            self._linker.grow_table(missing)

    def _stop_counting(self, address: int) -> None:
        memory = self._host.memory
        if memory.read(address, 2) == self._prepare:
            memory.write(address, self._nop)

    def _patch(self, entry: Entry, first: int) -> None:
        memory, after = self._host.memory, _PATCH.pack(self._enter, first + entry.slot)
        for address in entry.instructions:
            before = memory.read(address, _PATCH.size)
            memory.write(address, after)
            self._patches.append(_Patch(entry.method, address, before, after))

    def _let_find(self, method: int, slot: int) -> None:
        """Tell calls whose target is found when they are made of a direct function."""
        address = method + self._facts.offsets.interp_method_jit_call_info
        memory, after = self._host.memory, struct.pack("<i", slot)
        before = memory.read(address, 4)
        memory.write(address, after)
        self._patches.append(_Patch(method, address, before, after))


def _nothing() -> None:
    """Nobody waits."""
