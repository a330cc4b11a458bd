"""Brotli decoding of the capability ``compression``: against the reference encoder."""

from __future__ import annotations

import base64
import os
import random
from pathlib import Path
from typing import TYPE_CHECKING

import brotli
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dotnet_wasm_host as dwh

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCE = """
using MinimalRuntime.Compression;
public sealed class Unpacker : IFunctionHandler {
    public byte[] Execute(ReadOnlySpan<byte> input) {
        var maximum = BitConverter.ToInt32(input);
        try {
            if (maximum >= 0) return ManagedBrotli.Decompress(input[4..], maximum);
            using var stream = ManagedBrotli.OpenRead(new MemoryStream(input[4..].ToArray()));
            var all = new MemoryStream(); stream.CopyTo(all); return all.ToArray();
        }
        catch (InvalidDataException e) { return Encoding.UTF8.GetBytes("refused: " + e.Message); }
    }
}
"""
ANY = (2**31 - 1).to_bytes(4, "little")
TEXTS = (
    b"",
    b"a",
    b"The quick brown fox jumps over the lazy dog. " * 200,
    bytes(range(256)) * 300,
    "Zażółć gęślą jaźń 🎉 Привет мир ".encode() * 50,
    b"<html><head><title>Of the</title>" + b"".join(b"<p>%d the of\n" % i for i in range(2000)),
    Path(__file__).read_bytes(),
    random.Random(7).randbytes(50_000),
)
#: As other tools have written them.
KNOWN = (
    ("CwWAaGVsbG8gd29ybGQD", b"hello world"),
    ("Bg==", b""),
    ("OwA=", None),
    ("oQ==", None),
)


@pytest.fixture(scope="module")
def unpack() -> Iterator[dwh.LoadedFunction]:
    capability = dwh.capability_assembly("compression")
    function = dwh.compile_csharp("using System.Text;" + SOURCE, references=[capability])
    with dwh.Runtime() as runtime:
        runtime.load_capability("compression")
        yield runtime.load_assembly("unpack", function)


@pytest.mark.parametrize("quality", [0, 1, 5, 9, 11])
@pytest.mark.parametrize("window", [10, 16, 17, 24])
def test_what_the_reference_encoder_writes(
    unpack: dwh.LoadedFunction, quality: int, window: int
) -> None:
    for text in TEXTS:
        for mode in (brotli.MODE_GENERIC, brotli.MODE_TEXT, brotli.MODE_FONT):
            packed = brotli.compress(text, quality=quality, lgwin=window, mode=mode)
            assert unpack(ANY + packed) == text


@settings(max_examples=60, deadline=None)
@given(text=st.binary(max_size=3000), quality=st.integers(0, 11))
def test_texts_of_any_kind(unpack: dwh.LoadedFunction, text: bytes, quality: int) -> None:
    assert unpack(ANY + brotli.compress(text * 3, quality=quality)) == text * 3


def test_streams_in_parts_and_with_metadata(unpack: dwh.LoadedFunction) -> None:
    encoder = brotli.Compressor(quality=9)
    packed = b"".join(
        encoder.process(part) + encoder.flush() for part in (b"one ", b"two ", os.urandom(3000))
    )
    packed += encoder.finish()
    assert unpack(ANY + packed) == brotli.decompress(packed)
    assert unpack(b"\xff\xff\xff\xff" + packed) == brotli.decompress(packed)


@pytest.mark.parametrize(("packed", "text"), KNOWN)
def test_known_streams(unpack: dwh.LoadedFunction, packed: str, text: bytes | None) -> None:
    data = base64.b64decode(packed)
    answer = unpack(ANY + data)
    if text is None:
        with pytest.raises(brotli.error):
            brotli.decompress(data)
        assert answer.startswith(b"refused: Brotli: ")
    else:
        assert answer == text == brotli.decompress(data)


def test_no_more_than_is_asked_for(unpack: dwh.LoadedFunction) -> None:
    bomb = brotli.compress(bytes(50_000_000))
    assert len(bomb) < 200
    assert b"more than 1000 bytes" in unpack((1000).to_bytes(4, "little") + bomb)
    packed = brotli.compress(bytes(1000))
    assert unpack((1000).to_bytes(4, "little") + packed) == bytes(1000)


def test_damage_is_refused_as_the_reference_decoder_does(unpack: dwh.LoadedFunction) -> None:
    chance = random.Random(3)
    whole = brotli.compress(TEXTS[5][:6000], quality=9)
    assert unpack(ANY + whole[:-1]).startswith(b"refused: Brotli: ")
    assert b"something follows" in unpack(ANY + whole + b"\0")
    for _ in range(150):
        damaged = bytearray(whole)
        damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
        try:
            expected = brotli.decompress(bytes(damaged))
        except brotli.error:
            expected = None
        answer = unpack(ANY + bytes(damaged))
        if expected is None:
            assert answer.startswith(b"refused: Brotli: ")
        else:
            assert answer == expected
