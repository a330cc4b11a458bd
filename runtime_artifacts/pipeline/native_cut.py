"""Cut libraries that nothing here can call out of the native module.

The module links Mono with the native halves of several base libraries. Mono reaches those only
through tables in linear memory, one for each library, that list ``(name, function pointer)`` of
every P/Invoke target (dotnet/runtime, ``src/mono/browser/runtime/pinvoke.c``). A library whose
table is emptied cannot be called any more: .NET says ``EntryPointNotFoundException``.

Its functions are still kept alive by the function table, because the compiler that removes dead
code must assume that any entry may be called. Which entries are the library's own follows from
the file: the linker lays out functions library by library, so they are the ones between the
P/Invoke targets of the libraries before and after. Those entries are pointed at ``abort``, and
an optimiser then removes what only they could reach.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dotnet_wasm_host.wasm.binary import ExternKind, MalformedModule, Reader
from dotnet_wasm_host.wasm.instructions import CALL, CALL_INDIRECT, REF_FUNC, Scanner
from dotnet_wasm_host.wasm.module import DataSegment, ElementSegment, Module, SectionId
from runtime_artifacts.pipeline.code_module import COMPILER_EXPORTS, EXPORTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = [
    "LIBRARIES",
    "UNUSED",
    "NativeLibrary",
    "cut",
    "dead_functions",
    "initial_memory",
    "read_libraries",
]

#: The native libraries that the module has P/Invoke tables of.
LIBRARIES = (
    "libSystem.Globalization.Native",
    "libSystem.IO.Compression.Native",
    "libSystem.Native",
)
#: ICU: images are booted with ``System.Globalization.Invariant`` and carry no ICU data.
UNUSED = ("libSystem.Globalization.Native",)

#: ``struct { const char *name; void *func; }`` and ``struct { const char *name; PinvokeImport
#: *imports; int count; }`` of pinvoke.h.
_IMPORT = struct.Struct("<II")
_ROW = struct.Struct("<III")
_COUNT_OFFSET = 8
_MAX_IMPORTS = 4096
_CALLS = Scanner(frozenset({CALL, CALL_INDIRECT, REF_FUNC}))
_IDENTIFIER = re.compile(rb"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class NativeLibrary:
    """A library that .NET calls by P/Invoke.

    Attributes:
        name: as ``DllImport`` has it.
        row: address of its row in the table of libraries.
        functions: index of every P/Invoke target by name.
    """

    name: str
    row: int
    functions: dict[str, int]


@dataclass(slots=True)
class _Native:
    """The parts of the module that are looked at."""

    module: Module
    memory: bytes
    table: dict[int, int]
    calls: dict[int, frozenset[int]]
    indirect: frozenset[int]


def cut(native: bytes, unused: Sequence[str] = UNUSED) -> bytes:
    """The module without a way into the libraries ``unused``.

    MalformedModule if the file is not of the shape this relies on, or if something outside of
    a library could still run code of it that goes through the function table.
    """
    parts = _read(native)
    libraries = read_libraries(parts.memory, parts.table)
    removed: set[int] = set()
    for name in unused:
        functions = _own_functions(libraries, name)
        _require_unreachable(parts, name, functions)
        removed.update(functions)
    _stub_entries(parts, removed)
    _empty_tables(parts.module, [libraries[name].row for name in unused])
    return parts.module.emit()


def dead_functions(native: bytes, unused: Sequence[str] = UNUSED) -> frozenset[int]:
    """The functions of the libraries ``unused`` that nothing can call once they are cut."""
    parts = _read(native)
    libraries = read_libraries(parts.memory, parts.table)
    ranges = {name: _own_functions(libraries, name) for name in unused}
    shared = [_require_unreachable(parts, name, own) for name, own in ranges.items()]
    return frozenset().union(*ranges.values()).difference(*shared)


def read_libraries(memory: bytes, table: dict[int, int]) -> dict[str, NativeLibrary]:
    """The P/Invoke tables in ``memory``, initial content of linear memory from address 0.

    ``table`` is the function table, entry to function index.
    """
    return {name: _read_library(memory, table, name) for name in LIBRARIES}


def _read(native: bytes) -> _Native:
    module = Module.parse(native)
    segments = module.element_segments()
    if len(segments) != 1:
        raise MalformedModule(f"the native module has {len(segments)} element segments, not 1")
    table = dict(enumerate(segments[0].functions, segments[0].offset))
    imported = _imported_functions(module)
    calls, indirect = {}, set()
    for index, body in enumerate(module.bodies(), len(imported)):
        targets = set()
        for start, _, encoding in _CALLS.find(body):
            if encoding == CALL:
                targets.add(Reader(body, start + len(CALL)).uleb128())
            elif encoding == CALL_INDIRECT:
                indirect.add(index)
            else:
                raise MalformedModule(f"function {index} takes a reference to another")
        calls[index] = frozenset(targets)
    return _Native(module, initial_memory(module), table, calls, frozenset(indirect))


def _imported_functions(module: Module) -> list[str]:
    return [item.name for item in module.imports() if item.kind is ExternKind.FUNCTION]


def initial_memory(module: Module) -> bytes:
    """Linear memory as the data segments of a module make it."""
    segments = module.data_segments()
    memory = bytearray(max((s.offset + len(s.content) for s in segments), default=0))
    for segment in segments:
        memory[segment.offset : segment.offset + len(segment.content)] = segment.content
    return bytes(memory)


def _read_library(memory: bytes, table: dict[int, int], name: str) -> NativeLibrary:
    rows = [row for row in _words(memory, _address_of(memory, name)) if _is_row(memory, row)]
    if len(rows) != 1:
        raise MalformedModule(f"{len(rows)} P/Invoke tables of {name}, not 1")
    _, imports, count = _ROW.unpack_from(memory, rows[0])
    functions = {}
    for address in range(imports, imports + count * _IMPORT.size, _IMPORT.size):
        text, entry = _IMPORT.unpack_from(memory, address)
        match = _IDENTIFIER.match(memory, text)
        if match is None or entry not in table:
            raise MalformedModule(f"the P/Invoke table of {name} is not one at {address:#x}")
        functions[match[0].decode()] = table[entry]
    return NativeLibrary(name, rows[0], functions)


def _address_of(memory: bytes, name: str) -> int:
    text = b"\0" + name.encode() + b"\0"
    address = memory.find(text)
    if address < 0 or memory.find(text, address + 1) >= 0:
        raise MalformedModule(f"linear memory does not name {name} once")
    return address + 1


def _words(memory: bytes, value: int) -> Iterator[int]:
    """Addresses of the aligned 32-bit words that are ``value``."""
    pattern = value.to_bytes(4, "little")
    address = memory.find(pattern)
    while address >= 0:
        if address % 4 == 0:
            yield address
        address = memory.find(pattern, address + 1)


def _is_row(memory: bytes, address: int) -> bool:
    if address + _ROW.size > len(memory):
        return False
    imports: int
    count: int
    _, imports, count = _ROW.unpack_from(memory, address)
    end = imports + count * _IMPORT.size
    return 0 < count <= _MAX_IMPORTS and imports % 4 == 0 and 0 < imports < end <= len(memory)


def _own_functions(libraries: dict[str, NativeLibrary], name: str) -> range:
    """The functions linked from this library: those between its neighbours' P/Invoke targets."""
    own = sorted(libraries[name].functions.values())
    others = {f for other in libraries.values() if other.name != name
              for f in other.functions.values()}  # fmt: skip
    middle = own[len(own) // 2]
    before = [f for f in others if f < middle]
    after = [f for f in others if f > middle]
    if middle in others or not before or not after:
        raise MalformedModule(f"the functions of {name} do not lie between other libraries'")
    return range(max(before) + 1, min(after))


def _require_unreachable(parts: _Native, name: str, functions: range) -> set[int]:
    """Those of the library's functions that others share."""
    kept = {e.index for e in parts.module.exports() if e.name in (*EXPORTS, *COMPILER_EXPORTS)}
    exported = sorted(kept.intersection(functions))
    if exported:
        raise MalformedModule(f"function {exported[0]} of {name} is exported")
    # The linker shares one body among equal functions, so a few are called from elsewhere. They
    # stay, which is safe as long as they do not go on through an entry that is cut.
    pending = {
        target
        for caller, targets in parts.calls.items() if caller not in functions
        for target in targets if target in functions
    }  # fmt: skip
    reached: set[int] = set()
    while pending:
        function = pending.pop()
        reached.add(function)
        if function in parts.indirect:
            raise MalformedModule(f"function {function} of {name} is called from outside of it")
        pending |= {f for f in parts.calls[function] if f in functions} - reached
    return reached


def _stub_entries(parts: _Native, removed: set[int]) -> None:
    segment = parts.module.element_segments()[0]
    imported = _imported_functions(parts.module)
    if "abort" not in imported:
        raise MalformedModule("the native module does not import abort")
    stub = imported.index("abort")
    functions = tuple(stub if f in removed else f for f in segment.functions)
    encoded = ElementSegment(segment.offset, functions).encode()
    parts.module.set_section(SectionId.ELEMENT, [encoded])


def _empty_tables(module: Module, rows: list[int]) -> None:
    """Set the count of these rows to 0."""
    segments = module.data_segments()
    for row in rows:
        segments = [_with_zero(segment, row + _COUNT_OFFSET) for segment in segments]
    module.set_section(SectionId.DATA, [segment.encode() for segment in segments])


def _with_zero(segment: DataSegment, address: int) -> DataSegment:
    start = address - segment.offset
    if not 0 <= start < len(segment.content):
        return segment
    head, tail = segment.content[:start], segment.content[start + 4 :]
    return DataSegment(segment.offset, head + bytes(len(segment.content) - len(head + tail)) + tail)
