"""What is reached from an entry of a method: blocks, loops, registers.

All functions that begin there have it in common, however they are called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from dotnet_wasm_host.jit.control_flow import Dominators
from dotnet_wasm_host.jit.ir import Kind
from dotnet_wasm_host.jit.registers import Registers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dotnet_wasm_host.jit.control_flow import Block, Work
    from dotnet_wasm_host.jit.ir import Range

__all__ = ["Shape"]


@final
class Shape:
    """The shape of functions that begin at one entry.

    Args:
        blocks: what is reached from it.
        entry: the block that is entered.
        taken: ranges of the frame whose address is taken somewhere in the method.
        work: what the method may still cost.

    Attributes:
        blocks: what is reached.
        entry: the block that is entered.
        dominators: of the blocks.
        loops: heads of loops.
        merges: blocks that several others jump to forward.
        registers: slots that are read often.
    """

    __slots__ = ("_work", "blocks", "dominators", "entry", "loops", "merges", "registers")

    def __init__(
        self, blocks: Mapping[int, Block], entry: int, taken: Sequence[Range], work: Work
    ) -> None:
        self._work = work
        self.blocks = blocks
        self.entry = entry
        successors = {at: block.successors for at, block in blocks.items()}
        self.dominators: Dominators = Dominators(entry, successors, work)
        self.loops: set[int] = set()
        self.merges: set[int] = set()
        self._classify()
        self.registers: Registers = Registers(blocks, entry, self._repeated(), taken, work)

    @property
    def exits(self) -> bool:
        """Whether some block leaves for the interpreter whatever happens."""
        return any(block.operations[-1].kind is Kind.EXIT for block in self.blocks.values())

    def _classify(self) -> None:
        number = self.dominators.number
        forward: dict[int, int] = {}
        for at, block in self.blocks.items():
            for target in block.successors:
                if number[target] > number[at]:
                    forward[target] = forward.get(target, 0) + 1
                elif self.dominators.dominates(target, at):
                    self.loops.add(target)
            if block.operations[-1].kind is Kind.SWITCH:
                self.merges.update(t for t in block.successors if number[t] > number[at])
        self.merges.update(target for target, count in forward.items() if count > 1)

    def _repeated(self) -> set[int]:
        """Blocks that are inside of a loop."""
        number = self.dominators.number
        before: dict[int, list[int]] = {}
        for at, block in self.blocks.items():
            for target in block.successors:
                before.setdefault(target, []).append(at)
        found: set[int] = set()
        for head in self.loops:
            body = {head}
            pending = [at for at in before[head] if number[at] >= number[head]]
            while pending:
                at = pending.pop()
                if at not in body:
                    self._work.charge(1)
                    body.add(at)
                    pending += before.get(at, ())
            found |= body
        return found
