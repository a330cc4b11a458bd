"""Metadata of an assembly as ECMA-335 has it, and the identity that it states.

Sources: ECMA-335 6th edition II.22 (tables), II.24 (physical layout), II.25.3.3 (CLI header).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeVar, final, overload

from dotnet_wasm_host.ecma335.binary import Allowance, BinaryView, MalformedImage, align
from dotnet_wasm_host.ecma335.tables import SCHEMA, Table, row_layout
from dotnet_wasm_host.ecma335.webcil import Image, parse_pe, parse_webcil

if TYPE_CHECKING:
    import struct

__all__ = [
    "ROOT_MAGIC",
    "AssemblyIdentity",
    "Metadata",
    "Table",
    "has_entry_point",
    "has_public_types",
    "identify",
    "metadata_streams",
    "read_compressed",
    "referenced_assemblies",
]

_Row = TypeVar("_Row", bound=tuple[int, ...])

#: II.25.3.3: offset of the metadata's RVA and size in the CLI header.
CLI_METADATA = 8
#: II.25.3.3: offset of the entry point's token in the CLI header.
CLI_ENTRY_POINT = 20
#: II.23.1.15: the part of a type's flags that says who sees it, and what it is for everybody.
TYPE_VISIBILITY = 7
TYPE_PUBLIC = 1
#: II.24.2.1: metadata root.
ROOT_MAGIC = 0x424A5342
ROOT_VERSION_LENGTH = 12
ROOT_FIXED_SIZE = 16
#: II.24.2.2: longest stream name, with its NUL.
STREAM_NAME_SIZE = 32
#: II.24.2.6: heap sizes, then which tables are there, then their row counts.
TABLES_HEAP_SIZES = 6
TABLES_VALID = 8
TABLES_ROWS = 24
#: Names and blobs may share bytes of their heap. Together, those of an assembly are as long as the
#: heap, up to 1.4 times in real ones; more than this many times is made to exhaust memory.
SHARING = 16
#: ... for small heaps.
SHARED_BYTES = 1 << 20


class AssemblyIdentity(NamedTuple):
    """Who an assembly is. ``str()`` is ``System.Linq 10.0.0.0``."""

    name: str
    version: str
    mvid: str
    culture: str = ""

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


def identify(data: bytes) -> AssemblyIdentity:
    """Identity of an assembly given as raw webcil or as PE. MalformedImage for anything else."""
    image = parse_pe(data) if data[:2] == b"MZ" else parse_webcil(data)
    streams = metadata_streams(_metadata(image))
    tables = _Tables(streams.get("#~", b""))
    module = tables.row(Table.MODULE)
    assembly = tables.row(Table.ASSEMBLY)
    name = BinaryView(streams.get("#Strings", b"")).zero_terminated(assembly[7])
    return AssemblyIdentity(
        name=name,
        version=".".join(map(str, assembly[1:5])),
        culture=BinaryView(streams.get("#Strings", b"")).zero_terminated(assembly[8]),
        mvid=_guid(streams.get("#GUID", b""), module[2]),
    )


def referenced_assemblies(data: bytes) -> tuple[str, ...]:
    """Simple names of what an assembly refers to (II.22.5), in its own order."""
    metadata = Metadata(data)
    return tuple(metadata.string(row[6]) for row in metadata.rows(Table.ASSEMBLY_REF))


def has_entry_point(data: bytes) -> bool:
    """Whether an assembly is a program: II.25.3.3, EntryPointToken of the CLI header."""
    image = parse_pe(data) if data[:2] == b"MZ" else parse_webcil(data)
    rva, size = image.cli_header
    return BinaryView(image.at(rva, size)).u32(CLI_ENTRY_POINT) != 0


def has_public_types(data: bytes) -> bool:
    """Whether an assembly defines a type for others: II.23.1.15, visibility Public.

    One that does not only forwards to others, as ``System.Buffers`` does today.
    """
    rows = Metadata(data).rows(Table.TYPE_DEF)
    return any(flags & TYPE_VISIBILITY == TYPE_PUBLIC for flags, *_ in rows)


def _metadata(image: Image) -> bytes:
    rva, size = image.cli_header
    header = BinaryView(image.at(rva, size))
    return image.at(header.u32(CLI_METADATA), header.u32(CLI_METADATA + 4))


def metadata_streams(metadata: bytes) -> dict[str, bytes]:
    """II.24.2.1-2: the metadata's streams by name."""
    view = BinaryView(metadata)
    if view.u32(0) != ROOT_MAGIC:
        raise MalformedImage("no metadata root")
    # Flags (2 bytes) and the number of streams follow the version text.
    offset = ROOT_FIXED_SIZE + align(view.u32(ROOT_VERSION_LENGTH), 4) + 4
    streams = {}
    for _ in range(view.u16(offset - 2)):
        start, size = view.u32(offset), view.u32(offset + 4)
        name = view.zero_terminated(offset + 8)
        if len(name) >= STREAM_NAME_SIZE:
            raise MalformedImage("stream name of more than 32 bytes")
        streams[name] = view.take(start, size)
        offset += 8 + align(len(name) + 1, 4)
    return streams


