"""Reading integers and structures out of a guest's memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from dotnet_wasm_host.jit.interface import OutOfView

if TYPE_CHECKING:
    from dotnet_wasm_host.jit.interface import GuestView

__all__ = ["MemoryCopy", "RecordingView", "Words"]


@final
class MemoryCopy:
    """A view of bytes that were copied out of linear memory, from address 0."""

    __slots__ = ("_content",)

    def __init__(self, content: bytes | bytearray | memoryview) -> None:
        self._content = memoryview(content).cast("B")

    @property
    def size(self) -> int:
        """Bytes of the copy."""
        return len(self._content)

    def read(self, address: int, count: int) -> bytes:
        """Read ``count`` bytes. OutOfView if they are not all inside."""
        if min(address, count) < 0 or address + count > len(self._content):
            raise OutOfView(
                f"expected {count} bytes inside of {len(self._content)}, found address "
                f"{address:#x}; leave this method interpreted"
            )
        return bytes(self._content[address : address + count])


@final
class RecordingView:
    """A view that keeps what was read, to be compared with memory before code is linked.

    Attributes:
        read_for: method to what was read for it, by address.
    """

    __slots__ = ("_reads", "_view", "read_for")

    def __init__(self, view: GuestView) -> None:
        self._view = view
        self.read_for: dict[int, dict[int, bytes]] = {}
        self._reads: dict[int, bytes] = {}

    def begin(self, method: int) -> None:
        """What is read from now on is read for ``method``."""
        self._reads = self.read_for[method] = {}

    @property
    def size(self) -> int:
        """Bytes that can be read, from address 0."""
        return self._view.size

    def read(self, address: int, count: int) -> bytes:
        """Read ``count`` bytes. OutOfView if they are not all inside."""
        content = self._view.read(address, count)
        if count > len(self._reads.get(address, b"")):
            self._reads[address] = content
        return content


@final
class Words:
    """Little-endian integers of a view."""

    __slots__ = ("_view",)

    def __init__(self, view: GuestView) -> None:
        self._view = view

    def block(self, address: int, count: int) -> bytes:
        """``count`` bytes."""
        return self._view.read(address, count)

    def u8(self, address: int) -> int:
        """An unsigned byte."""
        return self._view.read(address, 1)[0]

    def u32(self, address: int) -> int:
        """An unsigned 32-bit word, which need not be aligned."""
        return int.from_bytes(self._view.read(address, 4), "little")

    def pointer(self, address: int) -> int:
        """A pointer that is not null. OutOfView if it is."""
        found = self.u32(address)
        if not found:
            raise OutOfView(
                f"expected a pointer at {address:#x}, found null; leave this method interpreted"
            )
        return found
