"""Arithmetic, comparisons and constants."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from dotnet_wasm_host.jit.instructions import signed16, signed32
from dotnet_wasm_host.jit.ir import Operation, Slot
from dotnet_wasm_host.wasm.assembly import (
    F32,
    F64,
    I32,
    I64,
    i32,
    i64,
    local_get,
    local_set,
    numeric,
    signature,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dotnet_wasm_host.jit.instructions import Instruction
    from dotnet_wasm_host.jit.ir import Emitter
    from dotnet_wasm_host.jit.selection.context import Rule, SelectionContext
    from dotnet_wasm_host.wasm.binary import ValueType

__all__ = ["LOWEST", "NUMBERS", "converted", "prefix", "push", "unary"]

LOWEST = {I32: -(1 << 31), I64: -(1 << 63)}


def push(value_type: ValueType, value: int) -> bytes:
    """A constant of an integer type."""
    return i32(value) if value_type is I32 else i64(value)


def prefix(value_type: ValueType) -> str:
    """How names of instructions on the type begin."""
    return value_type.name.lower()


def unary(*names: str, before: bytes = b"", after: bytes = b"") -> Rule:
    """Destination, source: the instructions on the source, one after the other."""
    source, result = signature(names[0]).params[0], signature(names[-1]).results[0]
    return converted(source, result, before + numeric(*names) + after)


def converted(source: ValueType, result: ValueType, code: bytes) -> Rule:
    """Destination, source: ``code`` makes one of the other."""

    def select(_context: SelectionContext, it: Instruction) -> Operation:
        to, of = it.operands[:2]
        return Operation(
            it.at, it.name, uses=(Slot(of, source),), defs=(Slot(to, result),),
            emit=lambda e: e.write(to, result, e.read(of, source) + code),
        )  # fmt: skip

    return select


def _with(constant: bytes, name: str) -> Rule:
    kind = signature(name)
    return converted(kind.params[0], kind.results[0], constant + numeric(name))


def binary(name: str, *then: str) -> Rule:
    """Destination, left, right."""
    kind = signature(name)
    left, right, result = kind.params[0], kind.params[1], kind.results[0]
    code = numeric(name, *then)

    def select(_context: SelectionContext, it: Instruction) -> Operation:
        to, a, b = it.operands
        return Operation(
            it.at, it.name, uses=(Slot(a, left), Slot(b, right)), defs=(Slot(to, result),),
            emit=lambda e: e.write(to, result, e.read(a, left) + e.read(b, right) + code),
        )  # fmt: skip

    return select


def immediate(name: str, *, wide: bool = False) -> Rule:
    """Destination, source, a constant of 16 bits, or of 32."""
    of = signature(name).params[0]

    def select(_context: SelectionContext, it: Instruction) -> Operation:
        to, source = it.operands[:2]
        value = signed32(*it.operands[2:4]) if wide else signed16(it.operands[2])
        code = push(of, value) + numeric(name)
        return Operation(
            it.at, it.name, uses=(Slot(source, of),), defs=(Slot(to, of),),
            emit=lambda e: e.write(to, of, e.read(source, of) + code),
        )  # fmt: skip

    return select


def shift(name: str) -> Rule:
    """Like :func:`binary`, where the right operand is an i32 whatever is shifted."""
    of = signature(name).params[0]
    code = numeric("i64.extend_i32_u", name) if of is I64 else numeric(name)

    def select(_context: SelectionContext, it: Instruction) -> Operation:
        to, a, b = it.operands
        return Operation(
            it.at, it.name, uses=(Slot(a, of), Slot(b, I32)), defs=(Slot(to, of),),
            emit=lambda e: e.write(to, of, e.read(a, of) + e.read(b, I32) + code),
        )  # fmt: skip

    return select


def add_multiply(of: ValueType) -> Rule:
    """``(source + first) * second``."""
    p = prefix(of)

    def select(context: SelectionContext, it: Instruction) -> Operation | None:
        first, second = map(signed16, it.operands[2:4])
        code = push(of, first) + numeric(f"{p}.add")
        code += push(of, second) + numeric(f"{p}.mul")
        return converted(of, of, code)(context, it)

    return select


def division(name: str) -> Rule:
    """A quotient or a rest; what has none is the interpreter's to refuse."""
    of = signature(name).params[0]
    p = prefix(of)

    def select(_context: SelectionContext, it: Instruction) -> Operation:
        to, a, b = it.operands

        def emit(e: Emitter) -> bytes:
            code = e.leave_if(e.read(b, of) + numeric(f"{p}.eqz"))
            if name.endswith("_s"):
                minus_one = e.read(b, of) + push(of, -1) + numeric(f"{p}.eq")
                lowest = e.read(a, of) + push(of, LOWEST[of]) + numeric(f"{p}.eq")
                code += e.leave_if(minus_one + lowest + numeric("i32.and"))
            return code + e.write(to, of, e.read(a, of) + e.read(b, of) + numeric(name))

        return Operation(
            it.at, it.name, uses=(Slot(a, of), Slot(b, of)), defs=(Slot(to, of),), emit=emit,
            leaves=True,
        )  # fmt: skip

    return select