def _guid(heap: bytes, index: int) -> str:
    """II.24.2.5: GUIDs are counted from 1. Their first three parts are little-endian numbers."""
    data = BinaryView(heap).take((index - 1) * 16, 16)
    parts = (data[3::-1], data[5:3:-1], data[7:5:-1], data[8:10], data[10:])
    return "-".join(part.hex() for part in parts)


@final
class Metadata:
    """The metadata of an assembly: rows of its tables and content of its heaps.

    Row numbers count from 1 as in ECMA-335; rows are tuples of their columns' numbers. Asked for
    with a class of :mod:`dotnet_wasm_host.ecma335.rows`, their columns have names.
    """

    def __init__(self, data: bytes) -> None:
        self.image: Image = parse_pe(data) if data[:2] == b"MZ" else parse_webcil(data)
        streams = metadata_streams(_metadata(self.image))
        self._tables = _Tables(streams.get("#~", b""))
        self._strings = BinaryView(streams.get("#Strings", b""))
        self._names: dict[int, str] = {}
        self._name_bytes = _allowance("text", self._strings.data)
        self._counts: dict[Table, int] = {}
        self._rows: dict[Table | type, list[tuple[int, ...]]] = {}
        self._blob_heap = streams.get("#Blob", b"")
        self._blobs: dict[int, bytes] = {0: b""}
        self._blob_bytes = _allowance("blobs", self._blob_heap)
        self._user_strings = streams.get("#US", b"")
        self.guids: bytes = streams.get("#GUID", b"")

    @overload
    def rows(self, table: Table) -> list[tuple[int, ...]]: ...
    @overload
    def rows(self, table: type[_Row]) -> list[_Row]: ...
    def rows(self, table: Table | type) -> list[tuple[int, ...]] | list[_Row]:
        """All rows of a table, the first at index 0."""
        rows = self._rows.get(table)
        if rows is None:
            rows = self._rows[table] = self._read(table)
        return rows

    def _read(self, table: Table | type) -> list[tuple[int, ...]]:
        if isinstance(table, Table):
            return self._tables.rows(table)
        # Making the classes takes 10 ms, which a start without a trimmer need not wait for.
        from dotnet_wasm_host.ecma335.rows import read_rows

        return read_rows(table, self._tables.rows)

    def count(self, table: Table) -> int:
        """How many rows a table has; MalformedImage if the file ends before the last one."""
        count = self._counts.get(table)
        if count is None:
            count = self._counts[table] = self._tables.count(table)
        return count

    def numbers(self, table: Table) -> range:
        """Numbers of all rows of a table."""
        return range(1, self.count(table) + 1)

    def row_size(self, table: Table) -> int:
        """Bytes that a row of ``table`` takes."""
        return self._tables.row_size(table)

    @overload
    def row(self, table: Table, number: int) -> tuple[int, ...]: ...
    @overload
    def row(self, table: type[_Row], number: int) -> _Row: ...
    def row(self, table: Table | type, number: int) -> tuple[int, ...] | _Row:
        """A row by its number."""
        rows: list[tuple[int, ...]] = self.rows(table)
        if not 0 < number <= len(rows):
            name = table.name if isinstance(table, Table) else table.__name__
            raise MalformedImage(f"{name} has {len(rows)} rows, not {number}")
        return rows[number - 1]

    def string(self, index: int) -> str:
        """A text of ``#Strings``."""
        name = self._names.get(index)
        if name is None:
            name = self._strings.zero_terminated(index)
            self._name_bytes.spend(len(name))
            self._names[index] = name
        return name

    def blob(self, index: int) -> bytes:
        """A blob of ``#Blob``."""
        blob = self._blobs.get(index)
        if blob is None:
            blob = _sized(self._blob_heap, index)
            self._blob_bytes.spend(len(blob))
            self._blobs[index] = blob
        return blob

    def user_string(self, index: int) -> bytes:
        """A literal of ``#US`` (II.24.2.4): UTF-16 and one byte that says what is in it."""
        return _sized(self._user_strings, index)


