"""Linear memory: every width, every boundary, every kind of buffer."""

from __future__ import annotations

import array
import gc
import math
import struct
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

import dotnet_wasm_host as dwh

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import CompiledSources

#: A name in read_* and write_*, with its width in bytes and its struct format.
INTEGERS = {
    "u8": (1, "B"), "i8": (1, "b"), "u16": (2, "H"), "i16": (2, "h"),
    "u32": (4, "I"), "i32": (4, "i"), "u64": (8, "Q"), "i64": (8, "q"),
}  # fmt: skip
FLOATS = {"f32": (4, "f"), "f64": (8, "d")}
WIDTHS = {name: width for name, (width, _) in (INTEGERS | FLOATS).items()}

#: Bytes that tests write to. The guest is at rest, and nothing else of it is touched.
PLAYGROUND = 4096


@pytest.fixture(scope="module")
def runtime(image: dwh.RuntimeImage) -> Iterator[dwh.Runtime]:
    """One runtime for the module; its own tests of closing make their own."""
    with dwh.Runtime(image) as runtime:
        yield runtime


@pytest.fixture(scope="module")
def memory(runtime: dwh.Runtime) -> dwh.Memory:
    return runtime.memory


@pytest.fixture(scope="module")
def block(memory: dwh.Memory) -> Iterator[dwh.Block]:
    with memory.allocate(PLAYGROUND) as block:
        yield block


def integer_range(name: str) -> tuple[int, int]:
    """Smallest and largest value of an integer type."""
    bits = 8 * INTEGERS[name][0]
    return (0, 2**bits - 1) if name[0] == "u" else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


# ---------------------------------------------------------------- numbers


@given(data=st.data(), name=st.sampled_from(sorted(INTEGERS)))
def test_integers_are_little_endian_and_come_back(
    memory: dwh.Memory, block: dwh.Block, data: st.DataObject, name: str
) -> None:
    width, code = INTEGERS[name]
    low, high = integer_range(name)
    value = data.draw(st.integers(low, high) | st.sampled_from([low, high, 0]))
    ptr = block.ptr + data.draw(st.integers(1, PLAYGROUND - width - 1))
    memory.write(ptr - 1, b"\xaa" * (width + 2))

    getattr(memory, f"write_{name}")(ptr, value)

    assert getattr(memory, f"read_{name}")(ptr) == value
    # Nothing beside it changed.
    assert memory.read(ptr - 1, width + 2) == b"\xaa" + struct.pack(f"<{code}", value) + b"\xaa"


@given(data=st.data(), name=st.sampled_from(sorted(INTEGERS)))
def test_integers_out_of_range_are_refused(
    memory: dwh.Memory, block: dwh.Block, data: st.DataObject, name: str
) -> None:
    low, high = integer_range(name)
    value = data.draw(
        st.integers(max_value=low - 1) | st.integers(min_value=high + 1)
        | st.sampled_from([low - 1, high + 1, 2**64, -(2**63) - 1])
    )  # fmt: skip
    assume(not low <= value <= high)
    memory.write(block.ptr, b"\xaa" * 8)

    with pytest.raises(dwh.MarshallingError) as caught:
        getattr(memory, f"write_{name}")(block.ptr, value)

    assert isinstance(caught.value, ValueError)
    assert memory.read(block.ptr, 8) == b"\xaa" * 8


@given(name=st.sampled_from(sorted(WIDTHS)), value=st.sampled_from(["1", None, b"1", [1], 1j]))
def test_what_is_no_number_is_refused(
    memory: dwh.Memory, block: dwh.Block, name: str, value: Any
) -> None:
    with pytest.raises(dwh.MarshallingError):
        getattr(memory, f"write_{name}")(block.ptr, value)


@given(value=st.floats())
@example(value=math.nan)
@example(value=-0.0)
@example(value=5e-324)
def test_doubles_come_back_bit_by_bit(memory: dwh.Memory, block: dwh.Block, value: float) -> None:
    memory.write_f64(block.ptr, value)

    assert struct.pack("<d", memory.read_f64(block.ptr)) == struct.pack("<d", value)
    assert memory.read(block.ptr, 8) == struct.pack("<d", value)