def checked_i4(operation: str, extend: str) -> Rule:
    """Checked arithmetic of 32 bits, made with 64."""

    def select(_context: SelectionContext, it: Instruction) -> Operation:
        to, a, b = it.operands

        def emit(e: Emitter) -> bytes:
            wide = e.temporary("wide", I64)
            operands = e.read(a, I32) + numeric(extend) + e.read(b, I32) + numeric(extend)
            narrow = local_get(wide) + numeric("i32.wrap_i64")
            overflow = local_get(wide) + narrow + numeric(extend, "i64.ne")
            return (
                operands + numeric(f"i64.{operation}") + local_set(wide)
                + e.leave_if(overflow) + e.write(to, I32, narrow)
            )  # fmt: skip

        return Operation(
            it.at, it.name, uses=(Slot(a, I32), Slot(b, I32)), defs=(Slot(to, I32),), emit=emit,
            leaves=True,
        )  # fmt: skip

    return select


def checked_i8(operation: str) -> Rule:
    """Checked addition or subtraction of 64 bits: the signs say whether it overflowed."""

    def select(_context: SelectionContext, it: Instruction) -> Operation:
        to, a, b = it.operands

        def emit(e: Emitter) -> bytes:
            wide = e.temporary("wide", I64)
            x, y, result = e.read(a, I64), e.read(b, I64), local_get(wide)
            xor = numeric("i64.xor")
            other = result + y + xor if operation == "add" else x + y + xor
            overflow = result + x + xor + other + numeric("i64.and") + i64(0) + numeric("i64.lt_s")
            return (
                x + y + numeric(f"i64.{operation}") + local_set(wide) + e.leave_if(overflow)
                + e.write(to, I64, result)
            )  # fmt: skip

        return Operation(
            it.at, it.name, uses=(Slot(a, I64), Slot(b, I64)), defs=(Slot(to, I64),), emit=emit,
            leaves=True,
        )  # fmt: skip

    return select


def checked_unsigned_i8(operation: str) -> Rule:
    """Checked unsigned addition or subtraction of 64 bits."""

    def select(_context: SelectionContext, it: Instruction) -> Operation:
        to, a, b = it.operands

        def emit(e: Emitter) -> bytes:
            wide = e.temporary("wide", I64)
            x, y, result = e.read(a, I64), e.read(b, I64), local_get(wide)
            overflow = (result + x if operation == "add" else x + y) + numeric("i64.lt_u")
            return (
                x + y + numeric(f"i64.{operation}") + local_set(wide) + e.leave_if(overflow)
                + e.write(to, I64, result)
            )  # fmt: skip

        return Operation(
            it.at, it.name, uses=(Slot(a, I64), Slot(b, I64)), defs=(Slot(to, I64),), emit=emit,
            leaves=True,
        )  # fmt: skip

    return select


def unordered(name: str) -> Rule:
    """A comparison of floats that holds if either is not a number: ``name`` is its opposite."""
    return binary(name, "i32.eqz")


def constant(value_type: ValueType, units: int) -> Rule:
    """Destination, then the value in ``units`` units; with 1, a signed one."""

    def select(_context: SelectionContext, it: Instruction) -> Operation:
        to = it.operands[0]
        raw = struct.pack(f"<{units}H", *it.operands[1 : 1 + units])
        if value_type in {F32, F64}:
            code = (b"\x43" if value_type is F32 else b"\x44") + raw
        else:
            code = push(value_type, int.from_bytes(raw, "little", signed=True))
        return _set(it, to, value_type, code)

    return select


def fixed(value_type: ValueType, value: int) -> Rule:
    """Destination; the value is the opcode's."""
    code = push(value_type, value)
    return lambda _context, it: _set(it, it.operands[0], value_type, code)


def _set(it: Instruction, to: int, value_type: ValueType, code: bytes) -> Operation:
    return Operation(
        it.at, it.name, defs=(Slot(to, value_type),),
        emit=lambda e: e.write(to, value_type, code),
    )  # fmt: skip


