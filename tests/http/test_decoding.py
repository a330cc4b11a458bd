from __future__ import annotations

import asyncio
import gzip
import zlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dotnet_wasm_host.fetch.decoding import PIECE, decoded

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


def decode(data: bytes, coding: str, cut: int = 7) -> list[bytes]:
    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(data), cut):
            yield data[start : start + cut]

    async def collect() -> list[bytes]:
        return [piece async for piece in decoded(chunks(), coding)]

    return asyncio.run(collect())


def raw_deflate(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(data) + compressor.flush()


@given(
    st.lists(st.binary(max_size=300), max_size=4), st.integers(1, 50), st.sampled_from([1, 1000])
)
def test_it_undoes_what_servers_do(parts: list[bytes], cut: int, times: int) -> None:
    data = b"".join(parts) * times
    assert b"".join(decode(gzip.compress(data), "gzip", cut)) == data
    assert b"".join(decode(zlib.compress(data), "deflate", cut)) == data
    assert b"".join(decode(raw_deflate(data), "deflate", cut)) == data
    members = b"".join(map(gzip.compress, parts))
    assert b"".join(decode(members, "x-gzip", cut)) == b"".join(parts)


def test_pieces_are_small_whatever_they_come_from() -> None:
    pieces = decode(gzip.compress(bytes(5_000_000), 9), "gzip", cut=100_000)
    assert sum(map(len, pieces)) == 5_000_000
    assert max(map(len, pieces)) <= PIECE


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_what_is_damaged_or_cut_is_an_error(coding: str) -> None:
    data = (gzip if coding == "gzip" else zlib).compress(b"content" * 100)
    for end in range(1, len(data)):
        with pytest.raises(zlib.error):
            decode(data[:end], coding)
    with pytest.raises(zlib.error):
        decode(b"\x00\x01plain text", "gzip")
    assert decode(b"", coding) == []
