"""Random instructions of every opcode that is translated, in frames where they mean something."""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING, final

from tests.jit.instruction_bench import AREA_SIZE, FRAME_SIZE, Case

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from tests.jit.instruction_bench import InstructionBench

__all__ = ["NOT_HERE", "Writer"]

#: What needs more than one instruction, or a structure that only the runtime makes; programs
#: have it.
NOT_HERE = frozenset((
    "ret", "ret.void", "ret.i1", "ret.u1", "ret.i2", "ret.u2", "ret.i4.imm", "ret.i8.imm",
    "ret.vt", "call", "callvirt.fast", "call.delegate", "newobj", "newobj_string", "newobj_inlined",
    "newarr", "newstr", "box", "box.vt", "unbox", "ldtsflda", "intrins_get_type",
    "intrins_get_hashcode", "intrins_try_get_hashcode",
    "intrins_runtimehelpers_object_has_component_size", "castclass", "castclass.common",
    "castclass.interface", "isinst", "isinst.common", "isinst.interface", "call_handler",
    "call_handler.s", "endfinally",
    "tier_prepare_jiterpreter",
    "tier_nop_jiterpreter", "tier_enter_jiterpreter", "tier_monitor_jiterpreter",
    "ldloca.s", "sdb_intr_loc", "sdb_seq_point", "il_seq_point",
    "nop",
))  # fmt: skip

#: What follows the opcode, by pattern of its name; the first that fits. d a slot that is written,
#: s one that is read, p a slot with a pointer, q a slot with a pointer or null, A I O M X slots
#: with an array, an index, an array of references, a matrix, a string; n the number of bytes of a
#: small value, N its slot; u an offset, w any 16 bits, v and V 32 and 64 bits, c a shift count,
#: t T a jump over what follows with 16 or 32 bits, 0 1 2 data items, z slot of a null or a string.
SHAPES: tuple[tuple[str, str], ...] = (
    (r"safepoint|mono_memory_barrier", ""),
    (r"br\.s", "t"), (r"br", "T"),
    (r"b(rtrue|rfalse)\.i.\.(s|sp)", "st"), (r"b(rtrue|rfalse)\.i.", "sT"),
    (r"b.*\.imm\.sp", "swt"), (r"b(eq|ne|ge|gt|le|lt).*\.(s|sp)", "sst"),
    (r"b(eq|ne|ge|gt|le|lt).*", "ssT"),
    (r"ldc\.i4\.[01]|ldc\.i8\.0", "d"), (r"ldc\.i[48]\.s", "dw"), (r"ldc\.[ir]4", "dv"),
    (r"ldc\.[ir]8", "dV"),
    (r"mov\.vt", "DSn"), (r"mov\.8\.2", "dsds"), (r"mov\.8\.3", "dsdsds"),
    (r"mov\.8\.4", "dsdsdsds"), (r"mov\..*", "ds"),
    (r"initlocals?", "Dn"),
    (r"ldfld\.vt", "Dqun"), (r"ldfld\..*|ldflda.*", "dqu"),
    (r"stfld\.vt\.noref", "qSun"), (r"stfld\.vt", "qSu2"), (r"stfld\.o", "qzu"),
    (r"stfld\..*", "qsu"),
    (r"ldsfld\.vt", "D01n"), (r"ldsfld.*", "d01"), (r"stsfld\.o", "z01"), (r"stsfld.*", "s01"),
    (r"mono_ldptr", "d1"), (r"ldstr", "d1"),
    (r"ldind_off_imm.*", "dqw"), (r"ldind_off_add_mul_imm.*", "dqIuk"),
    (r"ldind_off\..*", "dqI"), (r"ldind\..*", "dq"),
    (r"stind\.ref", "qz"), (r"stind_off_imm.*", "qsw"), (r"stind_off\..*", "qIs"),
    (r"stind\..*", "qs"),
    (r"cknull", "dq"), (r"ldobj\.vt", "Dqn"), (r"stobj\.vt\.noref", "qSn"), (r"stobj\.vt", "qS2"),
    (r"cpobj\.vt\.noref", "qqn"), (r"cpobj\.vt", "qq2"),
    (r"zeroblk_imm", "qn"), (r"zeroblk", "qN"), (r"cpblk", "qqN"), (r"initblk", "qsN"),
    (r"getitem\.span", "dPIm"), (r"getitem\.localspan", "dLIm"),
    (r"intrins_span_ctor", "dqI"), (r"intrins_memorymarshal_getarraydataref", "dA"),
    (r"array_rank|ldlen", "dA"), (r"strlen", "dX"), (r"getchr", "dXI"),
    (r"ldelema1", "dAIm"), (r"ldelema\.tc", "dE2"), (r"ldelema", "dM"),
    (r"ldelem\.vt", "DAIn"), (r"ldelem\.ref", "dOI"), (r"ldelem\..*", "dAI"),
    (r"stelem\.vt\.noref", "AISwn"), (r"stelem\.vt", "AIS2f"), (r"stelem\.ref.*", "OIz"),
    (r"stelem\..*", "AIs"),
    (r"mono_interlocked\.cmpxchg.*", "dpss"), (r"mono_interlocked\.xchg.*", "dps"),
    (r"simd_intrins_p_p", "DS!"), (r"simd_intrins_p_pp", "DSS!"),
    (r"simd_intrins_p_ppp", "DSSS!"), (r"simd_v128_ldc", "DVV"),
    (r"simd_v128_i._create", "DY"),
    (r"switch", "*"),
    (r"intrins_marvin_block", "ssdd"),
    (r"(shl|shr|rol|ror).*\.imm", "dsc"), (r"add\.mul\..*\.imm", "dsww"),
    (r".*\.imm2", "dsv"), (r".*\.imm", "dsw"),
    (r"fmaf?", "dsss"),
)  # fmt: skip

