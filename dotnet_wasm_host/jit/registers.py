"""Which slots a function keeps in WebAssembly locals as well as in the frame.

A *register* is a local that holds what a slot holds, as one type. Everything that is written is
written to the frame, too: so exits, the collector and whoever reads memory need not know of
registers, and a wrong choice costs speed and not results. What is read comes from the register: a
loop need not wait for its own stores.

Whatever overlaps a register and is not exactly it makes the register stale; it is loaded again
where it is still needed.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, final

from dotnet_wasm_host.jit.ir import SIZES, Kind, Slot
from dotnet_wasm_host.wasm.binary import ValueType

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from dotnet_wasm_host.jit.control_flow import Block, Work
    from dotnet_wasm_host.jit.ir import Operation, Range

__all__ = ["Registers", "moves"]

#: Registers of a function: the engine spills what does not fit into the processor's.
_MOST = 48
#: How much more often something in a loop is executed than what is around.
_IN_A_LOOP = 8
_BY_WIDTH = {4: (ValueType.I32, ValueType.F32), 8: (ValueType.I64, ValueType.F64)}


def moves(operation: Operation) -> Iterable[tuple[int, int, int]]:
    """Destination, source and bytes of each copy, one after the other."""
    if operation.kind is Kind.MOVE:
        width, operands = 4 if operation.name == "mov.4" else 8, operation.operands
        for n in range(0, len(operands), 2):
            yield operands[n], operands[n + 1], width


@final
class Registers:
    """The registers of the blocks that are reached from ``root``.

    Args:
        blocks: of the function.
        root: where it begins.
        loops: blocks that are inside of a loop.
        taken: ranges of the frame whose address is taken somewhere in the method.
        work: what the method may still cost.

    Attributes:
        chosen: the slots, in the order of their locals.
    """

    def __init__(
        self,
        blocks: Mapping[int, Block],
        root: int,
        loops: set[int],
        taken: Sequence[Range],
        work: Work,
    ) -> None:
        self._work = work
        self._known: dict[int, set[ValueType]] = {}
        self._taken = [(span.offset, span.offset + span.size) for span in taken]
        for block in blocks.values():
            for operation in block.operations:
                self._note(operation)
        self.chosen: tuple[Slot, ...] = self._choose(blocks, loops)
        self._number = {slot: n for n, slot in enumerate(self.chosen)}
        self._touching = self._by_cell()
        self._live: dict[int, int] = {}
        self._live_at_root = self._flow(blocks, root)

    def __contains__(self, slot: Slot) -> bool:
        return slot in self._number

    def number(self, slot: Slot) -> int | None:
        """Of the register that is exactly this slot, if there is one."""
        return self._number.get(slot)

    def type_of_move(self, to: int, of: int, width: int) -> ValueType:
        """As what a move copies: what its destination is read as, or what its source is."""
        for offset in (of, to):
            for value_type in _BY_WIDTH[width]:
                if Slot(offset, value_type) in self._number:
                    return value_type
        return _BY_WIDTH[width][0]

    def stale(self, offset: int, size: int, after: Operation | None) -> list[Slot]:
        """Registers that overlap what was written.

        Those that are read after the operation before they are written again, or all without one.
        """
        live = -1 if after is None else self._live.get(after.at, -1)
        self._work.charge(1 + min(size >> 2, len(self._touching)) // 8)
        touched = self._overlapping(offset, size)
        return [self.chosen[n] for n in _bits(touched & live)]

    @property
    def at_entry(self) -> list[Slot]:
        """Registers that are read before they are written."""
        return [self.chosen[n] for n in _bits(self._live_at_root)]

    # Choice.

    def _note(self, operation: Operation) -> None:
        for slot in (*operation.uses, *operation.defs):
            self._known.setdefault(slot.offset, set()).add(slot.type)

    def _choose(self, blocks: Mapping[int, Block], loops: set[int]) -> tuple[Slot, ...]:
        worth: Counter[Slot] = Counter()
        for at, block in blocks.items():
            weight = _IN_A_LOOP if at in loops else 1
            for operation in block.operations:
                self._work.charge(1)
                for slot in operation.uses:
                    worth[slot] += weight
                for to, of, width in moves(operation):
                    # Copies of what is a single value somewhere are of that type.
                    for value_type in _BY_WIDTH[width]:
                        if value_type in self._known.get(of, ()) or value_type in self._known.get(
                            to, ()
                        ):
                            worth[Slot(of, value_type)] += weight
                            self._known.setdefault(of, set()).add(value_type)
        fit = [slot for slot, count in worth.items() if count > 1 and not self._is_taken(slot)]
        fit.sort(key=lambda slot: (-worth[slot], slot))
        return tuple(fit[:_MOST])

    def _is_taken(self, slot: Slot) -> bool:
        self._work.charge(1 + len(self._taken) // 16)
        end = slot.offset + SIZES[slot.type]
        return any(start < end and slot.offset < stop for start, stop in self._taken)

    def _by_cell(self) -> dict[int, int]:
        """Registers that touch four bytes of the frame, as bits, by the cell's number."""
        found: dict[int, int] = {}
        for number, slot in enumerate(self.chosen):
            for cell in range(slot.offset >> 2, (slot.offset + SIZES[slot.type] + 3) >> 2):
                found[cell] = found.get(cell, 0) | 1 << number
        return found

    def _overlapping(self, offset: int, size: int) -> int:
        first, last = offset >> 2, (offset + size + 3) >> 2
        found = 0
        if last - first > len(self._touching):
            for cell, touching in self._touching.items():
                if first <= cell < last:
                    found |= touching
            return found
        for cell in range(first, last):
            found |= self._touching.get(cell, 0)
        return found

    # Liveness: which registers are read before they are written.

    def _flow(self, blocks: Mapping[int, Block], root: int) -> int:
        order = sorted(blocks, reverse=True)
        before = dict.fromkeys(blocks, 0)
        changed = True
        while changed:
            changed = False
            for at in order:
                block = blocks[at]
                self._work.charge(len(block.operations))
                live = 0
                for successor in block.successors:
                    live |= before[successor]
                for operation in reversed(block.operations):
                    self._live[operation.at] = live
                    live = self._before(operation, live)
                if live != before[at]:
                    before[at], changed = live, True
        return before[root]

    def _before(self, operation: Operation, live: int) -> int:
        for slot in operation.defs:
            number = self._number.get(slot)
            if number is not None:
                live &= ~(1 << number)
        pairs = list(moves(operation))
        for to, of, width in reversed(pairs):
            value_type = self.type_of_move(to, of, width)
            number = self._number.get(Slot(to, value_type))
            if number is not None:
                live &= ~(1 << number)
            number = self._number.get(Slot(of, value_type))
            if number is not None:
                live |= 1 << number
        for slot in operation.uses:
            number = self._number.get(slot)
            if number is not None:
                live |= 1 << number
        return live


def _bits(mask: int) -> Iterable[int]:
    while mask:
        lowest = mask & -mask
        yield lowest.bit_length() - 1
        mask ^= lowest
