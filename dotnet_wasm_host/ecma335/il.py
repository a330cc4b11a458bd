"""Method bodies: headers, instructions and exception clauses (ECMA-335 II.25.4, III)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple, final

from dotnet_wasm_host.ecma335.binary import BinaryView, MalformedImage, align

__all__ = ["Body", "Clause", "Instruction", "Op", "Operand", "decode", "encode_body", "parse_body"]

#: II.25.4.1: header kinds and flags.
FORMAT_MASK, TINY_FORMAT, FAT_FORMAT = 0x3, 0x2, 0x3
MORE_SECTIONS, INIT_LOCALS = 0x8, 0x10
FAT_HEADER = struct.Struct("<HHII")
FAT_HEADER_WORDS = FAT_HEADER.size // 4
TINY_MAX_CODE, TINY_MAX_STACK = 63, 8
#: II.25.4.5: sections behind the code.
SECTION_EH, SECTION_FAT, SECTION_MORE = 0x1, 0x40, 0x80
SECTION_HEADER = 4
SMALL_CLAUSE = struct.Struct("<HHBHBI")
FAT_CLAUSE = struct.Struct("<IIIIII")
#: II.25.4.6: what a clause is; the last field is a class token or a filter's offset.
CATCH, FILTER = 0, 1
TWO_BYTES = 0xFE


class Operand(IntEnum):
    """III.1.9: what follows an opcode."""

    NONE = 0
    BYTE = 1
    SHORT = 2
    INT = 4
    LONG = 8
    SHORT_BRANCH = 9
    BRANCH = 10
    SWITCH = 11
    TOKEN = 12


class Op(IntEnum):
    """III: the opcodes that the trimmer knows by name; two-byte ones with their prefix."""

    NOP = 0x00
    BREAK = 0x01
    LDARG_0 = 0x02
    LDNULL = 0x14
    LDC_I4_M1 = 0x15
    LDC_I4_0 = 0x16
    LDC_I4_8 = 0x1E
    LDC_I4_S = 0x1F
    LDC_I4 = 0x20
    DUP = 0x25
    POP = 0x26
    JMP = 0x27
    CALL = 0x28
    CALLI = 0x29
    RET = 0x2A
    BR_S = 0x2B
    BRFALSE_S = 0x2C
    BRTRUE_S = 0x2D
    BEQ_S = 0x2E
    BGE_S = 0x2F
    BGT_S = 0x30
    BLE_S = 0x31
    BLT_S = 0x32
    BNE_UN_S = 0x33
    BLT_UN_S = 0x37
    BR = 0x38
    BRFALSE = 0x39
    BRTRUE = 0x3A
    BEQ = 0x3B
    BLT_UN = 0x44
    SWITCH = 0x45
    ADD = 0x58
    MUL = 0x5A
    AND = 0x5F
    OR = 0x60
    CALLVIRT = 0x6F
    LDSTR = 0x72
    NEWOBJ = 0x73
    THROW = 0x7A
    LDSFLD = 0x7E
    LDTOKEN = 0xD0
    ENDFINALLY = 0xDC
    LEAVE = 0xDD
    LEAVE_S = 0xDE
    CEQ = 0xFE01
    CGT = 0xFE02
    CGT_UN = 0xFE03
    CLT = 0xFE04
    ENDFILTER = 0xFE11
    CONSTRAINED = 0xFE16
    SIZEOF = 0xFE1C
    RETHROW = 0xFE1A


def _operands() -> dict[int, Operand]:
    o = Operand
    spans: dict[Operand, str] = {
        o.NONE: "00-0d 14-1e 25-26 2a 46-6e 76 7a 82-8b 8e 90-a2 b3-ba c3 d1-dc df-e0"
        " fe00-fe05 fe0f fe11 fe13-fe14 fe17-fe18 fe1a fe1d-fe1e",
        o.BYTE: "0e-13 1f fe12 fe19",
        o.SHORT: "fe09-fe0e",
        o.INT: "20 22",
        o.LONG: "21 23",
        o.SHORT_BRANCH: "2b-37 de",
        o.BRANCH: "38-44 dd",
        o.SWITCH: "45",
        o.TOKEN: "27-29 6f-75 79 7b-81 8c-8d 8f a3-a5 c2 c6 d0 fe06-fe07 fe15-fe16 fe1c",
    }
    table = {}
    for operand, text in spans.items():
        for span in text.split():
            first, _, last = span.partition("-")
            table.update(dict.fromkeys(range(int(first, 16), int(last or first, 16) + 1), operand))
    return table


OPERANDS = _operands()
_FIXED = {
    Operand.NONE: 0, Operand.BYTE: 1, Operand.SHORT: 2, Operand.INT: 4, Operand.LONG: 8,
    Operand.SHORT_BRANCH: 1, Operand.BRANCH: 4, Operand.TOKEN: 4,
}  # fmt: skip
#: Opcode to size of its operand; switch is not among them.
OPERAND_SIZES = {code: _FIXED[o] for code, o in OPERANDS.items() if o is not Operand.SWITCH}
#: Opcodes after which the next instruction is not reached (III.1.7.4).
NO_FALL_THROUGH = frozenset(
    {Op.BR, Op.BR_S, Op.LEAVE, Op.LEAVE_S, Op.RET, Op.THROW, Op.RETHROW, Op.ENDFINALLY, Op.JMP}
    | {Op.ENDFILTER}
)


class Clause(NamedTuple):
    """II.25.4.6: a protected block and what guards it, as offsets into the code."""

    kind: int
    try_start: int
    try_length: int
    handler_start: int
    handler_length: int
    #: The class's token of a catch clause, the offset of a filter.
    extra: int


@final
@dataclass(frozen=True, slots=True)
class Body:
    """A method body."""

    max_stack: int
    init_locals: bool
    locals_token: int
    code: bytes
    clauses: tuple[Clause, ...] = ()


@final
@dataclass(slots=True, eq=False)
class Instruction:
    """A decoded instruction. Branch operands are instructions, those of a switch a list."""

    offset: int
    op: int
    operand: int | bytes | Instruction | list[Instruction] | None = None


def parse_body(data: bytes, offset: int) -> Body:
    """The body at ``offset`` of a section's content."""
    view = BinaryView(data)
    first = view.unsigned(offset, 1)
    if first & FORMAT_MASK == TINY_FORMAT:
        return Body(TINY_MAX_STACK, False, 0, view.take(offset + 1, first >> 2))  # noqa: FBT003 - a field
    flags, max_stack, size, local_token = view.unpack(FAT_HEADER, offset)
    start = offset + FAT_HEADER.size
    code = view.take(start, size)
    clauses = _clauses(view, align(start + size, 4)) if flags & MORE_SECTIONS else ()
    return Body(max_stack, bool(flags & INIT_LOCALS), local_token, code, tuple(clauses))