@given(value=st.floats(width=32))
@example(value=math.inf)
@example(value=-0.0)
def test_singles_come_back(memory: dwh.Memory, block: dwh.Block, value: float) -> None:
    memory.write_f32(block.ptr, value)

    result = memory.read_f32(block.ptr)
    assert math.copysign(1, result) == math.copysign(1, value) or math.isnan(value)
    assert result == value or (math.isnan(result) and math.isnan(value))


@given(value=st.floats(allow_nan=False, allow_infinity=False))
@example(value=3.4028235677973366e38)
@example(value=3.4028235677973362e38)
def test_singles_are_rounded_or_refused(memory: dwh.Memory, block: dwh.Block, value: float) -> None:
    with np.errstate(over="ignore"):
        nearest = np.float32(value)
    if np.isinf(nearest):
        with pytest.raises(dwh.MarshallingError):
            memory.write_f32(block.ptr, value)
    else:
        memory.write_f32(block.ptr, value)
        assert memory.read_f32(block.ptr) == nearest


@given(
    values=st.tuples(
        st.integers(0, 255),
        st.integers(-(2**31), 2**31 - 1),
        st.floats(allow_nan=False),
        st.binary(max_size=5),
    ),
    offset=st.integers(0, 100),
)
def test_structs_are_packed_by_their_layout(
    memory: dwh.Memory, block: dwh.Block, values: tuple[Any, ...], offset: int
) -> None:
    layout = struct.Struct("<Bid5s")

    memory.write_struct(layout, block.ptr + offset, *values)

    number, integer, real, raw = memory.read_struct(layout, block.ptr + offset)
    assert (number, integer, real) == values[:3]
    assert raw == values[3].ljust(5, b"\0")
    for wrong in (values[:-1], (*values, 1), (256, *values[1:]), ("x", *values[1:])):
        with pytest.raises(dwh.MarshallingError, match="cannot be packed"):
            memory.write_struct(layout, block.ptr, *wrong)


# ---------------------------------------------------------------- boundaries


@pytest.mark.parametrize("name", WIDTHS)
def test_the_last_place_of_memory_is_inside_and_the_next_is_not(
    memory: dwh.Memory, name: str
) -> None:
    read, write = getattr(memory, f"read_{name}"), getattr(memory, f"write_{name}")
    last = memory.size - WIDTHS[name]

    kept = memory.read(last, WIDTHS[name])
    write(last, 1)
    assert read(last) == 1
    memory.write(last, kept)
    for ptr in (last + 1, memory.size, memory.size + 1, 2**31, 2**32, 2**64, -1, -(2**63)):
        with pytest.raises(dwh.MemoryAccessError):
            read(ptr)
        with pytest.raises(dwh.MemoryAccessError) as caught:
            write(ptr, 1)
        error = caught.value
        assert (error.ptr, error.length) == (ptr, WIDTHS[name])
        assert error.memory_size == memory.size
        assert isinstance(error, IndexError)
        assert str(memory.size) in str(error)


pointers = st.integers(-(2**40), 2**40) | st.integers(-(2**70), 2**70)


@given(data=st.data(), ptr=pointers, length=pointers)
def test_exactly_what_lies_inside_can_be_read(
    memory: dwh.Memory, data: st.DataObject, ptr: int, length: int
) -> None:
    near_the_end = st.integers(memory.size - 20, memory.size + 20)
    ptr = data.draw(st.just(ptr) | near_the_end | st.integers(-9, 9))
    length = data.draw(st.just(length) | st.integers(-2, 30))
    inside = ptr >= 0 and length >= 0 and ptr + length <= memory.size
    if inside and length < 1 << 20:
        assert len(memory.read(ptr, length)) == length
        assert len(memory.view(ptr, length)) == length
        memory.write(ptr, memory.read(ptr, length))
    elif not inside:
        for access in (memory.read, memory.view, memory.read_utf8):
            with pytest.raises(dwh.MemoryAccessError):
                access(ptr, length)


def test_nothing_is_read_or_written_at_the_very_end(memory: dwh.Memory) -> None:
    assert memory.read(memory.size, 0) == b""
    assert len(memory.view(memory.size, 0)) == 0
    memory.write(memory.size, b"")
    with pytest.raises(dwh.MemoryAccessError):
        memory.read(memory.size + 1, 0)
    with pytest.raises(dwh.MemoryAccessError):
        memory.write(memory.size + 1, b"")
    with pytest.raises(dwh.MemoryAccessError):
        memory.write(memory.size - 1, b"xx")


