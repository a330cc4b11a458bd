"""Where an assembly's portable PDB is: inside of it, or in a file of its own that it names.

Sources: PE-COFF specification of dotnet/runtime (docs/design/specs/PE-COFF.md: debug directory,
CodeView and Embedded Portable PDB entries), PortablePdb-Metadata.md (the ``#Pdb`` stream).
"""

from __future__ import annotations

import struct

from dotnet_wasm_host.ecma335.binary import BinaryView, MalformedImage
from dotnet_wasm_host.ecma335.metadata import ROOT_MAGIC, metadata_streams
from dotnet_wasm_host.ecma335.webcil import Image, parse_pe, parse_webcil

__all__ = ["LARGEST_PDB", "embedded_pdb", "is_pdb_of"]

#: IMAGE_DEBUG_DIRECTORY: characteristics, stamp, version, type, size, RVA, file offset.
_ENTRY = struct.Struct("<IIHHIIII")
_CODE_VIEW, _EMBEDDED_PDB = 2, 17
#: More are an attack; compilers write up to five.
_MOST_ENTRIES = 16
#: "RSDS", a GUID, an age and a path.
_CODE_VIEW_MAGIC, _CODE_VIEW_GUID = b"RSDS", slice(4, 20)
#: "MPDB" and the size of what follows when it is inflated.
_EMBEDDED_MAGIC = b"MPDB"
_EMBEDDED_HEADER_SIZE = 8
#: Raw bytes of a PDB that are taken. That of Roslyn, 13 MB of code, has 3 MB.
LARGEST_PDB = 8 << 20
#: The identity at the beginning of ``#Pdb``: a GUID and a stamp.
_PDB_ID = slice(0, 16)


def embedded_pdb(data: bytes) -> bytes | None:
    """The portable PDB inside of an assembly; ``None`` if it has none, or a damaged one."""
    try:
        image = _parse(data)
        for kind, content in _entries(image):
            if kind == _EMBEDDED_PDB:
                return _inflate(content)
    except MalformedImage:
        pass  # lines are a help for people; nothing depends on them
    return None


def is_pdb_of(pdb: bytes, data: bytes) -> bool:
    """Whether a PDB was written with an assembly: the assembly states the PDB's GUID."""
    try:
        named = [
            content[_CODE_VIEW_GUID]
            for kind, content in _entries(_parse(data))
            if kind == _CODE_VIEW and content.startswith(_CODE_VIEW_MAGIC)
        ]
        if BinaryView(pdb).u32(0) != ROOT_MAGIC:
            return False
        guid = metadata_streams(pdb).get("#Pdb", b"")[_PDB_ID]
    except MalformedImage:
        return False
    return len(guid) == 16 and guid in named


def _parse(data: bytes) -> Image:
    return parse_pe(data) if data[:2] == b"MZ" else parse_webcil(data)


def _entries(image: Image) -> list[tuple[int, bytes]]:
    """Types and contents of what the debug directory has."""
    rva, size = image.debug
    if not rva:
        return []
    directory = image.at(rva, min(size, _MOST_ENTRIES * _ENTRY.size))
    whole = len(directory) // _ENTRY.size * _ENTRY.size
    return [
        (kind, image.at(address, length))
        for _, _, _, _, kind, length, address, _ in _ENTRY.iter_unpack(directory[:whole])
        if address and length
    ]


def _inflate(content: bytes) -> bytes | None:
    size = BinaryView(content).u32(len(_EMBEDDED_MAGIC))
    if not content.startswith(_EMBEDDED_MAGIC) or size > LARGEST_PDB:
        return None
    compressed = content[_EMBEDDED_HEADER_SIZE:]
    # Not every assembly has one.
    import zlib

    try:
        inflated = zlib.decompressobj(-zlib.MAX_WBITS).decompress(compressed, size + 1)
    except zlib.error:
        return None
    return inflated if len(inflated) == size else None
