"""Reading integers and structures out of a guest's memory."""

from __future__ import annotations

import ctypes
import threading
from typing import TYPE_CHECKING, final

from dotnet_wasm_host.jit.interface import OutOfView

if TYPE_CHECKING:
    from dotnet_wasm_host.engines.base import LinearMemory
    from dotnet_wasm_host.jit.interface import GuestView

__all__ = ["GuestGone", "LivePages", "MemoryCopy", "RecordingView", "Words"]

_PAGE_BITS = 12
_PAGE = 1 << _PAGE_BITS


class GuestGone(Exception):
    """The instance was closed or replaced while it was read: there is nothing to compile for."""


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
            raise _outside(address, count, len(self._content))
        return bytes(self._content[address : address + count])


@final
class LivePages:
    """A guest's linear memory while the guest may run: each page is copied when it is first read.

    Pages are of different moments, and what is written meanwhile may be torn. Whoever uses what was
    read compares it with memory when nothing runs (:class:`RecordingView`).

    Thread-safe. :meth:`close` comes before the instance goes; nothing here keeps it. The memory is
    where it was for as long as it exists: the engine reserves all that 32 bits address.
    """

    __slots__ = ("_linear", "_lock", "_pages", "_size")

    def __init__(self, linear: LinearMemory) -> None:
        self._linear: LinearMemory | None = linear
        self._lock = threading.Lock()
        self._pages: dict[int, bytes] = {}
        self._size = linear.size

    @property
    def size(self) -> int:
        """Bytes that can be read, from address 0: what there was at the beginning."""
        return self._size

    @property
    def copied(self) -> int:
        """Bytes that were copied so far."""
        return len(self._pages) * _PAGE

    def close(self) -> None:
        """The instance is about to go: let go of it. Waits for the copy of a page at most."""
        with self._lock:
            self._linear = None

    def read(self, address: int, count: int) -> bytes:
        """Read ``count`` bytes.

        Raises:
            OutOfView: they are not all inside.
            GuestGone: after :meth:`close`.
        """
        if min(address, count) < 0 or address + count > self._size:
            raise _outside(address, count, self._size)
        first = address >> _PAGE_BITS
        start = address & _PAGE - 1
        if start + count <= _PAGE:
            return self._page(first)[start : start + count]
        last = (address + count - 1) >> _PAGE_BITS
        pages = b"".join(map(self._page, range(first, last + 1)))
        return pages[start : start + count]

    def _page(self, number: int) -> bytes:
        found = self._pages.get(number)
        if found is None:
            with self._lock:
                found = self._copy(number << _PAGE_BITS)
            self._pages[number] = found
        return found

    def _copy(self, address: int) -> bytes:
        # Its own function: what it refers to is forgotten before the lock is released.
        linear = self._linear
        if linear is None:
            raise GuestGone
        return ctypes.string_at(linear.address + address, min(_PAGE, self._size - address))


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


def _outside(address: int, count: int, size: int) -> OutOfView:
    return OutOfView(
        f"expected {count} bytes inside of {size}, found address {address:#x}; leave this method "
        "interpreted"
    )
