"""An assembly that grows at its ends: rows, texts, blobs and bodies are added, and nothing moves.

Numbers of rows and places in heaps stay what they were, so whatever refers to them need not be
known. Sources: ECMA-335 6th edition II.22 (tables), II.24.2 (metadata); dotnet/runtime
``docs/design/mono/webcil.md``.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, final

from dotnet_wasm_host.ecma335.binary import MalformedImage, align
from dotnet_wasm_host.ecma335.metadata import metadata_streams
from dotnet_wasm_host.ecma335.signatures import compressed
from dotnet_wasm_host.ecma335.tables import SCHEMA, Heap, Table, row_layout
from dotnet_wasm_host.ecma335.webcil import (
    DEBUG_ENTRY_POINTER,
    DEBUG_ENTRY_SIZE,
    HEADER,
    MAGIC,
    SECTION,
    parse_webcil,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dotnet_wasm_host.ecma335.webcil import Image

__all__ = ["GrowingAssembly"]

#: II.25.3.3: the metadata's address and size in the CLI header.
_METADATA_IN_HEADER = 8
#: II.24.2.1: where the length of the version's text is.
_VERSION_LENGTH = 12
#: II.24.2.6: where heap sizes, the tables that are there and their row counts are.
_HEAP_SIZES, _VALID, _COUNTS = 6, 8, 24
#: II.24.2.2: what grows beside the tables.
_HEAPS = ("#Strings", "#US", "#Blob")
#: Places in heaps that fit into two bytes.
_NARROW = 1 << 16
_FILE_ALIGNMENT, _SECTION_ALIGNMENT, _CONTENT_ALIGNMENT = 0x200, 0x2000, 16


@final
class GrowingAssembly:
    """An assembly as raw webcil, to which things are added.

    Raises:
        MalformedImage: it is not as ILLink lays assemblies out: metadata, debug directory.
    """

    def __init__(self, content: bytes) -> None:
        self._image: Image = parse_webcil(content)
        text = self._image.sections[0]
        self._base, self._text = text.virtual_address, text.content[: text.virtual_size]
        self._header = self._image.cli_header[0] - self._base
        start, size = struct.unpack_from("<II", self._text, self._header + _METADATA_IN_HEADER)
        self._start, self._end = start - self._base, start - self._base + size
        if self._image.debug[0] not in {0, start + size}:
            raise MalformedImage("what follows its metadata is not its debug directory")
        self._streams = metadata_streams(self._text[self._start : self._end])
        self._read_tables(self._streams["#~"])
        if missing := [heap for heap in _HEAPS if heap not in self._streams]:
            raise MalformedImage(f"it has no heap {', '.join(missing)}")
        self._heaps = {name: bytearray(self._streams[name]) for name in _HEAPS}
        self._added: dict[int, list[tuple[int, ...]]] = {}
        self._contents: list[bytes] = []
        #: Where in rows stands the number of a content, which becomes its address.
        self._addressed: list[tuple[Table, int, int]] = []

    def _read_tables(self, stream: bytes) -> None:
        (valid,) = struct.unpack_from("<Q", stream, _VALID)
        present = [Table(number) for number in range(64) if valid >> number & 1]
        counts = struct.unpack_from(f"<{len(present)}I", stream, _COUNTS)
        self._head, self._wide = stream[:_COUNTS], stream[_HEAP_SIZES]
        self._counts: dict[int, int] = dict(zip(present, counts, strict=True))
        self._rows: dict[int, bytearray] = {}
        offset = _COUNTS + 4 * len(present)
        for table in present:
            size = self._counts[table] * row_layout(table, self._counts, self._wide).size
            self._rows[table] = bytearray(stream[offset : offset + size])
            offset += size

    def next_row(self, table: Table) -> int:
        """The number that the next row of a table gets."""
        return self._counts.get(table, 0) + len(self._added.get(table, ())) + 1

    def add(self, table: Table, *cells: int) -> int:
        """Add a row to the end of a table; its number."""
        number = self.next_row(table)
        self._added.setdefault(table, []).append(cells)
        return number

    def string(self, text: str) -> int:
        """Index of a text that is added to ``#Strings``."""
        return self._append("#Strings", text.encode() + b"\0") if text else 0

    def blob(self, content: bytes) -> int:
        """Index of a blob that is added."""
        return self._append("#Blob", compressed(len(content)) + content)

    def user_string(self, content: bytes) -> int:
        """Index of a literal that is added."""
        return self._append("#US", compressed(len(content)) + content)

    def _append(self, heap: str, content: bytes) -> int:
        index = len(self._heaps[heap])
        self._heaps[heap] += content
        return index

    def place(self, content: bytes) -> int:
        """Add a body or a field's content; its number, for :meth:`address`."""
        self._contents.append(content)
        return len(self._contents) - 1

    def address(self, table: Table, row: int, content: int) -> None:
        """Let the first column of a row be the address of a content."""
        self._addressed.append((table, row, content))

    def webcil(self) -> bytes:
        """The assembly with all that was added."""
        self._check_widths()
        metadata = len(self._metadata())
        places, position = [], align(metadata, _CONTENT_ALIGNMENT)
        for content in self._contents:
            places.append(position)
            position = align(position + len(content), _CONTENT_ALIGNMENT)
        for table, row, number in self._addressed:
            self._set_address(table, row, self._base + self._start + places[number])
        block = bytearray(self._metadata())
        for place, content in zip(places, self._contents, strict=True):
            block = block.ljust(place, b"\0") + content
        return self._assembled(block, metadata)

    def _check_widths(self) -> None:
        counts = self._all_counts()
        for table in SCHEMA:
            before = row_layout(table, self._counts, self._wide).size
            if self._counts.get(table) and row_layout(table, counts, self._wide).size != before:
                raise MalformedImage(f"rows of {table.name} would get wider")
        for heap, bit in (("#Strings", Heap.STRINGS), ("#Blob", Heap.BLOB)):
            if not self._wide & bit and len(self._heaps[heap]) > _NARROW:
                raise MalformedImage(f"{heap} would get too large for two bytes")

    def _all_counts(self) -> dict[int, int]:
        return {
            table: count
            for table in SCHEMA
            if (count := self._counts.get(table, 0) + len(self._added.get(table, ())))
        }

    def _set_address(self, table: Table, row: int, address: int) -> None:
        old = self._counts.get(table, 0)
        if row > old:
            added = self._added[table]
            added[row - old - 1] = (address, *added[row - old - 1][1:])
        else:
            size = row_layout(table, self._counts, self._wide).size
            struct.pack_into("<I", self._rows[table], (row - 1) * size, address)

    def _metadata(self) -> bytes:
        """II.24.2.1: the root and its streams, as they are now."""
        streams = {**self._streams, **self._heaps, "#~": self._tables()}
        old = self._text[self._start : self._end]
        (length,) = struct.unpack_from("<I", old, _VERSION_LENGTH)
        root = old[: _VERSION_LENGTH + 4 + length + 4]
        names = [name.encode().ljust(align(len(name) + 1, 4), b"\0") for name in streams]
        offset = len(root) + sum(8 + len(name) for name in names)
        directory, content = bytearray(), bytearray()
        for name, stream in zip(names, streams.values(), strict=True):
            padded = bytes(stream).ljust(align(len(stream), 4), b"\0")
            directory += struct.pack("<II", offset + len(content), len(padded)) + name
            content += padded
        return root + bytes(directory + content)

    def _tables(self) -> bytes:
        counts = self._all_counts()
        head = bytearray(self._head)
        struct.pack_into("<Q", head, _VALID, sum(1 << table for table in counts))
        parts = [bytes(head), struct.pack(f"<{len(counts)}I", *counts.values())]
        for table in counts:
            layout = row_layout(Table(table), counts, self._wide)
            parts.append(bytes(self._rows.get(table, b"")))
            parts += [layout.pack(*row) for row in self._added.get(table, ())]
        return b"".join(parts)

    def _assembled(self, block: bytearray, metadata: int) -> bytes:
        """The file, with what stood behind the metadata further back."""
        text = bytearray(self._text[: self._start] + block)
        text = text.ljust(align(len(text), _CONTENT_ALIGNMENT), b"\0")
        struct.pack_into("<I", text, self._header + _METADATA_IN_HEADER + 4, metadata)
        address, length = self._image.debug
        moved = len(text) - self._end
        rest = bytearray(self._text[self._end :])
        for entry in range(0, length, DEBUG_ENTRY_SIZE):
            _move(rest, entry + DEBUG_ENTRY_POINTER - 4, moved)
            _move(rest, entry + DEBUG_ENTRY_POINTER, moved)
        text += rest
        contents = [bytes(text).ljust(align(len(text), _FILE_ALIGNMENT), b"\0")]
        contents += [section.content for section in self._image.sections[1:]]
        cli = self._image.cli_header
        debug = (address + moved, length) if length else (0, 0)
        header = HEADER.pack(0, 0, len(contents), 0, *cli, *debug)
        table = self._section_table(len(text), contents)
        return MAGIC + header + table + b"".join(contents)

    def _section_table(self, size: int, contents: Sequence[bytes]) -> bytes:
        """Nothing of .NET is in the later sections: they go where there is room."""
        first, *others = self._image.sections
        sizes = [size, *(section.virtual_size for section in others)]
        offset, place, table = first.file_offset, self._base, b""
        for virtual, content in zip(sizes, contents, strict=True):
            table += SECTION.pack(virtual, place, len(content), offset)
            offset += len(content)
            place = align(place + virtual, _SECTION_ALIGNMENT)
        return table


def _move(data: bytearray, offset: int, by: int) -> None:
    """Add to an address, unless there is none."""
    (value,) = struct.unpack_from("<I", data, offset)
    struct.pack_into("<I", data, offset, value and value + by)
