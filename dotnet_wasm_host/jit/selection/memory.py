"""Loads and stores: fields, statics, pointers, value types."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from dotnet_wasm_host.jit.instructions import signed16
from dotnet_wasm_host.jit.ir import Access, Operation, Range, Slot
from dotnet_wasm_host.wasm.assembly import (
    F32,
    F64,
    I32,
    I64,
    MEMORY_COPY,
    i32,
    load,
    numeric,
    store,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dotnet_wasm_host.jit.instructions import Instruction
    from dotnet_wasm_host.jit.ir import Emitter
    from dotnet_wasm_host.jit.selection.context import Rule, SelectionContext
    from dotnet_wasm_host.wasm.binary import ValueType

__all__ = ["MEMORY", "WIDTHS", "WRITE_REFERENCE", "Width", "null_checked"]

#: A value type of which only the class is named: more than any that is compiled.
UNKNOWN_SIZE = 256
_ADD, _EQZ = numeric("i32.add"), numeric("i32.eqz")
WRITE_REFERENCE = "mono_wasm_write_managed_pointer_unsafe"


class Width(NamedTuple):
    """How values of a type of elements are loaded and stored."""

    load: str
    store: str
    type: ValueType
    size: int


WIDTHS: Mapping[str, Width] = {
    "i1": Width("i32.load8_s", "i32.store8", I32, 1),
    "u1": Width("i32.load8_u", "i32.store8", I32, 1),
    "i2": Width("i32.load16_s", "i32.store16", I32, 2),
    "u2": Width("i32.load16_u", "i32.store16", I32, 2),
    "i4": Width("i32.load", "i32.store", I32, 4),
    "u4": Width("i32.load", "i32.store", I32, 4),
    "i8": Width("i64.load", "i64.store", I64, 8),
    "r4": Width("f32.load", "f32.store", F32, 4),
    "r8": Width("f64.load", "f64.store", F64, 8),
    "o": Width("i32.load", "i32.store", I32, 4),
    "ref": Width("i32.load", "i32.store", I32, 4),
}


def null_checked(e: Emitter, pointer: bytes) -> bytes:
    """Leave where the pointer is null."""
    return e.leave_if(pointer + _EQZ)


def load_at(width: Width, address: Callable[[Emitter, Instruction], bytes], *more: int) -> Rule:
    """Destination, pointer: the pointer is checked, the address may be another.

    ``more`` are the numbers of further operands that are slots of i32.
    """

    def select(_context: SelectionContext, it: Instruction) -> Operation:
        to, pointer = it.operands[:2]
        uses = (Slot(pointer, I32), *(Slot(it.operands[n], I32) for n in more))

        def emit(e: Emitter) -> bytes:
            return null_checked(e, e.read(pointer, I32)) + e.write(
                to, width.type, address(e, it) + load(width.load)
            )

        return Operation(
            it.at, it.name, uses=uses, defs=(Slot(to, width.type),), emit=emit, leaves=True
        )

    return select


def _plain(e: Emitter, it: Instruction) -> bytes:
    return e.read(it.operands[1], I32)


def _plus_slot(e: Emitter, it: Instruction) -> bytes:
    return _plain(e, it) + e.read(it.operands[2], I32) + _ADD


def _plus_constant(e: Emitter, it: Instruction) -> bytes:
    return _plain(e, it) + i32(signed16(it.operands[2])) + _ADD


def _plus_element(e: Emitter, it: Instruction) -> bytes:
    first, second = map(signed16, it.operands[3:5])
    index = e.read(it.operands[2], I32) + i32(first) + _ADD + i32(second) + numeric("i32.mul")
    return _plain(e, it) + index + _ADD


def load_field(width: Width) -> Rule:
    """Destination, object, offset."""

    def select(_context: SelectionContext, it: Instruction) -> Operation:
        to, pointer, offset = it.operands

        def emit(e: Emitter) -> bytes:
            value = e.read(pointer, I32) + load(width.load, offset)
            return null_checked(e, e.read(pointer, I32)) + e.write(to, width.type, value)

        return Operation(
            it.at, it.name, uses=(Slot(pointer, I32),), defs=(Slot(to, width.type),), emit=emit,
            leaves=True,
        )  # fmt: skip

    return select


def store_at(width: Width, *, value: int, slot: int | None = None, offset: bool = False) -> Rule:
    """Pointer first.

    ``value`` is the number of the operand with the value, ``slot`` of one that is added to the
    pointer; with ``offset`` operand 2 is a constant that is added.
    """

    def select(_context: SelectionContext, it: Instruction) -> Operation:
        pointer, source = it.operands[0], it.operands[value]
        more = () if slot is None else (Slot(it.operands[slot], I32),)

        def emit(e: Emitter) -> bytes:
            address = e.read(pointer, I32)
            if slot is not None:
                address += e.read(it.operands[slot], I32) + _ADD
            if offset:
                address += i32(signed16(it.operands[2])) + _ADD
            stored = address + e.read(source, width.type) + store(width.store)
            return null_checked(e, e.read(pointer, I32)) + stored

        return Operation(
            it.at, it.name, uses=(Slot(pointer, I32), Slot(source, width.type), *more), emit=emit,
            leaves=True,
        )  # fmt: skip

    return select


def store_field(width: Width) -> Rule:
    """Object, value, offset."""

    def select(_context: SelectionContext, it: Instruction) -> Operation:
        pointer, source, offset = it.operands

        def emit(e: Emitter) -> bytes:
            stored = e.read(pointer, I32) + e.read(source, width.type) + store(width.store, offset)
            return null_checked(e, e.read(pointer, I32)) + stored

        return Operation(
            it.at, it.name, uses=(Slot(pointer, I32), Slot(source, width.type)), emit=emit,
            leaves=True,
        )  # fmt: skip

    return select


def _store_reference(offset_at: int | None) -> Rule:
    """Pointer, reference, perhaps an offset; with the collector's write barrier."""

    def select(_context: SelectionContext, it: Instruction) -> Operation:
        pointer, source = it.operands[:2]
        offset = 0 if offset_at is None else it.operands[offset_at]

        def emit(e: Emitter) -> bytes:
            address = e.read(pointer, I32) + i32(offset) + _ADD
            stored = address + e.read(source, I32) + e.helper(WRITE_REFERENCE)
            return null_checked(e, e.read(pointer, I32)) + stored

        return Operation(
            it.at, it.name, uses=(Slot(pointer, I32), Slot(source, I32)), emit=emit, leaves=True
        )

    return select


