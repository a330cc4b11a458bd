"""Compressed data crosses between .NET and Python in both directions."""

from __future__ import annotations

import gzip
import io
import random
import zipfile
import zlib
from typing import TYPE_CHECKING

import pytest

import dotnet_wasm_host as dwh

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.functional.conftest import Conversation

SAMPLES = [
    b"",
    b"a",
    b"hello world " * 5000,
    random.Random(7).randbytes(100_000),
    bytes(range(256)) * 100,
]


def raw_deflate(data: bytes) -> bytes:
    """RFC 1951 without a wrapper."""
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(data) + compressor.flush()


def raw_inflate(data: bytes) -> bytes:
    """The reverse of :func:`raw_deflate`."""
    return zlib.decompress(data, wbits=-15)


@pytest.mark.parametrize("data", SAMPLES, ids=lambda d: f"{len(d)} bytes")
@pytest.mark.parametrize(
    ("format_", "compress", "decompress"),
    [
        ("G", gzip.compress, gzip.decompress),
        ("D", raw_deflate, raw_inflate),
        ("Z", zlib.compress, zlib.decompress),
    ],
)
def test_streams_are_compatible_with_zlib(
    ask: Conversation,
    format_: str,
    compress: Callable[[bytes], bytes],
    decompress: Callable[[bytes], bytes],
    data: bytes,
) -> None:
    packed = ask.raw("compression", "Compression", format_.encode() + data)
    # .NET writes nothing at all where nothing was written.
    assert (decompress(packed) if packed else b"") == data

    unpacked = ask.raw("compression", "Compression", format_.lower().encode() + compress(data))
    assert unpacked == data


def test_damaged_gzip_is_an_exception(ask: Conversation) -> None:
    packed = bytearray(gzip.compress(b"hello world " * 1000))
    packed[-8] ^= 1

    with pytest.raises(dwh.InvocationError) as caught:
        ask.raw("compression", "Compression", b"g" + packed)

    assert caught.value.dotnet_type == "System.IO.InvalidDataException"


@pytest.mark.parametrize(
    ("handler", "payload", "assembly"),
    [("Compression", b"B", "Brotli"), ("Compression", b"b", "Brotli"), ("Tar", b"", "Tar")],
)
def test_what_the_browser_build_leaves_out_says_so(
    ask: Conversation, handler: str, payload: bytes, assembly: str
) -> None:
    with pytest.raises(dwh.InvocationError) as caught:
        ask.raw("compression", handler, payload)

    assert caught.value.dotnet_type == "System.PlatformNotSupportedException"
    assert f".{assembly} is not supported" in caught.value.dotnet_message


def test_zip_archives_cross_both_ways(ask: Conversation) -> None:
    texts = {"a.txt": "hello", "folder/b.txt": "grün " * 1000, "empty": ""}
    given = io.BytesIO()
    with zipfile.ZipFile(given, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in texts.items():
            archive.writestr(name, text)

    answer = ask.raw("compression", "Zip", given.getvalue())

    with zipfile.ZipFile(io.BytesIO(answer)) as archive:
        assert archive.testzip() is None
        listed = archive.read("list.txt").decode()
        contents = {n: archive.read(n).decode() for n in archive.namelist() if n != "list.txt"}
    assert contents == {f"reversed/{name}": text[::-1] for name, text in texts.items()}
    assert listed == "\n".join(f"{name} {len(text.encode())}" for name, text in texts.items())
