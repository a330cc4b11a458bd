"""Every lowered instruction gives what the real one gives, on any engine."""

from __future__ import annotations

import ctypes
import math
import struct
from collections.abc import Callable, Mapping
from functools import partial
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dotnet_wasm_host.engines.base import Engine, Instance
from dotnet_wasm_host.engines.wasmer.simd_lowering import LOWERED, lower_simd
from dotnet_wasm_host.engines.wasmtime.engine import WasmtimeEngine
from dotnet_wasm_host.wasm.instructions import Scanner, simd
from dotnet_wasm_host.wasm.module import Module
from tests.engines.kinds import ENGINES, assemble

PAGE = 65536
MEMORY = assemble('(module (memory (export "memory") 1))')
UNARY = {"popcnt", "demote", "promote", "extadd", "extend", "trunc", "convert"}


def takes_one(name: str) -> bool:
    return name.split(".")[1].split("_", maxsplit=1)[0] in UNARY


def function(name: str) -> str:
    second = "" if takes_one(name) else "local.get 1 v128.load"
    return (
        f'(func (export "{name}") (param i32 i32 i32) local.get 2 local.get 0 v128.load '
        f"{second} {name} v128.store)"
    )


CODE = assemble(
    f'(module (import "env" "memory" (memory 1)) {" ".join(map(function, LOWERED.values()))})'
)

F64 = [
    0.0, -0.0, 1.5, -1.5, 2.5, 5e-324, -2.2250738585072014e-308, 1e-45, 3.4028235677973366e38,
    -1.7976931348623157e308, math.inf, -math.inf, 2147483646.9, 2147483647.0, 2147483647.5,
    2147483648.0, -2147483648.0, -2147483648.9, -2147483649.0, 4294967295.0, 4294967295.5,
    4294967296.0, -0.9, -1.0,
]  # fmt: skip
#: Quiet, negative, signalling, and with a payload.
F64_NAN = [0x7FF8 << 48, 0xFFF8 << 48, (0x7FF0 << 48) | 1, 0xFFFC_0000_DEAD_BEEF]
F32 = [0.0, -0.0, 1.5, 1e-45, -1.1754944e-38, 3.4028234663852886e38, math.inf, -math.inf]
F32_NAN = [0x7FC00000, 0xFFC00000, 0x7F800001, 0xFFE0BEEF]
INTEGERS = [0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0x8001, 0xFFFF, 0x7FFFFFFF, 0x80000000]


def vectors() -> list[bytes]:
    f64 = [struct.pack("<d", v) for v in F64] + [struct.pack("<Q", v) for v in F64_NAN]
    f32 = [struct.pack("<f", v) for v in F32] + [struct.pack("<I", v) for v in F32_NAN]
    found = [a + b for a, b in zip(f64, f64[1:] + f64[:1], strict=True)]
    found += [b"".join(f32[(i + k) % len(f32)] for k in range(4)) for i in range(len(f32))]
    for width, code in ((1, "B"), (2, "H"), (4, "I"), (8, "Q")):
        values = [v & (256**width - 1) for v in (*INTEGERS, *(~v for v in INTEGERS))]
        lanes = 16 // width
        for start in range(0, len(values), 3):
            found.append(
                struct.pack(
                    f"<{lanes}{code}", *(values[(start + k) % len(values)] for k in range(lanes))
                )
            )
    return found


VECTORS = vectors()


class Machine:
    """Applies an instruction of :data:`CODE` to operands in memory."""

    def __init__(self, engine: Engine, code: bytes) -> None:
        self._instance: Instance = engine.instantiate(
            engine.compile(code), engine.compile(MEMORY), memory_limit=PAGE
        )
        self._functions = {name: self._instance.function(name) for name in LOWERED.values()}
        self._base = self._instance.memory.address

    def __call__(self, name: str, first: bytes, second: bytes) -> bytes:
        ctypes.memmove(self._base, first + second, 32)
        self._functions[name](0, 16, 32)
        return ctypes.string_at(self._base + 32, 16)


MACHINES: Mapping[str, Callable[[], Machine]] = {
    "lowered on wasmtime": lambda: Machine(WasmtimeEngine(), lower_simd(CODE)),
    **{name: partial(lambda make: Machine(make(), CODE), make) for name, make in ENGINES.items()},
}


@pytest.fixture(scope="module")
def real() -> Machine:
    return Machine(WasmtimeEngine(), CODE)


@pytest.fixture(scope="module", params=MACHINES)
def machine(request: pytest.FixtureRequest) -> Machine:
    return MACHINES[request.param]()


def same(name: str, left: bytes, right: bytes) -> bool:
    """Equal, or NaN where the specification leaves sign and payload of a NaN open (4.3.3)."""
    if left == right:
        return True
    code = {"f32x4": "<4f", "f64x2": "<2d"}.get(name.split(".", maxsplit=1)[0])
    return code is not None and all(
        a == b or (math.isnan(a) and math.isnan(b))
        for a, b in zip(struct.unpack(code, left), struct.unpack(code, right), strict=True)
    )


@pytest.mark.parametrize("name", LOWERED.values())
def test_edge_cases_agree(machine: Machine, real: Machine, name: str) -> None:
    pairs = [(v, v) for v in VECTORS] if takes_one(name) else list(product(VECTORS, VECTORS[::3]))
    for first, second in pairs:
        found, expected = machine(name, first, second), real(name, first, second)
        assert same(name, found, expected), (first.hex(), second.hex())


@settings(max_examples=30)
@given(st.binary(min_size=16, max_size=16), st.binary(min_size=16, max_size=16))
def test_any_vectors_agree(machine: Machine, real: Machine, first: bytes, second: bytes) -> None:
    for name in LOWERED.values():
        assert same(name, machine(name, first, second), real(name, first, second))


def test_nothing_of_what_is_lowered_is_left() -> None:
    scanner = Scanner(frozenset(map(simd, LOWERED)))
    bodies = Module.parse(lower_simd(CODE)).bodies()
    assert len(bodies) == 2 * len(LOWERED)
    assert [found for body in bodies for found in scanner.find(body)] == []


def test_a_module_without_any_stays_as_it_is() -> None:
    plain = assemble("(module (func (param v128) (result v128) local.get 0))")
    assert lower_simd(plain) == plain
