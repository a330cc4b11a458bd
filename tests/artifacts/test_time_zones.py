from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest

from dotnet_wasm_host.wasm.binary import MalformedModule
from dotnet_wasm_host.wasm.module import DataSegment, Module, memory_module
from runtime_artifacts.pipeline.code_module import split
from runtime_artifacts.pipeline.time_zones import without_time_zones

if TYPE_CHECKING:
    from runtime_artifacts.pipeline.upstream import RuntimeFiles

ROWS, NAMES, FILES = 1024, 32 * 1024, 128 * 1024
FOLDER = b"/usr/share/zoneinfo/"


def database(count: int, *, spacing: int = 16, size: int = 10) -> bytes:
    """A data module with that many zones, and something else before and behind them."""
    rows, names, files = b"", b"\0", b""
    for number in range(count):
        name, start = NAMES + len(names), FILES + len(files)
        rows += struct.pack("<7I", name, 0, 0, name, start, size, 0)
        names += FOLDER + b"%d\0" % number
        files += b"TZif%04d" % number + bytes(spacing - 8)
    segments = [
        DataSegment(ROWS, rows),
        DataSegment(NAMES, names),
        DataSegment(FILES - 4, b"mine" + files[: len(files) // 2]),
        DataSegment(FILES + len(files) // 2, files[len(files) // 2 :] + b"also"),
    ]
    return memory_module(segments, 4, 8)


def content(module: bytes) -> dict[int, int]:
    return {
        segment.offset + index: byte
        for segment in Module.parse(module).data_segments()
        for index, byte in enumerate(segment.content)
        if byte
    }


def test_only_the_files_go() -> None:
    before = database(600)
    after = without_time_zones(before)
    gone = content(before).keys() - content(after).keys()
    assert content(after).items() <= content(before).items()
    assert min(gone) == FILES
    assert max(gone) < FILES + 600 * 16
    assert content(after)[FILES - 1] == ord("e")
    assert content(after)[FILES + 600 * 16] == ord("a")
    assert Module.parse(after).memories() == Module.parse(before).memories()


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (database(499), "499 time zone files"),
        (database(600, spacing=64), "do not lie together"),
        (database(600, size=1 << 30), "no time zone file"),
        (memory_module([], 1, 1), "0 time zone files"),
    ],
)
def test_other_shapes_are_refused(module: bytes, message: str) -> None:
    with pytest.raises(MalformedModule, match=message):
        without_time_zones(module)


def test_the_native_modules_zones(runtime_files: RuntimeFiles) -> None:
    before = split(runtime_files.native).data
    after = without_time_zones(before)
    assert b"TZif" in before
    assert b"TZif" not in after
    assert len(before) - len(after) > 200_000
    assert content(after).items() <= content(before).items()
