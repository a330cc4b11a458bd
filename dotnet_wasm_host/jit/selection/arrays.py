"""Elements and lengths of arrays and strings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dotnet_wasm_host.jit.ir import Access, Operation, Range, Slot
from dotnet_wasm_host.jit.selection.memory import WIDTHS, WRITE_REFERENCE, Width, null_checked
from dotnet_wasm_host.wasm.assembly import (
    I32,
    MEMORY_COPY,
    i32,
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

__all__ = ["ARRAYS", "bounds_checked", "scaled"]

_ADD, _EQZ = numeric("i32.add"), numeric("i32.eqz")
_ELEMENTS = ("i1", "u1", "i2", "u2", "i4", "i8", "r4", "r8")


def scaled(index: bytes, size: int) -> bytes:
    """An index times the size of an element."""
    if size == 1:
        return index
    if size & (size - 1):
        return index + i32(size) + numeric("i32.mul")
    return index + i32(size.bit_length() - 1) + numeric("i32.shl")


def bounds_checked(e: Emitter, container: bytes, index: bytes, length_at: int) -> bytes:
    """Leave unless the index is inside.

    A null reference needs no check of its own: the data of the module begins at 1024, so what
    is read as its length is 0. A guest that writes there by unsafe code deceives itself only.
    """
    return e.leave_if(index + container + load("i32", length_at) + numeric("i32.ge_u"))


def load_element(width: Width) -> Rule:
    """Destination, array, index."""

    def select(context: SelectionContext, it: Instruction) -> Operation:
        to, array, index = it.operands
        o = context.offsets

        def emit(e: Emitter) -> bytes:
            address = e.read(array, I32) + scaled(e.read(index, I32), width.size) + _ADD
            return bounds_checked(
                e, e.read(array, I32), e.read(index, I32), o.array_length
            ) + e.write(to, width.type, address + load(width.load, o.array_data))

        return Operation(
            it.at, it.name, uses=(Slot(array, I32), Slot(index, I32)), defs=(Slot(to, width.type),),
            emit=emit, leaves=True,
        )  # fmt: skip

    return select


def store_element(width: Width) -> Rule:
    """Array, index, value."""

    def select(context: SelectionContext, it: Instruction) -> Operation:
        array, index, source = it.operands
        o = context.offsets

        def emit(e: Emitter) -> bytes:
            address = e.read(array, I32) + scaled(e.read(index, I32), width.size) + _ADD
            stored = address + e.read(source, width.type) + store(width.store, o.array_data)
            return (
                bounds_checked(e, e.read(array, I32), e.read(index, I32), o.array_length) + stored
            )

        return Operation(
            it.at, it.name, emit=emit, leaves=True,
            uses=(Slot(array, I32), Slot(index, I32), Slot(source, width.type)),
        )  # fmt: skip

    return select


def _element_place(
    e: Emitter, context: SelectionContext, array: int, index: int, size: int
) -> bytes:
    offset = i32(context.offsets.array_data) + _ADD
    return e.read(array, I32) + scaled(e.read(index, I32), size) + _ADD + offset


def _load_element_value(context: SelectionContext, it: Instruction) -> Operation:
    to, array, index, size = it.operands

    def emit(e: Emitter) -> bytes:
        check = bounds_checked(
            e, e.read(array, I32), e.read(index, I32), context.offsets.array_length
        )
        place = _element_place(e, context, array, index, size)
        return check + e.address(to) + place + i32(size) + MEMORY_COPY

    return Operation(
        it.at, it.name, uses=(Slot(array, I32), Slot(index, I32)),
        ranges=(Range(to, size, Access.WRITE),), emit=emit, leaves=True,
    )  # fmt: skip


def _store_element_value(context: SelectionContext, it: Instruction) -> Operation:
    array, index, source, klass, size = it.operands
    of = None if it.name.endswith("noref") else context.item(klass)

    def emit(e: Emitter) -> bytes:
        check = bounds_checked(
            e, e.read(array, I32), e.read(index, I32), context.offsets.array_length
        )
        ends = _element_place(e, context, array, index, size) + e.address(source)
        if of is None:
            return check + ends + i32(size) + MEMORY_COPY
        return check + ends + i32(of) + e.helper("mono_jiterp_value_copy")

    return Operation(
        it.at, it.name, uses=(Slot(array, I32), Slot(index, I32)),
        ranges=(Range(source, size, Access.READ),), emit=emit, leaves=True,
    )  # fmt: skip


def _store_element_reference(context: SelectionContext, it: Instruction) -> Operation:
    """With the check that the array may hold it, unless the opcode says it need not."""
    array, index, source = it.operands
    unchecked = it.name.endswith("unchecked")

    def emit(e: Emitter) -> bytes:
        operands = e.read(array, I32) + e.read(index, I32)
        value = e.read(source, I32)
        if not unchecked:
            return e.leave_if(operands + value + e.helper("mono_jiterp_stelem_ref") + _EQZ)
        check = bounds_checked(
            e, e.read(array, I32), e.read(index, I32), context.offsets.array_length
        )
        place = _element_place(e, context, array, index, 4)
        return check + place + value + e.helper(WRITE_REFERENCE)

    return Operation(
        it.at, it.name, uses=(Slot(array, I32), Slot(index, I32), Slot(source, I32)), emit=emit,
        leaves=True,
    )  # fmt: skip


def _element_address(context: SelectionContext, it: Instruction) -> Operation:
    to, array, index, size = it.operands

    def emit(e: Emitter) -> bytes:
        check = bounds_checked(
            e, e.read(array, I32), e.read(index, I32), context.offsets.array_length
        )
        return check + e.write(to, I32, _element_place(e, context, array, index, size))

    return Operation(
        it.at, it.name, uses=(Slot(array, I32), Slot(index, I32)), defs=(Slot(to, I32),),
        emit=emit, leaves=True,
    )  # fmt: skip


def _element_address_checked(context: SelectionContext, it: Instruction) -> Operation:
    """``ldelema.tc``: of an array whose elements are of exactly this class; others leave."""
    to, array, klass = it.operands
    index, o, of = array + 8, context.offsets, context.item(klass)

    def emit(e: Emitter) -> bytes:
        found = e.temporary("class")
        other = local_get(found) + load("i32", o.class_element_class) + i32(of) + numeric("i32.ne")
        rank = local_get(found) + load("i32.load8_u", o.class_rank) + i32(1) + numeric("i32.ne")
        bounds = e.read(array, I32) + load("i32", o.array_bounds)
        either = numeric("i32.or")
        return (
            null_checked(e, e.read(array, I32))
            + e.read(array, I32) + load("i32", o.object_vtable) + load("i32", o.vtable_klass)
            + local_set(found)
            + e.leave_if(other + rank + either + bounds + either)
            + bounds_checked(e, e.read(array, I32), e.read(index, I32), o.array_length)
            + e.write(to, I32, _element_place(e, context, array, index, 4))
        )  # fmt: skip

    return Operation(
        it.at, it.name, uses=(Slot(array, I32), Slot(index, I32)), defs=(Slot(to, I32),),
        emit=emit, leaves=True,
    )  # fmt: skip


def length_of(member: str) -> Rule:
    """Destination, array or string."""

    def select(context: SelectionContext, it: Instruction) -> Operation:
        to, of = it.operands
        at = getattr(context.offsets, member)

        def emit(e: Emitter) -> bytes:
            return null_checked(e, e.read(of, I32)) + e.write(
                to, I32, e.read(of, I32) + load("i32", at)
            )

        return Operation(
            it.at, it.name, uses=(Slot(of, I32),), defs=(Slot(to, I32),), emit=emit, leaves=True
        )

    return select


def _character(context: SelectionContext, it: Instruction) -> Operation:
    to, text, index = it.operands
    o = context.offsets

    def emit(e: Emitter) -> bytes:
        address = e.read(text, I32) + scaled(e.read(index, I32), 2) + _ADD
        return bounds_checked(e, e.read(text, I32), e.read(index, I32), o.string_length) + e.write(
            to, I32, address + load("i32.load16_u", o.string_data)
        )

    return Operation(
        it.at, it.name, uses=(Slot(text, I32), Slot(index, I32)), defs=(Slot(to, I32),),
        emit=emit, leaves=True,
    )  # fmt: skip


#: Rule of each opcode, by its name in ``mintops.def``.
ARRAYS: Mapping[str, Rule] = {
    **{f"ldelem.{t}": load_element(WIDTHS[t]) for t in (*_ELEMENTS, "u4", "ref")},
    **{f"stelem.{t}": store_element(WIDTHS[t]) for t in _ELEMENTS},
    "ldelem.vt": _load_element_value, "stelem.vt": _store_element_value,
    "stelem.vt.noref": _store_element_value, "stelem.ref": _store_element_reference,
    "stelem.ref.unchecked": _store_element_reference,
    "ldelema1": _element_address, "ldelema.tc": _element_address_checked,
    "ldlen": length_of("array_length"), "strlen": length_of("string_length"),
    "getchr": _character,
}  # fmt: skip
