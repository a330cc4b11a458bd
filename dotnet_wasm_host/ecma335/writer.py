"""Writing an assembly: heaps, tables and a raw webcil around them (ECMA-335 II.24, II.25)."""

from __future__ import annotations

import hashlib
import struct
from typing import TYPE_CHECKING, final

from dotnet_wasm_host.ecma335.binary import align
from dotnet_wasm_host.ecma335.metadata import ROOT_MAGIC
from dotnet_wasm_host.ecma335.signatures import compressed
from dotnet_wasm_host.ecma335.tables import SCHEMA, Heap, Table, row_layout
from dotnet_wasm_host.ecma335.webcil import HEADER, HEADER_SIZE, MAGIC, SECTION

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["AssemblyWriter"]

#: II.24.2.6: tables that readers search by a key, and the column it is in.
SORTED = {
    Table.CONSTANT: 1,
    Table.CUSTOM_ATTRIBUTE: 0,
    Table.FIELD_MARSHAL: 0,
    Table.CLASS_LAYOUT: 2,
    Table.FIELD_LAYOUT: 1,
    Table.METHOD_SEMANTICS: 2,
    Table.METHOD_IMPL: 0,
    Table.IMPL_MAP: 1,
    Table.FIELD_RVA: 1,
    Table.NESTED_CLASS: 0,
    Table.INTERFACE_IMPL: 0,
}
#: Where the only section is loaded. Mono maps the file flat, so any address will do.
SECTION_ADDRESS = 0x2000
#: II.25.3.3: the CLI header.
CLI_HEADER = struct.Struct("<IHH II I I II 40x")
IL_ONLY = 1
#: II.24.2.1: what Roslyn writes as version of the runtime.
RUNTIME_VERSION = b"v4.0.30319\0\0"
TABLES_HEADER = struct.Struct("<IBBBBQQ")
WIDE = 2**16
FIELD_DATA_ALIGNMENT = 16

Cell = int | str | bytes


