"""Calls of methods that are known, and of methods that are found when they are called."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dotnet_wasm_host.jit.instructions import signed16
from dotnet_wasm_host.jit.ir import Access, Made, Operation, Range, Slot
from dotnet_wasm_host.jit.selection.objects import make_object
from dotnet_wasm_host.wasm.assembly import (
    ELSE,
    END,
    I32,
    IF,
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

__all__ = ["CALLS"]

#: Methods of interfaces that share a place in front of a vtable and are looked at.
_MAX_LIST = 3


def _call(context: SelectionContext, it: Instruction) -> Operation:
    """Result, frame of the callee, data item: a method. It is called directly if it can be."""
    result, base, item = it.operands
    method = context.item(item)
    return Operation(
        it.at, it.name, operands=it.operands, leaves=True,
        emit=lambda e: e.call(method, context.place(item), base, result),
    )  # fmt: skip


def _look_through(e: Emitter, declared: int, found: int) -> bytes:
    """Set ``found`` from the list in it to the target of a declared method, or to 0.

    The first few pairs of the list: mostly it has one.
    """
    node, pair = e.temporary("node"), e.temporary("pair")
    code = local_get(found) + local_set(node) + i32(0) + local_set(found)
    for _ in range(_MAX_LIST):
        look = local_get(pair) + load("i32") + i32(declared) + numeric("i32.eq")
        code += local_get(node) + IF
        code += local_get(node) + load("i32") + local_set(pair)
        code += look + IF + local_get(pair) + load("i32", 4) + local_set(found)
        code += i32(0) + local_set(node) + ELSE
        code += local_get(node) + load("i32", 4) + local_set(node) + END + END
    return code


def _call_virtual(context: SelectionContext, it: Instruction) -> Operation:
    """Result, frame of the callee, data item: the method that was declared, number of its slot.

    From 0 on a virtual method: ``MonoVTable.interp_vtable`` has its target, with the lowest bit
    set, or for a method of a generic type a list of pairs of a declared method and its target.
    Below it a method of an interface: such a list is in front of the vtable. What looks different
    is the interpreter's.
    """
    result, base, item = it.operands[:3]
    number, o = signed16(it.operands[3]), context.offsets
    declared = context.item(item)

    def emit(e: Emitter) -> bytes:
        found = e.temporary("method")
        value, eqz = local_get(found), numeric("i32.eqz")
        vtable = e.read(base, I32) + load("i32", o.object_vtable)
        code = e.leave_if(e.read(base, I32) + eqz)
        odd, listed = value + i32(1) + numeric("i32.and"), _look_through(e, declared, found)
        if number >= 0:
            code += vtable + load("i32", o.vtable_interp) + local_set(found)
            code += e.leave_if(value + eqz)
            code += value + load("i32") + load("i32", 4 * number) + local_set(found)
            code += odd + IF + value + i32(1) + numeric("i32.sub") + local_set(found)
            code += ELSE + listed + END
        else:
            code += vtable + i32(4 * number) + numeric("i32.add") + load("i32") + local_set(found)
            code += e.leave_if(odd) + listed
        return code + e.leave_if(value + eqz) + e.call_found(value, base, result)

    return Operation(
        it.at,
        it.name,
        operands=it.operands,
        uses=(Slot(base, I32),),
        leaves=True,
        in_context=True,
        emit=emit,
    )


def _call_delegate(context: SelectionContext, it: Instruction) -> Operation:
    """Result, frame of the callee, which begins with the delegate.

    One with a target calls a method whose ``this``, or first argument, that is. What looks
    different (several targets, none, a value type) is the interpreter's.
    """
    result, base = it.operands[:2]
    o = context.offsets

    def emit(e: Emitter) -> bytes:
        found, target = e.temporary("method"), e.temporary("target")
        eqz, delegate = numeric("i32.eqz"), e.read(base, I32)
        return (
            e.leave_if(delegate + eqz)
            + delegate + load("i32", o.delegate_target) + local_set(target)
            + e.leave_if(local_get(target) + eqz)
            + delegate + load("i32", o.delegate_imethod) + local_set(found)
            + e.leave_if(local_get(found) + eqz)
            + e.call_found(local_get(found), base, result, local_get(target))
        )  # fmt: skip

    return Operation(
        it.at, it.name, operands=it.operands, uses=(Slot(base, I32),),
        ranges=(Range(base, 4, Access.UPDATE),), leaves=True, in_context=True, emit=emit,
    )  # fmt: skip


def _call_constructor(context: SelectionContext, it: Instruction) -> Operation:
    """Where the object goes, frame of the constructor, data items: the method, the vtable."""
    to, base = it.operands[:2]
    method, vtable = context.item(it.operands[2]), context.item(it.operands[3])
    return Operation(
        it.at, it.name, operands=it.operands, defs=(Slot(to, I32),), leaves=True, in_context=True,
        emit=lambda e: e.call(
            method, context.place(it.operands[2]), base, base, Made(make_object(e, vtable), to)
        ),
    )  # fmt: skip


def _call_string_constructor(context: SelectionContext, it: Instruction) -> Operation:
    """Result, frame of a method that makes a string, without ``this``."""
    result, base, item = it.operands
    method = context.item(item)
    return Operation(
        it.at, it.name, operands=it.operands, ranges=(Range(base, 4, Access.WRITE),), leaves=True,
        emit=lambda e: (
            e.address(base) + i32(0) + store("i32")
            + e.call(method, context.place(item), base, result)
        ),
    )  # fmt: skip


#: Rule of each opcode, by its name in ``mintops.def``.
CALLS: Mapping[str, Rule] = {
    "call": _call, "callvirt.fast": _call_virtual, "call.delegate": _call_delegate,
    "newobj": _call_constructor, "newobj_string": _call_string_constructor,
}  # fmt: skip
