"""Files mapped into memory: ``_mmap_js``, ``_msync_js``, ``_munmap_js``.

WebAssembly has no pages to map. A mapping is a block of the guest's heap with a copy of the file;
what the guest changes in a shared one is written back on ``msync`` and ``munmap``. The guest's C
library keeps the list of mappings, hands their protection and flags back, and frees the block.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from dotnet_wasm_host.imports.files.descriptors import Mapped
from dotnet_wasm_host.imports.files.results import syscall
from dotnet_wasm_host.imports.files.wasi_errno import Errno, FileSystemError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dotnet_wasm_host.engines.base import HostFunction
    from dotnet_wasm_host.imports.base import Caller
    from dotnet_wasm_host.imports.files.filesystem import FileSystem

__all__ = ["Mappings"]

# musl, include/sys/mman.h.
_PROT_WRITE = 2
_MAP_SHARED, _MAP_PRIVATE, _MAP_SHARED_VALIDATE, _MAP_TYPE = 1, 2, 3, 15

#: Emscripten aligns mappings to pages of linear memory. ``mmapAlloc``.
_ALIGNMENT = 64 * 1024
_LONGEST = 2**31 - _ALIGNMENT


@final
class Mappings:
    """The three imports that map files.

    Args:
        caller: the instance that they serve.
        filesystem: its files, and its list of shared mappings.
    """

    __slots__ = ("_caller", "_filesystem")

    def __init__(self, caller: Caller, filesystem: FileSystem) -> None:
        self._caller = caller
        self._filesystem = filesystem

    def functions(self) -> Mapping[str, HostFunction]:
        """Import name to bound method."""
        return {
            "_mmap_js": self.mmap,
            "_msync_js": self.msync,
            "_munmap_js": self.munmap,
        }

    @syscall
    def mmap(
        self,
        length: int,
        protection: int,
        flags: int,
        fd: int,
        offset: int,
        allocated: int,
        address: int,
    ) -> int:
        """Map a file; writes 1 ("free it on munmap") and the address."""
        is_shared = _is_shared(flags)
        writes_back = is_shared and bool(protection & _PROT_WRITE)
        node = self._filesystem.mappable(fd, shared_write=writes_back)
        if length == 0 or offset < 0:
            raise FileSystemError(Errno.EINVAL)
        if length > _LONGEST:
            raise FileSystemError(Errno.ENOMEM)
        size = -(-length // _ALIGNMENT) * _ALIGNMENT
        block = self._caller.call("emscripten_builtin_memalign", _ALIGNMENT, size)
        if block == 0:
            raise FileSystemError(Errno.ENOMEM)
        memory = self._caller.memory
        memory.require(block, size)
        data = node.read(offset, length)
        memory.write(block, data)
        # Behind the end of the file a mapping reads as zeros.
        memory.write(block + len(data), bytes(size - len(data)))
        memory.write_i32(allocated, 1)
        memory.write_u32(address, block)
        if writes_back:
            self._remember(block, Mapped(node, offset, length))
        return 0

    @syscall
    def msync(
        self, address: int, length: int, protection: int, flags: int, fd: int, offset: int
    ) -> int:
        """Write a shared mapping back to its file."""
        mapped = self._filesystem.mappings.get(address)
        if mapped is not None:
            self._write_back(address, mapped, min(length, mapped.length))
        return 0

    @syscall
    def munmap(
        self, address: int, length: int, protection: int, flags: int, fd: int, offset: int
    ) -> int:
        """Write a shared mapping back and forget it."""
        mapped = self._filesystem.mappings.pop(address, None)
        if mapped is None:
            return 0
        try:
            self._write_back(address, mapped, mapped.length)
        finally:
            mapped.node.release()
        return 0

    def _remember(self, address: int, mapped: Mapped) -> None:
        # A mapping keeps its file, even if the descriptor is closed or used for another one:
        # that is why the descriptor that munmap brings along is not looked at.
        mapped.node.acquire()
        former = self._filesystem.mappings.pop(address, None)
        if former is not None:
            former.node.release()
        self._filesystem.mappings[address] = mapped

    def _write_back(self, address: int, mapped: Mapped, length: int) -> None:
        # Bytes behind the end of the file are not the file's (POSIX.1-2017, mmap).
        length = min(length, mapped.node.size - mapped.offset)
        if length > 0:
            mapped.node.write(mapped.offset, self._caller.memory.read(address, length))


def _is_shared(flags: int) -> bool:
    kind = flags & _MAP_TYPE
    if kind not in {_MAP_SHARED, _MAP_PRIVATE, _MAP_SHARED_VALIDATE}:
        raise FileSystemError(Errno.EINVAL)
    return kind != _MAP_PRIVATE
