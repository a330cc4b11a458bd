"""Payloads, results and ids of every size and kind cross unchanged."""

from __future__ import annotations

import array
import hashlib
import mmap
import random
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import dotnet_wasm_host as dwh

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import CompiledSources

MIB = 1 << 20
#: Payloads above this size are passed in a block of their own.
BUFFER = 64 << 10
LIMIT = 40 * MIB

HANDLERS = """
using System; using System.Buffers.Binary; using System.Security.Cryptography;
public sealed class Echo : MinimalRuntime.IFunctionHandler {
    public byte[] Execute(ReadOnlySpan<byte> input) => input.ToArray();
}
public sealed class Digest : MinimalRuntime.IFunctionHandler {
    public byte[] Execute(ReadOnlySpan<byte> input) => SHA256.HashData(input);
}
// A result of the size that the payload says, which counts up.
public sealed class Count : MinimalRuntime.IFunctionHandler {
    public byte[] Execute(ReadOnlySpan<byte> input) {
        var result = new byte[BinaryPrimitives.ReadInt32LittleEndian(input)];
        for (var i = 0; i < result.Length; i++) { result[i] = (byte)(i % 251); }
        return result;
    }
}
// The same array every time, and one that is changed after it was returned.
public sealed class Shared : MinimalRuntime.IFunctionHandler {
    private readonly byte[] kept = new byte[16];
    public byte[] Execute(ReadOnlySpan<byte> input) { kept.AsSpan().Fill(input[0]); return kept; }
}
"""


@pytest.fixture(scope="module")
def runtime(image: dwh.RuntimeImage, compiled: CompiledSources) -> Iterator[dwh.Runtime]:
    limits = dwh.Limits(memory_bytes=512 * MIB, payload_bytes=LIMIT, result_bytes=LIMIT)
    with dwh.Runtime(image, limits=limits) as runtime:
        for handler in ("Echo", "Digest", "Count", "Shared"):
            runtime.load_assembly(handler.lower(), compiled(HANDLERS), handler_type=handler)
        yield runtime


@given(payload=st.binary(max_size=2000))
@example(payload=b"")
@example(payload=b"\0")
@example(payload=bytes(range(256)))
def test_small_payloads_come_back(runtime: dwh.Runtime, payload: bytes) -> None:
    assert runtime.invoke("echo", payload) == payload


@settings(max_examples=60)
@given(
    base=st.sampled_from([0, 1 << 10, 1 << 12, BUFFER, 2 * BUFFER, MIB]),
    delta=st.integers(-20, 20),
    seed=st.integers(0, 255),
)
@example(base=BUFFER, delta=0, seed=1)
@example(base=BUFFER, delta=1, seed=2)
def test_payloads_around_every_boundary_come_back(
    runtime: dwh.Runtime, base: int, delta: int, seed: int
) -> None:
    payload = random.Random(seed).randbytes(max(0, base + delta))

    assert runtime.invoke("echo", payload) == payload
    assert runtime.invoke("digest", payload) == hashlib.sha256(payload).digest()


@pytest.mark.parametrize("size", [5 * MIB, 17 * MIB + 1, LIMIT])
def test_tens_of_megabytes_come_back(runtime: dwh.Runtime, size: int) -> None:
    payload = random.Random(size).randbytes(size)

    assert runtime.invoke("echo", payload) == payload


