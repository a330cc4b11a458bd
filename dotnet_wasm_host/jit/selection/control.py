"""Branches, returns, moves between slots, ``finally``, and instructions that do nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dotnet_wasm_host.jit.instructions import signed16, signed32, unsigned32
from dotnet_wasm_host.jit.ir import Access, Kind, Operation, Range, Slot
from dotnet_wasm_host.wasm.assembly import (
    I32,
    MEMORY_COPY,
    i32,
    i64,
    load,
    local_get,
    local_set,
    numeric,
    signature,
    store,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dotnet_wasm_host.jit.instructions import Instruction
    from dotnet_wasm_host.jit.ir import Emit, Emitter
    from dotnet_wasm_host.jit.selection.context import Rule, SelectionContext

__all__ = ["CONTROL", "connect_finally"]


_MAX_CLAUSES = 64


def _nothing(_context: SelectionContext, it: Instruction) -> Operation:
    return Operation(it.at, it.name, emit=lambda _: b"")


def _jump(_context: SelectionContext, it: Instruction) -> Operation:
    offset = signed16(it.operands[0]) if it.name.endswith(".s") else signed32(*it.operands[:2])
    return Operation(it.at, it.name, Kind.JUMP, targets=(it.at + offset,))


def _offset(it: Instruction, first: int, *, short: bool) -> int:
    return signed16(it.operands[first]) if short else signed32(*it.operands[first : first + 2])


def branch_on_zero(name: str, *, short: bool, zero: bool) -> Rule:
    """Slot, offset: taken where the slot is zero, or is not. ``name`` tests for zero."""
    of = signature(name).params[0]

    def select(_context: SelectionContext, it: Instruction) -> Operation:
        slot = it.operands[0]

        def condition(e: Emitter) -> bytes:
            if not zero and of is I32:
                return e.read(slot, of)
            return e.read(slot, of) + numeric(name) + (b"" if zero else numeric("i32.eqz"))

        return Operation(
            it.at, it.name, Kind.BRANCH, uses=(Slot(slot, of),), condition=condition,
            targets=(it.at + _offset(it, 1, short=short),),
        )  # fmt: skip

    return select


def branch_on(name: str, *then: str, short: bool) -> Rule:
    """Left, right, offset."""
    of = signature(name).params[0]
    code = numeric(name, *then)

    def select(_context: SelectionContext, it: Instruction) -> Operation:
        left, right = it.operands[:2]
        return Operation(
            it.at, it.name, Kind.BRANCH, uses=(Slot(left, of), Slot(right, of)),
            condition=lambda e: e.read(left, of) + e.read(right, of) + code,
            targets=(it.at + _offset(it, 2, short=short),),
        )  # fmt: skip

    return select


def branch_on_constant(name: str) -> Rule:
    """Left, a constant, offset."""
    of = signature(name).params[0]

    def select(_context: SelectionContext, it: Instruction) -> Operation:
        left, value = it.operands[0], signed16(it.operands[1])
        code = (i32(value) if of is I32 else i64(value)) + numeric(name)
        return Operation(
            it.at, it.name, Kind.BRANCH, uses=(Slot(left, of),),
            condition=lambda e: e.read(left, of) + code,
            targets=(it.at + signed16(it.operands[2]),),
        )  # fmt: skip

    return select


def _switch(_context: SelectionContext, it: Instruction) -> Operation:
    slot, count = it.operands[0], unsigned32(*it.operands[1:3])
    base = it.at + 4
    offsets = (signed32(*it.operands[3 + 2 * n : 5 + 2 * n]) for n in range(count))
    targets = (base + 2 * n + offset for n, offset in enumerate(offsets))
    return Operation(
        it.at, it.name, Kind.SWITCH, uses=(Slot(slot, I32),),
        condition=lambda e: e.read(slot, I32), targets=(*targets, base + 2 * count),
    )  # fmt: skip


def _return(_context: SelectionContext, it: Instruction) -> Operation:
    """What is returned is known where the method is written: see :mod:`emission`."""
    ranges: tuple[Range, ...] = ()
    if it.name == "ret.vt":
        ranges = (Range(it.operands[0], it.operands[1], Access.READ),)
    return Operation(it.at, it.name, Kind.RETURN, ranges=ranges, operands=it.operands)


def _move(_context: SelectionContext, it: Instruction) -> Operation:
    return Operation(it.at, it.name, Kind.MOVE, operands=it.operands)


def move_bytes(size: int | None) -> Rule:
    """Destination, source, and the size where it is not the opcode's."""

    def select(_context: SelectionContext, it: Instruction) -> Operation:
        to, of = it.operands[:2]
        count = it.operands[2] if size is None else size
        return Operation(
            it.at, it.name,
            ranges=(Range(to, count, Access.WRITE), Range(of, count, Access.READ)),
            emit=lambda e: e.address(to) + e.address(of) + i32(count) + MEMORY_COPY,
        )  # fmt: skip

    return select


