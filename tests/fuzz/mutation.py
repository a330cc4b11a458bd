"""Mutations of bytes: of any, and of assemblies by their structure."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from dotnet_wasm_host.ecma335.metadata import Metadata
from dotnet_wasm_host.ecma335.tables import SCHEMA, Table, row_layout

#: Values at which sizes, counts and offsets go wrong.
EDGES = (0, 1, 2, 3, 4, 7, 8, 15, 16, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFE, 0xFFFF,
         0x10000, 0xFFFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)  # fmt: skip


def mutate(data: bytes, generator: random.Random) -> bytes:
    """Some bytes that were ``data``."""
    result = bytearray(data)
    for _ in range(generator.choice((1, 1, 1, 2, 4, 16))):
        _mutate_once(result, generator)
    return bytes(result)


def _mutate_once(data: bytearray, generator: random.Random) -> None:
    if not data:
        data += generator.randbytes(generator.randrange(1, 64))
        return
    at = generator.randrange(len(data))
    kind = generator.randrange(8)
    if kind <= 2:
        data[at] ^= 1 << generator.randrange(8)
    elif kind == 3:
        overwrite(data, at, generator.choice((1, 2, 4)), generator)
    elif kind == 4:
        del data[at : at + generator.randrange(1, 64)]
    elif kind == 5:
        data[at:at] = generator.randbytes(generator.randrange(1, 32))
    elif kind == 6:
        length = generator.randrange(1, 64)
        start = generator.randrange(len(data))
        data[at : at + length] = data[start : start + length]
    else:
        del data[at:]


def overwrite(data: bytearray, at: int, width: int, generator: random.Random) -> None:
    """Write a number that is likely to be wrong."""
    if generator.random() < 0.5:
        value = generator.choice(EDGES)
    else:
        value = int.from_bytes(data[at : at + width], "little") + generator.randint(-8, 8)
    content = (value % (1 << 8 * width)).to_bytes(width, "little")
    data[at : at + width] = content[: len(data) - at]


class AssemblyMutator:
    """Mutates an assembly where it hurts: in headers, metadata rows, heaps and IL."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        #: Kind of field to places of that kind, as offset and width.
        self.fields: dict[str, list[tuple[int, int]]] = {}
        self._find_fields()

    def _find_fields(self) -> None:
        metadata = Metadata(self._data)
        root = self._data.index(b"BSJB")
        stream = self._stream(root, b"#~\0\0")
        self.fields["headers"] = [(at, 4) for at in range(0, 0x200, 2)]
        self.fields["cli header"] = [
            (metadata.image.file_offset(metadata.image.cli_header[0]) + at, 4)
            for at in range(0, 72, 4)
        ]
        self.fields["metadata root"] = [(at, 4) for at in range(root, stream, 2)]
        counts: dict[int, int] = {t: len(metadata.rows(t)) for t in Table if metadata.rows(t)}
        at = stream + 24 + 4 * len(counts)
        self.fields["row counts"] = [(i, 4) for i in range(stream, at, 4)]
        rows: list[tuple[int, int]] = []
        bodies: list[tuple[int, int]] = []
        wide = self._data[stream + 6]
        for table, count in counts.items():
            layout = row_layout(Table(table), counts, wide)
            widths = [2 if code == "H" else 4 for code in layout.format.lstrip("<")]
            assert len(widths) == len(SCHEMA[Table(table)])
            for row in range(count):
                offset = at + row * layout.size
                for width in widths:
                    rows.append((offset, width))
                    offset += width
            at += count * layout.size
        self.fields["rows"] = rows
        heaps = [self._stream(root, name) for name in (b"#Strings", b"#US\0", b"#Blob")]
        self.fields["heaps"] = [
            (start + i, 1) for start in heaps for i in range(min(4000, len(self._data) - start))
        ]
        for row_ in metadata.rows(Table.METHOD_DEF):
            if row_[0]:
                start = metadata.image.file_offset(row_[0])
                bodies += [(start + i, 1) for i in range(_body_size(self._data, start))]
        self.fields["code"] = bodies

    def _stream(self, root: int, name: bytes) -> int:
        header = self._data.index(name, root)
        return root + int.from_bytes(self._data[header - 8 : header - 4], "little")

    def variants(self, generator: random.Random) -> Iterator[tuple[str, bytes]]:
        """Mutants for ever, with the kind of what was changed."""
        kinds: Sequence[str] = tuple(self.fields)
        while True:
            kind = generator.choice(kinds)
            data = bytearray(self._data)
            for _ in range(generator.choice((1, 1, 1, 2, 4))):
                at, width = generator.choice(self.fields[kind])
                if width == 1:
                    data[at % len(data)] = generator.choice(
                        (generator.randrange(256), data[at % len(data)] ^ 1)
                    )
                else:
                    overwrite(data, at, width, generator)
            yield kind, bytes(data)


def _body_size(data: bytes, start: int) -> int:
    """II.25.4: a tiny header holds the size, a fat one has it in its second word."""
    if data[start] & 3 == 2:
        return 1 + (data[start] >> 2)
    return min(12 + int.from_bytes(data[start + 4 : start + 8], "little"), 4096)
