"""What a linear memory starts with: kept in a file, mapped copy-on-write into every instance.

For an engine that would copy it. Instances share the pages of the file until they write to
them, so forty megabytes cost an instance neither time nor memory.
"""

from __future__ import annotations

import ctypes
import os
import struct
import tempfile
import weakref
from functools import cache
from typing import TYPE_CHECKING, final

from dotnet_wasm_host.wasm import PAGE
from dotnet_wasm_host.wasm.binary import MalformedModule
from dotnet_wasm_host.wasm.module import Module, SectionId

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["MemoryContent"]

_MAGIC = b"dwhmem\0\1"
#: Magic, minimum and maximum in pages.
_HEADER = struct.Struct("<8sII")
#: Where the content begins in the file: mappings begin at a multiple of the host's page size,
#: which is 64 KiB at most.
_START = 65536
_SECTIONS = (SectionId.MEMORY, SectionId.EXPORT, SectionId.DATA)
_PROTECTION = 1 | 2  # PROT_READ, PROT_WRITE
_FLAGS = 0x02 | 0x10  # MAP_PRIVATE, MAP_FIXED: the same on Linux and macOS


@final
class MemoryContent:
    """The size of a memory and its first bytes, in a file that stays open.

    Attributes:
        minimum, maximum: size in pages of 64 KiB, at first and at most.
    """

    def __init__(self, descriptor: int) -> None:
        """Takes over the descriptor of an open file. ValueError if it is something else."""
        self._descriptor = descriptor
        # Runs when the interpreter exits too, when __del__ would find no module os.
        weakref.finalize(self, os.close, descriptor)
        head = os.pread(descriptor, _HEADER.size, 0)
        if len(head) != _HEADER.size or not head.startswith(_MAGIC):
            raise ValueError("not the content of a memory")
        _, minimum, maximum = _HEADER.unpack(head)
        self.minimum: int = minimum
        self.maximum: int = maximum
        self._length = os.fstat(descriptor).st_size - _START
        if not 0 <= self._length <= self.minimum * PAGE:
            raise ValueError("the content of the memory is cut off")

    @classmethod
    def open(cls, path: Path) -> MemoryContent:
        """A file of :meth:`read`."""
        return cls(os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0)))

    @classmethod
    def of_module(cls, module: Module) -> MemoryContent:
        """The content of a module that :meth:`is_one` accepts. MalformedModule if it lies."""
        (limits,) = module.memories()
        maximum = PAGE if limits.maximum is None else limits.maximum
        segments = [s for s in module.data_segments() if s.content]
        length = max((s.offset + len(s.content) for s in segments), default=0)
        if length > limits.minimum * PAGE or limits.minimum > maximum:
            raise MalformedModule("the data of the memory is larger than the memory")
        descriptor = _anonymous_file()
        os.pwrite(descriptor, _HEADER.pack(_MAGIC, limits.minimum, maximum), 0)
        os.truncate(descriptor, _START + length)
        for segment in segments:
            _write(descriptor, segment.content, _START + segment.offset)
        return cls(descriptor)

    @staticmethod
    def is_one(module: Module) -> bool:
        """Whether the module is nothing but one exported memory and its data."""
        return (
            all(section in _SECTIONS for section, _ in module.sections)
            and len(module.memories()) == 1
            and [(e.name, e.index) for e in module.exports()] == [("memory", 0)]
        )

    def read(self) -> bytes:
        """All of the file."""
        with os.fdopen(os.dup(self._descriptor), "rb") as file:
            file.seek(0)
            return file.read()

    def place(self, address: int) -> None:
        """Put the content at ``address``, a page boundary, where a fresh memory begins."""
        if not self._length:
            return
        map_file = _mapping()
        if map_file is not None and map_file(address, self._length, self._descriptor):
            return
        target = (ctypes.c_char * self._length).from_address(address)
        ctypes.memmove(target, self.read()[_START:], self._length)


def _anonymous_file() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("dotnet_wasm_host memory", os.MFD_CLOEXEC)
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def _write(descriptor: int, content: bytes, offset: int) -> None:
    view = memoryview(content)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written


@cache
def _mapping() -> Callable[[int, int, int], bool] | None:
    """``mmap`` of a file over pages that are there already; None where it cannot be had."""
    if os.name != "posix" or ctypes.sizeof(ctypes.c_long) != 8:
        return None
    native = ctypes.CDLL(None).mmap
    native.restype = ctypes.c_void_p
    native.argtypes = (
        ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long,
    )  # fmt: skip

    def map_file(address: int, length: int, descriptor: int) -> bool:
        mapped = native(address, length, _PROTECTION, _FLAGS, descriptor, _START)
        return bool(mapped == address)

    return map_file