@settings(max_examples=40)
@given(
    size=st.sampled_from([0, 1, 7, 4096, BUFFER - 1, BUFFER, BUFFER + 1, MIB])
    | st.integers(0, 100_000)
)
def test_results_of_every_size_arrive(runtime: dwh.Runtime, size: int) -> None:
    pattern = bytes(range(251))

    result = runtime.invoke("count", size.to_bytes(4, "little"))

    assert type(result) is bytes
    assert result == (pattern * (size // 251 + 1))[:size]


def test_the_limits_are_inclusive(runtime: dwh.Runtime) -> None:
    assert len(runtime.invoke("count", LIMIT.to_bytes(4, "little"))) == LIMIT
    with pytest.raises(dwh.LimitExceeded, match=str(LIMIT + 1)):
        runtime.invoke("count", (LIMIT + 1).to_bytes(4, "little"))
    with pytest.raises(dwh.LimitExceeded, match=str(LIMIT + 1)):
        runtime.invoke("digest", bytes(LIMIT + 1))

    assert runtime.stats().recycles == 0


def test_results_are_copies(runtime: dwh.Runtime) -> None:
    first = runtime.invoke("shared", b"a")
    second = runtime.invoke("shared", b"b")

    assert (first, second) == (b"a" * 16, b"b" * 16)


def test_payloads_are_not_kept(runtime: dwh.Runtime) -> None:
    payload = bytearray(b"x" * 100_000)
    runtime.invoke("digest", payload)

    payload.clear()  # BufferError if the runtime still held on to it.
    assert runtime.invoke("echo", payload) == b""


# ---------------------------------------------------------------- kinds of buffers


def buffers(content: bytes) -> list[Any]:
    """The same bytes in many kinds of buffer."""
    strided = bytearray(3 * len(content))
    strided[1::3] = content
    numbers = np.frombuffer(content, np.uint8)
    table = np.zeros((len(content), 2), np.uint8)
    table[:, 1] = numbers
    return [
        bytearray(content),
        memoryview(content),
        memoryview(strided)[1::3],
        memoryview(bytearray(content)).cast("b"),
        array.array("B", content),
        array.array("b", content),
        numbers,
        numbers[::-1][::-1],
        table[:, 1],
        np.asfortranarray(numbers.reshape(-1, 1)),
    ]


@settings(max_examples=30)
@given(size=st.sampled_from([0, 1, 2, 1000, BUFFER, BUFFER + 1]), seed=st.integers(0, 99))
def test_any_buffer_is_a_payload(runtime: dwh.Runtime, size: int, seed: int) -> None:
    content = random.Random(seed).randbytes(size)

    for payload in buffers(content):
        assert runtime.invoke("echo", payload) == content


def test_items_wider_than_a_byte_cross_as_their_memory(runtime: dwh.Runtime) -> None:
    table: Any = np.arange(30_000, dtype=np.float64).reshape(100, 300)

    result = np.frombuffer(runtime.invoke("echo", table), np.float64).reshape(100, 300)
    assert np.array_equal(result, table)
    transposed = np.frombuffer(runtime.invoke("echo", table.T), np.float64).reshape(300, 100)
    assert np.array_equal(transposed, table.T)
    words = array.array("I", range(1000))
    assert runtime.invoke("echo", words) == words.tobytes()


def test_a_mapped_file_is_a_payload(runtime: dwh.Runtime) -> None:
    with mmap.mmap(-1, 300_000) as mapped:
        mapped[:5] = b"hello"
        assert runtime.invoke("echo", mapped) == b"hello" + bytes(299_995)
        # Closing would raise BufferError if the runtime still held on to it.


def test_guest_memory_is_a_payload(runtime: dwh.Runtime) -> None:
    text = b"from the guest itself" * 10
    with runtime.memory.allocate_bytes(text) as block:
        assert runtime.invoke("echo", runtime.memory.view(block.ptr, block.size)) == text


# ---------------------------------------------------------------- ids

#: Every character that an id may hold.
id_text = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1)


def fits(function_id: str) -> bool:
    """Whether the id is short enough."""
    return len(function_id.encode()) <= 1024


@settings(max_examples=60)
@given(function_id=id_text.filter(fits))
@example(function_id=" ")
@example(function_id="\ufeff\u202e\uffff\U0010ffff\n\r\t")
@example(function_id="../../etc/passwd")
@example(function_id="x" * 1024)
@example(function_id="é" * 512)
@example(function_id="😀" * 256)
def test_any_unicode_text_is_an_id(
    image: dwh.RuntimeImage, compiled: CompiledSources, function_id: str
) -> None:
    with dwh.Runtime(image) as runtime:
        function = runtime.load_assembly(function_id, compiled(HANDLERS))
        assert function.function_id == function_id
        assert list(runtime.functions) == [function_id]
        assert runtime.invoke(function_id, b"x") == function.invoke(b"x") == b"x"
        assert runtime.load_assembly(function_id, compiled(HANDLERS)).generation == 2
        assert runtime.unload_assembly(function_id) is True
        with pytest.raises(dwh.FunctionNotLoaded):
            runtime.invoke(function_id)


@settings(max_examples=30)
@given(ids=st.lists(id_text.filter(fits), min_size=2, max_size=6, unique=True))
@example(ids=["é", "e\u0301", "É"])
@example(ids=["a", "A", "a ", " a"])
@example(ids=["ﬁ", "fi"])
def test_ids_that_differ_in_any_way_are_different(
    image: dwh.RuntimeImage, compiled: CompiledSources, ids: list[str]
) -> None:
    source = HANDLERS.replace("input.ToArray();", "[++calls]; private byte calls;")
    with dwh.Runtime(image) as runtime:
        for function_id in ids:
            runtime.load_assembly(function_id, compiled(source))
        for count, function_id in enumerate(ids, 1):
            assert runtime.invoke_many(function_id, [b""] * count)[-1] == bytes([count])
        assert list(runtime.functions) == ids


@settings(max_examples=40)
@given(
    function_id=st.text(st.characters(exclude_categories=[]) | st.just("\0"), max_size=20).filter(
        lambda t: not t or "\0" in t or any("\ud800" <= c <= "\udfff" for c in t)
    )
)
def test_text_that_no_dotnet_name_can_be_is_refused(
    runtime: dwh.Runtime, compiled: CompiledSources, function_id: str
) -> None:
    before = dict(runtime.functions)

    with pytest.raises(dwh.MarshallingError):
        runtime.load_assembly(function_id, compiled(HANDLERS))

    assert dict(runtime.functions) == before
