"""Compiled methods executed by wasmtime, on a memory that is laid out by hand."""

from __future__ import annotations

import struct
from dataclasses import fields

import pytest
import wasmtime
from hypothesis import given, settings
from hypothesis import strategies as st

from dotnet_wasm_host.jit.compiler import compile_batch
from dotnet_wasm_host.jit.interface import (
    CompiledBatch,
    CompilerLimits,
    LinkTarget,
    MintFacts,
    Opcode,
    StructOffsets,
)
from dotnet_wasm_host.jit.view import MemoryCopy
from dotnet_wasm_host.wasm.binary import ValueType

LENGTHS = {
    "tier_prepare_jiterpreter": 4, "ret": 2, "ldc.i4.s": 3, "add.i4": 4, "sub.i4": 4, "mul.i4": 4,
    "xor.i4": 4, "div.i4": 4, "rem.un.i4": 4, "add.ovf.i4": 4, "sub.ovf.i4": 4, "mul.ovf.i4": 4,
    "add.ovf.i8": 4, "sub.ovf.i8": 4, "mov.4": 3, "mov.8": 3, "mov.8.2": 5, "blt.i4.s": 4,
    "br.s": 2, "brtrue.i4.s": 3, "switch": 0, "ldelem.i4": 4, "throw": 2, "clt.un.r8": 4,
    "newstr": 3, "ret.i4.imm": 2, "sub1.i4": 3, "call": 4,
}  # fmt: skip
NUMBER = {name: n for n, name in enumerate(LENGTHS)}
OFFSETS = StructOffsets(**{
    member.name: 4 * n for n, member in enumerate(fields(StructOffsets))
})  # fmt: skip
FACTS = MintFacts(tuple(Opcode(n, length, 0, 0, 0) for n, length in LENGTHS.items()), OFFSETS)
METHOD, JINFO, CODE, FRAME = 0x1000, 0x1400, 0x2000, 0x8000
CONTEXT, RECORDS = 0x6000, 0x7000
START = ("tier_prepare_jiterpreter", 0, 0, 0)


def assemble(*instructions: tuple[str | int, ...]) -> bytes:
    units = [NUMBER[x] if isinstance(x, str) else x & 0xFFFF for it in instructions for x in it]
    return struct.pack(f"<{len(units)}H", *units)


def lay_out(code: bytes) -> bytearray:
    memory = bytearray(1 << 16)
    for at, value in (
        (METHOD + OFFSETS.interp_method_code, CODE),
        (METHOD + OFFSETS.interp_method_jinfo, JINFO),
        (JINFO + OFFSETS.jit_info_code_start, CODE),
        (JINFO + OFFSETS.jit_info_code_size, len(code)),
    ):
        struct.pack_into("<I", memory, at, value)
    memory[CODE : CODE + len(code)] = code
    return memory


def translate(code: bytes, limits: CompilerLimits | None = None) -> CompiledBatch:
    target = LinkTarget(3, 0, 0)
    return compile_batch(FACTS, MemoryCopy(lay_out(code)), target, [METHOD], limits)


def run(code: bytes, slots: dict[int, bytes], entry: int = 0) -> tuple[int, bytes]:
    """Enter a method. Where it is left, in units from its start, and its frame afterwards."""
    batch = translate(code)
    assert not batch.rejected
    store = wasmtime.Store()
    memory = wasmtime.Memory(store, wasmtime.MemoryType(wasmtime.Limits(1, None)))
    content = lay_out(code)
    for offset, value in slots.items():
        content[FRAME + offset : FRAME + offset + len(value)] = value
    memory.write(store, bytes(content))
    kind = wasmtime.TableType(wasmtime.ValType.funcref(), wasmtime.Limits(32, None))
    table = wasmtime.Table(store, kind, None)
    linker = wasmtime.Linker(store.engine)
    linker.define(store, "env", "memory", memory)
    linker.define(store, "env", "__indirect_function_table", table)
    module = wasmtime.Module(store.engine, batch.wasm)
    linker.define_unknown_imports_as_traps(module)
    linker.instantiate(store, module)
    place = CODE + 2 * entry
    slot = next(e.slot for e in batch.entries if e.instructions == (place,))
    function = table.get(store, 3 + slot)
    assert isinstance(function, wasmtime.Func)
    displacement = function(store, 0, FRAME, 0, place)
    return entry + displacement // 2, bytes(memory.read(store, FRAME, FRAME + 256))


