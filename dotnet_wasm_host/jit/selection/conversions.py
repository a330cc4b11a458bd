"""Conversions between types of numbers."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from dotnet_wasm_host.jit.ir import SIZES, Operation, Slot
from dotnet_wasm_host.jit.selection.numbers import LOWEST, converted, prefix, push, unary
from dotnet_wasm_host.wasm.assembly import F32, F64, I32, I64, SELECT, i32, numeric

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dotnet_wasm_host.jit.instructions import Instruction
    from dotnet_wasm_host.jit.ir import Emitter
    from dotnet_wasm_host.jit.selection.context import Rule, SelectionContext
    from dotnet_wasm_host.wasm.binary import ValueType

__all__ = ["CONVERSIONS"]

_BYTE, _SHORT = i32(0xFF) + numeric("i32.and"), i32(0xFFFF) + numeric("i32.and")


def checked_conversion(
    source: ValueType, result: ValueType, fails: Callable[[bytes], bytes], code: bytes = b""
) -> Rule:
    """A conversion that is left to the interpreter where the number does not fit."""

    def select(_context: SelectionContext, it: Instruction) -> Operation:
        to, of = it.operands

        def emit(e: Emitter) -> bytes:
            value = e.read(of, source)
            return e.leave_if(fails(value)) + e.write(to, result, value + code)

        return Operation(
            it.at, it.name, uses=(Slot(of, source),), defs=(Slot(to, result),), emit=emit,
            leaves=True,
        )  # fmt: skip

    return select


def _outside(value_type: ValueType, lowest: int, highest: int) -> Callable[[bytes], bytes]:
    """Whether a signed number is less than ``lowest`` or more than ``highest``."""
    p = prefix(value_type)
    span = push(value_type, highest - lowest)
    shifted = push(value_type, lowest) + numeric(f"{p}.sub") if lowest else b""
    return lambda value: value + shifted + span + numeric(f"{p}.gt_u")


def truncation(source: ValueType, result: ValueType, *, signed: bool, after: bytes = b"") -> Rule:
    """A number without its fraction; of one that does not fit the interpreter makes this.

    It is compiled without saturating instructions: the lowest number for a signed result, 0 for an
    unsigned one, whatever the sign of what did not fit.
    """
    p, f, sign = prefix(result), prefix(source), "s" if signed else "u"
    bits = 8 * SIZES[result]
    limit = float(1 << (bits - 1 if signed else bits))
    power = (
        b"\x43" + struct.pack("<f", limit) if source is F32 else b"\x44" + struct.pack("<d", limit)
    )
    otherwise = push(result, LOWEST[result] if signed else 0)

    def select(_context: SelectionContext, it: Instruction) -> Operation:
        to, of = it.operands

        def emit(e: Emitter) -> bytes:
            value = e.read(of, source)
            size = value + numeric(f"{f}.abs") if signed else value
            fits = size + power + numeric(f"{f}.lt")
            whole = value + numeric(f"{p}.trunc_sat_{f}_{sign}")
            return e.write(to, result, whole + otherwise + fits + SELECT + after)

        return Operation(
            it.at, it.name, uses=(Slot(of, source),), defs=(Slot(to, result),), emit=emit
        )

    return select


def _negative(value_type: ValueType) -> Callable[[bytes], bytes]:
    p = prefix(value_type)
    return lambda value: value + push(value_type, 0) + numeric(f"{p}.lt_s")


_WRAP = numeric("i32.wrap_i64")


def narrowing(source: ValueType, lowest: int, highest: int) -> Rule:
    """A checked conversion to an i32 from a signed number, by the range that fits."""
    code = _WRAP if source is I64 else b""
    return checked_conversion(source, I32, _outside(source, lowest, highest), code)


#: Rule of each opcode, by its name in ``mintops.def``.
CONVERSIONS: Mapping[str, Rule] = {
    "mov.i4.i1": unary("i32.extend8_s"), "mov.i4.u1": converted(I32, I32, _BYTE),
    "mov.i4.i2": unary("i32.extend16_s"), "mov.i4.u2": converted(I32, I32, _SHORT),
    "conv.i1.i4": unary("i32.extend8_s"), "conv.u1.i4": converted(I32, I32, _BYTE),
    "conv.i2.i4": unary("i32.extend16_s"), "conv.u2.i4": converted(I32, I32, _SHORT),
    "conv.i1.i8": unary("i32.wrap_i64", "i32.extend8_s"),
    "conv.u1.i8": unary("i32.wrap_i64", after=_BYTE),
    "conv.i2.i8": unary("i32.wrap_i64", "i32.extend16_s"),
    "conv.u2.i8": unary("i32.wrap_i64", after=_SHORT),
    "conv.i8.i4": unary("i64.extend_i32_s"), "conv.i8.u4": unary("i64.extend_i32_u"),
    **{
        f"conv.{name}.r{SIZES[source]}": truncation(source, result, signed=signed)
        for source in (F32, F64)
        for name, result, signed in (
            ("i4", I32, True), ("u4", I32, False), ("i8", I64, True), ("u8", I64, False)
        )
    },
    **{
        f"conv.{name}.r{SIZES[source]}": truncation(source, I32, signed=name[0] == "i", after=code)
        for source in (F32, F64)
        for name, code in (
            ("i1", numeric("i32.extend8_s")), ("u1", _BYTE),
            ("i2", numeric("i32.extend16_s")), ("u2", _SHORT),
        )
    },
    "conv.r4.i4": unary("f32.convert_i32_s"), "conv.r4.i8": unary("f32.convert_i64_s"),
    "conv.r8.i4": unary("f64.convert_i32_s"), "conv.r8.i8": unary("f64.convert_i64_s"),
    "conv.r.un.i4": unary("f64.convert_i32_u"), "conv.r.un.i8": unary("f64.convert_i64_u"),
    "conv.r4.r8": unary("f32.demote_f64"), "conv.r8.r4": unary("f64.promote_f32"),
    "conv.ovf.i1.i4": narrowing(I32, -0x80, 0x7F), "conv.ovf.u1.i4": narrowing(I32, 0, 0xFF),
    "conv.ovf.i2.i4": narrowing(I32, -0x8000, 0x7FFF),
    "conv.ovf.u2.i4": narrowing(I32, 0, 0xFFFF),
    "conv.ovf.i1.u4": narrowing(I32, 0, 0x7F), "conv.ovf.i2.u4": narrowing(I32, 0, 0x7FFF),
    "conv.ovf.i1.i8": narrowing(I64, -0x80, 0x7F), "conv.ovf.u1.i8": narrowing(I64, 0, 0xFF),
    "conv.ovf.i2.i8": narrowing(I64, -0x8000, 0x7FFF),
    "conv.ovf.u2.i8": narrowing(I64, 0, 0xFFFF),
    "conv.ovf.i1.u8": narrowing(I64, 0, 0x7F), "conv.ovf.i2.u8": narrowing(I64, 0, 0x7FFF),
    "conv.ovf.i4.i8": narrowing(I64, -(1 << 31), (1 << 31) - 1),
    "conv.ovf.u4.i8": narrowing(I64, 0, (1 << 32) - 1),
    "conv.ovf.i4.u8": narrowing(I64, 0, (1 << 31) - 1),
    "conv.ovf.i4.u4": checked_conversion(I32, I32, _negative(I32)),
    "conv.ovf.u4.i4": checked_conversion(I32, I32, _negative(I32)),
    "conv.ovf.i8.u8": checked_conversion(I64, I64, _negative(I64)),
    "conv.ovf.u8.i8": checked_conversion(I64, I64, _negative(I64)),
    "conv.ovf.u8.i4": checked_conversion(
        I32, I64, _negative(I32), numeric("i64.extend_i32_u")
    ),
}  # fmt: skip