@pytest.mark.parametrize("ptr", ["0", None, 1.5, b"0"])
def test_a_pointer_of_another_type_is_refused(memory: dwh.Memory, ptr: Any) -> None:
    accesses: list[Any] = [
        lambda: memory.read(ptr, 1),
        lambda: memory.read(0, ptr),
        lambda: memory.view(ptr, 1),
        lambda: memory.write(ptr, b"x"),
        lambda: memory.read_u32(ptr),
        lambda: memory.write_u32(ptr, 1),
        lambda: memory.allocate(ptr).__enter__(),
    ]
    for access in accesses:
        with pytest.raises(dwh.MarshallingTypeError):
            access()


# ---------------------------------------------------------------- buffers


def views_of(content: bytes) -> list[Any]:
    """The same bytes in every kind of buffer."""
    every_other = bytearray(2 * len(content))
    every_other[::2] = content
    numbers = np.frombuffer(content, np.uint8)
    return [
        content,
        bytearray(content),
        memoryview(content),
        memoryview(every_other)[::2],
        memoryview(content[::-1])[::-1],
        array.array("B", content),
        numbers,
        numbers.reshape(-1, 1),
        np.repeat(numbers, 3).reshape(-1, 3)[:, 1],
        numbers.view("S1"),
    ]


@given(content=st.binary(max_size=200))
def test_any_buffer_is_written_as_its_bytes(
    memory: dwh.Memory, block: dwh.Block, content: bytes
) -> None:
    for source in views_of(content):
        memory.write(block.ptr, b"\xaa" * (len(content) + 1))
        memory.write(block.ptr, source)
        assert memory.read(block.ptr, len(content) + 1) == content + b"\xaa"


@pytest.mark.parametrize(
    "source",
    [
        array.array("i", [1, -2, 3]),
        array.array("d", [1.5, math.inf]),
        np.arange(12, dtype=np.int16).reshape(3, 4),
        np.arange(12, dtype=np.int16).reshape(3, 4).T,
        np.arange(24).reshape(2, 3, 4)[:, ::2, 1:],
        np.zeros((0, 5)),
        np.array(7.0),
    ],
    ids=lambda s: f"{type(s).__name__} {getattr(s, 'shape', '')}",
)
def test_wider_items_and_more_dimensions_are_written_in_c_order(
    memory: dwh.Memory, block: dwh.Block, source: Any
) -> None:
    expected = source.tobytes()

    memory.write(block.ptr, source)

    assert memory.read(block.ptr, len(expected)) == expected
    with memory.allocate_bytes(source) as copy:
        assert copy.size == len(expected)
        assert memory.read(copy.ptr, copy.size) == expected


@pytest.mark.parametrize("source", ["text", None, 5, [1, 2], ...], ids=repr)
def test_what_is_no_buffer_is_refused(memory: dwh.Memory, block: dwh.Block, source: Any) -> None:
    with pytest.raises(dwh.MarshallingTypeError, match=type(source).__name__):
        memory.write(block.ptr, source)
    with (
        pytest.raises(dwh.MarshallingTypeError, match=type(source).__name__),
        memory.allocate_bytes(source),
    ):
        raise AssertionError("never entered")


@given(content=st.binary(min_size=3, max_size=100), shift=st.integers(-2, 2))
def test_overlapping_copies_are_as_if_through_a_buffer(
    memory: dwh.Memory, block: dwh.Block, content: bytes, shift: int
) -> None:
    ptr = block.ptr + 10
    memory.write(ptr, content)

    memory.write(ptr + shift, memory.view(ptr, len(content)))

    assert memory.read(ptr + shift, len(content)) == content


# ---------------------------------------------------------------- views


def test_a_view_is_the_memory_itself(memory: dwh.Memory, block: dwh.Block) -> None:
    view = memory.view(block.ptr, 8)
    memory.write_u32(block.ptr, 0x01020304)
    assert bytes(view[:4]) == b"\4\3\2\1"

    view[4:8] = b"abcd"
    assert memory.read(block.ptr + 4, 4) == b"abcd"

    array_ = np.frombuffer(view, np.uint32)
    array_[0] = 7
    assert memory.read_u32(block.ptr) == 7
    assert (view.format, view.itemsize, view.ndim, view.readonly) == ("B", 1, 1, False)


