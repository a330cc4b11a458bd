"""Instructions as bytes, by the names of the text format, for those who write code.

Source of every number: WebAssembly core specification 2.0, 5.4 (instructions).
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING

from dotnet_wasm_host.wasm import to_i32
from dotnet_wasm_host.wasm.binary import FunctionType, ValueType, sleb128, uleb128

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = [
    "BLOCK",
    "ELSE",
    "END",
    "F32",
    "F64",
    "I32",
    "I64",
    "IF",
    "IF_I32",
    "LOOP",
    "MEMORY_COPY",
    "MEMORY_FILL",
    "NUMERIC",
    "RETURN",
    "SELECT",
    "UNREACHABLE",
    "branch",
    "branch_if",
    "branch_table",
    "call",
    "call_indirect",
    "i32",
    "i64",
    "load",
    "local_get",
    "local_set",
    "local_tee",
    "numeric",
    "run_lengths",
    "signature",
    "store",
]

I32, I64, F32, F64 = ValueType.I32, ValueType.I64, ValueType.F32, ValueType.F64

UNREACHABLE = b"\x00"
#: 5.4.1: structured instructions without parameters; ``IF_I32`` leaves an i32.
BLOCK, LOOP, IF, IF_I32 = b"\x02\x40", b"\x03\x40", b"\x04\x40", b"\x04\x7f"
ELSE, END, RETURN, SELECT = b"\x05", b"\x0b", b"\x0f", b"\x1b"
#: 5.4.6: of memory 0.
MEMORY_COPY, MEMORY_FILL = b"\xfc\x0a\x00\x00", b"\xfc\x0b\x00"

_COMPARE = ["eqz", "eq", "ne", "lt_s", "lt_u", "gt_s", "gt_u", "le_s", "le_u", "ge_s", "ge_u"]
_FLOAT_COMPARE = ["eq", "ne", "lt", "gt", "le", "ge"]
_INTEGER = [
    "clz",
    "ctz",
    "popcnt",
    "add",
    "sub",
    "mul",
    "div_s",
    "div_u",
    "rem_s",
    "rem_u",
    "and",
    "or",
    "xor",
    "shl",
    "shr_s",
    "shr_u",
    "rotl",
    "rotr",
]
_FLOAT = [
    "abs",
    "neg",
    "ceil",
    "floor",
    "trunc",
    "nearest",
    "sqrt",
    "add",
    "sub",
    "mul",
    "div",
    "min",
    "max",
    "copysign",
]
_CONVERSIONS = [
    "i32.wrap_i64",
    "i32.trunc_f32_s",
    "i32.trunc_f32_u",
    "i32.trunc_f64_s",
    "i32.trunc_f64_u",
    "i64.extend_i32_s",
    "i64.extend_i32_u",
    "i64.trunc_f32_s",
    "i64.trunc_f32_u",
    "i64.trunc_f64_s",
    "i64.trunc_f64_u",
    "f32.convert_i32_s",
    "f32.convert_i32_u",
    "f32.convert_i64_s",
    "f32.convert_i64_u",
    "f32.demote_f64",
    "f64.convert_i32_s",
    "f64.convert_i32_u",
    "f64.convert_i64_s",
    "f64.convert_i64_u",
    "f64.promote_f32",
    "i32.reinterpret_f32",
    "i64.reinterpret_f64",
    "f32.reinterpret_i32",
    "f64.reinterpret_i64",
    "i32.extend8_s",
    "i32.extend16_s",
    "i64.extend8_s",
    "i64.extend16_s",
    "i64.extend32_s",
]
_SATURATING = [
    "i32.trunc_sat_f32_s",
    "i32.trunc_sat_f32_u",
    "i32.trunc_sat_f64_s",
    "i32.trunc_sat_f64_u",
    "i64.trunc_sat_f32_s",
    "i64.trunc_sat_f32_u",
    "i64.trunc_sat_f64_s",
    "i64.trunc_sat_f64_u",
]
#: 5.4.7: in the order of their opcodes, from 0x45.
_NUMERIC_NAMES = [
    *(f"i32.{name}" for name in _COMPARE),
    *(f"i64.{name}" for name in _COMPARE),
    *(f"f32.{name}" for name in _FLOAT_COMPARE),
    *(f"f64.{name}" for name in _FLOAT_COMPARE),
    *(f"i32.{name}" for name in _INTEGER),
    *(f"i64.{name}" for name in _INTEGER),
    *(f"f32.{name}" for name in _FLOAT),
    *(f"f64.{name}" for name in _FLOAT),
    *_CONVERSIONS,
]
#: Encoding of every numeric instruction, by its name in the text format.
NUMERIC: Mapping[str, bytes] = MappingProxyType(
    {
        **{name: bytes([0x45 + n]) for n, name in enumerate(_NUMERIC_NAMES)},
        **{name: b"\xfc" + bytes([n]) for n, name in enumerate(_SATURATING)},
    }
)
#: 5.4.6: loads and stores, by name; their opcodes follow each other from 0x28.
_MEMORY: Mapping[str, int] = MappingProxyType(
    {
        name: 0x28 + n
        for n, name in enumerate(
            [
                "i32.load",
                "i64.load",
                "f32.load",
                "f64.load",
                "i32.load8_s",
                "i32.load8_u",
                "i32.load16_s",
                "i32.load16_u",
                "i64.load8_s",
                "i64.load8_u",
                "i64.load16_s",
                "i64.load16_u",
                "i64.load32_s",
                "i64.load32_u",
                "i32.store",
                "i64.store",
                "f32.store",
                "f64.store",
                "i32.store8",
                "i32.store16",
                "i64.store8",
                "i64.store16",
                "i64.store32",
            ]
        )
    }
)
_TYPES: Mapping[str, ValueType] = MappingProxyType(
    {t.name.lower(): t for t in (I32, I64, F32, F64)}
)
_UNARY = frozenset(
    ["eqz", "clz", "ctz", "popcnt", "abs", "neg", "ceil", "floor", "trunc", "nearest", "sqrt"]
)
_OF_ANOTHER = re.compile(r"_([if](?:32|64))(?:_[su])?$")


def signature(name: str) -> FunctionType:
    """Operands and result of a numeric instruction, by its name."""
    if name not in NUMERIC:
        raise ValueError(f"expected a numeric instruction, found {name!r}; see NUMERIC")
    prefix, operation = name.split(".")
    own = _TYPES[prefix]
    other = _OF_ANOTHER.search(operation)
    if other:
        return FunctionType((_TYPES[other[1]],), (own,))
    if operation in _UNARY or operation.startswith("extend"):
        return FunctionType((own,), (I32 if operation == "eqz" else own,))
    return FunctionType((own, own), (I32 if operation in {*_COMPARE, *_FLOAT_COMPARE} else own,))


def numeric(*names: str) -> bytes:
    """Numeric instructions, one after the other."""
    return b"".join(NUMERIC[name] for name in names)


def i32(value: int) -> bytes:
    """``i32.const``, of a signed or an unsigned number."""
    return b"\x41" + sleb128(to_i32(value & 0xFFFFFFFF))


def i64(value: int) -> bytes:
    """``i64.const``, of a signed or an unsigned number."""
    value &= 0xFFFFFFFFFFFFFFFF
    return b"\x42" + sleb128(value - (1 << 64) if value >> 63 else value)


def local_get(index: int) -> bytes:
    """``local.get``."""
    return b"\x20" + uleb128(index)


def local_set(index: int) -> bytes:
    """``local.set``."""
    return b"\x21" + uleb128(index)


def local_tee(index: int) -> bytes:
    """``local.tee``."""
    return b"\x22" + uleb128(index)


def load(name: str, offset: int = 0) -> bytes:
    """A load by its name, or by the name of a type, without an assumption of alignment."""
    return _access(name if "." in name else f"{name}.load", offset)


def store(name: str, offset: int = 0) -> bytes:
    """A store by its name, or by the name of a type, without an assumption of alignment."""
    return _access(name if "." in name else f"{name}.store", offset)


def _access(name: str, offset: int) -> bytes:
    return bytes([_MEMORY[name], 0]) + uleb128(offset)


def branch(depth: int) -> bytes:
    """``br``."""
    return b"\x0c" + uleb128(depth)


def branch_if(depth: int) -> bytes:
    """``br_if``."""
    return b"\x0d" + uleb128(depth)


def branch_table(depths: Sequence[int]) -> bytes:
    """``br_table``; the last depth is for all other numbers."""
    return b"\x0e" + uleb128(len(depths) - 1) + b"".join(map(uleb128, depths))


def call(function: int) -> bytes:
    """``call``."""
    return b"\x10" + uleb128(function)


def call_indirect(type_index: int) -> bytes:
    """``call_indirect`` through table 0."""
    return b"\x11" + uleb128(type_index) + b"\x00"


def run_lengths(types: Iterable[ValueType]) -> bytes:
    """5.5.13: a function's locals."""
    runs: list[list[int]] = []
    for value_type in types:
        if runs and runs[-1][1] == value_type:
            runs[-1][0] += 1
        else:
            runs.append([1, value_type])
    return uleb128(len(runs)) + b"".join(uleb128(n) + bytes([t]) for n, t in runs)
