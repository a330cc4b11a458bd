"""Writing a method's blocks as one structured WebAssembly function.

Every slot lives in the frame, where the interpreter and the collector find it at any time; those
that are read often are in registers as well (:mod:`registers`). How the function is called,
returns, and goes back to the interpreter, is its convention (:mod:`conventions`).

Structuring: Ramsey, "Beyond Relooper" (2022). A block that several others jump to forward is
placed after a WebAssembly block inside of its dominator; a head of a loop becomes a loop. An edge
that would enter a loop beside its head leaves for the interpreter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from dotnet_wasm_host.abi import COMPILED_ROOTS
from dotnet_wasm_host.jit.conventions import (
    BOXED,
    CALL_COST,
    MAX_FOUND_FRAME,
    SCRATCH,
    note_object,
)
from dotnet_wasm_host.jit.interface import BUDGET, CannotCompile
from dotnet_wasm_host.jit.ir import SIZES, Access, Kind, Slot
from dotnet_wasm_host.jit.registers import moves
from dotnet_wasm_host.wasm.assembly import (
    BLOCK,
    END,
    I32,
    IF,
    LOOP,
    MEMORY_FILL,
    SELECT,
    UNREACHABLE,
    branch,
    branch_if,
    branch_table,
    call_indirect,
    i32,
    load,
    local_get,
    local_set,
    local_tee,
    numeric,
    store,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dotnet_wasm_host.jit.control_flow import Work
    from dotnet_wasm_host.jit.conventions import Convention
    from dotnet_wasm_host.jit.ir import Made, Operation
    from dotnet_wasm_host.jit.shape import Shape
    from dotnet_wasm_host.jit.surroundings import Surroundings
    from dotnet_wasm_host.wasm.binary import ValueType

__all__ = ["FunctionEmitter"]

#: Bytes of the interpreter's stack that a call leaves alone: its own check is as strict.
_STACK_MARGIN = 256
#: Everything in a frame from some place on: offsets have 16 bits.
_REST = 1 << 16
#: Bytes of code that are written in a step.
_BYTES_A_STEP = 16
#: Name of the local that has what :mod:`conventions` calls so.
_BUDGET = "budget"
#: Nested constructs of WebAssembly; Python recurses as deeply.
_MAX_NESTING = 120


@final
class FunctionEmitter:
    """Writes one function.

    Args:
        shape: what is reached from the entry.
        convention: how the function is called.
        around: what it refers to.
        work: what the method may still cost.
    """

    def __init__(
        self,
        shape: Shape,
        convention: Convention,
        around: Surroundings,
        work: Work,
    ) -> None:
        self._work = work
        self._convention = convention
        self._around = around
        self._slots = local_get(convention.slots)
        self._first = convention.parameters
        self.local_types: list[ValueType] = []
        self._shape = shape
        self._blocks = shape.blocks
        self._dominators = shape.dominators
        self._registers = shape.registers
        self._temporaries: dict[str, int] = {}
        self._at = shape.entry
        self._current: Operation | None = None
        self._context: list[tuple[str, int]] = []
        self.local_types += [slot.type for slot in self._registers.chosen]

    def write_function(self) -> bytes:
        """The function's instructions."""
        code = self._tree(self._shape.entry) + UNREACHABLE
        return self._start_budget() + self._load_at_entry() + code

    def _load_at_entry(self) -> bytes:
        """Load the registers that are read before they are written."""
        given, others = [], []
        for slot in self._registers.at_entry:
            parameter = self._convention.argument(*slot)
            if parameter is None:
                others.append(slot)
            else:
                number = self._registers.number(slot) or 0
                given.append(local_get(parameter) + local_set(self._first + number))
        return b"".join(given) + self._reload(others)

    # What operations are written with (ir.Emitter).

    def read(self, offset: int, value_type: ValueType) -> bytes:
        """Push a slot."""
        slot = Slot(offset, value_type)
        number = self._registers.number(slot)
        # A rule that reads what it does not say reads memory, which is never stale.
        if number is not None and self._current is not None and slot in self._current.uses:
            return local_get(self._first + number)
        return self._slots + load(value_type.name.lower(), offset)

    def write(self, offset: int, value_type: ValueType, value: bytes) -> bytes:
        """Set a slot."""
        slot, current = Slot(offset, value_type), self._current
        known = current if current is not None and slot in current.defs else None
        return self._set(slot, value, known)

    def _set(self, slot: Slot, value: bytes, after: Operation | None) -> bytes:
        """Write a slot, and whatever registers it is in."""
        number, of = self._registers.number(slot), slot.type.name.lower()
        if number is not None:
            value += local_tee(self._first + number)
        code = self._slots + value + store(of, slot.offset)
        stale = self._registers.stale(slot.offset, SIZES[slot.type], after)
        return code + self._reload(other for other in stale if other != slot)

    def _reload(self, slots: Iterable[Slot]) -> bytes:
        slots = tuple(slots)
        self._work.charge(len(slots))
        return b"".join(
            self._slots + load(slot.type.name.lower(), slot.offset)
            + local_set(self._first + (self._registers.number(slot) or 0))
            for slot in slots
        )  # fmt: skip

    def address(self, offset: int) -> bytes:
        """Push the address of a place in the frame."""
        return self._slots + i32(offset) + numeric("i32.add")

    def temporary(self, name: str, value_type: ValueType = I32) -> int:
        """A local of the function, by name."""
        if name not in self._temporaries:
            self._temporaries[name] = self._first + len(self.local_types)
            self.local_types.append(value_type)
        return self._temporaries[name]

    def leave(self) -> bytes:
        """Go on in the interpreter at the operation that is written."""
        return self._leave_at(self._at)

    def leave_if(self, condition: bytes) -> bytes:
        """Leave where the condition holds."""
        return condition + IF + self.leave() + END

    def helper(self, name: str) -> bytes:
        """Call an export of the code module."""
        return self._around.helpers.call(name)

    def call_type(self, name: str) -> int:
        """Index of a function type for indirect calls."""
        return self._around.types[name]

    def collect(self) -> bytes:
        """Say where the frame ends: the collector looks for references before that.

        Never less than what was said before. A callee's frame may end before its caller's, which
        the interpreter goes on with.
        """
        place, end = i32(self._around.stack_pointer), self.temporary("end of the frame")
        known = place + load("i32")
        return (
            place + self.address(self._around.frame_size) + local_tee(end) + known
            + local_get(end) + known + numeric("i32.gt_u") + SELECT + store("i32")
        )  # fmt: skip

    def scratch(self) -> int:
        """Address of a word for what helpers answer."""
        return self._around.records + SCRATCH

    def call(
        self, method: int, item: int, base: int, result: int, made: Made | None = None
    ) -> bytes:
        """Call a method whose frame begins at ``base``; its result goes to ``result``.

        Where calls nest too deep, or its frame would not fit, the interpreter makes the call.
        """
        before = given_up = b""
        if made is not None:
            fresh = i32(self.scratch()) + load("i32")
            before = made.code + self.write(made.slot, I32, fresh)
            before += self._slots + fresh + store("i32", base)
            # The interpreter makes another object then, and must go on with this one.
            given_up = note_object(self._around.records, self._slots, base, made.slot)
        if method not in self._around.callees:
            slot = self.temporary("slot of a method")
            found = i32(item) + load("i32") + load("i32", self._around.found_at)
            found += i32(BOXED - 1) + numeric("i32.and") + local_tee(slot)
            stale = self._registers.stale(min(base, result), _REST, self._current)
            return (
                self._leave_without_room(base, MAX_FOUND_FRAME)
                + self.leave_if(found + numeric("i32.eqz")) + before
                + self._call(base, result, self._call_slot(slot), given_up) + self._reload(stale)
            )  # fmt: skip
        callee, code = self._around.callees[method]
        signature = callee.signature
        values = b"".join(self.read(base + offset, of) for offset, of in signature.arguments)
        room = self._leave_without_room(base, callee.frame_size)
        written = callee.result_size if signature.result is None else 0
        stale = self._registers.stale(result, written, self._current)
        stale += self._registers.stale(base, callee.frame_size, self._current)
        made_call = before + self._call(
            base, None if signature.result else result, values + code, given_up
        )
        if signature.result is None:
            return room + made_call + self._reload(dict.fromkeys(stale))
        answer = self.temporary(f"result as {signature.result.name}", signature.result)
        # The frame of the callee may reach over the result, which it has written before.
        stale = [slot for slot in stale if slot != Slot(result, signature.result)]
        return (
            room + made_call + local_set(answer) + self._reload(dict.fromkeys(stale))
            + self.write(result, signature.result, local_get(answer))
        )  # fmt: skip

    def _call_slot(self, slot: int) -> bytes:
        return local_get(slot) + call_indirect(self._around.types["direct"])

    def call_found(
        self, method: bytes, base: int, result: int, receiver: bytes | None = None
    ) -> bytes:
        """Call the method that ``method`` pushes, by the slot in its ``jit_call_info``."""
        slot = self.temporary("slot of a method")
        found = method + load("i32", self._around.found_at) + local_tee(slot)
        code = self._call_slot(slot)
        stale = self._registers.stale(min(base, result), _REST, self._current)
        boxed, this = self.temporary("is boxed"), self._slots + load("i32", base)
        unboxed = i32(self._around.boxed_data)
        before = given_up = after = b""
        if receiver is not None:
            # The delegate is a root meanwhile: it stands in the frame again if it is given up.
            number = self._left(base) + i32(CALL_COST) + numeric("i32.div_u")
            root = number + i32(2) + numeric("i32.shl")
            root += i32(self._around.records + COMPILED_ROOTS) + numeric("i32.add")
            before = root + this + store("i32")
            before += self._slots + receiver + store("i32", base)
            after = root + i32(0) + store("i32")
            given_up = self._slots + root + load("i32") + store("i32", base) + after
        else:
            # The box stands in the frame again if it is given up.
            given_up = local_get(boxed) + IF + self._slots + this + unboxed
            given_up += numeric("i32.sub") + store("i32", base) + END
        before += (
            local_get(slot) + i32(BOXED) + numeric("i32.and") + local_tee(boxed) + IF
            + self._slots + this + unboxed + numeric("i32.add") + store("i32", base)
            + local_get(slot) + i32(BOXED - 1) + numeric("i32.and") + local_set(slot) + END
        )  # fmt: skip
        return (
            self._leave_without_room(base, MAX_FOUND_FRAME)
            + self.leave_if(found + i32(1) + numeric("i32.lt_s"))
            + before + self._call(base, result, code, given_up) + after + self._reload(stale)
        )  # fmt: skip

    def _budget(self) -> int:
        """The local that has the budget."""
        given = self._convention.budget()
        return self.temporary(_BUDGET) if given is None else given

    def _start_budget(self) -> bytes:
        """Find out the budget, if nobody gave one and it is needed."""
        if _BUDGET not in self._temporaries:
            return b""
        left = i32(self._around.stack_end) + load("i32") + self._slots + numeric("i32.sub")
        most, none = i32(min(BUDGET, self._around.budget)), i32(0)
        budget = self._temporaries[_BUDGET]
        # A frame that handles an overflow of the stack may be past its end: less than nothing.
        return (
            left + local_tee(budget) + most + local_get(budget) + most + numeric("i32.lt_s")
            + SELECT + local_tee(budget) + none + local_get(budget) + none + numeric("i32.gt_s")
            + SELECT + local_set(budget)
        )  # fmt: skip

    def _leave_without_room(self, base: int, frame_size: int) -> bytes:
        """Let the interpreter make a call that nests too deep or whose frame does not fit."""
        needed = min(_cost(base) + frame_size + _STACK_MARGIN, 2 * BUDGET)
        return self.leave_if(local_get(self._budget()) + i32(needed) + numeric("i32.lt_u"))

    def _left(self, base: int) -> bytes:
        """Push the budget of a callee."""
        return local_get(self._budget()) + i32(_cost(base)) + numeric("i32.sub")

    def _call(self, base: int, result: int | None, code: bytes, given_up: bytes) -> bytes:
        arguments = self._left(base) + self.address(base)
        if result is not None:
            arguments += self.address(result)
        return arguments + code + IF + given_up + self.leave() + END

    # Structure.

    def _leave_at(self, at: int) -> bytes:
        return self._convention.leave(at)

    def _tree(self, at: int) -> bytes:
        """A block and all that it dominates."""
        if len(self._context) > _MAX_NESTING:
            raise CannotCompile(f"nests deeper than {_MAX_NESTING} blocks")
        number = self._dominators.number
        merges = [child for child in self._dominators.children[at] if child in self._shape.merges]
        merges.sort(key=number.__getitem__, reverse=True)
        if at not in self._shape.loops:
            return self._within(at, merges)
        self._context.append(("loop", at))
        body = self._within(at, merges)
        self._context.pop()
        return LOOP + body + END + UNREACHABLE

    def _within(self, at: int, merges: list[int]) -> bytes:
        """A block inside of WebAssembly blocks that end where ``merges`` begin, the last first."""
        opened = len(self._context)
        self._context += [("block", target) for target in merges]
        if len(self._context) > _MAX_NESTING:
            raise CannotCompile(f"nests deeper than {_MAX_NESTING} blocks")
        code = [BLOCK * len(merges), self._block(at)]
        for target in reversed(merges):
            self._context.pop()
            code += [END, self._tree(target)]
        assert len(self._context) == opened
        return b"".join(code)

    def _block(self, at: int) -> bytes:
        block = self._blocks[at]
        code = [self._operation(operation) for operation in block.operations]
        last = block.operations[-1]
        self._at = last.at
        if last.kind is Kind.RETURN:
            self._current = last
            value = b"".join(self.read(*slot) for slot in last.uses) or None
            code.append(self._convention.finish(last, value))
        elif last.kind is Kind.EXIT:
            code.append(self.leave())
        elif last.kind is Kind.JUMP:
            code.append(self._go(at, last.targets[0]))
        elif last.kind is Kind.BRANCH:
            code.append(self._branch(at, last, block.next))
        elif last.kind is Kind.SWITCH:
            code.append(self._switch(at, last))
        else:
            assert block.next is not None
            code.append(self._go(at, block.next))
        return b"".join(code)

    def _operation(self, operation: Operation) -> bytes:
        self._at, self._current = operation.at, operation
        if operation.kind is Kind.MOVE:
            return self._move(operation)
        if operation.kind is Kind.ZERO:
            offset, size = operation.operands
            code = self.address(offset) + i32(0) + i32(size) + MEMORY_FILL
            return code + self._reload(self._registers.stale(offset, size, operation))
        code = operation.emit(self) if operation.emit else b""
        self._work.charge(1 + len(code) // _BYTES_A_STEP)
        for span in operation.ranges:
            if span.access in {Access.WRITE, Access.UPDATE}:
                code += self._reload(self._registers.stale(span.offset, span.size, operation))
        return code

    def _move(self, operation: Operation) -> bytes:
        """Pairs of destination and source, one after the other, as the interpreter does."""
        pairs = list(moves(operation))
        code = []
        for to, of, width in pairs:
            kind = self._registers.type_of_move(to, of, width)
            number = self._registers.number(Slot(of, kind))
            value = (
                self._slots + load(kind.name.lower(), of)
                if number is None
                else local_get(self._first + number)
            )
            code.append(self._set(Slot(to, kind), value, operation if len(pairs) == 1 else None))
        return b"".join(code)

    def _branch(self, at: int, operation: Operation, otherwise: int | None) -> bytes:
        assert operation.condition is not None
        assert otherwise is not None
        condition, target = operation.condition(self), operation.targets[0]
        label = self._label(at, target)
        if label is not None:
            return condition + branch_if(label) + self._go(at, otherwise)
        if target == otherwise:
            return condition + b"\x1a" + self._go(at, target)
        self._context.append(("if", -1))
        taken = self._go(at, target)
        self._context.pop()
        return condition + IF + taken + END + self._go(at, otherwise)

    def _switch(self, at: int, operation: Operation) -> bytes:
        """Targets without a label are edges that leave: each has a block of its own."""
        assert operation.condition is not None
        leaving = [t for t in dict.fromkeys(operation.targets) if self._label(at, t) is None]
        self._work.charge(len(operation.targets) * (1 + len(leaving) // 8))
        self._context += [("leaving", -1)] * len(leaving)
        depths = [
            leaving.index(t) if t in leaving else self._label(at, t) or 0 for t in operation.targets
        ]
        number = operation.condition(self)
        code = [BLOCK * len(leaving), number, branch_table(depths)]
        for target in leaving:
            self._context.pop()
            code += [END, self._leave_at(target)]
        return b"".join(code)

    def _label(self, at: int, target: int) -> int | None:
        """Depth of the construct to branch to, if the target is reached by a branch."""
        backward = self._dominators.number[target] <= self._dominators.number[at]
        wanted = ("loop" if backward else "block", target)
        self._work.charge(1 + len(self._context) // 8)
        for depth, construct in enumerate(reversed(self._context)):
            if construct == wanted:
                return depth
        return None

    def _go(self, at: int, target: int) -> bytes:
        label = self._label(at, target)
        if label is not None:
            return branch(label)
        if self._dominators.number[target] > self._dominators.number[at]:
            return self._tree(target)
        return self._leave_at(target)


def _cost(base: int) -> int:
    """What a call takes of the budget whose frame begins at ``base``."""
    return max(base, CALL_COST)
