"""An assembly taken apart to be changed: rows and heaps that grow, bodies that are added.

What is not touched stays as it is, row for row: nothing is renumbered.
"""

from __future__ import annotations

import hashlib
import struct
from typing import TYPE_CHECKING, final

from dotnet_wasm_host.ecma335.binary import BinaryView, MalformedImage, align
from dotnet_wasm_host.ecma335.il import FAT_FORMAT, FORMAT_MASK
from dotnet_wasm_host.ecma335.metadata import ROOT_MAGIC, Metadata, metadata_streams
from dotnet_wasm_host.ecma335.rows import FieldRow, FieldRvaRow, MethodDefRow, TypeDefRow
from dotnet_wasm_host.ecma335.signatures import compressed
from dotnet_wasm_host.ecma335.tables import SCHEMA, Heap, Table, row_layout
from dotnet_wasm_host.ecma335.webcil import FILE_ALIGNMENT, HEADER, HEADER_SIZE, MAGIC, SECTION

if TYPE_CHECKING:
    from typing import Any

__all__ = ["AssemblyDraft"]

#: II.25.3.3: offset of the metadata's address and size in the CLI header.
CLI_METADATA = 8
#: II.25.3.3: the same of the resources.
CLI_RESOURCES = 24
#: II.24.2.6: the part before the row counts, and heap sizes in it.
TABLES_HEADER = struct.Struct("<IBBBBQQ")
WIDE = 2**16
#: No instruction that reads a field's first content wants more.
DATA_ALIGNMENT = 16
#: II.23.1.5, II.23.1.10, II.23.1.15: visibility, and what it is inside of the assembly.
MEMBER_ACCESS, MEMBER_INTERNAL, MEMBER_PUBLIC = 0x7, 0x3, 0x6
TYPE_ACCESS, NESTED_PUBLIC, NESTED_PRIVATE, NESTED_INTERNAL = 0x7, 0x2, 0x3, 0x5
_STREAMS = ("#~", "#Strings", "#US", "#GUID", "#Blob")


