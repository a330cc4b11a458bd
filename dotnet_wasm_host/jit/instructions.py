"""Decoding the interpreter's code: 16-bit units, an opcode and its operands.

``src/mono/mono/mini/interp/mintops.def`` lists the opcodes.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from dotnet_wasm_host.jit.interface import CannotCompile
from dotnet_wasm_host.wasm import to_i32

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dotnet_wasm_host.jit.interface import Opcode

__all__ = ["ENTRIES", "Instruction", "decode", "signed16", "signed32", "unsigned32"]

#: Where the interpreter asks for compiled code, and what these instructions become.
ENTRIES = frozenset(
    {"tier_prepare_jiterpreter", "tier_enter_jiterpreter", "tier_monitor_jiterpreter"}
)
_SWITCH = "switch"


class Instruction(NamedTuple):
    """One instruction.

    Attributes:
        at: where it begins, in units from the method's start.
        name: of its opcode.
        operands: units after the opcode.
    """

    at: int
    name: str
    operands: tuple[int, ...]


def decode(opcodes: Sequence[Opcode], code: bytes) -> list[Instruction]:
    """The instructions of a method. CannotCompile if they are none."""
    units = struct.unpack(f"<{len(code) // 2}H", code[: len(code) & ~1])
    at, found = 0, []
    while at < len(units):
        number = units[at]
        if number >= len(opcodes):
            raise CannotCompile("has an instruction that does not exist")
        opcode = opcodes[number]
        length = opcode.length
        if opcode.name == _SWITCH:  # slot, count in two units, that many offsets of two units
            if at + 4 > len(units):
                raise CannotCompile("ends in the middle of an instruction", _SWITCH)
            length = 4 + 2 * unsigned32(units[at + 2], units[at + 3])
        if length < 1 or at + length > len(units):
            raise CannotCompile("ends in the middle of an instruction", opcode.name)
        found.append(Instruction(at, opcode.name, units[at + 1 : at + length]))
        at += length
    return found


def signed16(unit: int) -> int:
    """A unit as a signed number."""
    return unit - 0x10000 if unit & 0x8000 else unit


def unsigned32(low: int, high: int) -> int:
    """Two units as an unsigned number."""
    return low | high << 16


def signed32(low: int, high: int) -> int:
    """Two units as a signed number."""
    return to_i32(unsigned32(low, high))
