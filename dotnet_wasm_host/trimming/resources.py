"""Resource files of messages, reduced to the keys that are used.

Source: ``System.Resources.ResourceReader`` and ``ResourceWriter`` of dotnet/runtime (format of
``RuntimeResourceSet``, version 2).
"""

from __future__ import annotations

import struct
from itertools import pairwise
from typing import TYPE_CHECKING

from dotnet_wasm_host.ecma335.binary import BinaryView, MalformedImage

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["SUFFIX", "keep_keys"]

#: Name of the resource that ``SR`` of a framework assembly reads its messages from.
SUFFIX = ".Strings.resources"
MAGIC = 0xBEEFCACE
#: Magic number, version of the header, size of what follows in it.
MANAGER_HEADER = struct.Struct("<III")
SET_VERSION = 2
PADDING = b"PADPADP"


def keep_keys(data: bytes, keys: Collection[str]) -> bytes:
    """The resource file with only the entries of ``keys``; ``b""`` if none is left.

    Raises:
        MalformedImage: not a resource file of this version.
    """
    reader = _Reader(data)
    magic, _, skip = MANAGER_HEADER.unpack(reader.take(MANAGER_HEADER.size))
    if magic != MAGIC:
        raise MalformedImage("not a .resources file")
    reader.take(skip)
    if reader.number() != SET_VERSION:
        raise MalformedImage("a .resources file of another version than 2")
    count, types = reader.number(), reader.number()
    for _ in range(types):
        reader.text()
    header = bytearray(data[: reader.position])
    counted = len(header)
    reader.take(-reader.position % 8)
    hashes = struct.unpack(f"<{count}i", reader.take(4 * count))
    positions = struct.unpack(f"<{count}I", reader.take(4 * count))
    content, names = reader.number(), reader.position
    entries = [
        _entry(data, names + at, content, hash_)
        for hash_, at in zip(hashes, positions, strict=True)
    ]
    bounds = [*sorted(offset for _, _, offset in entries), len(data) - content]
    ends = dict(pairwise(bounds))
    kept = [
        (h, name, data[content + o : content + ends[o]]) for h, name, o in entries if name in keys
    ]
    if not kept:
        return b""
    # The count lies two numbers before the names of types, which are copied with the header.
    _set_count(header, data, len(kept), counted)
    return _write(header, kept)


def _set_count(header: bytearray, data: bytes, count: int, end: int) -> None:
    _, _, skip = MANAGER_HEADER.unpack_from(data)
    position = MANAGER_HEADER.size + skip + 4
    assert position < end
    header[position : position + 4] = struct.pack("<I", count)


def _write(header: bytearray, kept: list[tuple[int, str, bytes]]) -> bytes:
    names, content = bytearray(), bytearray()
    positions = []
    for _, name, value in kept:
        positions.append(len(names))
        text = name.encode("utf-16-le")
        names += _length(len(text)) + text + struct.pack("<I", len(content))
        content += value
    header += PADDING[: -len(header) % 8]
    header += struct.pack(f"<{len(kept)}i", *(hash_ for hash_, _, _ in kept))
    header += struct.pack(f"<{len(kept)}I", *positions)
    header += struct.pack("<I", len(header) + 4 + len(names))
    return bytes(header + names + content)


def _entry(data: bytes, position: int, content: int, hash_: int) -> tuple[int, str, int]:
    reader = _Reader(data, position)
    name = reader.take(reader.length()).decode("utf-16-le")
    offset = reader.number()
    BinaryView(data).take(content + offset, 1)
    return hash_, name, offset


def _length(value: int) -> bytes:
    """``BinaryWriter.Write7BitEncodedInt``."""
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


class _Reader:
    def __init__(self, data: bytes, position: int = 0) -> None:
        self.position = position
        self._view = BinaryView(data)

    def take(self, size: int) -> bytes:
        content = self._view.take(self.position, size)
        self.position += size
        return content

    def number(self) -> int:
        return int.from_bytes(self.take(4), "little")

    def length(self) -> int:
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def text(self) -> str:
        return self.take(self.length()).decode()