@final
class AssemblyDraft:
    """A raw webcil assembly whose metadata is behind everything else in its first section.

    Attributes:
        rows: of all tables; the first row is at index 0.
    """

    def __init__(self, data: bytes) -> None:
        metadata = Metadata(data)
        image = metadata.image
        section = image.sections[0]
        self._address = section.virtual_address
        self._cli_header = image.cli_header
        header = BinaryView(image.at(*image.cli_header))
        start, size = header.u32(CLI_METADATA), header.u32(CLI_METADATA + 4)
        self._content = bytearray(section.content[: start - self._address])
        self._version = _version(image.at(start, size))
        streams = metadata_streams(image.at(start, size))
        self._tables_header = TABLES_HEADER.unpack_from(streams["#~"])
        self._heaps = {name: bytearray(streams[name]) for name in _STREAMS[1:]}
        self._texts: dict[str, int] = {"": 0}
        self._literals: dict[bytes, int] = {}
        self.rows: dict[Table, list[Any]] = {table: metadata.rows(table) for table in SCHEMA}
        self.rows |= {
            Table.TYPE_DEF: metadata.rows(TypeDefRow),
            Table.FIELD: metadata.rows(FieldRow),
            Table.METHOD_DEF: metadata.rows(MethodDefRow),
        }
        addresses = [row.rva for row in self.rows[Table.METHOD_DEF]]
        addresses += [row.rva for row in metadata.rows(FieldRvaRow)]
        addresses.append(header.u32(CLI_RESOURCES))
        if max(addresses) >= start:
            raise MalformedImage("there is something behind the metadata that this would leave out")

    def add(self, table: Table, *cells: int | str | bytes) -> int:
        """Add a row, with texts and blobs in the place of their indices; its number."""
        self.rows[table].append(tuple(map(self._index, cells)))
        return len(self.rows[table])

    def _index(self, cell: int | str | bytes) -> int:
        if isinstance(cell, str):
            return self._string(cell)
        return self._append("#Blob", cell) if isinstance(cell, bytes) else cell

    def _string(self, text: str) -> int:
        index = self._texts.get(text)
        if index is None:
            heap = self._heaps["#Strings"]
            found = heap.find(b"\0" + text.encode() + b"\0")
            if found < 0:
                found = len(heap) - 1
                heap += text.encode() + b"\0"
            index = self._texts[text] = found + 1
        return index

    def user_string(self, content: bytes) -> int:
        """Index of a literal in ``#US``."""
        index = self._literals.get(content)
        if index is None:
            index = self._literals[content] = self._append("#US", content)
        return index

    def _append(self, heap: str, content: bytes) -> int:
        start = len(self._heaps[heap])
        self._heaps[heap] += compressed(len(content)) + content
        return start

    def body(self, content: bytes) -> int:
        """Address of a new method body."""
        return self._place(content, 4 if content[0] & FORMAT_MASK == FAT_FORMAT else 1)

    def data(self, content: bytes) -> int:
        """Address of what a field has to begin with."""
        return self._place(content, DATA_ALIGNMENT)

    def _place(self, content: bytes, alignment: int) -> int:
        start = align(self._address + len(self._content), alignment)
        self._content = self._content.ljust(start - self._address, b"\0") + content
        return start

    def publish(self) -> None:
        """Let everybody see every type and member, for compilers."""
        types, members = self.rows[Table.TYPE_DEF], (Table.FIELD, Table.METHOD_DEF)
        for index, row in enumerate(types):
            seen = row.flags & TYPE_ACCESS
            types[index] = row._replace(flags=row.flags & ~TYPE_ACCESS | (2 if seen > 1 else 1))
        for table in members:
            self.rows[table] = [
                row._replace(flags=row.flags & ~MEMBER_ACCESS | MEMBER_PUBLIC)
                for row in self.rows[table]
            ]

    def show(self, table: Table, number: int) -> None:
        """Let code of the same assembly use a type or member that is private or protected."""
        row = self.rows[table][number - 1]
        access = row.flags & TYPE_ACCESS
        if table is Table.TYPE_DEF:
            hidden, shown = {NESTED_PRIVATE}, NESTED_INTERNAL
        else:
            hidden, shown = {0, 1, 2, 4}, MEMBER_INTERNAL
        if access in hidden:
            flags = row.flags & ~TYPE_ACCESS | shown
            self.rows[table][number - 1] = row._replace(flags=flags)

    def webcil(self) -> bytes:
        """The changed assembly, raw, in one section. Its MVID is a hash of everything else."""
        content = bytearray(self._content)
        content += bytes(-len(content) % 4)
        tables = self._tables()
        digest = hashlib.sha256(content + tables)
        for heap in self._heaps.values():
            digest.update(heap)
        mvid = self.rows[Table.MODULE][0][2]
        self._heaps["#GUID"][(mvid - 1) * 16 : mvid * 16] = digest.digest()[:16]
        metadata = self._metadata(tables)
        place = struct.pack("<II", self._address + len(content), len(metadata))
        cli = self._cli_header[0] - self._address + CLI_METADATA
        content[cli : cli + len(place)] = place
        content += metadata
        header = MAGIC + HEADER.pack(0, 0, 1, 0, *self._cli_header, 0, 0)
        padded = content.ljust(align(len(content), FILE_ALIGNMENT), b"\0")
        start = HEADER_SIZE + SECTION.size
        return header + SECTION.pack(len(content), self._address, len(padded), start) + padded

    def _metadata(self, tables: bytes) -> bytes:
        root = struct.pack("<IHHII", ROOT_MAGIC, 1, 1, 0, len(self._version)) + self._version
        root += struct.pack("<HH", 0, len(_STREAMS))
        names = [name.encode().ljust(align(len(name) + 1, 4), b"\0") for name in _STREAMS]
        offset = len(root) + sum(8 + len(name) for name in names)
        directory, content = b"", b""
        for name, stream in zip(names, (tables, *self._heaps.values()), strict=True):
            padded = bytes(stream).ljust(align(len(stream), 4), b"\0")
            directory += struct.pack("<II", offset + len(content), len(padded)) + name
            content += padded
        return root + directory + content

    def _tables(self) -> bytes:
        counts = {int(table): len(rows) for table, rows in self.rows.items() if rows}
        sizes = {Heap.STRINGS: "#Strings", Heap.GUID: "#GUID", Heap.BLOB: "#Blob"}
        wide = sum(bit for bit, name in sizes.items() if len(self._heaps[name]) >= WIDE)
        reserved, major, minor, _, reserved_too, _, ordered = self._tables_header
        present = sum(1 << number for number in counts)
        content = [
            TABLES_HEADER.pack(reserved, major, minor, wide, reserved_too, present, ordered),
            struct.pack(f"<{len(counts)}I", *(counts[number] for number in sorted(counts))),
        ]
        for number in sorted(counts):
            layout = row_layout(Table(number), counts, wide)
            content += (layout.pack(*row) for row in self.rows[Table(number)])
        return b"".join(content)


def _version(metadata: bytes) -> bytes:
    size = BinaryView(metadata).u32(12)
    return BinaryView(metadata).take(16, align(size, 4))
