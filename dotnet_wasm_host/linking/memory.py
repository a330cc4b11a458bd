"""What memory holds at the start: a booted runtime, or the assemblies that it boots from."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from dotnet_wasm_host.wasm import PAGE
from dotnet_wasm_host.wasm.module import DataSegment, Module

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dotnet_wasm_host.linking.compiled_code import CompiledCode
    from dotnet_wasm_host.linking.options import SegmentLayout

__all__ = ["Assemblies", "BootedMemory", "Function", "segments"]

#: Shorter runs of zeros stay in a sparse file: each segment costs about ten bytes, and time.
_GAP = 32
_ITEM = struct.Struct("<4I")
_COUNTS = struct.Struct("<4I")
_ALIGNMENT = 16
#: The block of assemblies is copied to the heap, which must not reach it meanwhile. What the
#: first memory has is large enough for blocks up to this size.
_SURE_ROOM = 8 << 20


class Function(NamedTuple):
    """A function in the file: its id, and what identifies its assembly."""

    function_id: str
    assembly_name: str
    assembly_sha256: str


@dataclass(frozen=True, slots=True)
class BootedMemory:
    """The memory of a runtime at rest.

    Attributes:
        content: all of it, whole pages.
        globals: exported name to value of the code module's globals.
        methods: entry point to the address of its method.
        frame: address of the frame.
        functions: what is loaded, in the order of the adapter's list.
        entries: address of the list's first entry, 0 if there is none.
        has_work: timers run, or work is queued.
        code: compiled methods whose slots the content refers to.
    """

    content: bytes
    globals: Mapping[str, int]
    methods: Mapping[str, int]
    frame: int
    functions: Sequence[Function]
    entries: int
    has_work: bool
    code: CompiledCode | None = None


@dataclass(frozen=True, slots=True)
class Assemblies:
    """What .NET boots from when the module starts.

    Attributes:
        files: file name (``X.dll``, or ``X.wasm`` for webcil) to content.
        properties: of the runtime.
        data: the data module that belongs to the code.
        functions: what is loaded then.
        requests: for each of them, the request of the guest's ``Load``.
        booted_bytes: linear memory once it has booted.
    """

    files: Mapping[str, bytes]
    properties: Mapping[str, str]
    data: bytes
    functions: Sequence[Function]
    requests: Sequence[bytes]
    booted_bytes: int

    def block(self) -> bytes:
        """The block that ``boot.c`` reads: counts, items, and what they point to."""
        items = [(name.encode(), content) for name, content in self.files.items()]
        items += [(key.encode(), value.encode() + b"\0") for key, value in self.properties.items()]
        # The adapter puts what it loads before what it has: the first function comes last.
        loads = zip(self.functions, self.requests, strict=True)
        items += [(f.function_id.encode(), request) for f, request in reversed([*loads])]
        head = _COUNTS.pack(len(self.files), len(self.properties), len(self.functions), 0)
        position = len(head) + _ITEM.size * len(items)
        heads, bodies = [head], list[bytes]()
        for name, content in items:
            text, data = _padded(name + b"\0"), _padded(content)
            heads.append(_ITEM.pack(position, position + len(text), len(content), len(name)))
            bodies += [text, data]
            position += len(text) + len(data)
        return b"".join([*heads, *bodies])

    def place(self, block_bytes: int) -> int:
        """Address of the block: behind the first memory, out of reach of the heap."""
        (limits,) = Module.parse(self.data).memories()
        room = block_bytes if block_bytes > _SURE_ROOM else 0
        return (limits.minimum + -(-room // PAGE)) * PAGE


def _padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % _ALIGNMENT)


def segments(content: bytes, layout: SegmentLayout) -> list[DataSegment]:
    """Memory as data segments: one, or those between long runs of zeros."""
    content = content.rstrip(b"\0")
    if layout == "dense":
        return [DataSegment(0, content)]
    found, position = list[DataSegment](), 0
    for run in re.finditer(rb"\0{%d,}" % _GAP, content):
        if run.start() > position:
            found.append(DataSegment(position, content[position : run.start()]))
        position = run.end()
    if position < len(content):
        found.append(DataSegment(position, content[position:]))
    return found