def mathematical(name: str, value_type: ValueType, parameters: int = 1) -> Rule:
    """A function of the interpreter's own mathematical library."""

    def select(_context: SelectionContext, it: Instruction) -> Operation:
        to, *sources = it.operands[: 1 + parameters]

        def emit(e: Emitter) -> bytes:
            values = b"".join(e.read(of, value_type) for of in sources)
            return e.write(to, value_type, values + e.helper(name))

        return Operation(
            it.at, it.name, uses=tuple(Slot(of, value_type) for of in sources),
            defs=(Slot(to, value_type),), emit=emit,
        )  # fmt: skip

    return select


def _marvin_block(_context: SelectionContext, it: Instruction) -> Operation:
    """One round of the hash of strings (``Marvin.Block``)."""
    first, second, to_first, to_second = it.operands

    def emit(e: Emitter) -> bytes:
        p, q = e.temporary("marvin p"), e.temporary("marvin q")

        def rotated(local: int, bits: int) -> bytes:
            return local_get(local) + i32(bits) + numeric("i32.rotl")

        xor, add = numeric("i32.xor"), numeric("i32.add")
        return (
            e.read(first, I32) + local_set(p) + e.read(second, I32) + local_get(p) + xor
            + local_set(q)
            + rotated(p, 20) + local_get(q) + add + local_set(p)
            + rotated(q, 9) + local_get(p) + xor + local_set(q)
            + rotated(p, 27) + local_get(q) + add + local_set(p)
            + rotated(q, 19) + local_set(q)
            + e.write(to_first, I32, local_get(p)) + e.write(to_second, I32, local_get(q))
        )  # fmt: skip

    return Operation(
        it.at, it.name, uses=(Slot(first, I32), Slot(second, I32)),
        defs=(Slot(to_first, I32), Slot(to_second, I32)), emit=emit,
    )  # fmt: skip


def _log2(of: ValueType) -> Rule:
    """Position of the highest bit that is set; of 0 it is 0."""
    if of is I32:
        code = i32(1) + numeric("i32.or", "i32.clz") + i32(31) + numeric("i32.xor")
    else:
        code = i64(1) + numeric("i64.or", "i64.clz", "i32.wrap_i64") + i32(63) + numeric("i32.xor")
    return converted(of, I32, code)


_CLASSIC = ("add", "sub", "mul")
_TRIGONOMETRY = [
    "asin",
    "asinh",
    "acos",
    "acosh",
    "atan",
    "atanh",
    "cos",
    "cbrt",
    "cosh",
    "exp",
    "log",
    "log2",
    "log10",
    "sin",
    "sinh",
    "tan",
    "tanh",
]