def _clauses(view: BinaryView, offset: int) -> list[Clause]:
    clauses: list[Clause] = []
    more = True
    while more:
        kind = view.unsigned(offset, 1)
        more = bool(kind & SECTION_MORE)
        if kind & SECTION_FAT:
            layout, size = FAT_CLAUSE, view.unsigned(offset + 1, 3)
        else:
            layout, size = SMALL_CLAUSE, view.unsigned(offset + 1, 1)
        if size < SECTION_HEADER:
            raise MalformedImage(f"a section of {size} bytes behind a method's code")
        if kind & SECTION_EH:
            count = (size - SECTION_HEADER) // layout.size
            rows = layout.iter_unpack(view.take(offset + SECTION_HEADER, count * layout.size))
            clauses += [Clause(*row) for row in rows]
        offset = align(offset + size, 4)
    return clauses


def encode_body(body: Body) -> bytes:
    """A body as it lies in a file; fat ones, and all behind them, start at multiples of 4."""
    plain = not (body.clauses or body.locals_token or body.max_stack > TINY_MAX_STACK)
    if plain and len(body.code) <= TINY_MAX_CODE:
        return bytes([len(body.code) << 2 | TINY_FORMAT]) + body.code
    flags = FAT_FORMAT | FAT_HEADER_WORDS << 12
    flags |= INIT_LOCALS if body.init_locals else 0
    flags |= MORE_SECTIONS if body.clauses else 0
    data = FAT_HEADER.pack(flags, body.max_stack, len(body.code), body.locals_token) + body.code
    if not body.clauses:
        return data
    return data.ljust(align(len(data), 4), b"\0") + _encode_clauses(body.clauses)


def _encode_clauses(clauses: tuple[Clause, ...]) -> bytes:
    small = len(clauses) * SMALL_CLAUSE.size + 4 < 0x100 and all(
        max(c.try_start, c.handler_start) < 0x10000 and max(c.try_length, c.handler_length) < 0x100
        for c in clauses
    )
    layout = SMALL_CLAUSE if small else FAT_CLAUSE
    content = b"".join(layout.pack(*clause) for clause in clauses)
    size = len(content) + 4
    if small:
        return bytes([SECTION_EH, size, 0, 0]) + content
    return bytes([SECTION_EH | SECTION_FAT]) + size.to_bytes(3, "little") + content