def i4(value: int) -> bytes:
    return struct.pack("<I", value & 0xFFFFFFFF)


def slot_i4(frame: bytes, offset: int) -> int:
    return int(struct.unpack_from("<i", frame, offset)[0])


I4 = st.integers(-(1 << 31), (1 << 31) - 1)
I8 = st.integers(-(1 << 63), (1 << 63) - 1)


def wrapped(value: int, bits: int = 32) -> int:
    half = 1 << (bits - 1)
    return (value + half) % (2 * half) - half


@settings(max_examples=40, deadline=None)
@given(I4, I4, st.sampled_from(("add", "sub", "mul")))
def test_arithmetic_wraps_as_the_interpreter_does(a: int, b: int, name: str) -> None:
    code = assemble(START, (f"{name}.i4", 16, 0, 8), ("ret", 16))
    at, frame = run(code, {0: i4(a), 8: i4(b)})
    expected = {"add": a + b, "sub": a - b, "mul": a * b}[name]
    assert (at, slot_i4(frame, 16)) == (8, wrapped(expected))


@settings(max_examples=40, deadline=None)
@given(I4 | st.sampled_from((0, 1, -1, 1 << 30)), I4, st.sampled_from(("add", "sub", "mul")))
def test_overflow_leaves_at_the_instruction_with_nothing_written(a: int, b: int, name: str) -> None:
    code = assemble(START, (f"{name}.ovf.i4", 16, 0, 8), ("ret", 16))
    at, frame = run(code, {0: i4(a), 8: i4(b), 16: i4(77)})
    exact = {"add": a + b, "sub": a - b, "mul": a * b}[name]
    fits = exact == wrapped(exact)
    assert (at, slot_i4(frame, 16)) == ((8, exact) if fits else (4, 77))


@settings(max_examples=40, deadline=None)
@given(I8 | st.sampled_from((0, -1, 1 << 62)), I8, st.sampled_from(("add", "sub")))
def test_overflow_of_64_bits(a: int, b: int, name: str) -> None:
    code = assemble(START, (f"{name}.ovf.i8", 16, 0, 8), ("ret", 16))
    at, frame = run(code, {0: struct.pack("<q", a), 8: struct.pack("<q", b)})
    exact = a + b if name == "add" else a - b
    assert (at == 8) == (exact == wrapped(exact, 64))
    if at == 8:
        assert struct.unpack_from("<q", frame, 16) == (exact,)


