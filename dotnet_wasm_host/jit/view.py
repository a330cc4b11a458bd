"""Reading integers and structures out of a guest's memory."""

from __future__ import annotations

import ctypes
import threading
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, final

from dotnet_wasm_host.jit.interface import OutOfView
from dotnet_wasm_host.overriding import override

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from dotnet_wasm_host.engines.base import LinearMemory
    from dotnet_wasm_host.jit.interface import GuestView

__all__ = [
    "GuestGone", "LivePages", "MemoryCopy", "PagesOnDemand", "RecordingView", "Seen", "Words",
]  # fmt: skip

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


class _Pages(ABC):
    """Linear memory whose pages are fetched when they are first read, and kept."""

    __slots__ = ("_pages", "_size")

    def __init__(self, size: int) -> None:
        self._size = size
        self._pages: dict[int, bytes] = {}

    @abstractmethod
    def _fetch(self, number: int) -> bytes:
        """The content of a page."""

    @property
    def size(self) -> int:
        """Bytes that can be read, from address 0: what there was at the beginning."""
        return self._size

    @property
    def pages(self) -> Mapping[int, bytes]:
        """Content of the pages that were fetched so far, by their number."""
        return self._pages

    @property
    def copied(self) -> int:
        """Bytes that were fetched so far."""
        return len(self._pages) * _PAGE

    def read(self, address: int, count: int) -> bytes:
        """Read ``count`` bytes.

        Raises:
            OutOfView: they are not all inside.
            GuestGone: so is the instance.
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

    def page(self, number: int) -> bytes:
        """A whole page; the same as :meth:`read` otherwise."""
        if not 0 <= number << _PAGE_BITS < self._size:
            raise _outside(number << _PAGE_BITS, _PAGE, self._size)
        return self._page(number)

    def _page(self, number: int) -> bytes:
        found = self._pages.get(number)
        if found is None:
            found = self._pages[number] = self._fetch(number)
        return found


@final
class PagesOnDemand(_Pages):
    """Linear memory that somebody else has.

    Args:
        size: bytes of it.
        ask: for the content of a page, by its number.
    """

    __slots__ = ("_ask",)

    def __init__(self, size: int, ask: Callable[[int], bytes]) -> None:
        super().__init__(size)
        self._ask = ask

    @override
    def _fetch(self, number: int) -> bytes:
        return self._ask(number)


@final
class LivePages(_Pages):
    """A guest's linear memory while the guest may run: each page is copied when it is first read.

    Pages are of different moments, and what is written meanwhile may be torn. Whoever uses what was
    read compares it with memory when nothing runs (:class:`RecordingView`).

    Thread-safe. :meth:`close` comes before the instance goes; nothing here keeps it. The memory is
    where it was for as long as it exists: the engine reserves all that 32 bits address.
    """

    __slots__ = ("__weakref__", "_linear", "_lock")

    def __init__(self, linear: LinearMemory) -> None:
        super().__init__(linear.size)
        self._linear: LinearMemory | None = linear
        self._lock = threading.Lock()

    def close(self) -> None:
        """The instance is about to go: let go of it. Waits for the copy of a page at most."""
        with self._lock:
            self._linear = None

    @override
    def _fetch(self, number: int) -> bytes:
        with self._lock:
            return self._copy(number << _PAGE_BITS)

    def _copy(self, address: int) -> bytes:
        # Its own function: what it refers to is forgotten before the lock is released.
        linear = self._linear
        if linear is None:
            raise GuestGone
        return ctypes.string_at(linear.address + address, min(_PAGE, self._size - address))


#: Address and bytes.
Span = tuple[int, int]


@final
class Seen:
    """What was read for methods, to be compared with memory before their code is linked.

    Args:
        pages: content of each page that was read, by its number.
        spans: what was read for each method.
    """

    __slots__ = ("_pages", "_spans")

    def __init__(self, pages: Mapping[int, bytes], spans: Mapping[int, Sequence[Span]]) -> None:
        self._pages = pages
        self._spans = spans

    def __len__(self) -> int:
        """How many methods there are."""
        return len(self._spans)

    def unchanged(self, read: Callable[[int, int], bytes], loose: Iterable[int] = ()) -> set[int]:
        """The methods for which ``read`` answers what was read.

        Whole pages are compared first: few of them have changed. ``loose`` are addresses of words
        that code reads again when it runs.
        """
        pages = self._pages
        changed: dict[int, bytes] = {}
        for number, content in pages.items():
            now = read(number << _PAGE_BITS, len(content))
            if now != content:
                changed[number] = now
        for place in loose:
            number, at = place >> _PAGE_BITS, place & _PAGE - 1
            if number in changed:
                now = changed[number]
                changed[number] = now[:at] + pages[number][at : at + 4] + now[at + 4 :]
        return {
            method
            for method, spans in self._spans.items()
            if not any(
                number in changed
                and _part(changed[number], number, span) != _part(pages[number], number, span)
                for span in spans
                for number in range(span[0] >> _PAGE_BITS, (sum(span) - 1 >> _PAGE_BITS) + 1)
            )
        }


def _part(page: bytes, number: int, span: Span) -> bytes:
    """What of a page is in a span."""
    start = span[0] - (number << _PAGE_BITS)
    return page[max(start, 0) : max(start + span[1], 0)]


@final
class RecordingView:
    """A view that notes what was read for each method."""

    __slots__ = ("_method", "_reads", "_spans", "_view")

    def __init__(self, view: GuestView) -> None:
        self._view = view
        self._method: int | None = None
        self._reads: dict[int, int] = {}
        self._spans: dict[int, tuple[Span, ...]] = {}

    def begin(self, method: int) -> None:
        """What is read from now on is read for ``method``."""
        self._finish()
        self._method = method

    @property
    def size(self) -> int:
        """Bytes that can be read, from address 0."""
        return self._view.size

    def read(self, address: int, count: int) -> bytes:
        """Read ``count`` bytes. OutOfView if they are not all inside."""
        content = self._view.read(address, count)
        if count > self._reads.get(address, 0):
            self._reads[address] = count
        return content

    @property
    def spans(self) -> Mapping[int, Sequence[Span]]:
        """What was read so far, by method."""
        self._finish()
        return self._spans

    def _finish(self) -> None:
        """Join what was read for a method to few spans: it reads a table word by word."""
        joined: list[Span] = []
        for address, count in sorted(self._reads.items()):
            if joined and address <= sum(joined[-1]):
                start, before = joined[-1]
                joined[-1] = start, max(before, address + count - start)
            else:
                joined.append((address, count))
        if self._method is not None:
            self._spans[self._method] = (*self._spans.get(self._method, ()), *joined)
        self._reads = {}


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
