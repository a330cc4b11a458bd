"""The hash that lock files have: of a package as it was before it was signed.

A signature is one more entry of the archive, ``.signature.p7s``. NuGet hashes the archive as if it
were not there, so that a package keeps its hash when a feed signs it.
"""

from __future__ import annotations

import base64
import hashlib
import struct
from typing import NamedTuple

__all__ = ["content_hash", "without_signature"]

_SIGNATURE = b".signature.p7s"
#: APPNOTE.TXT 4.3.12: a file's header in the central directory, as far as it is used; behind it
#: are name, extra field and comment.
_HEADER = struct.Struct("<4s24xHHH8xI")
_HEADER_OFFSET = 42
#: 4.3.16: the end of the central directory.
_END = struct.Struct("<4sHHHHIIH")


class _Entry(NamedTuple):
    """A file: its header's place and length, its name, and where its content is."""

    at: int
    length: int
    name: bytes
    content: int


def content_hash(package: bytes) -> str:
    """SHA-512 in base64, as ``packages.lock.json`` has it."""
    return base64.b64encode(hashlib.sha512(without_signature(package)).digest()).decode()


def without_signature(package: bytes) -> bytes:
    """The archive without its signature; as it is if it has none, or is not a plain one."""
    end = package.rfind(b"PK\x05\x06")
    if end < 0 or end + _END.size > len(package):
        return package
    _, disk, first_disk, count, total, size, start, _ = _END.unpack_from(package, end)
    if disk or first_disk or count != total or start + size != end:
        return package
    entries = _entries(package, start, end)
    if entries is None or len(entries) != total:
        return package
    signature = next((entry for entry in entries if entry.name == _SIGNATURE), None)
    if signature is None:
        return package
    places = sorted({entry.content for entry in entries} | {start})
    after = next((place for place in places if place > signature.content), start)
    removed = after - signature.content
    kept = [entry for entry in entries if entry is not signature]
    headers = b"".join(_moved(package, entry, signature.content, removed) for entry in kept)
    fields = (b"PK\x05\x06", 0, 0, total - 1, total - 1, len(headers), start - removed)
    (comment,) = struct.unpack_from("<H", package, end + 20)
    tail = _END.pack(*fields, comment) + package[end + _END.size :]
    return package[: signature.content] + package[after:start] + headers + tail


def _entries(package: bytes, at: int, end: int) -> list[_Entry] | None:
    found = []
    while at + 46 <= end:
        mark, name, extra, comment, content = _HEADER.unpack_from(package, at)
        length = 46 + name + extra + comment
        if mark != b"PK\x01\x02" or at + length > end:
            return None
        found.append(_Entry(at, length, package[at + 46 : at + 46 + name], content))
        at += length
    return found


def _moved(package: bytes, entry: _Entry, signature: int, removed: int) -> bytes:
    header = bytearray(package[entry.at : entry.at + entry.length])
    if entry.content > signature:
        struct.pack_into("<I", header, _HEADER_OFFSET, entry.content - removed)
    return bytes(header)
