"""Webcil, the container .NET for WebAssembly ships its assemblies in, and PE.

Sources: dotnet/runtime ``docs/design/mono/webcil.md`` (version 0.0) for webcil and its
WebAssembly wrapper; ECMA-335 6th edition II.25 for PE. Mono loads raw webcil; tools that
know .NET assemblies only as PE files, Roslyn among them, get one from :func:`to_pe`.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from dotnet_wasm_host.ecma335.binary import BinaryView, MalformedImage, align

__all__ = ["Image", "Section", "from_pe", "parse_pe", "parse_webcil", "to_pe", "unwrap"]

MAGIC = b"WbIL"
#: WebcilHeader after its magic: major, minor, sections, reserved, CLI header and debug
#: directory, each as RVA and size.
HEADER = struct.Struct("<HHHHIIII")
HEADER_SIZE = len(MAGIC) + HEADER.size
#: SectionHeader: virtual size, virtual address, size of raw data, pointer to raw data.
SECTION = struct.Struct("<IIII")
#: More sections than any compiler emits; a bound for hostile headers.
MAX_SECTIONS = 96
#: Highest end of a section, leaving room for what follows it in memory.
MAX_ADDRESS = 0xFFFF0000

#: II.25.2.1: offset of the PE signature's offset in the MS-DOS header, and that header's size.
LFANEW = 0x3C
DOS_HEADER_SIZE = 0x80
PE_SIGNATURE = b"PE\0\0"
#: II.25.2.2: machine, sections, time stamp, symbol table, symbols, optional header size, flags.
COFF_HEADER = struct.Struct("<HHIIIHH")
COFF_HEADER_SIZE = len(PE_SIGNATURE) + COFF_HEADER.size
MACHINE_I386 = 0x14C
#: Executable, large address aware, a DLL.
DLL_CHARACTERISTICS = 0x2022
#: II.25.2.3: PE32 and PE32+ magic, and where their data directories start.
DATA_DIRECTORIES = {0x10B: 96, 0x20B: 112}
PE32_HEADER = struct.Struct("<HBBIIIIIIIIIHHHHHHIIIIHHIIIIII")
DIRECTORY = struct.Struct("<II")
DIRECTORY_COUNT = 16
DEBUG_DIRECTORY = 6
CLI_DIRECTORY = 14
#: II.25.3: name, then the fields of SECTION, relocations, line numbers, their counts, flags.
PE_SECTION = struct.Struct("<8sIIIIIIHHI")
PE_SECTION_NAME_SIZE = 8
#: Code, resources, relocations: what C# compilers emit, in this order.
PE_SECTIONS = ((b".text", 0x60000020), (b".rsrc", 0x40000040), (b".reloc", 0x42000040))
#: Sections are told apart by II.25.3 flags nobody reads; a fourth one is plain data.
PE_OTHER_SECTION = (b".data", 0x40000040)
FILE_ALIGNMENT = 0x200
SECTION_ALIGNMENT = 0x2000
IMAGE_BASE = 0x10000000
SUBSYSTEM_CONSOLE = 3
#: NX compatible, no SEH, dynamic base, terminal server aware.
PE_DLL_FLAGS = 0x8540
STACK_OR_HEAP = (0x100000, 0x1000)

#: IMAGE_DEBUG_DIRECTORY: its size, and where it holds the file offset of its data.
DEBUG_ENTRY_SIZE = 28
DEBUG_ENTRY_POINTER = 24


class Section(NamedTuple):
    """A section: where it is loaded, and its bytes in the file."""

    virtual_address: int
    virtual_size: int
    file_offset: int
    content: bytes


class Image(NamedTuple):
    """What webcil and PE both say of an assembly.

    Attributes:
        cli_header: RVA and size of the CLI header (ECMA-335 II.25.3.3).
        debug: RVA and size of the debug directory, zeros if there is none.
    """

    cli_header: tuple[int, int]
    debug: tuple[int, int]
    sections: tuple[Section, ...]

    def at(self, rva: int, size: int) -> bytes:
        """``size`` bytes at a relative virtual address."""
        section = self._section_of(rva)
        return BinaryView(section.content).take(rva - section.virtual_address, size)

    def file_offset(self, rva: int) -> int:
        """Where in the file a relative virtual address is."""
        section = self._section_of(rva)
        return section.file_offset + rva - section.virtual_address

    def _section_of(self, rva: int) -> Section:
        for section in self.sections:
            if 0 <= rva - section.virtual_address < len(section.content):
                return section
        raise MalformedImage(f"no section holds the address {rva:#x}")


def unwrap(wasm: bytes) -> bytes:
    """The webcil payload out of its WebAssembly wrapper; raw webcil is returned as it is."""
    if wasm.startswith(MAGIC):
        return wasm
    # Needed where artifacts are made; reading an assembly's name must not import it.
    from dotnet_wasm_host.wasm.binary import MalformedModule
    from dotnet_wasm_host.wasm.module import Module

    try:
        segments = Module.parse(wasm).passive_segments()
    except MalformedModule as error:
        raise MalformedImage(f"not webcil in a WebAssembly module: {error}") from error
    if len(segments) != 2:
        raise MalformedImage(f"a webcil wrapper has 2 data segments, this has {len(segments)}")
    size = BinaryView(segments[0]).u32(0)
    payload = BinaryView(segments[1]).take(0, size)
    if not payload.startswith(MAGIC):
        raise MalformedImage(f"payload starts with {payload[:4]!r}, not {MAGIC!r}")
    return payload


def parse_webcil(payload: bytes) -> Image:
    """Read the headers of a raw webcil image."""
    view = BinaryView(payload)
    if view.take(0, len(MAGIC)) != MAGIC:
        raise MalformedImage(f"no webcil: it starts with {payload[:4]!r}")
    major, minor, count, _, *directories = view.unpack(HEADER, len(MAGIC))
    if (major, minor) != (0, 0):
        raise MalformedImage(f"webcil version {major}.{minor}, this reads 0.0")
    return _image(
        view,
        directories,
        [view.unpack(SECTION, HEADER_SIZE + i * SECTION.size) for i in _section_range(count)],
    )


def parse_pe(data: bytes) -> Image:
    """Read the headers of a PE image (ECMA-335 II.25.2)."""
    view = BinaryView(data)
    if view.take(0, 2) != b"MZ":
        raise MalformedImage(f"no PE file: it starts with {data[:2]!r}")
    coff = view.u32(LFANEW)
    if view.take(coff, len(PE_SIGNATURE)) != PE_SIGNATURE:
        raise MalformedImage("no PE signature")
    _, count, _, _, _, optional_size, _ = view.unpack(COFF_HEADER, coff + len(PE_SIGNATURE))
    optional = coff + COFF_HEADER_SIZE
    magic = view.u16(optional)
    if magic not in DATA_DIRECTORIES:
        raise MalformedImage(f"optional header magic {magic:#x}")
    directories = optional + DATA_DIRECTORIES[magic]
    if view.u32(directories - 4) <= CLI_DIRECTORY:
        raise MalformedImage("a native PE file: it has no CLI header")
    cli, debug = (
        view.unpack(DIRECTORY, directories + i * DIRECTORY.size)
        for i in (CLI_DIRECTORY, DEBUG_DIRECTORY)
    )
    if not cli[0]:
        raise MalformedImage("a native PE file: it has no CLI header")
    table = optional + optional_size + PE_SECTION_NAME_SIZE
    return _image(
        view,
        [*cli, *debug],
        [view.unpack(SECTION, table + i * PE_SECTION.size) for i in _section_range(count)],
    )


def to_pe(payload: bytes) -> bytes:
    """Rebuild a PE file (II.25.2) from a raw webcil payload.

    Webcil keeps sections as they were, so only headers are made up: names, flags, sizes.
    """
    image = parse_webcil(payload)
    headers = DOS_HEADER_SIZE + COFF_HEADER_SIZE + PE32_HEADER.size
    headers += DIRECTORY_COUNT * DIRECTORY.size + len(image.sections) * PE_SECTION.size
    start = align(headers, FILE_ALIGNMENT)
    moved = _move(image, start, FILE_ALIGNMENT)
    return b"".join([_pe_headers(moved, start), _section_table(moved)]).ljust(
        start, b"\0"
    ) + _contents(moved, start)


def from_pe(data: bytes) -> bytes:
    """Convert a PE file to raw webcil, with its sections close together as .NET's SDK does."""
    image = parse_pe(data)
    start = HEADER_SIZE + SECTION.size * len(image.sections)
    moved = _move(image, start, 1)
    header = MAGIC + HEADER.pack(0, 0, len(moved.sections), 0, *moved.cli_header, *moved.debug)
    table = b"".join(
        SECTION.pack(s.virtual_size, s.virtual_address, len(s.content), s.file_offset)
        for s in moved.sections
    )
    return header + table + _contents(moved, start)


