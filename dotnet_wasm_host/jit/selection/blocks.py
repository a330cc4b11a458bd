"""Blocks of memory, spans, arrays of several dimensions, atomics and vectors."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from dotnet_wasm_host.jit.ir import Access, Operation, Range, Slot
from dotnet_wasm_host.jit.selection.arrays import scaled
from dotnet_wasm_host.wasm.assembly import (
    END,
    I32,
    I64,
    IF,
    MEMORY_COPY,
    MEMORY_FILL,
    call_indirect,
    i32,
    i64,
    load,
    local_get,
    local_set,
    numeric,
    store,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dotnet_wasm_host.jit.instructions import Instruction
    from dotnet_wasm_host.jit.ir import Emitter
    from dotnet_wasm_host.jit.selection.context import Rule, SelectionContext
    from dotnet_wasm_host.wasm.binary import ValueType

__all__ = ["BLOCKS"]

_ADD, _EQZ, _EITHER = numeric("i32.add"), numeric("i32.eqz"), numeric("i32.or")
_MAX_RANK = 8
_V128 = 16
#: Bytes of a slot on the interpreter's stack, and how a lane of so many bytes is loaded.
_SLOT = 8
_LANES = {1: "i64.load8_u", 2: "i64.load16_u", 4: "i64.load32_u", 8: "i64.load"}


def _clear(_context: SelectionContext, it: Instruction) -> Operation:
    """Pointer, then a size, or the slot of one."""
    pointer, size = it.operands[:2]
    constant = it.name == "zeroblk_imm"

    def emit(e: Emitter) -> bytes:
        count = i32(size) if constant else e.read(size, I32)
        check = e.leave_if(e.read(pointer, I32) + _EQZ)
        return check + e.read(pointer, I32) + i32(0) + count + MEMORY_FILL

    uses = (Slot(pointer, I32),) if constant else (Slot(pointer, I32), Slot(size, I32))
    return Operation(it.at, it.name, uses=uses, emit=emit, leaves=True)


def _block(_context: SelectionContext, it: Instruction) -> Operation:
    """``cpblk`` and ``initblk``: destination, source or value, size."""
    to, second, size = it.operands
    copies = it.name == "cpblk"

    def emit(e: Emitter) -> bytes:
        null = e.read(to, I32) + _EQZ
        if copies:
            null += e.read(second, I32) + _EQZ + _EITHER
        # With a size of 0 null is allowed; the interpreter knows.
        operands = e.read(to, I32) + e.read(second, I32) + e.read(size, I32)
        return e.leave_if(null) + operands + (MEMORY_COPY if copies else MEMORY_FILL)

    uses = (Slot(to, I32), Slot(second, I32), Slot(size, I32))
    return Operation(it.at, it.name, uses=uses, emit=emit, leaves=True)


def _span_item(context: SelectionContext, it: Instruction) -> Operation:
    """``getitem.span``: the span is in memory. Destination, its address, index, size."""
    to, span, index, size = it.operands
    o = context.offsets

    def emit(e: Emitter) -> bytes:
        length = e.read(span, I32) + load("i32", o.span_length)
        null = e.read(span, I32) + _EQZ
        outside = e.read(index, I32) + length + numeric("i32.ge_u")
        data = e.read(span, I32) + load("i32", o.span_data)
        return e.leave_if(null + outside + _EITHER) + e.write(
            to, I32, data + scaled(e.read(index, I32), size) + _ADD
        )

    return Operation(
        it.at, it.name, uses=(Slot(span, I32), Slot(index, I32)), defs=(Slot(to, I32),),
        emit=emit, leaves=True,
    )  # fmt: skip


def _local_span_item(context: SelectionContext, it: Instruction) -> Operation:
    """``getitem.localspan``: the span is two words of the frame, single values like others."""
    to, span, index, size = it.operands
    data, length = span + context.offsets.span_data, span + context.offsets.span_length

    def emit(e: Emitter) -> bytes:
        outside = e.read(index, I32) + e.read(length, I32) + numeric("i32.ge_u")
        place = e.read(data, I32) + scaled(e.read(index, I32), size) + _ADD
        return e.leave_if(outside) + e.write(to, I32, place)

    return Operation(
        it.at, it.name, uses=(Slot(data, I32), Slot(length, I32), Slot(index, I32)),
        defs=(Slot(to, I32),), emit=emit, leaves=True,
    )  # fmt: skip


def _make_span(context: SelectionContext, it: Instruction) -> Operation:
    """Destination, pointer, length."""
    to, pointer, length = it.operands
    data, count = to + context.offsets.span_data, to + context.offsets.span_length

    def emit(e: Emitter) -> bytes:
        kept = e.temporary("span data")
        negative = e.read(length, I32) + i32(0) + numeric("i32.lt_s")
        return (
            e.leave_if(negative) + e.read(pointer, I32) + local_set(kept)
            + e.write(count, I32, e.read(length, I32)) + e.write(data, I32, local_get(kept))
        )  # fmt: skip

    return Operation(
        it.at, it.name, uses=(Slot(pointer, I32), Slot(length, I32)),
        defs=(Slot(count, I32), Slot(data, I32)), emit=emit, leaves=True,
    )  # fmt: skip


def _array_data(context: SelectionContext, it: Instruction) -> Operation:
    to, array = it.operands
    offset = i32(context.offsets.array_data) + _ADD

    def emit(e: Emitter) -> bytes:
        check = e.leave_if(e.read(array, I32) + _EQZ)
        return check + e.write(to, I32, e.read(array, I32) + offset)

    return Operation(
        it.at, it.name, uses=(Slot(array, I32),), defs=(Slot(to, I32),), emit=emit, leaves=True
    )


def _rank(context: SelectionContext, it: Instruction) -> Operation:
    to, array = it.operands
    o = context.offsets
    path = load("i32", o.object_vtable) + load("i32", o.vtable_klass)
    path += load("i32.load8_u", o.class_rank)

    def emit(e: Emitter) -> bytes:
        check = e.leave_if(e.read(array, I32) + _EQZ)
        return check + e.write(to, I32, e.read(array, I32) + path)

    return Operation(
        it.at, it.name, uses=(Slot(array, I32),), defs=(Slot(to, I32),), emit=emit, leaves=True
    )


def _element_of_dimensions(context: SelectionContext, it: Instruction) -> Operation | None:
    """Address of an element of an array with bounds (``MonoArrayBounds``: length, first)."""
    to, array, rank, size = it.operands
    if not 1 <= rank <= _MAX_RANK:
        return None
    o = context.offsets

    def emit(e: Emitter) -> bytes:
        bounds, position = e.temporary("bounds"), e.temporary("position")
        index = e.temporary("index")
        code = e.leave_if(e.read(array, I32) + _EQZ) + e.read(array, I32)
        code += load("i32", o.array_bounds) + local_set(bounds)
        code += e.leave_if(local_get(bounds) + _EQZ) + i32(0) + local_set(position)
        for dimension in range(rank):
            length = local_get(bounds) + load("i32", 8 * dimension)
            first = local_get(bounds) + load("i32", 8 * dimension + 4)
            code += e.read(array + 8 * dimension + 8, I32) + first + numeric("i32.sub")
            code += local_set(index)
            code += e.leave_if(local_get(index) + length + numeric("i32.ge_u"))
            code += local_get(position) + length + numeric("i32.mul") + local_get(index) + _ADD
            code += local_set(position)
        place = e.read(array, I32) + scaled(local_get(position), size) + _ADD
        return code + e.write(to, I32, place + i32(o.array_data) + _ADD)

    uses = tuple(Slot(array + 8 * n, I32) for n in range(rank + 1))
    return Operation(it.at, it.name, uses=uses, defs=(Slot(to, I32),), emit=emit, leaves=True)


def _compare_exchange(value_type: ValueType) -> Rule:
    """Destination, address, new value, expected value. There is one thread."""
    of = value_type.name.lower()

    def select(_context: SelectionContext, it: Instruction) -> Operation:
        to, pointer, value, expected = it.operands

        def emit(e: Emitter) -> bytes:
            old = e.temporary(f"old {of}", value_type)
            address = e.read(pointer, I32)
            return (
                e.leave_if(address + _EQZ) + address + load(of) + local_set(old)
                + local_get(old) + e.read(expected, value_type) + numeric(f"{of}.eq") + IF
                + address + e.read(value, value_type) + store(of) + END
                + e.write(to, value_type, local_get(old))
            )  # fmt: skip

        return Operation(
            it.at, it.name, emit=emit, leaves=True, defs=(Slot(to, value_type),),
            uses=(Slot(pointer, I32), Slot(value, value_type), Slot(expected, value_type)),
        )  # fmt: skip

    return select


def _exchange(value_type: ValueType) -> Rule:
    """Destination, address, new value."""
    of = value_type.name.lower()

    def select(_context: SelectionContext, it: Instruction) -> Operation:
        to, pointer, value = it.operands

        def emit(e: Emitter) -> bytes:
            old = e.temporary(f"old {of}", value_type)
            address = e.read(pointer, I32)
            return (
                e.leave_if(address + _EQZ) + address + load(of) + local_set(old)
                + address + e.read(value, value_type) + store(of)
                + e.write(to, value_type, local_get(old))
            )  # fmt: skip

        return Operation(
            it.at, it.name, emit=emit, leaves=True, defs=(Slot(to, value_type),),
            uses=(Slot(pointer, I32), Slot(value, value_type)),
        )  # fmt: skip

    return select


def _vector(arguments: int) -> Rule:
    """An intrinsic of vectors: the runtime's function on addresses of slots."""

    def select(context: SelectionContext, it: Instruction) -> Operation | None:
        *slots, number = it.operands[: 2 + arguments]
        function = context.facts.simd.get((arguments, number))
        if not function:
            return None

        def emit(e: Emitter) -> bytes:
            code = b"".join(map(e.address, slots))
            return code + i32(function) + call_indirect(e.call_type(f"vector{arguments}"))

        # Some results are single values of 4 or 8 bytes; what is above them stays as it was.
        read = (Range(slot, _V128, Access.READ) for slot in slots[1:])
        ranges = (Range(slots[0], 4, Access.WRITE), Range(slots[0] + 4, 12, Access.UPDATE), *read)
        return Operation(it.at, it.name, ranges=ranges, emit=emit)

    return select