def test_a_view_outlives_its_runtime_without_harm(image: dwh.RuntimeImage) -> None:
    with dwh.Runtime(image) as runtime:
        with runtime.memory.allocate_bytes(b"kept") as block:
            view = runtime.memory.view(block.ptr, 4)
            whole = runtime.memory.view(0, runtime.memory.size)
            assert bytes(view) == b"kept"
        copy = bytes(whole)

    del runtime
    gc.collect()
    assert bytes(whole) == copy
    view[:] = b"gone"


def test_memory_grows_in_a_call_and_stays_addressable(
    image: dwh.RuntimeImage, compiled: CompiledSources
) -> None:
    grower = compiled("""
        using System; using System.Runtime.InteropServices;
        public class Grower : MinimalRuntime.IFunctionHandler {
            public byte[] Execute(ReadOnlySpan<byte> input) {
                var size = BitConverter.ToInt32(input);
                var block = Marshal.AllocHGlobal(size);
                Marshal.WriteInt32(block + size - 4, 0x11223344);
                return BitConverter.GetBytes((int)block);
            }
        }""")
    with dwh.Runtime(image) as runtime:
        runtime.load_assembly("grow", grower)
        memory, before = runtime.memory, runtime.memory.size
        with memory.allocate_bytes(b"before") as kept:
            view = memory.view(kept.ptr, 6)
            for size in (1 << 16, 1 << 22, 50_000_000):
                pointer = int.from_bytes(runtime.invoke("grow", struct.pack("<i", size)), "little")
                assert runtime.memory is memory
                assert memory.read_u32(pointer + size - 4) == 0x11223344
                memory.write_u8(pointer, 255)
                assert memory.read(kept.ptr, 6) == b"before" == bytes(view)

            assert memory.size >= before + 40_000_000
            assert memory.size % 65536 == 0
            with pytest.raises(dwh.MemoryAccessError) as caught:
                memory.read(memory.size, 1)
            assert caught.value.memory_size == memory.size


# ---------------------------------------------------------------- text


@given(text=st.text(max_size=200))
@example(text="\0 é € 😀 \ufeff \uffff")
def test_text_crosses_as_utf8(memory: dwh.Memory, text: str) -> None:
    with memory.allocate_utf8(text) as block:
        assert block.size == len(text.encode())
        assert memory.read(block.ptr, block.size) == text.encode()
        assert memory.read_utf8(block.ptr, block.size) == text


@given(content=st.binary(min_size=1, max_size=20))
@example(content=b"\xff")
@example(content="é".encode()[:1])
@example(content=b"\xed\xa0\x80")
@example(content=b"\xc0\x80")
def test_bytes_that_are_not_utf8_are_refused(
    memory: dwh.Memory, block: dwh.Block, content: bytes
) -> None:
    memory.write(block.ptr, content)
    try:
        expected = content.decode()
    except UnicodeDecodeError:
        with pytest.raises(dwh.MarshallingError, match="UTF-8"):
            memory.read_utf8(block.ptr, len(content))
    else:
        assert memory.read_utf8(block.ptr, len(content)) == expected


@pytest.mark.parametrize("text", ["\ud800", "a\udfff", "\ud83d\ude00"])
def test_lone_surrogates_are_refused(memory: dwh.Memory, text: str) -> None:
    with (
        pytest.raises(dwh.MarshallingError, match="UTF-8"),
        memory.allocate_utf8(text),
    ):
        raise AssertionError("never entered")


@pytest.mark.parametrize("text", [b"bytes", None, 5])
def test_what_is_no_text_is_refused(memory: dwh.Memory, text: Any) -> None:
    with (
        pytest.raises(dwh.MarshallingTypeError, match=type(text).__name__),
        memory.allocate_utf8(text),
    ):
        raise AssertionError("never entered")


# ---------------------------------------------------------------- allocation