@pytest.mark.parametrize(("a", "b", "at"), [(7, 2, 8), (7, 0, 4), (-(1 << 31), -1, 4)])
def test_division_that_has_no_result_is_the_interpreters(a: int, b: int, at: int) -> None:
    code = assemble(START, ("div.i4", 16, 0, 8), ("ret", 16))
    left, frame = run(code, {0: i4(a), 8: i4(b)})
    assert left == at
    assert slot_i4(frame, 16) == (a // b if at == 8 else 0)


def nested_loops() -> bytes:
    # sum = 0 (slot 8), i (16), j (24), n (0), one (32): two loops, each head an entry.
    return assemble(
        START,                            # 0
        ("ldc.i4.s", 32, 1),              # 4
        START,                            # 7   outer head
        ("ldc.i4.s", 24, 0),              # 11
        START,                            # 14  inner head
        ("add.i4", 8, 8, 24),             # 18
        ("xor.i4", 8, 8, 16),             # 22
        ("add.i4", 24, 24, 32),           # 26
        ("blt.i4.s", 24, 0, 14 - 30),     # 30
        ("add.i4", 16, 16, 32),           # 34
        ("blt.i4.s", 16, 0, 7 - 38),      # 38
        ("ret", 8),                       # 42
    )  # fmt: skip


def looped(n: int, i: int = 0, j: int = 0, total: int = 0) -> int:
    while True:
        while True:
            total = (total + j) ^ i
            j += 1
            if j >= n:
                break
        j, i = 0, i + 1
        if i >= n:
            return total


@pytest.mark.parametrize("n", [1, 2, 17])
def test_nested_loops_run_to_the_return(n: int) -> None:
    at, frame = run(nested_loops(), {0: i4(n)})
    assert (at, slot_i4(frame, 8)) == (42, looped(n))


def test_a_loop_is_entered_in_its_middle() -> None:
    slots = {0: i4(9), 8: i4(5), 16: i4(3), 24: i4(4), 32: i4(1)}
    at, frame = run(nested_loops(), slots, entry=14)
    assert (at, slot_i4(frame, 8)) == (42, looped(9, 3, 4, 5))


@pytest.mark.parametrize(("number", "expected"), [(0, 10), (1, 20), (2, 30), (3, 30), (-1, 30)])
def test_switch(number: int, expected: int) -> None:
    code = assemble(
        START,                            # 0
        ("switch", 0, 2, 0, 9, 0, 12, 0),  # 4: offsets count from where each stands, 8 and 10
        ("ldc.i4.s", 8, 30), ("br.s", 10),  # 12, 15
        ("ldc.i4.s", 8, 10), ("br.s", 5),  # 17, 20
        ("ldc.i4.s", 8, 20),              # 22
        ("ret", 8),                       # 25
    )  # fmt: skip
    at, frame = run(code, {0: i4(number)})
    assert (at, slot_i4(frame, 8)) == (25, expected)


@pytest.mark.parametrize("value", [0, 1])
def test_a_branch_to_what_follows_it_inside_of_another(value: int) -> None:
    code = assemble(
        START,                            # 0
        ("brtrue.i4.s", 0, 12),           # 4
        ("brtrue.i4.s", 8, 3),            # 7: to the next
        ("ldc.i4.s", 16, 5),              # 10
        ("brtrue.i4.s", 24, 6),           # 13: to 19
        ("ldc.i4.s", 16, 6),              # 16
        ("ret", 16),                      # 19
    )  # fmt: skip
    at, frame = run(code, {0: i4(value), 8: i4(1), 24: i4(1)})
    assert at == 19
    assert slot_i4(frame, 16) == (6 if value else 5)


def test_what_is_not_translated_is_an_exit_and_counted() -> None:
    code = assemble(START, ("ldc.i4.s", 8, 3), ("brtrue.i4.s", 0, -3), ("throw", 8))
    at, frame = run(code, {0: i4(0)})
    assert (at, slot_i4(frame, 8)) == (10, 3)
    assert translate(code).statistics.exits == {"throw": 1}


def test_what_repeats_nothing_before_it_leaves_stays_interpreted() -> None:
    batch = translate(assemble(START, ("ldc.i4.s", 8, 3), ("throw", 8)))
    assert [item.reason for item in batch.rejected] == ["is left before it repeats anything"]
    assert batch.unused == ((METHOD, CODE),)
    assert not batch.wasm


def test_moves_go_one_after_the_other() -> None:
    code = assemble(START, ("mov.8.2", 8, 0, 16, 8), ("ret", 16))
    _, frame = run(code, {0: struct.pack("<Q", 0x1122334455667788)})
    assert frame[16:24] == frame[0:8] == struct.pack("<Q", 0x1122334455667788)


def test_an_array_is_bounds_checked() -> None:
    array = 0x9000
    code = assemble(START, ("ldelem.i4", 16, 0, 8), ("ret", 16))
    assert run(code, {0: i4(array), 8: i4(0)})[0] == 4  # length 0
    assert run(code, {0: i4(0), 8: i4(0)})[0] == 4  # null


def test_comparisons_with_nan_are_unordered() -> None:
    code = assemble(START, ("clt.un.r8", 16, 0, 8), ("ret", 16))
    _, frame = run(code, {0: struct.pack("<d", float("nan")), 8: struct.pack("<d", 1.0)})
    assert slot_i4(frame, 16) == 1


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400))
def test_hostile_code_gives_a_valid_module_or_a_rejection(content: bytes) -> None:
    for code in (content, assemble(START) + content):
        batch = translate(code)
        assert bool(batch.wasm) != bool(batch.rejected)
        if batch.wasm:
            wasmtime.Module(wasmtime.Engine(), batch.wasm)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(sorted(NUMBER)), st.lists(st.integers(-40, 40),
       min_size=8, max_size=8)), max_size=20))  # fmt: skip
