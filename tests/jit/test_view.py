"""Reading a guest while it runs, and finding the end of the interpreter's stack in it."""

from __future__ import annotations

import ctypes
import struct
import threading
import weakref
from typing import final

import pytest

from dotnet_wasm_host.jit.interface import OutOfView
from dotnet_wasm_host.jit.thread_context import ContextSearch
from dotnet_wasm_host.jit.view import GuestGone, LivePages

#: Where a stack of 1 MB begins, and its first frame.
START, FIRST = 0x20000, 0x20010
CONTEXT = struct.pack("<4I", START, START + 0xFE000, START + 0x100000, FIRST)


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


def search(content: bytes | bytearray) -> tuple[int, int]:
    """What is found, and in how many portions."""
    sought, portions = ContextSearch(FIRST), 0

    def read(address: int, count: int) -> bytes:
        assert 0 <= address <= address + count <= len(content)
        return bytes(content[address : address + count])

    while not sought.done:
        sought.look(read, len(content))
        portions += 1
    return sought.found(read), portions


@pytest.mark.parametrize(
    "place", [16, 0x3FFF0, 0x3FFF4, 0x3FFFC, 0x40000, 0x40004, 0x80000 - 4, 0x9F0F0 - 16]
)
def test_the_context_is_found_wherever_it_is(place: int) -> None:
    content = bytearray(0x9F0F0)
    content[place : place + 16] = CONTEXT
    found, portions = search(content)
    assert found == place
    assert portions == 3


def test_two_are_none() -> None:
    content = bytearray(0x50000)
    content[64:80] = content[0x40004:0x40014] = CONTEXT
    assert search(content)[0] == 0
    content[64:68] = bytes(4)
    assert search(content)[0] == 0x40004


def test_what_is_no_context_any_more_is_not_found() -> None:
    content, sought = bytearray(0x50000), ContextSearch(FIRST)
    content[64:80] = CONTEXT
    while not sought.done:
        sought.look(lambda address, count: bytes(content[address : address + count]), len(content))
        content[76:80] = struct.pack("<I", FIRST + 16)
    assert sought.found(lambda address, count: bytes(content[address : address + count])) == 0


def test_memory_full_of_what_is_sought_is_given_up() -> None:
    found, portions = search(struct.pack("<I", FIRST) * (1 << 18))
    assert found == 0
    assert portions < 3