def field_address(*, checked: bool) -> Rule:
    """Destination, object, offset."""

    def select(_context: SelectionContext, it: Instruction) -> Operation:
        to, pointer, offset = it.operands

        def emit(e: Emitter) -> bytes:
            check = null_checked(e, e.read(pointer, I32)) if checked else b""
            return check + e.write(to, I32, e.read(pointer, I32) + i32(offset) + _ADD)

        return Operation(
            it.at, it.name, uses=(Slot(pointer, I32),), defs=(Slot(to, I32),), emit=emit,
            leaves=checked,
        )  # fmt: skip

    return select


def copy_value(
    *, pointer: int, slot: int, size: int, offset: int | None = None, into_frame: bool
) -> Rule:
    """Copy a value type between the frame and memory; the arguments number operands."""

    def select(_context: SelectionContext, it: Instruction) -> Operation:
        at, place, count = it.operands[pointer], it.operands[slot], it.operands[size]
        plus = b"" if offset is None else i32(it.operands[offset]) + _ADD

        def emit(e: Emitter) -> bytes:
            ends = [e.address(place), e.read(at, I32) + plus]
            if not into_frame:
                ends.reverse()
            return null_checked(e, e.read(at, I32)) + b"".join(ends) + i32(count) + MEMORY_COPY

        access = Access.WRITE if into_frame else Access.READ
        return Operation(
            it.at, it.name, uses=(Slot(at, I32),), ranges=(Range(place, count, access),),
            emit=emit, leaves=True,
        )  # fmt: skip

    return select