def _zero(_context: SelectionContext, it: Instruction) -> Operation:
    return Operation(it.at, it.name, Kind.ZERO, operands=it.operands[:2])


def _address_of(_context: SelectionContext, it: Instruction) -> Operation:
    to, of, size = it.operands
    return Operation(
        it.at, it.name, defs=(Slot(to, I32),), ranges=(Range(of, size, Access.ADDRESS),),
        emit=lambda e: e.write(to, I32, e.address(of)),
    )  # fmt: skip


def _call_finally(context: SelectionContext, it: Instruction) -> Operation | None:
    """``finally`` on the normal way: note where to go on, and go to the handler."""
    short = it.name.endswith(".s")
    clause = it.operands[1] if short else it.operands[2]
    if clause >= _MAX_CLAUSES:
        return None
    back = it.at + (3 if short else 4)
    slot = context.clause_slot(clause)
    return Operation(
        it.at, it.name, Kind.JUMP, ranges=(Range(slot, 4, Access.WRITE),), operands=(clause, back),
        emit=lambda e: e.address(slot) + i32(context.code + 2 * back) + store("i32"),
        targets=(it.at + _offset(it, 0, short=short),),
    )  # fmt: skip


def _end_finally(context: SelectionContext, it: Instruction) -> Operation | None:
    """Finished by :func:`connect_finally`, which knows where it may go on."""
    clause = it.operands[0]
    if clause >= _MAX_CLAUSES:
        return None
    ranges = (Range(context.clause_slot(clause), 4, Access.READ),)
    return Operation(it.at, it.name, Kind.SWITCH, ranges=ranges, operands=(clause,), leaves=True)


def connect_finally(
    code: int, operations: list[Operation], charge: Callable[[int], object]
) -> None:
    """Give each end of a ``finally`` the places that its handler was called from.

    An exception in flight leaves for the interpreter.

    Args:
        code: address of the method.
        operations: of it.
        charge: told how many steps are about to be taken.
    """
    calls = [op for op in operations if op.name.startswith("call_handler") and op.targets]
    for op in operations:
        if op.name != "endfinally" or op.kind is not Kind.SWITCH:
            continue
        charge(1 + 4 * len(calls))
        back = tuple(
            dict.fromkeys(call.operands[1] for call in calls if call.operands[0] == op.operands[0])
        )
        if back:
            op.targets = back
            op.condition = _where_to_go_on(code, op.ranges[0].offset, back)
        else:
            op.kind, op.ranges = Kind.EXIT, ()


