"""Content codings (RFC 9110 8.4.1), undone in pieces of bounded size.

A compressed byte can stand for a thousand. So that a response costs the host no more than it
has room for, no piece is ever larger than was asked for, whatever it was compressed from.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["DECODED", "PIECE", "decoded"]

#: What is asked for, and undone.
DECODED = frozenset({"gzip", "x-gzip", "deflate"})
#: Largest piece, in bytes.
PIECE = 64 * 1024
_GZIP, _RAW = zlib.MAX_WBITS | 16, -zlib.MAX_WBITS


async def decoded(chunks: AsyncIterator[bytes], coding: str) -> AsyncIterator[bytes]:
    """The content of ``chunks``, in pieces. ``zlib.error`` if it is damaged or ends early."""
    decoder = _Decoder(coding)
    async for chunk in chunks:
        decoder.feed(chunk)
        while piece := decoder.next_piece():
            yield piece
    decoder.finish()


@final
class _Decoder:
    def __init__(self, coding: str) -> None:
        self._is_gzip = coding != "deflate"
        self._inflate = zlib.decompressobj(_GZIP) if self._is_gzip else None
        self._pending = b""
        self._begun = False

    def feed(self, data: bytes) -> None:
        if self._inflate is None and data:
            # "deflate" is zlib's format, but many servers send what is inside of it.
            is_zlib = data[0] & 0x0F == 8 and data[0] >> 4 < 8
            self._inflate = zlib.decompressobj(zlib.MAX_WBITS if is_zlib else _RAW)
        self._pending = data

    def next_piece(self) -> bytes:
        """At most :data:`PIECE` bytes; none when more must be fed."""
        while self._inflate is not None:
            if self._inflate.eof:
                if not (self._is_gzip and self._pending):
                    return b""
                self._inflate = zlib.decompressobj(_GZIP)  # A file of several members.
            piece = self._inflate.decompress(self._pending, PIECE)
            self._begun = self._begun or bool(self._pending)
            more = self._inflate.unused_data or self._inflate.unconsumed_tail
            stuck = not piece and not self._inflate.eof
            self._pending = more
            if piece or stuck:
                return piece
        return b""

    def finish(self) -> None:
        """The end of the content. An empty one is allowed, as for a response to HEAD."""
        if self._begun and (self._inflate is None or not self._inflate.eof):
            raise zlib.error("the content ends before its encoding does")