def store_value(*, slot: int, klass: int, offset: int | None = None) -> Rule:
    """Copy a value type with references out of the frame; the arguments number operands."""

    def select(context: SelectionContext, it: Instruction) -> Operation:
        pointer, source = it.operands[0], it.operands[slot]
        plus = b"" if offset is None else i32(it.operands[offset]) + _ADD
        of = context.item(it.operands[klass])

        def emit(e: Emitter) -> bytes:
            arguments = e.read(pointer, I32) + plus + e.address(source) + i32(of)
            return (
                null_checked(e, e.read(pointer, I32))
                + arguments
                + e.helper("mono_jiterp_value_copy")
            )

        return Operation(
            it.at, it.name, uses=(Slot(pointer, I32),),
            ranges=(Range(source, UNKNOWN_SIZE, Access.READ),), emit=emit, leaves=True,
        )  # fmt: skip

    return select


def copy_object(*, with_references: bool) -> Rule:
    """``cpobj``: a value type from one address to another."""

    def select(context: SelectionContext, it: Instruction) -> Operation:
        to, of, last = it.operands
        end = i32(context.item(last)) if with_references else i32(last) + MEMORY_COPY

        def emit(e: Emitter) -> bytes:
            null = e.read(to, I32) + _EQZ + e.read(of, I32) + _EQZ + numeric("i32.or")
            copied = e.read(to, I32) + e.read(of, I32) + end
            return (
                e.leave_if(null)
                + copied
                + (e.helper("mono_jiterp_value_copy") if with_references else b"")
            )

        return Operation(
            it.at, it.name, uses=(Slot(to, I32), Slot(of, I32)), emit=emit, leaves=True
        )

    return select


def _static(context: SelectionContext, it: Instruction, number: int) -> int | None:
    """Address of a static field, if its class is initialised by now: it stays so."""
    vtable = context.item(it.operands[number])
    if not context.words.u8(vtable + context.offsets.vtable_initialized) & 1:
        return None
    return context.item(it.operands[number + 1])


def load_static(width: Width) -> Rule:
    """Destination, vtable, address."""

    def select(context: SelectionContext, it: Instruction) -> Operation | None:
        to, address = it.operands[0], _static(context, it, 1)
        if address is None:
            return None
        return Operation(
            it.at, it.name, defs=(Slot(to, width.type),),
            emit=lambda e: e.write(to, width.type, i32(address) + load(width.load)),
        )  # fmt: skip

    return select


def store_static(width: Width) -> Rule:
    """Value, vtable, address."""

    def select(context: SelectionContext, it: Instruction) -> Operation | None:
        source, address = it.operands[0], _static(context, it, 1)
        if address is None:
            return None
        return Operation(
            it.at, it.name, uses=(Slot(source, width.type),),
            emit=lambda e: i32(address) + e.read(source, width.type) + store(width.store),
        )  # fmt: skip

    return select


def _store_static_reference(context: SelectionContext, it: Instruction) -> Operation | None:
    source, address = it.operands[0], _static(context, it, 1)
    if address is None:
        return None
    return Operation(
        it.at, it.name, uses=(Slot(source, I32),),
        emit=lambda e: i32(address) + e.read(source, I32) + e.helper(WRITE_REFERENCE),
    )  # fmt: skip


def _load_static_value(context: SelectionContext, it: Instruction) -> Operation | None:
    to, size, address = it.operands[0], it.operands[3], _static(context, it, 1)
    if address is None:
        return None
    return Operation(
        it.at, it.name, ranges=(Range(to, size, Access.WRITE),),
        emit=lambda e: e.address(to) + i32(address) + i32(size) + MEMORY_COPY,
    )  # fmt: skip


def _static_address(context: SelectionContext, it: Instruction) -> Operation | None:
    address = _static(context, it, 1)
    return None if address is None else _constant(it, address)


def _constant(it: Instruction, value: int) -> Operation:
    to = it.operands[0]
    return Operation(
        it.at, it.name, defs=(Slot(to, I32),), emit=lambda e: e.write(to, I32, i32(value))
    )


