"""A guest without WebAssembly: linear memory over a ctypes buffer, and an allocator."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING

from dotnet_wasm_host.imports.files.filesystem import FileSystem
from dotnet_wasm_host.imports.host_work import HostWork
from dotnet_wasm_host.memory import Memory
from dotnet_wasm_host.options import Limits, WasiOptions
from dotnet_wasm_host.wasm import PAGE

if TYPE_CHECKING:
    from collections.abc import Callable

#: An i32 that is AT_FDCWD, as the guest passes it.
AT_FDCWD = 0xFFFFFF9C


class FakeLinearMemory:
    """Pages of zeros; ``capacity`` is reserved at once, so the address never changes."""

    def __init__(self, pages: int = 16, *, capacity: int = 64) -> None:
        self._buffer = (ctypes.c_ubyte * (capacity * PAGE))()
        self.address = ctypes.addressof(self._buffer)
        self.size = pages * PAGE
        self.capacity = capacity * PAGE
        self.asked: list[int] = []

    def grow(self, pages: int) -> bool:
        self.asked.append(pages)
        if self.size + pages * PAGE > self.capacity:
            return False
        self.size += pages * PAGE
        return True


class FakeClock:
    """Stands still until it is set."""

    def __init__(self, seconds: float = 1_700_000_000.25) -> None:
        self.seconds = seconds

    def time(self) -> float:
        return self.seconds

    def monotonic(self) -> float:
        return self.seconds - 1_000_000_000


class FakeGuest:
    """A ``Caller`` whose heap grows upwards and is never given back."""

    def __init__(self, options: WasiOptions | None = None, limits: Limits | None = None) -> None:
        self.linear = FakeLinearMemory()
        self.memory = Memory(
            self.linear, owner=self.linear, malloc=self.allocate, free=lambda _: None
        )
        self.work = HostWork(Limits().host_work, Limits().memory_bytes)
        self.filesystem = FileSystem(options or WasiOptions(), limits or Limits())
        self.calls: list[tuple[str, tuple[int, ...]]] = []
        self.exports: dict[str, Callable[..., int]] = {"emscripten_builtin_memalign": self._align}
        self._end = 1024

    def call(self, export: str, *arguments: int) -> int:
        self.calls.append((export, arguments))
        return self.exports[export](*arguments)

    def allocate(self, size: int, alignment: int = 16) -> int:
        """Address of ``size`` bytes that hold garbage."""
        address = -(-self._end // alignment) * alignment
        assert address + size <= self.linear.size
        self._end = address + size
        self.memory.write(address, b"\xaa" * size)
        return address

    def put(self, data: bytes) -> int:
        """Address of a copy of ``data``."""
        address = self.allocate(max(len(data), 1))
        self.memory.write(address, data)
        return address

    def path(self, text: str | bytes) -> int:
        """Address of a C string."""
        return self.put((text.encode() if isinstance(text, str) else text) + b"\0")

    def iovs(self, *vectors: tuple[int, int]) -> int:
        """Address of an array of iovecs."""
        return self.put(
            b"".join(
                ptr.to_bytes(4, "little") + size.to_bytes(4, "little") for ptr, size in vectors
            )
        )

    def _align(self, alignment: int, size: int) -> int:
        return self.allocate(size, alignment)