def tokens(code: bytes) -> list[tuple[int, int, int]]:
    """Every token in a method's code: where it is, the opcode it belongs to, and the token."""
    found = []
    position, end = 0, len(code)
    sizes = OPERAND_SIZES
    # So that the second byte of an opcode is always there; what is read is looked at below.
    code += b"\0"
    while position < end:
        op = code[position]
        position += 1
        if op == TWO_BYTES:
            op = TWO_BYTES << 8 | code[position]
            position += 1
        if op == Op.SWITCH:
            count = int.from_bytes(code[position : position + 4], "little")
            position += 4 + 4 * count
            continue
        try:
            size = sizes[op]
        except KeyError:
            raise MalformedImage(f"opcode {op:#x}") from None
        if size == 4 and OPERANDS[op] is Operand.TOKEN:
            token = int.from_bytes(code[position : position + 4], "little")
            found.append((position, op, token))
        position += size
    if position != end:
        raise MalformedImage("a method's code ends inside of an instruction")
    return found


def decode(code: bytes) -> list[Instruction]:
    """Instructions with branches bound to their targets."""
    view = BinaryView(code)
    instructions: list[Instruction] = []
    targets: list[tuple[Instruction, list[int]]] = []
    position = 0
    while position < len(code):
        start = position
        op = code[position]
        position += 1
        if op == TWO_BYTES:
            op = TWO_BYTES << 8 | view.unsigned(position, 1)
            position += 1
        kind = OPERANDS.get(op)
        if kind is None:
            raise MalformedImage(f"opcode {op:#x}")
        instruction = Instruction(start, op)
        if kind is Operand.SWITCH:
            count = view.u32(position)
            deltas = struct.unpack(f"<{count}i", view.take(position + 4, 4 * count))
            position += 4 + 4 * count
            targets.append((instruction, [position + delta for delta in deltas]))
        else:
            size = _FIXED[kind]
            raw = view.take(position, size)
            position += size
            if kind in {Operand.SHORT_BRANCH, Operand.BRANCH}:
                delta = int.from_bytes(raw, "little", signed=True)
                targets.append((instruction, [position + delta]))
            elif kind is Operand.TOKEN:
                instruction.operand = int.from_bytes(raw, "little")
            elif kind is not Operand.NONE:
                instruction.operand = raw
        instructions.append(instruction)
    by_offset = {i.offset: i for i in instructions}
    for instruction, offsets in targets:
        bound = [by_offset[offset] for offset in offsets if offset in by_offset]
        if len(bound) != len(offsets):
            raise MalformedImage("a branch into the middle of an instruction")
        instruction.operand = bound if instruction.op == Op.SWITCH else bound[0]
    return instructions


def encode(instructions: list[Instruction]) -> bytes:
    """Code of the instructions, their offsets set, every branch in its shortest form."""
    for instruction in instructions:
        instruction.op = long_form(instruction.op)
    _place(instructions)
    changed = True
    while changed:
        changed = False
        for instruction in instructions:
            target = instruction.operand
            if OPERANDS[instruction.op] is Operand.BRANCH:
                assert isinstance(target, Instruction)
                # Shrinking only moves things closer together, so what fits stays fitting; a
                # target ahead comes 3 bytes closer by this very change.
                if -128 <= target.offset - (instruction.offset + 2) < 128 + 3:
                    instruction.op = short_form(instruction.op)
                    changed = True
        _place(instructions)
    return b"".join(map(_encode_one, instructions))


def _place(instructions: list[Instruction]) -> None:
    offset = 0
    for instruction in instructions:
        instruction.offset = offset
        offset += size_of(instruction)


def size_of(instruction: Instruction) -> int:
    """Encoded size in bytes."""
    size = 2 if instruction.op > 0xFF else 1
    if instruction.op == Op.SWITCH:
        assert isinstance(instruction.operand, list)
        return size + 4 + 4 * len(instruction.operand)
    return size + OPERAND_SIZES[instruction.op]


def _encode_one(instruction: Instruction) -> bytes:
    op, operand = instruction.op, instruction.operand
    head = op.to_bytes(2 if op > 0xFF else 1, "big")
    end = instruction.offset + size_of(instruction)
    if isinstance(operand, list):
        deltas = (target.offset - end for target in operand)
        return head + struct.pack(f"<I{len(operand)}i", len(operand), *deltas)
    if isinstance(operand, Instruction):
        return head + (operand.offset - end).to_bytes(OPERAND_SIZES[op], "little", signed=True)
    if isinstance(operand, int):
        return head + operand.to_bytes(4, "little")
    return head + (operand or b"")


def long_form(op: int) -> int:
    """The branch with a 4-byte offset; any other opcode as it is."""
    if Op.BR_S <= op <= Op.BLT_UN_S:
        return op + Op.BR - Op.BR_S
    return Op.LEAVE if op == Op.LEAVE_S else op


def short_form(op: int) -> int:
    """The branch with a 1-byte offset; any other opcode as it is."""
    if Op.BR <= op <= Op.BLT_UN:
        return op - Op.BR + Op.BR_S
    return Op.LEAVE_S if op == Op.LEAVE else op