#: Rule of each opcode, by its name in ``mintops.def``.
NUMBERS: Mapping[str, Rule] = {
    "ldc.i4.0": fixed(I32, 0), "ldc.i4.1": fixed(I32, 1), "ldc.i4.s": constant(I32, 1),
    "ldc.i4": constant(I32, 2), "ldc.i8.0": fixed(I64, 0), "ldc.i8.s": constant(I64, 1),
    "ldc.i8": constant(I64, 4), "ldc.r4": constant(F32, 2), "ldc.r8": constant(F64, 4),
    **{f"{op}.i4": binary(f"i32.{op}") for op in (*_CLASSIC, "and", "or", "xor")},
    **{f"{op}.i8": binary(f"i64.{op}") for op in (*_CLASSIC, "and", "or", "xor")},
    **{f"{op}.r4": binary(f"f32.{op}") for op in (*_CLASSIC, "div")},
    **{f"{op}.r8": binary(f"f64.{op}") for op in (*_CLASSIC, "div")},
    "rem.r4": mathematical("fmodf", F32, 2), "rem.r8": mathematical("fmod", F64, 2),
    "div.i4": division("i32.div_s"), "div.i8": division("i64.div_s"),
    "div.un.i4": division("i32.div_u"), "div.un.i8": division("i64.div_u"),
    "rem.i4": division("i32.rem_s"), "rem.i8": division("i64.rem_s"),
    "rem.un.i4": division("i32.rem_u"), "rem.un.i8": division("i64.rem_u"),
    **{f"{op}.ovf.i4": checked_i4(op, "i64.extend_i32_s") for op in _CLASSIC},
    **{f"{op}.ovf.un.i4": checked_i4(op, "i64.extend_i32_u") for op in _CLASSIC},
    "add.ovf.i8": checked_i8("add"), "sub.ovf.i8": checked_i8("sub"),
    "add.ovf.un.i8": checked_unsigned_i8("add"), "sub.ovf.un.i8": checked_unsigned_i8("sub"),
    "shl.i4": shift("i32.shl"), "shl.i8": shift("i64.shl"),
    "shr.i4": shift("i32.shr_s"), "shr.i8": shift("i64.shr_s"),
    "shr.un.i4": shift("i32.shr_u"), "shr.un.i8": shift("i64.shr_u"),
    "shl.i4.and": shift("i32.shl"), "shl.i8.and": shift("i64.shl"),
    "ceq.i4": binary("i32.eq"), "ceq.i8": binary("i64.eq"),
    "ceq.r4": binary("f32.eq"), "ceq.r8": binary("f64.eq"),
    "cne.i4": binary("i32.ne"), "cne.i8": binary("i64.ne"),
    "cne.r4": binary("f32.ne"), "cne.r8": binary("f64.ne"),
    **{f"c{op}.i4": binary(f"i32.{op}_s") for op in ("lt", "le", "gt", "ge")},
    **{f"c{op}.i8": binary(f"i64.{op}_s") for op in ("lt", "le", "gt", "ge")},
    **{f"c{op}.un.i4": binary(f"i32.{op}_u") for op in ("lt", "le", "gt", "ge")},
    **{f"c{op}.un.i8": binary(f"i64.{op}_u") for op in ("lt", "le", "gt", "ge")},
    **{f"c{op}.r4": binary(f"f32.{op}") for op in ("lt", "le", "gt", "ge")},
    **{f"c{op}.r8": binary(f"f64.{op}") for op in ("lt", "le", "gt", "ge")},
    "clt.un.r4": unordered("f32.ge"), "clt.un.r8": unordered("f64.ge"),
    "cgt.un.r4": unordered("f32.le"), "cgt.un.r8": unordered("f64.le"),
    "ceq0.i4": unary("i32.eqz"),
    "add1.i4": _with(i32(1), "i32.add"), "add1.i8": _with(i64(1), "i64.add"),
    "sub1.i4": _with(i32(1), "i32.sub"), "sub1.i8": _with(i64(1), "i64.sub"),
    "neg.i4": _with(i32(-1), "i32.mul"), "neg.i8": _with(i64(-1), "i64.mul"),
    "neg.r4": unary("f32.neg"), "neg.r8": unary("f64.neg"),
    "not.i4": _with(i32(-1), "i32.xor"), "not.i8": _with(i64(-1), "i64.xor"),
    **{f"{op}.i4.imm": immediate(f"i32.{op}") for op in ("add", "mul", "and", "or", "shl")},
    **{f"{op}.i8.imm": immediate(f"i64.{op}") for op in ("add", "mul", "shl")},
    **{f"{op}.i4.imm2": immediate(f"i32.{op}", wide=True) for op in ("add", "mul", "and", "or")},
    **{f"{op}.i8.imm2": immediate(f"i64.{op}", wide=True) for op in ("add", "mul")},
    "shr.i4.imm": immediate("i32.shr_s"), "shr.i8.imm": immediate("i64.shr_s"),
    "shr.un.i4.imm": immediate("i32.shr_u"), "shr.un.i8.imm": immediate("i64.shr_u"),
    "rol.i4.imm": immediate("i32.rotl"), "rol.i8.imm": immediate("i64.rotl"),
    "ror.i4.imm": immediate("i32.rotr"), "ror.i8.imm": immediate("i64.rotr"),
    "add.mul.i4.imm": add_multiply(I32), "add.mul.i8.imm": add_multiply(I64),
    "clz.i4": unary("i32.clz"), "clz.i8": unary("i64.clz"),
    "ctz.i4": unary("i32.ctz"), "ctz.i8": unary("i64.ctz"),
    "popcnt.i4": unary("i32.popcnt"), "popcnt.i8": unary("i64.popcnt"),
    "log2.i4": _log2(I32), "log2.i8": _log2(I64),
    "sqrt": unary("f64.sqrt"), "sqrtf": unary("f32.sqrt"),
    "floor": unary("f64.floor"), "floorf": unary("f32.floor"),
    "ceiling": unary("f64.ceil"), "ceilingf": unary("f32.ceil"),
    "abs_d": unary("f64.abs"), "abs_f": unary("f32.abs"),
    **{name: mathematical(name, F64) for name in _TRIGONOMETRY},
    **{f"{name}f": mathematical(f"{name}f", F32) for name in _TRIGONOMETRY},
    "atan2": mathematical("atan2", F64, 2), "pow": mathematical("pow", F64, 2),
    "atan2f": mathematical("atan2f", F32, 2), "powf": mathematical("powf", F32, 2),
    "fma": mathematical("fma", F64, 3), "fmaf": mathematical("fmaf", F32, 3),
    "intrins_marvin_block": _marvin_block,
}  # fmt: skip