def test_code_of_real_opcodes_gives_a_valid_module_or_a_rejection(
    drawn: list[tuple[str, list[int]]],
) -> None:
    instructions: list[tuple[str | int, ...]] = [
        (name, 0, 0, 0) if name == "switch" else (name, *(2 * x for x in rest[: LENGTHS[name] - 1]))
        for name, rest in drawn
    ]
    batch = translate(assemble(START, *instructions, ("ret", 0)))
    if batch.wasm:
        wasmtime.Module(wasmtime.Engine(), batch.wasm)


def test_limits_reject_with_a_reason() -> None:
    code = nested_loops()
    (rejected,) = translate(code, CompilerLimits(method_blocks=2)).rejected
    assert "basic blocks" in rejected.reason
    (rejected,) = translate(code, CompilerLimits(method_units=8)).rejected
    assert "units of code" in rejected.reason


@pytest.mark.parametrize("method", [0, 3, 0xFFFF, 0xFFFFFFF0])
def test_an_address_outside_of_memory_is_a_rejection(method: int) -> None:
    view = MemoryCopy(lay_out(nested_loops()))
    batch = compile_batch(FACTS, view, LinkTarget(3, 0, 0), [method])
    assert len(batch.rejected) == 1
    assert not batch.wasm


@pytest.mark.parametrize("before", [FRAME, FRAME + 64, FRAME + 4096])
def test_the_collector_is_told_of_the_frame_and_of_nothing_less(before: int) -> None:
    """Where the frame ends, or where it was said before that the stack ends."""
    code = assemble(START, ("newstr", 16, 8), ("ret", 16))
    content = lay_out(code)
    struct.pack_into("<I", content, METHOD + OFFSETS.interp_method_alloca_size, 64)
    target = LinkTarget(3, CONTEXT, RECORDS)
    batch = compile_batch(FACTS, MemoryCopy(content), target, [METHOD])
    assert not batch.rejected
    pointer = CONTEXT + OFFSETS.thread_context_stack_pointer
    struct.pack_into("<I", content, pointer, before)
    store = wasmtime.Store()
    memory = wasmtime.Memory(store, wasmtime.MemoryType(wasmtime.Limits(1, None)))
    memory.write(store, bytes(content))
    kind = wasmtime.TableType(wasmtime.ValType.funcref(), wasmtime.Limits(16, None))
    table = wasmtime.Table(store, kind, None)
    linker = wasmtime.Linker(store.engine)
    linker.define(store, "env", "memory", memory)
    linker.define(store, "env", "__indirect_function_table", table)
    module = wasmtime.Module(store.engine, batch.wasm)
    linker.define_unknown_imports_as_traps(module)
    linker.instantiate(store, module)
    function = table.get(store, 3 + batch.entries[0].slot)
    assert isinstance(function, wasmtime.Func)
    with pytest.raises(wasmtime.WasmtimeError):  # the helper is not there
        function(store, 0, FRAME, 0, CODE)
    (said,) = struct.unpack("<I", memory.read(store, pointer, pointer + 4))
    assert said == max(before, FRAME + 64)


#: A method that calls itself with one less until that is 0, and returns 1 then: where its call is.
COUNTDOWN, CALL_AT = (
    START,                                # 0
    ("brtrue.i4.s", 0, 5),                # 4
    ("ret.i4.imm", 1),                    # 7
    ("sub1.i4", 64, 0),                   # 9
    ("call", 16, 64, 0),                  # 12
    ("ret", 16),                          # 16
), 12  # fmt: skip
ITEMS, TYPES, INT = 0x1800, 0x1900, 0x1A00
TYPE_I4 = 8
FRAME_SIZE = 72