def _where_to_go_on(code: int, slot: int, back: tuple[int, ...]) -> Emit:
    def condition(e: Emitter) -> bytes:
        noted = e.temporary("finally")
        tests = [local_get(noted) + i32(code + 2 * at) + numeric("i32.eq") for at in back]
        none = tests[0] + b"".join(test + numeric("i32.or") for test in tests[1:])
        number = i32(0) + b"".join(
            test + i32(n) + numeric("i32.mul", "i32.add") for n, test in enumerate(tests)
        )
        start = e.address(slot) + load("i32") + local_set(noted)
        return start + e.leave_if(none + numeric("i32.eqz")) + number

    return condition


_INTEGERS = (("i4", "i32"), ("i8", "i64"))
_FLOATS = (("r4", "f32"), ("r8", "f64"))
_ORDERS = ("lt", "le", "gt", "ge")
_RELATIONS: Mapping[str, str] = {
    **{f"beq.{t}": f"{w}.eq" for t, w in (*_INTEGERS, *_FLOATS)},
    **{f"bne.un.{t}": f"{w}.ne" for t, w in (*_INTEGERS, *_FLOATS)},
    **{f"b{order}.{t}": f"{w}.{order}_s" for order in _ORDERS for t, w in _INTEGERS},
    **{f"b{order}.un.{t}": f"{w}.{order}_u" for order in _ORDERS for t, w in _INTEGERS},
    **{f"b{order}.{t}": f"{w}.{order}" for order in _ORDERS for t, w in _FLOATS},
}
#: Comparisons of floats that hold if either is not a number, and their opposites.
_UNORDERED = {"lt": "ge", "gt": "le", "le": "gt", "ge": "lt"}
#: Long offsets, short ones, and short ones with a safepoint.
_LENGTHS = {"": False, ".s": True, ".sp": True}
_NOTHING = (
    "tier_prepare_jiterpreter", "tier_nop_jiterpreter", "tier_enter_jiterpreter",
    "tier_monitor_jiterpreter", "nop", "il_seq_point", "sdb_intr_loc", "sdb_seq_point",
    # There is one thread: no barrier is needed, and nobody waits for a safepoint.
    "mono_memory_barrier", "safepoint",
)  # fmt: skip

#: Rule of each opcode, by its name in ``mintops.def``.
CONTROL: Mapping[str, Rule] = {
    **dict.fromkeys(_NOTHING, _nothing),
    "br": _jump, "br.s": _jump, "switch": _switch,
    **{
        f"br{word}.{t}{suffix}": branch_on_zero(f"{w}.eqz", short=short, zero=word == "false")
        for word in ("true", "false") for t, w in (("i4", "i32"), ("i8", "i64"))
        for suffix, short in _LENGTHS.items()
    },
    **{
        f"{name}{suffix}": branch_on(relation, short=short)
        for name, relation in _RELATIONS.items() for suffix, short in _LENGTHS.items()
        if suffix != ".sp" or name.endswith(("i4", "i8"))
    },
    **{
        f"b{word}.un.{t}{suffix}": branch_on(f"{w}.{opposite}", "i32.eqz", short=short)
        for word, opposite in _UNORDERED.items() for t, w in (("r4", "f32"), ("r8", "f64"))
        for suffix, short in _LENGTHS.items() if suffix != ".sp"
    },
    **{
        f"{name}.imm.sp": branch_on_constant(relation)
        for name, relation in _RELATIONS.items() if name.endswith(("i4", "i8"))
    },
    **dict.fromkeys(
        ("ret", "ret.void", "ret.vt", "ret.i1", "ret.u1", "ret.i2", "ret.u2", "ret.i4.imm",
         "ret.i8.imm"), _return,
    ),
    **dict.fromkeys(("mov.4", "mov.8", "mov.8.2", "mov.8.3", "mov.8.4"), _move),
    "mov.1": move_bytes(1), "mov.2": move_bytes(2),
    "mov.vt": move_bytes(None), "initlocal": _zero, "initlocals": _zero, "ldloca.s": _address_of,
    "call_handler": _call_finally, "call_handler.s": _call_finally,
    "endfinally": _end_finally,
}  # fmt: skip