_INTEGERS = (
    0, 1, 2, 3, 5, 7, 15, 31, 32, 33, 63, 64, 100, 127, 128, 255, 256, 32767, 32768, 65535, 65536,
    0x7FFFFFFF, 0x80000000, 0x80000001, 0xFFFFFFFF, 0xFFFFFFFE, 0x100000000, 0x7FFFFFFFFFFFFFFF,
    0x8000000000000000, 0xFFFFFFFFFFFFFFFF, 0xFFFFFFFF80000000, 0xFFFFFFFFFFFFFF80,
)  # fmt: skip
_FLOATS = (
    0.0, -0.0, 0.5, -0.5, 0.999, -0.999, 1.0, -1.0, 1.5, -1.5, 2.5, 127.9, 128.0, 255.5, -128.9,
    300.0, 32768.0, 65536.0, 2147483647.0, 2147483648.0, -2147483648.0, -2147483649.0, 4294967295.5,
    4294967296.0, 3000000301.0, 1e10, -1e10, 9.2e18, 9223372036854775808.0, -9223372036854775808.0,
    1.8e19, 1.8446744073709552e19, 1e30, -1e30, 1e-40, 5e-324, 1e300, float("inf"), float("-inf"),
    float("nan"),
)  # fmt: skip


_RARE = {
    "v": "word", "V": "long", "L": "span", "E": "array_and_index", "M": "matrix", "!": "intrinsic",
}  # fmt: skip


