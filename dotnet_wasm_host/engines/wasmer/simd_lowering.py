"""Vector instructions that wasmer 1.1.0's compiler lacks, made of those that it has.

Its cranelift is of 2021, when the last of the fixed-width SIMD instructions were not
implemented. Each becomes a call of a helper function at the end of the module. The compiler does
not inline them, but .NET uses them in 29 places only.

Operands of the helpers are locals 0 and 1. Names: WebAssembly core specification 2.0, 6.5.9.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dotnet_wasm_host.wasm.binary import FunctionType, Reader, ValueType, sleb128, uleb128
from dotnet_wasm_host.wasm.editor import ModuleEditor
from dotnet_wasm_host.wasm.instructions import CALL, Scanner, simd
from dotnet_wasm_host.wasm.module import OP_END

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["LOWERED", "lower_simd"]

#: What helpers are made of (5.4). An instruction with immediates has as many as the format says.
_SCALAR = {
    "local.get": b"\x20",
    "local.set": b"\x21",
    "i32.const": b"\x41",
    "f32.demote_f64": b"\xb6",
    "f64.convert_i32_u": b"\xb8",
    "f64.promote_f32": b"\xbb",
    "i32.trunc_sat_f64_s": b"\xfc\x02",
    "i32.trunc_sat_f64_u": b"\xfc\x03",
}
_VECTOR = {
    "i8x16.shuffle": 13,
    "i8x16.splat": 15,
    "i32x4.splat": 17,
    "f64x2.splat": 20,
    "i32x4.extract_lane": 27,
    "i32x4.replace_lane": 28,
    "f32x4.extract_lane": 31,
    "f32x4.replace_lane": 32,
    "f64x2.extract_lane": 33,
    "f64x2.replace_lane": 34,
    "v128.and": 78,
    "i8x16.shr_u": 109,
    "i8x16.add": 110,
    "i8x16.sub": 113,
    "i16x8.narrow_i32x4_s": 133,
    "i16x8.extend_low_i8x16_s": 135,
    "i16x8.extend_high_i8x16_s": 136,
    "i16x8.extend_low_i8x16_u": 137,
    "i16x8.extend_high_i8x16_u": 138,
    "i16x8.shl": 139,
    "i16x8.shr_s": 140,
    "i16x8.shr_u": 141,
    "i16x8.add": 142,
    "i16x8.mul": 149,
    "i32x4.extend_low_i16x8_s": 167,
    "i32x4.extend_high_i16x8_s": 168,
    "i32x4.extend_low_i16x8_u": 169,
    "i32x4.extend_high_i16x8_u": 170,
    "i32x4.shl": 171,
    "i32x4.shr_s": 172,
    "i32x4.shr_u": 173,
    "i32x4.add": 174,
    "i32x4.mul": 181,
    "i64x2.shr_s": 204,
    "i64x2.mul": 213,
}
_X, _Y = "local.get 0 ", "local.get 1 "
_ZERO = "i32.const 0 i32x4.splat "


def _each_lane(start: str, wide: str, convert: str, narrow: str) -> str:
    """Convert lanes 0 and 1 one by one; the lanes of ``start`` stay where there are more."""
    first, second = (f"{_X}{wide}.extract_lane {lane} {convert} " for lane in (0, 1))
    return f"{start}{first}{narrow}.replace_lane 0 {second}{narrow}.replace_lane 1 "


def _both_lanes(narrow: str, convert: str) -> str:
    """The lower two lanes, converted to f64."""
    first, second = (f"{_X}{narrow}.extract_lane {lane} {convert} " for lane in (0, 1))
    return f"{first}f64x2.splat {second}f64x2.replace_lane 1 "


def _pairwise(lanes: str, bits: int, sign: str) -> str:
    """Add neighbours: the upper of each pair by a shift down, the lower by one up and down."""
    shift = f"i32.const {bits} {lanes}."
    return f"{_X}{shift}shr_{sign} {_X}{shift}shl {shift}shr_{sign} {lanes}.add "


def _multiplied(lanes: str, extended: str) -> str:
    return f"{_X}{extended} {_Y}{extended} {lanes}.mul "


def _extended(operand: str, half: str, sign: str) -> str:
    """Two 32-bit lanes as 64-bit lanes: beside zeros, or twice and shifted down."""
    first = 8 if half == "high" else 0
    lanes = [*range(first, first + 4)], [*range(first + 4, first + 8)]
    if sign == "s":
        order = [*lanes[0], *lanes[0], *lanes[1], *lanes[1]]
        return f"{operand}{operand}{_shuffle(order)}i32.const 32 i64x2.shr_s "
    zeros = [16, 17, 18, 19]
    return f"{operand}{_ZERO}{_shuffle([*lanes[0], *zeros, *lanes[1], *zeros])}"


def _shuffle(lanes: list[int]) -> str:
    return f"i8x16.shuffle {' '.join(map(str, lanes))} "


def _rounded_product(half: str) -> str:
    product = _multiplied("i32x4", f"i32x4.extend_{half}_i16x8_s")
    return f"{product}i32.const 16384 i32x4.splat i32x4.add i32.const 15 i32x4.shr_s "


def _bits(mask: int) -> str:
    return f"i32.const {mask} i8x16.splat v128.and "


#: Counts bits in pairs, in fours, in eights (Hacker's Delight, 5-1).
_POPULATION = (
    f"{_X}{_X}i32.const 1 i8x16.shr_u {_bits(0x55)}i8x16.sub local.set 0 "
    f"{_X}{_bits(0x33)}{_X}i32.const 2 i8x16.shr_u {_bits(0x33)}i8x16.add local.set 0 "
    f"{_X}{_X}i32.const 4 i8x16.shr_u i8x16.add {_bits(0x0F)}"
)

_UNARY = {
    94: ("f32x4.demote_f64x2_zero", _each_lane(_ZERO, "f64x2", "f32.demote_f64", "f32x4")),
    95: (
        "f64x2.promote_low_f32x4",
        _both_lanes("f32x4", "f64.promote_f32"),
    ),
    98: ("i8x16.popcnt", _POPULATION),
    124: ("i16x8.extadd_pairwise_i8x16_s", _pairwise("i16x8", 8, "s")),
    125: ("i16x8.extadd_pairwise_i8x16_u", _pairwise("i16x8", 8, "u")),
    126: ("i32x4.extadd_pairwise_i16x8_s", _pairwise("i32x4", 16, "s")),
    127: ("i32x4.extadd_pairwise_i16x8_u", _pairwise("i32x4", 16, "u")),
    199: ("i64x2.extend_low_i32x4_s", _extended(_X, "low", "s")),
    200: ("i64x2.extend_high_i32x4_s", _extended(_X, "high", "s")),
    201: ("i64x2.extend_low_i32x4_u", _extended(_X, "low", "u")),
    202: ("i64x2.extend_high_i32x4_u", _extended(_X, "high", "u")),
    252: (
        "i32x4.trunc_sat_f64x2_s_zero",
        _each_lane(_ZERO, "f64x2", "i32.trunc_sat_f64_s", "i32x4"),
    ),
    253: (
        "i32x4.trunc_sat_f64x2_u_zero",
        _each_lane(_ZERO, "f64x2", "i32.trunc_sat_f64_u", "i32x4"),
    ),
    255: (
        "f64x2.convert_low_i32x4_u",
        _both_lanes("i32x4", "f64.convert_i32_u"),
    ),
}


def _products() -> dict[int, tuple[str, str]]:
    """Extending multiplications: numbers, names and bodies."""
    found = {}
    halves = [(half, sign) for sign in "su" for half in ("low", "high")]
    for number, (half, sign) in enumerate(halves):
        for first, lanes, narrow in ((156, "i16x8", "i8x16"), (188, "i32x4", "i16x8")):
            body = _multiplied(lanes, f"{lanes}.extend_{half}_{narrow}_{sign}")
            found[first + number] = (f"{lanes}.extmul_{half}_{narrow}_{sign}", body)
        body = f"{_extended(_X, half, sign)}{_extended(_Y, half, sign)}i64x2.mul "
        found[220 + number] = (f"i64x2.extmul_{half}_i32x4_{sign}", body)
    return found


_BINARY = {
    130: (
        "i16x8.q15mulr_sat_s",
        f"{_rounded_product('low')}{_rounded_product('high')}i16x8.narrow_i32x4_s ",
    ),
    **_products(),
}

#: Names of the lowered instructions, by their number.
LOWERED: Mapping[int, str] = {
    number: name for number, (name, _) in sorted({**_UNARY, **_BINARY}.items())
}
_V128 = ValueType.V128
_SCANNER = Scanner(frozenset(map(simd, LOWERED)))


def lower_simd(wasm: bytes) -> bytes:
    """``wasm`` without the instructions of :data:`LOWERED`. No function changes its index."""
    editor = ModuleEditor(wasm)
    helpers: dict[bytes, int] = {}
    for position, body in enumerate(editor.bodies):
        if simd(0)[:1] in body:
            pieces, done = [], 0
            for start, end, encoding in _SCANNER.find(body):
                if encoding not in helpers:
                    helpers[encoding] = _add_helper(editor, encoding)
                pieces += [body[done:start], CALL, uleb128(helpers[encoding])]
                done = end
            if pieces:
                editor.bodies[position] = b"".join([*pieces, body[done:]])
    return editor.emit() if helpers else wasm


def _add_helper(editor: ModuleEditor, encoding: bytes) -> int:
    number = Reader(encoding, 1).uleb128()
    if number in _UNARY:
        return editor.add_function(FunctionType((_V128,), (_V128,)), _assembled(_UNARY[number][1]))
    return editor.add_function(
        FunctionType((_V128, _V128), (_V128,)), _assembled(_BINARY[number][1])
    )


def _assembled(text: str) -> bytes:
    """A body without locals. Numbers are immediates of the instruction before them."""
    code, mnemonic = bytearray(b"\0"), ""
    for word in text.split():
        if word in _VECTOR:
            code += simd(_VECTOR[word])
        elif word in _SCALAR:
            code += _SCALAR[word]
        else:
            code += (sleb128 if mnemonic == "i32.const" else uleb128)(int(word))
            continue
        mnemonic = word
    return bytes([*code, OP_END])
