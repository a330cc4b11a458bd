"""Objects: made, boxed, cast, and what the runtime knows of them.

The collector may run where an object is made. It finds references in frames, up to the place that
``Emitter.collect`` notes, and does not move what they refer to. Registers hold what is in
the frame, so none is stale afterwards.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dotnet_wasm_host.jit.instructions import unsigned32
from dotnet_wasm_host.jit.ir import Access, Operation, Range, Slot
from dotnet_wasm_host.jit.selection.memory import UNKNOWN_SIZE, null_checked
from dotnet_wasm_host.wasm.assembly import (
    ELSE,
    END,
    I32,
    IF,
    i32,
    load,
    local_get,
    local_set,
    local_tee,
    numeric,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dotnet_wasm_host.jit.instructions import Instruction
    from dotnet_wasm_host.jit.ir import Emitter
    from dotnet_wasm_host.jit.selection.context import Rule, SelectionContext

__all__ = ["OBJECTS", "make_object"]

_EQZ = numeric("i32.eqz")
#: Bytes of a slot with a single value.
_SINGLE = 8


def make_object(e: Emitter, vtable: int) -> bytes:
    """Make an object; its address is in the scratch word then. Leaves where there is none."""
    made = i32(e.scratch()) + i32(vtable) + e.helper("mono_jiterp_try_newobj_inlined")
    return e.collect() + e.leave_if(made + _EQZ)


def _answer(e: Emitter) -> bytes:
    return i32(e.scratch()) + load("i32")


def _new_object(context: SelectionContext, it: Instruction) -> Operation:
    """Destination, vtable. The constructor is in the code that follows."""
    to, vtable = it.operands[0], context.item(it.operands[1])
    return Operation(
        it.at, it.name, defs=(Slot(to, I32),), leaves=True, in_context=True,
        emit=lambda e: make_object(e, vtable) + e.write(to, I32, _answer(e)),
    )  # fmt: skip


def _new_array(context: SelectionContext, it: Instruction) -> Operation:
    """Destination, length, vtable."""
    to, length, vtable = it.operands[0], it.operands[1], context.item(it.operands[2])

    def emit(e: Emitter) -> bytes:
        arguments = i32(e.scratch()) + i32(vtable) + e.read(length, I32)
        made = arguments + e.helper("mono_jiterp_try_newarr")
        return e.collect() + e.leave_if(made + _EQZ) + e.write(to, I32, _answer(e))

    return Operation(
        it.at, it.name, uses=(Slot(length, I32),), defs=(Slot(to, I32),), leaves=True,
        in_context=True, emit=emit,
    )  # fmt: skip


def _new_string(_context: SelectionContext, it: Instruction) -> Operation:
    """Destination, length."""
    to, length = it.operands

    def emit(e: Emitter) -> bytes:
        negative = e.read(length, I32) + i32(0) + numeric("i32.lt_s")
        made = i32(e.scratch()) + e.read(length, I32) + e.helper("mono_jiterp_try_newstr")
        return (
            e.leave_if(negative) + e.collect() + e.leave_if(made + _EQZ)
            + e.write(to, I32, _answer(e))
        )  # fmt: skip

    return Operation(
        it.at, it.name, uses=(Slot(length, I32),), defs=(Slot(to, I32),), leaves=True,
        in_context=True, emit=emit,
    )  # fmt: skip


def box(*, single: bool) -> Rule:
    """Destination, value, vtable."""

    def select(context: SelectionContext, it: Instruction) -> Operation:
        to, of, vtable = it.operands[0], it.operands[1], context.item(it.operands[2])

        def emit(e: Emitter) -> bytes:
            arguments = i32(vtable) + i32(e.scratch()) + e.address(of) + i32(not single)
            made = arguments + e.helper("mono_jiterp_box_ref")
            return e.collect() + made + e.write(to, I32, _answer(e))

        read = Range(of, _SINGLE if single else UNKNOWN_SIZE, Access.READ)
        return Operation(
            it.at, it.name, defs=(Slot(to, I32),), ranges=(read,), in_context=True, emit=emit
        )

    return select


def _cast(context: SelectionContext, it: Instruction) -> Operation:
    """Destination, object, class. Most objects are of the very class."""
    to, of, klass = it.operands[0], it.operands[1], context.item(it.operands[2])
    o, opcode = context.offsets, context.number(it.name)

    def emit(e: Emitter) -> bytes:
        place, answer = e.temporary("object"), e.temporary("answer")
        vtable = local_get(place) + load("i32", o.object_vtable)
        slow = i32(e.scratch()) + local_get(place) + i32(klass) + i32(opcode)
        code = e.read(of, I32) + local_tee(place) + local_set(answer) + local_get(place) + IF
        if it.name.endswith("interface"):
            fast = vtable + i32(klass) + e.helper("mono_jiterp_implements_interface")
        else:
            fast = vtable + load("i32", o.vtable_klass) + i32(klass) + numeric("i32.eq")
        failed = e.collect() + slow + e.helper("mono_jiterp_cast_v2") + _EQZ
        code += fast + IF + ELSE + e.leave_if(failed)
        code += _answer(e) + local_set(answer) + END + END
        return code + e.write(to, I32, local_get(answer))

    return Operation(
        it.at, it.name, uses=(Slot(of, I32),), defs=(Slot(to, I32),), leaves=True, in_context=True,
        emit=emit,
    )  # fmt: skip


def _unbox(context: SelectionContext, it: Instruction) -> Operation:
    """Destination, object, class: the address of the value in a box of that class."""
    to, of, klass = it.operands[0], it.operands[1], context.item(it.operands[2])
    o = context.offsets
    element = context.words.u32(klass + o.class_element_class)

    def emit(e: Emitter) -> bytes:
        found = e.temporary("class")
        rank = local_get(found) + load("i32.load8_u", o.class_rank)
        other = local_get(found) + load("i32", o.class_element_class) + i32(element)
        return (
            null_checked(e, e.read(of, I32))
            + e.read(of, I32) + load("i32", o.object_vtable) + load("i32", o.vtable_klass)
            + local_set(found)
            + e.leave_if(rank + other + numeric("i32.ne", "i32.or"))
            + e.write(to, I32, e.read(of, I32) + i32(o.object_boxed_data) + numeric("i32.add"))
        )  # fmt: skip

    return Operation(
        it.at, it.name, uses=(Slot(of, I32),), defs=(Slot(to, I32),), leaves=True, emit=emit
    )


def _thread_static(_context: SelectionContext, it: Instruction) -> Operation:
    """Destination, where a static field of the thread is."""
    to, offset = it.operands[0], unsigned32(*it.operands[1:3])

    def emit(e: Emitter) -> bytes:
        found = i32(e.scratch()) + i32(offset) + e.helper("mono_jiterp_ldtsflda")
        return found + e.write(to, I32, _answer(e))

    return Operation(it.at, it.name, defs=(Slot(to, I32),), in_context=True, emit=emit)


def ask(helper: str, then: bytes = b"") -> Rule:
    """Destination, object: a helper answers, and is told where the object stands."""

    def select(_context: SelectionContext, it: Instruction) -> Operation:
        to, of = it.operands

        def emit(e: Emitter) -> bytes:
            asked = e.address(of) + e.helper(helper) + then
            return null_checked(e, e.read(of, I32)) + e.write(to, I32, asked)

        return Operation(
            it.at, it.name, uses=(Slot(of, I32),), defs=(Slot(to, I32),),
            ranges=(Range(of, 4, Access.READ),), leaves=True, emit=emit,
        )  # fmt: skip

    return select


def _type_of(_context: SelectionContext, it: Instruction) -> Operation:
    """Destination, object."""
    to, of = it.operands

    def emit(e: Emitter) -> bytes:
        made = i32(e.scratch()) + e.address(of) + e.helper("mono_jiterp_gettype_ref")
        return (
            null_checked(e, e.read(of, I32)) + e.collect() + e.leave_if(made + _EQZ)
            + e.write(to, I32, _answer(e))
        )  # fmt: skip

    return Operation(
        it.at, it.name, uses=(Slot(of, I32),), defs=(Slot(to, I32),),
        ranges=(Range(of, 4, Access.READ),), leaves=True, in_context=True, emit=emit,
    )  # fmt: skip


#: Rule of each opcode, by its name in ``mintops.def``.
OBJECTS: Mapping[str, Rule] = {
    "newobj_inlined": _new_object, "newarr": _new_array, "newstr": _new_string,
    "box": box(single=True), "box.vt": box(single=False), "unbox": _unbox,
    **{
        f"{word}{kind}": _cast
        for word in ("castclass", "isinst") for kind in ("", ".interface", ".common")
    },
    "ldtsflda": _thread_static, "intrins_get_type": _type_of,
    "intrins_get_hashcode": ask("mono_jiterp_get_hashcode"),
    "intrins_try_get_hashcode": ask("mono_jiterp_try_get_hashcode"),
    "intrins_runtimehelpers_object_has_component_size": ask(
        "mono_jiterp_object_has_component_size", _EQZ + _EQZ
    ),
}  # fmt: skip
