"""Reading a guest while it runs."""

from __future__ import annotations

import ctypes
import threading
import weakref
from collections.abc import Callable
from typing import final

import pytest

from dotnet_wasm_host.jit.interface import OutOfView
from dotnet_wasm_host.jit.view import GuestGone, LivePages, RecordingView, Seen


@final
class FakeLinear:
    """Memory of the host."""

    def __init__(self, content: bytes) -> None:
        self.buffer = (ctypes.c_ubyte * len(content)).from_buffer_copy(content)
        self.address = ctypes.addressof(self.buffer)
        self.size = len(content)

    def grow(self, pages: int) -> bool:
        return pages == 0


def test_pages_are_copied_when_they_are_read_and_once() -> None:
    content = bytes(range(256)) * 64 + b"the end"
    linear = FakeLinear(content)
    pages = LivePages(linear)
    assert pages.size == len(content)
    for address, count in ((0, 4), (4094, 4), (4000, 9000), (len(content) - 7, 7), (12, 0)):
        assert pages.read(address, count) == content[address : address + count]
    copied = pages.copied
    ctypes.memmove(linear.address, b"DCBA", 4)
    assert pages.read(0, 8) == content[:8]  # of one moment, whatever was written since
    assert pages.copied == copied


@pytest.mark.parametrize(("address", "count"), [(-1, 4), (4096, 1), (4093, 4), (0, -1)])
def test_what_is_not_inside_is_out_of_view(address: int, count: int) -> None:
    with pytest.raises(OutOfView, match="inside of 4096"):
        LivePages(FakeLinear(bytes(4096))).read(address, count)


def test_after_closing_nothing_is_read_and_nothing_kept() -> None:
    linear = FakeLinear(bytes(8192))
    pages, gone = LivePages(linear), weakref.ref(linear)
    pages.read(0, 4)
    pages.close()
    del linear
    assert gone() is None
    with pytest.raises(GuestGone):
        pages.read(4096, 4)


def test_pages_go_without_the_garbage_collector() -> None:
    pages = LivePages(FakeLinear(bytes(8192)))
    pages.read(0, 4)
    gone = weakref.ref(pages)
    del pages
    assert gone() is None


def test_closing_waits_for_a_page_that_is_copied() -> None:
    linear = FakeLinear(bytes(1 << 22))
    pages = LivePages(linear)

    def read() -> None:
        try:
            for address in range(0, 1 << 22, 4096):
                pages.read(address, 4)
        except GuestGone:
            pass

    reader = threading.Thread(target=read)
    reader.start()
    pages.close()
    gone = weakref.ref(linear)
    del linear
    assert gone() is None  # whatever the reader does
    reader.join()


def test_what_was_read_for_a_method_is_compared_and_nothing_else() -> None:
    content = bytes(range(256)) * 128
    pages = LivePages(FakeLinear(content))
    view = RecordingView(pages)
    reads = {7: [(4000, 200), (4200, 4), (100, 4)], 8: [(104, 4), (104, 8)], 9: [(20000, 9000)]}
    for method, spans in reads.items():
        view.begin(method)
        for address, count in spans:
            assert view.read(address, count) == content[address : address + count]
    seen = Seen(pages.pages, view.spans)
    assert len(seen) == 3
    read = {
        method: {n for address, count in spans for n in range(address, address + count)}
        for method, spans in reads.items()
    }
    for place in (0, 99, 100, 103, 104, 111, 112, 3999, 4000, 4095, 4096, 4199, 4203, 4204, 20000,
                  24576, 28999, 29000, 32767):  # fmt: skip
        expected = {method for method, places in read.items() if place not in places}
        assert seen.unchanged(_changed(content, place)) == expected


def test_a_word_that_is_read_again_may_change() -> None:
    content = bytes(range(256)) * 32
    pages = LivePages(FakeLinear(content))
    view = RecordingView(pages)
    for method, address in ((1, 4000), (2, 4004), (3, 4008)):
        view.begin(method)
        view.read(address, 4)
    seen = Seen(pages.pages, view.spans)
    for place in range(4004, 4008):
        read = _changed(content, place)
        assert seen.unchanged(read) == {1, 3}
        assert seen.unchanged(read, [4004]) == {1, 2, 3}
        assert seen.unchanged(read, [4000, 4008, 12]) == {1, 3}


def _changed(content: bytes, place: int) -> Callable[[int, int], bytes]:
    now = bytearray(content)
    now[place] ^= 1
    return lambda address, count: bytes(now[address : address + count])