@pytest.mark.parametrize(
    ("room", "n", "fits"),
    [
        (1 << 19, 300, True),
        (1 << 19, 600, False),  # at least a KB for each call
        (1 << 21, 900, True),
        (1 << 21, 1100, False),  # the engine's stack has an end, too
        (1024 + FRAME_SIZE + 256, 1, True),
        (1024 + FRAME_SIZE + 255, 1, False),
        (0, 1, False),
        (-64, 1, False),  # past its end, where an overflow is handled
        (-(1 << 20), 1, False),
    ],
)
def test_calls_go_as_deep_as_the_stack_has_room(room: int, n: int, fits: bool) -> None:
    o, code = OFFSETS, assemble(*COUNTDOWN)
    content, frame = lay_out(code), 0x200000
    content += bytes((1 << 22) - len(content))
    for address, value in (
        (METHOD + o.interp_method_alloca_size, FRAME_SIZE),
        (METHOD + o.interp_method_data_items, ITEMS),
        (ITEMS, METHOD),
        (METHOD + o.interp_method_param_types, TYPES),
        (METHOD + o.interp_method_param_count, 1),
        (TYPES, INT),
        (METHOD + o.interp_method_rtype, INT),
        (CONTEXT + o.thread_context_stack_end, frame + room),
        (frame, n),
    ):
        struct.pack_into("<I", content, address, value)
    content[INT + o.type_type] = TYPE_I4
    batch = compile_batch(FACTS, MemoryCopy(content), LinkTarget(3, CONTEXT, RECORDS), [METHOD])
    (callee,) = batch.callees
    assert callee.signature.arguments == ((0, ValueType.I32),)
    assert callee.signature.result is ValueType.I32
    store = wasmtime.Store()
    memory = wasmtime.Memory(store, wasmtime.MemoryType(wasmtime.Limits(64, None)))
    memory.write(store, bytes(content))
    kind = wasmtime.TableType(wasmtime.ValType.funcref(), wasmtime.Limits(16, None))
    linker = wasmtime.Linker(store.engine)
    linker.define(store, "env", "memory", memory)
    table = wasmtime.Table(store, kind, None)
    linker.define(store, "env", "__indirect_function_table", table)
    module = wasmtime.Module(store.engine, batch.wasm)
    linker.define_unknown_imports_as_traps(module)
    linker.instantiate(store, module)
    function = table.get(store, 3 + batch.entries[0].slot)
    assert isinstance(function, wasmtime.Func)
    left_at = function(store, 0, frame, 0, CODE) // 2
    assert (left_at == 16) is fits, left_at
    given_up = int.from_bytes(memory.read(store, RECORDS, RECORDS + 4), "little")
    assert (given_up == 0) is (fits or n == 1)
    if fits:
        assert memory.read(store, frame + 16, frame + 20) == i4(1)
    else:
        assert left_at == CALL_AT
        assert given_up < 1100


def _many_entries() -> tuple[bytes, int]:
    """A loop behind more entries than are compiled, and where its head is."""
    before = [START] * 40
    head = 4 * len(before)
    code = assemble(*before, START, ("sub1.i4", 0, 0), ("brtrue.i4.s", 0, -7), ("ret", 0))
    return code, head


def test_the_head_of_a_loop_comes_before_entries_after_calls() -> None:
    code, head = _many_entries()
    places = {place for e in translate(code).entries for place in e.instructions}
    assert {CODE, CODE + 2 * head} <= places
    assert len(places) < 40
    at, frame = run(code, {0: i4(5)}, entry=head)
    assert (at, slot_i4(frame, 0)) == (head + 10, 0)


def test_an_entry_that_is_told_of_comes_first() -> None:
    code, _ = _many_entries()
    wanted = CODE + 2 * 4 * 39
    for hot in (frozenset[int](), frozenset({wanted})):
        target = LinkTarget(3, 0, 0, hot=hot)
        batch = compile_batch(FACTS, MemoryCopy(lay_out(code)), target, [METHOD])
        assert (wanted in {e.instructions[0] for e in batch.entries}) == bool(hot)