@given(sizes=st.lists(st.integers(0, 5000), min_size=1, max_size=15))
def test_blocks_are_aligned_and_do_not_overlap(memory: dwh.Memory, sizes: list[int]) -> None:
    managers = [memory.allocate(size) for size in sizes]
    blocks = [manager.__enter__() for manager in managers]
    try:
        for number, block in enumerate(blocks):
            assert block.size == sizes[number]
            assert block.ptr % 8 == 0
            assert 0 < block.ptr <= block.ptr + block.size <= memory.size
            memory.write(block.ptr, bytes([number + 1]) * block.size)
        for number, block in enumerate(blocks):
            assert memory.read(block.ptr, block.size) == bytes([number + 1]) * block.size
    finally:
        for manager in managers:
            manager.__exit__(None, None, None)


def test_a_freed_block_cannot_be_used(memory: dwh.Memory) -> None:
    with memory.allocate(16) as block:
        assert block.ptr > 0

    with pytest.raises(dwh.MemoryAccessError, match="freed"):
        _ = block.ptr
    assert block.size == 16


def test_a_block_is_freed_however_it_is_left(memory: dwh.Memory) -> None:
    with pytest.raises(KeyError), memory.allocate(16) as block:
        raise KeyError("mine")

    with pytest.raises(dwh.MemoryAccessError):
        _ = block.ptr


def test_freed_memory_is_used_again(image: dwh.RuntimeImage) -> None:
    with dwh.Runtime(image) as runtime:
        with runtime.memory.allocate(10_000_000):
            high = runtime.memory.size
        for _ in range(100):
            with runtime.memory.allocate(10_000_000) as block:
                runtime.memory.write_u8(block.ptr + 9_999_999, 1)

        assert runtime.memory.size == high


@pytest.mark.parametrize("size", [-1, -(2**31), 2**31, 2**32, 2**64])
def test_a_size_that_cannot_be_one_is_refused(memory: dwh.Memory, size: int) -> None:
    with (
        pytest.raises(dwh.MarshallingError, match=str(size)),
        memory.allocate(size),
    ):
        raise AssertionError("never entered")


def test_a_block_that_does_not_fit_is_refused(memory: dwh.Memory) -> None:
    before = memory.size
    with pytest.raises(MemoryError) as caught, memory.allocate(2**31 - 1):
        raise AssertionError("never entered")

    assert isinstance(caught.value, dwh.GuestOutOfMemory)
    assert memory.size == before
    with memory.allocate(100) as block:
        assert block.ptr


# ---------------------------------------------------------------- the end


def test_closed_memory_refuses_everything(image: dwh.RuntimeImage) -> None:
    with dwh.Runtime(image) as runtime:
        memory = runtime.memory
    layout = struct.Struct("<I")

    accesses: list[Any] = [
        lambda: memory.size,
        lambda: memory.read(0, 1),
        lambda: memory.read(0, 0),
        lambda: memory.view(0, 1),
        lambda: memory.write(0, b"x"),
        lambda: memory.read_utf8(0, 1),
        lambda: memory.read_struct(layout, 0),
        lambda: memory.write_struct(layout, 0, 1),
        lambda: memory.allocate(1).__enter__(),
        lambda: memory.allocate_bytes(b"x").__enter__(),
        lambda: memory.allocate_utf8("x").__enter__(),
        *(lambda n=name: getattr(memory, f"read_{n}")(0) for name in WIDTHS),
        *(lambda n=name: getattr(memory, f"write_{n}")(0, 1) for name in WIDTHS),
    ]
    for access in accesses:
        with pytest.raises(dwh.RuntimeClosed, match="closed"):
            access()


def test_memory_of_a_replaced_instance_is_closed(
    image: dwh.RuntimeImage, compiled: CompiledSources
) -> None:
    exiting = compiled(
        "public class X : MinimalRuntime.IFunctionHandler { public byte[] Execute("
        "System.ReadOnlySpan<byte> i) { System.Environment.Exit(1); return []; } }"
    )
    with dwh.Runtime(image) as runtime:
        runtime.load_assembly("exit", exiting)
        old = runtime.memory
        with old.allocate(16) as block:
            with pytest.raises(dwh.GuestTerminated):
                runtime.invoke("exit")
            with pytest.raises(dwh.RuntimeClosed):
                old.write_u8(block.ptr, 1)
        # Leaving the block after its instance is gone was no error.
        assert runtime.memory is not old
        assert runtime.memory.read(0, 1) == b"\0"