def _vector_constant(_context: SelectionContext, it: Instruction) -> Operation:
    to = it.operands[0]
    raw = struct.pack("<8H", *it.operands[1:9])
    halves = [(at, int.from_bytes(raw[at : at + 8], "little")) for at in (0, 8)]
    return Operation(
        it.at, it.name, ranges=(Range(to, _V128, Access.WRITE),),
        emit=lambda e: b"".join(e.address(to + at) + i64(v) + store("i64") for at, v in halves),
    )  # fmt: skip


def _vector_of(size: int) -> Rule:
    """Destination, the first of the slots that have the lanes, of ``size`` bytes each."""

    def select(_context: SelectionContext, it: Instruction) -> Operation:
        to, of = it.operands
        lanes, name = _V128 // size, _LANES[size]

        def half(e: Emitter, first: int) -> bytes:
            code = i64(0)
            for lane in range(lanes // 2):
                value = e.address(of + _SLOT * (first + lane)) + load(name)
                code += value + i64(8 * size * lane) + numeric("i64.shl", "i64.or")
            return code

        def emit(e: Emitter) -> bytes:
            low, high = e.temporary("low half", I64), e.temporary("high half", I64)
            # All are read before any is written: the vector may be where they are.
            return (
                half(e, 0) + local_set(low) + half(e, lanes // 2) + local_set(high)
                + e.address(to) + local_get(low) + store("i64")
                + e.address(to) + local_get(high) + store("i64", 8)
            )  # fmt: skip

        ranges = (
            Range(to, _V128, Access.WRITE), *(
                Range(of + _SLOT * lane, size, Access.READ) for lane in range(lanes)
            ),
        )  # fmt: skip
        return Operation(it.at, it.name, ranges=ranges, emit=emit)

    return select


#: Rule of each opcode, by its name in ``mintops.def``.
BLOCKS: Mapping[str, Rule] = {
    "zeroblk": _clear, "zeroblk_imm": _clear, "cpblk": _block, "initblk": _block,
    "getitem.span": _span_item, "getitem.localspan": _local_span_item,
    "intrins_span_ctor": _make_span, "intrins_memorymarshal_getarraydataref": _array_data,
    "array_rank": _rank, "ldelema": _element_of_dimensions,
    "mono_interlocked.cmpxchg.i4": _compare_exchange(I32),
    "mono_interlocked.cmpxchg.i8": _compare_exchange(I64),
    "mono_interlocked.xchg.i4": _exchange(I32), "mono_interlocked.xchg.i8": _exchange(I64),
    "simd_intrins_p_p": _vector(1), "simd_intrins_p_pp": _vector(2),
    "simd_intrins_p_ppp": _vector(3), "simd_v128_ldc": _vector_constant,
    **{f"simd_v128_i{size}_create": _vector_of(size) for size in _LANES},
}  # fmt: skip
