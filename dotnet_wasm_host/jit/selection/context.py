"""What selection knows of the method that is compiled, and the shapes of its rules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dotnet_wasm_host.jit.interface import OutOfView
from dotnet_wasm_host.jit.ir import Kind, Operation

if TYPE_CHECKING:
    from dotnet_wasm_host.jit.instructions import Instruction
    from dotnet_wasm_host.jit.interface import MintFacts, StructOffsets
    from dotnet_wasm_host.jit.view import Words

__all__ = ["Rule", "SelectionContext", "leaving"]

#: Items of a method that its code can name: a unit's worth.
_MAX_ITEMS = 1 << 16


@dataclass(frozen=True, slots=True)
class SelectionContext:
    """A method's surroundings.

    Attributes:
        facts: of the interpreter.
        words: the guest's memory.
        code: address of the method's first instruction.
        items: address of the method's ``data_items``.
        clause_slots: address of ``clause_data_offsets``.
    """

    facts: MintFacts
    words: Words
    code: int
    items: int
    clause_slots: int

    @property
    def offsets(self) -> StructOffsets:
        """Members of Mono's structures."""
        return self.facts.offsets

    def number(self, name: str) -> int:
        """The number of an opcode."""
        return self.facts.numbers[name]

    def item(self, index: int) -> int:
        """A data item: mostly the address of a structure of Mono."""
        return self.words.u32(self.place(index))

    def place(self, index: int) -> int:
        """Address of a data item."""
        if not 0 <= index < _MAX_ITEMS:
            raise OutOfView(f"expected the number of a data item, found {index}")
        return self.items + 4 * index

    def clause_slot(self, clause: int) -> int:
        """Where in the frame a ``finally`` finds where it goes on."""
        return self.words.u32(self.clause_slots + 4 * clause)


#: Makes an operation of an instruction; ``None`` where it stays interpreted.
Rule = Callable[[SelectionContext, "Instruction"], "Operation | None"]


def leaving(instruction: Instruction) -> Operation:
    """The operation of an instruction that is not translated."""
    return Operation(instruction.at, instruction.name, Kind.EXIT, leaves=True)