def _section_range(count: int) -> range:
    if not 0 < count <= MAX_SECTIONS:
        raise MalformedImage(f"{count} sections")
    return range(count)


def _image(view: BinaryView, directories: list[int], table: list[tuple[int, ...]]) -> Image:
    cli_rva, cli_size, debug_rva, debug_size = directories
    # Overlapping sections would make a small file a large image.
    if sum(size for _, _, size, _ in table) > len(view.data):
        raise MalformedImage("sections hold more than the file does")
    if any(address + size > MAX_ADDRESS for size, address, _, _ in table):
        raise MalformedImage("a section ends beyond 32-bit addresses")
    sections = tuple(
        Section(address, virtual_size, offset, view.take(offset, size) if size else b"")
        for virtual_size, address, size, offset in table
    )
    return Image((cli_rva, cli_size), (debug_rva, debug_size), sections)


def _move(image: Image, start: int, alignment: int) -> Image:
    """The image with its sections laid out from ``start``, and debug entries following them."""
    moved = []
    offset = start
    for section in image.sections:
        content = section.content.ljust(align(len(section.content), alignment), b"\0")
        moved.append(Section(section.virtual_address, section.virtual_size, offset, content))
        offset += len(content)
    new = Image(image.cli_header, image.debug, tuple(moved))
    return _with_debug_pointers(image, new) if image.debug[1] else new


