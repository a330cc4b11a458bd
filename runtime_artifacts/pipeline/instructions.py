"""Walk the instructions of a function body, without changing them.

Source of every number: WebAssembly core specification 2.0, 5.4 (instructions).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dotnet_wasm_host.wasm import MalformedModule, Reader

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["CALL", "CALL_INDIRECT", "REF_FUNC", "instructions"]

CALL = 0x10
CALL_INDIRECT = 0x11
REF_FUNC = 0xD2

_PREFIX_MISC = 0xFC
_PREFIX_SIMD = 0xFD
_BR_TABLE = 0x0E
_SELECT_TYPES = 0x1C
_F32_CONST, _F64_CONST = 0x43, 0x44

#: How many LEB128 immediates follow a one-byte opcode; those that are not here have none.
_LEB_COUNTS = {
    **dict.fromkeys((0x02, 0x03, 0x04), 1),  # block, loop, if: a block type
    **dict.fromkeys((0x0C, 0x0D), 1),  # br, br_if
    CALL: 1,
    CALL_INDIRECT: 2,
    **dict.fromkeys(range(0x20, 0x27), 1),  # locals, globals, table.get, table.set
    **dict.fromkeys(range(0x28, 0x3F), 2),  # loads and stores: alignment, offset
    **dict.fromkeys((0x3F, 0x40), 1),  # memory.size, memory.grow
    **dict.fromkeys((0x41, 0x42), 1),  # i32.const, i64.const
    0xD0: 1,  # ref.null
    0xD1: 0,  # ref.is_null
    REF_FUNC: 1,
}
#: 5.4.4-5.4.6, behind 0xFC: the saturating truncations 0-7 have none.
_MISC_LEB_COUNTS = {
    **dict.fromkeys(range(8), 0),
    **dict.fromkeys((8, 10, 12, 14), 2),  # memory.init, memory.copy, table.init, table.copy
    **dict.fromkeys((9, 11, 13, 15, 16, 17), 1),  # drops, memory.fill, table.grow, size, fill
}
#: 5.4.8: bytes of lane indices behind a SIMD opcode, and which ones have a memory argument.
_SIMD_MEMORY = frozenset((*range(12), *range(84, 94)))
_SIMD_BYTES = {
    **dict.fromkeys((12, 13), 16),  # v128.const, i8x16.shuffle
    **dict.fromkeys(range(21, 35), 1),  # extract_lane, replace_lane
    **dict.fromkeys(range(84, 92), 1),  # load_lane, store_lane
}
_LAST_SIMD = 255


def instructions(body: bytes) -> Iterator[tuple[int, int]]:
    """Opcode and first LEB128 immediate of every instruction.

    ``body`` is an entry of the code section, locals included. The immediate is unsigned, and 0
    where there is none; instructions behind a prefix byte come with the prefix as their opcode.
    MalformedModule at an unknown instruction.
    """
    reader = Reader(body)
    for _ in range(reader.uleb128()):  # 5.5.13: locals, a count and a type each
        reader.uleb128()
        reader.byte()
    while not reader.at_end:
        opcode = reader.byte()
        yield opcode, _immediates(reader, opcode)


def _immediates(reader: Reader, opcode: int) -> int:
    count = _LEB_COUNTS.get(opcode)
    if count is not None:
        return _skip_lebs(reader, count)
    if opcode == _BR_TABLE:
        return _skip_lebs(reader, reader.uleb128() + 1)
    if opcode == _SELECT_TYPES:
        reader.vector()
    elif opcode in {_F32_CONST, _F64_CONST}:
        reader.take(4 if opcode == _F32_CONST else 8)
    elif opcode == _PREFIX_MISC:
        operation = reader.uleb128()
        if operation not in _MISC_LEB_COUNTS:
            raise MalformedModule(f"unknown instruction 0xfc {operation}")
        return _skip_lebs(reader, _MISC_LEB_COUNTS[operation])
    elif opcode == _PREFIX_SIMD:
        _skip_simd(reader)
    elif opcode > 0xC4 or opcode in {*range(0x06, 0x0B), *range(0x12, 0x1A), 0x27}:
        raise MalformedModule(f"unknown instruction {opcode:#x}")
    return 0


def _skip_simd(reader: Reader) -> None:
    operation = reader.uleb128()
    if operation > _LAST_SIMD:
        raise MalformedModule(f"unknown instruction 0xfd {operation}")
    if operation in _SIMD_MEMORY:
        _skip_lebs(reader, 2)
    reader.take(_SIMD_BYTES.get(operation, 0))


def _skip_lebs(reader: Reader, count: int) -> int:
    """Skip that many LEB128 of any width; the first one's bits, without its sign."""
    first = 0
    for number in range(count):
        value = shift = 0
        byte = 0x80
        while byte & 0x80:
            byte = reader.byte()
            value |= (byte & 0x7F) << shift
            shift += 7
        first = first if number else value
    return first