@final
class AssemblyWriter:
    """Collects rows and content, then writes them.

    Cells of a row are numbers, or the text or blob itself where the column is an index into a
    heap. Rows are numbered from 1 in the order of :meth:`add`, but those of tables that have to
    be sorted are sorted when the assembly is written, so nothing may refer to them by number.
    """

    def __init__(self) -> None:
        self.rows: dict[Table, list[tuple[Cell, ...]]] = {table: [] for table in SCHEMA}
        self._user_strings: dict[bytes, int] = {}
        self._user_heap = bytearray(b"\0")
        self._bodies = bytearray()
        self._known_bodies: dict[bytes, int] = {}
        self._field_data = bytearray()
        self._resources = bytearray()

    def add(self, table: Table, *cells: Cell) -> int:
        """Add a row; its number."""
        rows = self.rows[table]
        rows.append(cells)
        return len(rows)

    def user_string(self, content: bytes) -> int:
        """Index of a literal in ``#US``."""
        index = self._user_strings.get(content)
        if index is None:
            index = self._user_strings[content] = len(self._user_heap)
            self._user_heap += compressed(len(content)) + content
        return index

    def body(self, data: bytes, *, fat: bool) -> int:
        """Address of a method body; equal bodies are written once."""
        position = self._known_bodies.get(data)
        if position is None:
            if fat:
                self._bodies += bytes(-len(self._bodies) % 4)
            position = self._known_bodies[data] = len(self._bodies)
            self._bodies += data
        return SECTION_ADDRESS + CLI_HEADER.size + position

    def field_data(self, content: bytes) -> int:
        """Offset of a field's initial content, to be given as its address."""
        self._field_data += bytes(-len(self._field_data) % FIELD_DATA_ALIGNMENT)
        position = len(self._field_data)
        self._field_data += content
        return position

    def resource(self, content: bytes) -> int:
        """Offset of an embedded resource (II.6.2.2)."""
        self._resources += bytes(-len(self._resources) % 8)
        position = len(self._resources)
        self._resources += struct.pack("<I", len(content)) + content
        return position

    def webcil(self) -> bytes:
        """The assembly as raw webcil. Its MVID is a hash of everything else."""
        content = bytearray(CLI_HEADER.size) + self._bodies
        content += bytes(-len(content) % FIELD_DATA_ALIGNMENT)
        field_data = SECTION_ADDRESS + len(content)
        content += self._field_data
        content += bytes(-len(content) % 8)
        resources = (SECTION_ADDRESS + len(content), len(self._resources))
        content += self._resources
        content += bytes(-len(content) % 4)
        start = SECTION_ADDRESS + len(content)
        metadata, mvid = self._metadata(field_data)
        metadata[mvid : mvid + 16] = hashlib.sha256(content + metadata).digest()[:16]
        content += metadata
        content[: CLI_HEADER.size] = CLI_HEADER.pack(
            CLI_HEADER.size, 2, 5, start, len(metadata), IL_ONLY, 0,
            *(resources if self._resources else (0, 0)),
        )  # fmt: skip
        header = MAGIC + HEADER.pack(0, 0, 1, 0, SECTION_ADDRESS, CLI_HEADER.size, 0, 0)
        offset = HEADER_SIZE + SECTION.size
        return header + SECTION.pack(len(content), SECTION_ADDRESS, len(content), offset) + content

    def _metadata(self, field_data: int) -> tuple[bytearray, int]:
        """The metadata, and where in it the MVID goes, which is all zeros."""
        strings, texts = _string_heap(self.rows)
        blobs, blob_heap = _blob_heap(self.rows)
        tables = self._tables(strings, blobs, field_data)
        streams = [
            (b"#~", tables),
            (b"#Strings", texts),
            (b"#US", bytes(self._user_heap)),
            (b"#GUID", bytes(16)),
            (b"#Blob", blob_heap),
        ]
        root = struct.pack("<IHHII", ROOT_MAGIC, 1, 1, 0, len(RUNTIME_VERSION)) + RUNTIME_VERSION
        root += struct.pack("<HH", 0, len(streams))
        names = [name.ljust(align(len(name) + 1, 4), b"\0") for name, _ in streams]
        offset = len(root) + sum(8 + len(name) for name in names)
        directory, content = bytearray(), bytearray()
        mvid = 0
        for name, (_, stream) in zip(names, streams, strict=True):
            padded = stream.ljust(align(len(stream), 4), b"\0")
            directory += struct.pack("<II", offset + len(content), len(padded)) + name
            mvid = offset + len(content) if name.startswith(b"#GUID") else mvid
            content += padded
        return bytearray(root + directory + content), mvid

    def _tables(self, strings: dict[str, int], blobs: dict[bytes, int], field_data: int) -> bytes:
        counts = {int(table): len(rows) for table, rows in self.rows.items() if rows}
        wide = (Heap.STRINGS if max(strings.values(), default=0) >= WIDE else 0) | (
            Heap.BLOB if max(blobs.values(), default=0) >= WIDE else 0
        )
        present = sum(1 << number for number in counts)
        ordered = sum(1 << table for table in (*SORTED, Table.GENERIC_PARAM))
        content = [
            TABLES_HEADER.pack(0, 2, 0, wide, 1, present, ordered & present),
            struct.pack(f"<{len(counts)}I", *(counts[number] for number in sorted(counts))),
        ]
        for number in sorted(counts):
            table = Table(number)
            layout = row_layout(table, counts, wide)
            for row in self._sorted(table):
                cells: list[int] = []
                for cell in row:
                    if isinstance(cell, int):
                        cells.append(cell)
                    elif isinstance(cell, str):
                        cells.append(strings[cell])
                    else:
                        cells.append(blobs[cell])
                if table is Table.FIELD_RVA:
                    cells[0] += field_data
                content.append(layout.pack(*cells))
        return b"".join(content)

    def _sorted(self, table: Table) -> Sequence[tuple[Cell, ...]]:
        rows = self.rows[table]
        column = SORTED.get(table)
        return rows if column is None else sorted(rows, key=lambda row: int(row[column]))


def _string_heap(rows: dict[Table, list[tuple[Cell, ...]]]) -> tuple[dict[str, int], bytes]:
    """II.24.2.3: a text that ends another one lies inside of it."""
    texts = {cell for table in rows.values() for row in table for cell in row if type(cell) is str}
    heap = bytearray(b"\0")
    places = {"": 0}
    last, last_start = b"", 0
    # Sorted backwards from their ends, a text follows all those that end in it.
    for reversed_ in sorted((text.encode()[::-1] for text in texts if text), reverse=True):
        text = reversed_[::-1]
        if last.endswith(text):
            places[text.decode()] = last_start + len(last) - len(text)
            continue
        last, last_start = text, len(heap)
        places[text.decode()] = last_start
        heap += text + b"\0"
    return places, bytes(heap)


def _blob_heap(rows: dict[Table, list[tuple[Cell, ...]]]) -> tuple[dict[bytes, int], bytes]:
    heap = bytearray(b"\0")
    places = {b"": 0}
    for table in rows.values():
        for row in table:
            for cell in row:
                if type(cell) is bytes and cell not in places:
                    places[cell] = len(heap)
                    heap += compressed(len(cell)) + cell
    return places, bytes(heap)
