"""Leave the time zone database out of the data module, for images that know UTC only.

The native module carries the database as files: a table of resources in linear memory whose
rows have the path ``/usr/share/zoneinfo/...`` twice, as the resource's id and as its name, and
behind that address and size of the content (dotnet/runtime,
``src/mono/mono/metadata/bundled-resources-internals.h``, ``MonoBundledDataResource``). Nothing
reads it under ``System.TimeZoneInfo.Invariant``.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from dotnet_wasm_host.wasm.binary import MalformedModule
from dotnet_wasm_host.wasm.module import Module, memory_module

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["without_time_zones"]

_FOLDER = b"/usr/share/zoneinfo/"
#: Type and free function are 0 before the runtime starts: only id, name, data and size count.
_ROW = struct.Struct("<IIIIII")
#: The database of 10.0.10 has 554 files; far fewer would be something else.
_FEWEST = 500


def without_time_zones(data: bytes) -> bytes:
    """The data module without what the files contain. MalformedModule if they are not there."""
    module = Module.parse(data)
    segments = module.data_segments()
    memory = bytearray(max((s.offset + len(s.content) for s in segments), default=0))
    for segment in segments:
        memory[segment.offset : segment.offset + len(segment.content)] = segment.content
    rows = list(_files(bytes(memory)))
    if len(rows) < _FEWEST:
        raise MalformedModule(f"linear memory has {len(rows)} time zone files")
    files = set(rows)  # zones that are links share a file
    start, end = min(start for start, _ in files), max(end for _, end in files)
    # Alignment leaves a few bytes between them; more would be something else.
    if end - start - sum(b - a for a, b in files) > 16 * len(files):
        raise MalformedModule("the time zone files do not lie together")
    limits = module.memories()[0]
    kept = [part for segment in segments for part in segment.outside(start, end)]
    return memory_module(kept, limits.minimum, limits.maximum or 65536)


def _files(memory: bytes) -> Iterator[tuple[int, int]]:
    """Start and end of the content of every row."""
    names = set(_starts(memory, b"\0" + _FOLDER))
    for address in range(0, len(memory) - _ROW.size, 4):
        identity, *free, name, start, size = _ROW.unpack_from(memory, address)
        if identity in names and name == identity and not any(free):
            if not 0 < size <= len(memory) - start:
                raise MalformedModule(f"no time zone file at {address:#x}")
            yield start, start + size


def _starts(memory: bytes, pattern: bytes) -> Iterator[int]:
    """Addresses behind the first byte of every occurrence."""
    address = memory.find(pattern)
    while address >= 0:
        yield address + 1
        address = memory.find(pattern, address + 1)
