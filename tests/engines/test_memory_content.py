from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from dotnet_wasm_host.engines.wasmer import memory_content
from dotnet_wasm_host.engines.wasmer.memory_content import MemoryContent
from dotnet_wasm_host.wasm.binary import MalformedModule
from dotnet_wasm_host.wasm.module import Module
from tests.engines.kinds import assemble

PAGE = 65536
pytestmark = pytest.mark.skipif(os.name != "posix", reason="wasmer's engine maps files")


def module(text: str) -> Module:
    return Module.parse(assemble(text))


@pytest.fixture
def content() -> MemoryContent:
    return MemoryContent.of_module(
        module(
            '(module (memory (export "memory") 3 8) (data (i32.const 3) "first")'
            ' (data (i32.const 70000) "second") (data (i32.const 4) "IR"))'
        )
    )


@pytest.fixture
def room() -> Iterator[mmap.mmap]:
    with mmap.mmap(-1, 3 * PAGE) as memory:
        yield memory


@pytest.fixture(params=[True, False], ids=["mapped", "copied"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if not request.param:
        monkeypatch.setattr(memory_content, "_mapping", lambda: None)


def address_of(memory: mmap.mmap) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(memory))


def expected() -> bytes:
    data = bytearray(3 * PAGE)
    data[3:8] = b"fIRst"
    data[70000:70006] = b"second"
    return bytes(data)


@pytest.mark.usefixtures("way")
def test_it_is_placed(content: MemoryContent, room: mmap.mmap) -> None:
    address = address_of(room)
    content.place(address)
    assert ctypes.string_at(address, 3 * PAGE) == expected()


@pytest.mark.usefixtures("way")
def test_memories_do_not_see_each_other(content: MemoryContent, room: mmap.mmap) -> None:
    with mmap.mmap(-1, 3 * PAGE) as other:
        content.place(address_of(room))
        ctypes.memmove(address_of(room), b"changed", 7)
        content.place(address_of(other))
        assert ctypes.string_at(address_of(other), 3 * PAGE) == expected()
        assert content.read()[PAGE:] == expected()[:70006]


def test_its_file_can_be_opened_again(
    content: MemoryContent, room: mmap.mmap, tmp_path: Path
) -> None:
    path = tmp_path / "memory"
    path.write_bytes(content.read())
    again = MemoryContent.open(path)
    assert (again.minimum, again.maximum) == (3, 8)
    again.place(address_of(room))
    assert ctypes.string_at(address_of(room), 3 * PAGE) == expected()


def test_files_that_are_none_or_cut_off_are_refused(content: MemoryContent, tmp_path: Path) -> None:
    path = tmp_path / "memory"
    for data in (b"", b"junk" * 100_000, content.read()[:100], content.read() + bytes(3 * PAGE)):
        path.write_bytes(data)
        with pytest.raises(ValueError, match="memory"):
            MemoryContent.open(path)


def test_files_are_closed(content: MemoryContent, tmp_path: Path) -> None:
    path = tmp_path / "memory"
    path.write_bytes(content.read())

    def is_open() -> bool:
        folder = Path("/proc/self/fd")
        return any(os.path.realpath(entry) == str(path) for entry in folder.iterdir())

    opened = MemoryContent.open(path)
    assert is_open()
    del opened
    assert not is_open()
    path.write_bytes(b"junk")
    with pytest.raises(ValueError, match="not the content"):
        MemoryContent.open(path)
    assert not is_open()


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ('(module (memory (export "memory") 1))', True),
        ('(module (memory (export "memory") 1) (data (i32.const 0) "x"))', True),
        ("(module (memory 1))", False),
        ('(module (memory (export "memory") 1) (func))', False),
        ('(module (memory (export "memory") 1) (global i32 (i32.const 0)))', False),
        ("(module)", False),
    ],
)
def test_only_plain_memories_are_content(text: str, is_one: bool) -> None:
    assert MemoryContent.is_one(module(text)) is is_one


def test_data_outside_of_the_memory_is_refused() -> None:
    with pytest.raises(MalformedModule, match="larger than the memory"):
        MemoryContent.of_module(
            module('(module (memory (export "memory") 1) (data (i32.const 65530) "too long"))')
        )