def _allowance(what: str, heap: bytes) -> Allowance:
    return Allowance(what, SHARED_BYTES + SHARING * len(heap))


def _sized(heap: bytes, index: int) -> bytes:
    """Bytes behind a compressed length (II.24.2.4)."""
    length, start = read_compressed(heap, index)
    return BinaryView(heap).take(start, length)


def read_compressed(data: bytes, offset: int) -> tuple[int, int]:
    """An unsigned number of II.23.2, and the offset behind it."""
    view = BinaryView(data)
    first = view.unsigned(offset, 1)
    if first < 0x80:
        return first, offset + 1
    if first < 0xC0:
        return int.from_bytes(view.take(offset, 2), "big") & 0x3FFF, offset + 2
    return int.from_bytes(view.take(offset, 4), "big") & 0x1FFFFFFF, offset + 4


class _Tables:
    """II.24.2.6: the ``#~`` stream."""

    def __init__(self, stream: bytes) -> None:
        self._view = BinaryView(stream)
        self._wide_heaps = self._view.unsigned(TABLES_HEAP_SIZES, 1)
        valid = self._view.unsigned(TABLES_VALID, 8)
        present = [number for number in range(64) if valid >> number & 1]
        self._counts = {
            number: self._view.u32(TABLES_ROWS + 4 * i) for i, number in enumerate(present)
        }
        self._start = TABLES_ROWS + 4 * len(present)

    def row(self, table: Table) -> tuple[int, ...]:
        """The first row of ``table``."""
        if not self._counts.get(table):
            raise MalformedImage(f"no {table.name} table: this is not an assembly")
        return self._view.unpack(self._layout(table), self._offset(table))

    def rows(self, table: Table) -> list[tuple[int, ...]]:
        """All rows of ``table``."""
        return list(self._layout(table).iter_unpack(self._content(table)))

    def _content(self, table: Table) -> bytes:
        count = self._counts.get(table, 0)
        size = count * self._layout(table).size
        return self._view.take(self._offset(table), size) if count else b""

    def count(self, table: Table) -> int:
        """How many rows of ``table`` are really there."""
        return len(self._content(table)) // self._layout(table).size

    def row_size(self, table: Table) -> int:
        """Bytes of a row of ``table``."""
        return self._layout(table).size

    def _offset(self, table: Table) -> int:
        offset = self._start
        for number in sorted(n for n in self._counts if n < table):
            if number not in SCHEMA:
                raise MalformedImage(f"metadata table {number:#x} is not known")
            offset += self._counts[number] * self._layout(Table(number)).size
        return offset

    def _layout(self, table: Table) -> struct.Struct:
        return row_layout(table, self._counts, self._wide_heaps)