def _load_pointer(context: SelectionContext, it: Instruction) -> Operation:
    return _constant(it, context.item(it.operands[1]))


def _load_string(context: SelectionContext, it: Instruction) -> Operation:
    """The item is read when the code runs: the collector may have moved the string."""
    to, address = it.operands[0], context.items + 4 * it.operands[1]
    return Operation(
        it.at, it.name, defs=(Slot(to, I32),),
        emit=lambda e: e.write(to, I32, i32(address) + load("i32")),
    )  # fmt: skip


def _check_null(_context: SelectionContext, it: Instruction) -> Operation:
    to, of = it.operands

    def emit(e: Emitter) -> bytes:
        return null_checked(e, e.read(of, I32)) + e.write(to, I32, e.read(of, I32))

    return Operation(
        it.at, it.name, uses=(Slot(of, I32),), defs=(Slot(to, I32),), emit=emit, leaves=True
    )


_I4, _REF = WIDTHS["i4"], WIDTHS["ref"]
_FIELDS = ("i1", "u1", "i2", "u2", "i4", "i8", "r4", "r8")
_OFF = ("i1", "u1", "i2", "u2", "i4", "i8")
_STORED = ("i1", "i2", "i4", "i8")

#: Rule of each opcode, by its name in ``mintops.def``.
MEMORY: Mapping[str, Rule] = {
    **{f"ldfld.{t}": load_field(WIDTHS[t]) for t in (*_FIELDS, "o")},
    "ldfld.i8.unaligned": load_field(WIDTHS["i8"]), "ldfld.r8.unaligned": load_field(WIDTHS["r8"]),
    "ldfld.vt": copy_value(pointer=1, slot=0, size=3, offset=2, into_frame=True),
    "ldflda": field_address(checked=True), "ldflda.unsafe": field_address(checked=False),
    **{f"stfld.{t}": store_field(WIDTHS[t]) for t in _FIELDS},
    "stfld.i8.unaligned": store_field(WIDTHS["i8"]),
    "stfld.r8.unaligned": store_field(WIDTHS["r8"]),
    "stfld.o": _store_reference(2),
    "stfld.vt": store_value(slot=1, klass=3, offset=2),
    "stfld.vt.noref": copy_value(pointer=0, slot=1, size=3, offset=2, into_frame=False),
    **{f"ldsfld.{t}": load_static(WIDTHS[t]) for t in (*_FIELDS, "o")},
    "ldsfld.vt": _load_static_value, "ldsflda": _static_address,
    **{f"stsfld.{t}": store_static(WIDTHS[t]) for t in _FIELDS},
    "stsfld.o": _store_static_reference,
    "mono_ldptr": _load_pointer, "ldstr": _load_string,
    **{f"ldind.{t}": load_at(WIDTHS[t], _plain) for t in _FIELDS},
    **{f"ldind_off.{t}": load_at(WIDTHS[t], _plus_slot, 2) for t in _OFF},
    **{f"ldind_off_imm.{t}": load_at(WIDTHS[t], _plus_constant) for t in _OFF},
    **{f"ldind_off_add_mul_imm.{t}": load_at(WIDTHS[t], _plus_element, 2) for t in _OFF},
    **{f"stind.{t}": store_at(WIDTHS[t], value=1) for t in (*_STORED, "r4", "r8")},
    "stind.ref": _store_reference(None),
    **{f"stind_off.{t}": store_at(WIDTHS[t], value=2, slot=1) for t in _STORED},
    **{f"stind_off_imm.{t}": store_at(WIDTHS[t], value=1, offset=True) for t in _STORED},
    "cknull": _check_null,
    "ldobj.vt": copy_value(pointer=1, slot=0, size=2, into_frame=True),
    "stobj.vt": store_value(slot=1, klass=2),
    "stobj.vt.noref": copy_value(pointer=0, slot=1, size=2, into_frame=False),
    "cpobj.vt": copy_object(with_references=True),
    "cpobj.vt.noref": copy_object(with_references=False),
}  # fmt: skip
