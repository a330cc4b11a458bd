"""Finding where the interpreter's stack ends."""

from __future__ import annotations

import struct

import pytest

import dotnet_wasm_host as dwh
from dotnet_wasm_host.images.image import frozen_of
from dotnet_wasm_host.images.thread_context import find_thread_context

START = 0x10000
SIZE = 0x180000
CONTEXT = struct.pack("<4I", START, START + 0xFE000, START + 0x100000, START + 16)


@pytest.mark.parametrize("place", [0, 4, 64, SIZE - 16])
def test_the_context_is_found_wherever_it_is(place: int) -> None:
    content = bytearray(SIZE)
    content[place : place + 16] = CONTEXT
    assert find_thread_context(bytes(content)) == place


@pytest.mark.parametrize(
    "other",
    [
        (START, START + 0xFC000, START + 0x100000, START + 16),  # another red zone
        (START, START + 0xFE000, START + 0x100000, START + 0x20000),  # something runs
        (START, START + 0xFE000, START + 0x100000, START - 16),
        (START + 0x90000, START + 0x18E000, START + 0x190000, START + 0x90010),  # outside
        (0, 0xFE000, 0x100000, 16),
    ],
)
def test_what_looks_like_one_is_none(other: tuple[int, int, int, int]) -> None:
    content = bytearray(SIZE)
    content[32:48] = struct.pack("<4I", *other)
    assert find_thread_context(bytes(content)) == 0
    content[80:96] = CONTEXT
    assert find_thread_context(bytes(content)) == 80


def test_two_are_none() -> None:
    content = bytearray(SIZE)
    content[64:80] = content[96:112] = CONTEXT
    assert find_thread_context(bytes(content)) == 0


def test_what_is_cut_off_is_none() -> None:
    content = bytes(SIZE - 12) + CONTEXT[:12]
    assert find_thread_context(content) == 0


@pytest.mark.needs("parallel guests")
@pytest.mark.parametrize("name", ["full", "minimal"])
def test_images_know_it(name: str) -> None:
    state = frozen_of(dwh.RuntimeImage.load(name, jit="auto")).parts.state
    assert state.records
    assert state.thread_context
    assert frozen_of(dwh.RuntimeImage.load(name, jit="off")).parts.state.thread_context == 0
