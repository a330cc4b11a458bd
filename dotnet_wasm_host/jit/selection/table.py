"""One rule for each opcode that is translated."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from dotnet_wasm_host.jit.selection.arrays import ARRAYS
from dotnet_wasm_host.jit.selection.blocks import BLOCKS
from dotnet_wasm_host.jit.selection.calls import CALLS
from dotnet_wasm_host.jit.selection.context import leaving
from dotnet_wasm_host.jit.selection.control import CONTROL
from dotnet_wasm_host.jit.selection.conversions import CONVERSIONS
from dotnet_wasm_host.jit.selection.memory import MEMORY
from dotnet_wasm_host.jit.selection.numbers import NUMBERS
from dotnet_wasm_host.jit.selection.objects import OBJECTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dotnet_wasm_host.jit.instructions import Instruction
    from dotnet_wasm_host.jit.ir import Operation
    from dotnet_wasm_host.jit.selection.context import Rule, SelectionContext

__all__ = ["RULES", "select"]

RULES: Mapping[str, Rule] = MappingProxyType(
    {**CONTROL, **NUMBERS, **CONVERSIONS, **MEMORY, **ARRAYS, **BLOCKS, **OBJECTS, **CALLS}
)


def select(context: SelectionContext, instruction: Instruction) -> Operation:
    """The operation of an instruction; one that has no rule leaves for the interpreter."""
    rule = RULES.get(instruction.name)
    found = rule(context, instruction) if rule else None
    return found or leaving(instruction)