@final
class Writer:
    """Makes cases for one bench."""

    def __init__(self, bench: InstructionBench, draw: random.Random) -> None:
        self._bench = bench
        self._draw = draw
        facts = bench.facts
        self._number = {opcode.name: n for n, opcode in enumerate(facts.opcodes)}
        self._frame = bytearray(FRAME_SIZE)
        self._used: set[int] = set()
        self._name = ""

    @staticmethod
    def shape(name: str, destinations: int, sources: int) -> str:
        """What follows an opcode."""
        for pattern, shape in SHAPES:
            if re.fullmatch(pattern, name):
                return shape
        return "d" * destinations + "s" * sources

    def write(self, name: str) -> Case:
        """A random case of an opcode."""
        draw = self._draw
        self._frame = bytearray(b"".join(self._value() for _ in range(FRAME_SIZE // 8)))
        area = bytearray(b"".join(self._value() for _ in range(AREA_SIZE // 8)))
        span = self._bench.area + 128
        struct.pack_into("<II", area, 0, span, draw.choice((0, 1, 5, 16)))
        self._used = {240, 248}
        self._name = name
        opcode = self._bench.facts.opcodes[self._number[name]]
        shape = self.shape(name, opcode.destinations, opcode.sources)
        if shape == "*":
            return self._switch(area)
        # Pointers first, so that other operands do not take their slots.
        found: dict[int, list[int]] = {}
        order = sorted(range(len(shape)), key=lambda n: shape[n] not in "pqAIOMXPLEzNS")
        for n in order:
            found[n] = self._operand(shape[n], opcode.length)
        units = [unit for n in range(len(shape)) for unit in found[n]]
        assert len(units) + 1 == opcode.length, (name, shape)
        return Case(
            name, (self._number[name], *units), bytes(self._frame), bytes(area), name[0] == "b"
        )

    def _switch(self, area: bytearray) -> Case:
        # Two targets, the end and what follows: offsets count from where each stands.
        slot = self._put(struct.pack("<Q", self._draw.choice((0, 1, 2, 3, 0xFFFFFFFF))))
        units = (self._number["switch"], slot, 2, 0, 7, 0, 2, 0)
        return Case("switch", units, bytes(self._frame), bytes(area), jumps=True)

    def _value(self) -> bytes:
        draw, kind = self._draw, self._draw.randrange(5)
        if kind == 0:
            return draw.randbytes(8)
        if kind == 1:
            return struct.pack("<d", draw.choice(_FLOATS))
        if kind == 2:
            return struct.pack("<f", _narrow(draw.choice(_FLOATS))) + draw.randbytes(4)
        if kind == 3:
            return struct.pack("<f", draw.uniform(-1e6, 1e6)) + draw.randbytes(4)
        return struct.pack("<Q", draw.choice(_INTEGERS))

    def _put(self, content: bytes) -> int:
        """A slot of its own with this content."""
        count = (len(content) + 7) // 8
        while True:
            slot = 8 * self._draw.randrange(30 - count + 1)
            places = set(range(slot, slot + 8 * count, 8))
            if not places & self._used:
                self._used |= places
                self._frame[slot : slot + len(content)] = content
                return slot

    def _pointer(self, *choices: int) -> list[int]:
        return [self._put(struct.pack("<I", self._draw.choice(choices)))]

    def _operand(self, kind: str, length: int) -> list[int]:
        draw, bench = self._draw, self._bench
        area, objects = bench.area, bench.objects
        simple: dict[str, Callable[[], list[int]]] = {
            "d": lambda: [8 * draw.randrange(28)],
            "D": lambda: [8 * draw.randrange(24)],
            "s": lambda: [8 * draw.randrange(28)],
            "Y": lambda: [8 * draw.randrange(15)],
            "S": self._small_value,
            "p": lambda: self._pointer(area + 128, area + 132, area + 200),
            "q": lambda: self._pointer(area + 128, area + 136, area + 201, area + 130, 0),
            "A": lambda: self._pointer(*3 * (objects["ints"],), 0),
            "O": lambda: self._pointer(*3 * (objects["objects"],), 0),
            "X": lambda: self._pointer(*3 * (objects["text"],), 0),
            "P": lambda: self._pointer(area),
            "I": lambda: [self._put(struct.pack("<I", draw.choice(
                (0, 1, 3, 7, 8, 15, 64, 0xFFFFFFFF) if "ind" not in self._name
                else (0, 1, 4, 8, 17))))],
            "z": lambda: self._pointer(0, objects["text"]),
            "N": lambda: [self._put(struct.pack("<I", draw.choice((0, 1, 4, 9, 32))))],
            "n": lambda: [draw.choice((1, 2, 4, 8, 12, 16, 24, 32))],
            "f": lambda: [4],
            "m": lambda: [draw.choice((1, 2, 3, 4, 8, 12))],
            "u": lambda: [draw.choice((0, 1, 4, 8, 16, 40))],
            "k": lambda: [draw.choice((1, 2, 4, 8))],
            "w": lambda: [draw.choice((0, 1, 8, 0xFFF8)) if "ind" in self._name
                          else draw.choice((0, 1, 3, 31, 127, 0x7FFF, 0x8000, 0xFFFF, 0xFF80,
                                            draw.randrange(1 << 16)))],
            "c": lambda: [draw.choice((0, 1, 5, 7, 31, 63) if "i8" in self._name
                                      else (0, 1, 5, 7, 31))],
            "0": lambda: [0], "1": lambda: [1], "2": lambda: [2],
            "t": lambda: [length + 3], "T": lambda: [length + 3, 0],
        }  # fmt: skip
        found = simple.get(kind) or getattr(self, f"_{_RARE[kind]}")
        return found()

    def _small_value(self) -> list[int]:
        """A value type; vectors begin with an address, for those that load and store."""
        if self._name.startswith("simd"):
            return [self._put(struct.pack("<I", self._bench.area + 128) + self._draw.randbytes(12))]
        if "stelem" in self._name:
            return [self._put(self._draw.randbytes(32))]
        return [8 * self._draw.randrange(24)]

    def _word(self) -> list[int]:
        return list(struct.unpack("<2H", self._value()[:4]))

    def _long(self) -> list[int]:
        return list(struct.unpack("<4H", self._value()))

    def _span(self) -> list[int]:
        """A span in the frame."""
        length = self._draw.choice((0, 1, 5, 16))
        return [self._put(struct.pack("<II", self._bench.area + 128, length))]

    def _array_and_index(self) -> list[int]:
        ints = self._bench.objects["ints"]
        values = self._draw.choice((ints, ints, 0)), 0, self._draw.choice((0, 3, 15, 64, -1))
        return [self._put(struct.pack("<IIi", *values))]

    def _matrix(self) -> list[int]:
        draw, matrix = self._draw, self._bench.objects["matrix"]
        indices = draw.choice((0, 1, 2, 3, -1)), 0, draw.choice((0, 1, 3, 4)), 0
        values = draw.choice((matrix, matrix, matrix, 0)), 0, *indices
        return [self._put(struct.pack("<II4i", *values)), 2, 4]

    def _intrinsic(self) -> list[int]:
        # The tables of functions follow one another, and none says where it ends.
        arguments = {"simd_intrins_p_p": 1, "simd_intrins_p_pp": 2}.get(self._name, 3)
        simd = self._bench.facts.simd
        more = {f for (a, _), f in simd.items() if a == arguments + 1}
        numbers = [n for (a, n), f in simd.items() if a == arguments and f not in more]
        return [self._draw.choice(numbers)]


def _narrow(value: float) -> float:
    try:
        struct.pack("<f", value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")
    return value
