"""Giving pages back to the kernel."""

from __future__ import annotations

import ctypes
import mmap
import sys

import pytest

from dotnet_wasm_host.engines.page_release import LEAST, PORTION, release_pages

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="madvise(2) is Linux's")
PAGE = mmap.PAGESIZE


def written(size: int) -> mmap.mmap:
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    for start in range(0, size, PAGE):
        memory[start] = 1
    return memory


def still_there(memory: mmap.mmap) -> int:
    return sum(memory[start] for start in range(0, len(memory), PAGE))


def address_of(memory: mmap.mmap) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(memory))


def test_all_pages_are_given_back() -> None:
    memory = written(LEAST + PORTION // 2 + PAGE)
    release_pages(address_of(memory), len(memory))
    assert still_there(memory) == 0


def test_not_a_page_more_than_asked_for() -> None:
    memory = written(LEAST + 2 * PAGE)
    release_pages(address_of(memory) + PAGE, LEAST)
    assert memory[0] == memory[LEAST + PAGE] == 1
    assert still_there(memory) == 2


def test_little_is_left_to_who_unmaps_it() -> None:
    memory = written(4 * PAGE)
    release_pages(address_of(memory), len(memory))
    assert still_there(memory) == 4