def _with_debug_pointers(old: Image, new: Image) -> Image:
    rva, size = old.debug
    if size % DEBUG_ENTRY_SIZE:
        raise MalformedImage(f"debug directory of {size} bytes")
    directory = bytearray(old.at(rva, size))
    offsets = {s.file_offset: n for n, s in zip(new.sections, old.sections, strict=True)}
    for entry in range(DEBUG_ENTRY_POINTER, size, DEBUG_ENTRY_SIZE):
        pointer = int.from_bytes(directory[entry : entry + 4], "little")
        start = max((o for o in offsets if o <= pointer), default=None)
        # Entries without data (II.25 knows none; "reproducible" is one) point nowhere.
        if pointer and start is not None:
            moved = pointer - start + offsets[start].file_offset
            if moved > MAX_ADDRESS:
                raise MalformedImage(f"debug data at {pointer:#x}")
            directory[entry : entry + 4] = moved.to_bytes(4, "little")
    return _patched(new, rva, bytes(directory))


def _patched(image: Image, rva: int, patch: bytes) -> Image:
    sections = []
    for section in image.sections:
        offset = rva - section.virtual_address
        content = section.content
        if 0 <= offset < len(content):
            content = content[:offset] + patch + content[offset + len(patch) :]
        sections.append(
            Section(section.virtual_address, section.virtual_size, section.file_offset, content)
        )
    return Image(image.cli_header, image.debug, tuple(sections))


def _contents(image: Image, start: int) -> bytes:
    contents = b"".join(section.content for section in image.sections)
    assert image.sections[0].file_offset == start
    return contents


def _pe_headers(image: Image, headers_size: int) -> bytes:
    text = image.sections[0]
    end = max(s.virtual_address + max(s.virtual_size, 1) for s in image.sections)
    dos = bytearray(b"MZ".ljust(DOS_HEADER_SIZE, b"\0"))
    dos[LFANEW : LFANEW + 4] = DOS_HEADER_SIZE.to_bytes(4, "little")
    optional_size = PE32_HEADER.size + DIRECTORY_COUNT * DIRECTORY.size
    coff = COFF_HEADER.pack(
        MACHINE_I386, len(image.sections), 0, 0, 0, optional_size, DLL_CHARACTERISTICS
    )
    optional = PE32_HEADER.pack(
        *(0x10B, 48, 0, len(text.content), 0, 0, 0, text.virtual_address, 0),
        *(IMAGE_BASE, SECTION_ALIGNMENT, FILE_ALIGNMENT),
        *(4, 0, 0, 0, 4, 0, 0),
        *(align(end, SECTION_ALIGNMENT), headers_size, 0),
        *(SUBSYSTEM_CONSOLE, PE_DLL_FLAGS, *STACK_OR_HEAP, *STACK_OR_HEAP, 0, DIRECTORY_COUNT),
    )
    directories = [(0, 0)] * DIRECTORY_COUNT
    directories[DEBUG_DIRECTORY] = image.debug
    directories[CLI_DIRECTORY] = image.cli_header
    table = b"".join(DIRECTORY.pack(*directory) for directory in directories)
    return bytes(dos) + PE_SIGNATURE + coff + optional + table


def _section_table(image: Image) -> bytes:
    table = bytearray()
    for index, section in enumerate(image.sections):
        name, flags = PE_SECTIONS[index] if index < len(PE_SECTIONS) else PE_OTHER_SECTION
        place = (section.virtual_size, section.virtual_address)
        raw = (len(section.content), section.file_offset)
        table += PE_SECTION.pack(name, *place, *raw, 0, 0, 0, 0, flags)
    return bytes(table)
