from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dotnet_wasm_host.base_library.configurations import CODE, SMALL_DATA, read_configurations
from dotnet_wasm_host.engines import get_engine
from dotnet_wasm_host.images.boot import boot
from dotnet_wasm_host.imports.host import Host
from dotnet_wasm_host.options import Limits, WasiOptions
from dotnet_wasm_host.wasm.binary import MalformedModule
from dotnet_wasm_host.wasm.module import DataSegment, Module, memory_module
from runtime_artifacts.pipeline import native_data
from runtime_artifacts.pipeline.native_data import Named, Stretch, find_stretch

if TYPE_CHECKING:
    from dotnet_wasm_host.artifacts.store import ArtifactStore
    from runtime_artifacts.pipeline.upstream import RuntimeFiles

DATA = range(1000, 9000)
OWN = Named({0, 2100, 2200, 2300, 8200}, {3000})


@pytest.fixture(scope="module")
def stretch(runtime_files: RuntimeFiles) -> Stretch:
    return native_data.own_data(runtime_files.native)


def test_a_stretch_lies_between_what_others_name() -> None:
    others = Named({7, 2000, 9500, 100_000}, {5001})
    assert find_stretch(OWN, others, DATA) == (2100, 5001)


@pytest.mark.parametrize("named", [Named({2501}, set()), Named(set(), {2501})])
def test_what_others_name_ends_it(named: Named) -> None:
    others = Named({2000} | named.constants, {5001} | named.offsets)
    assert find_stretch(OWN, others, DATA) == (2100, 2501)


@pytest.mark.parametrize("mask", [2048, 0xF00, 0xFFF, 4096])
def test_masks_are_no_addresses_unless_memory_is_accessed_there(mask: int) -> None:
    assert find_stretch(OWN, Named({2001, 5001, mask}, set()), DATA) == (2100, 5001)
    own = Named({v + mask for v in range(1, 9)} | {mask - v for v in range(1, 5)}, set())
    assert find_stretch(own, Named(set(), {mask}), DATA).start == mask + 1


def test_data_that_does_not_lie_together_is_refused() -> None:
    others = Named({2150, 2250, 2350, 3500}, set())
    with pytest.raises(MalformedModule, match="does not lie together"):
        find_stretch(OWN, others, DATA)
    with pytest.raises(MalformedModule, match="does not lie together"):
        find_stretch(Named({1}, set()), others, DATA)


def test_the_native_modules_icu_has_no_data(
    runtime_files: RuntimeFiles, stretch: Stretch, store: ArtifactStore
) -> None:
    module = Module.parse(runtime_files.native)
    memory = bytearray(stretch.end)
    for segment in module.data_segments():
        content = segment.content[: max(0, stretch.end - segment.offset)]
        memory[segment.offset : segment.offset + len(content)] = content
    erased = bytes(memory[stretch.start :])
    # Names of scripts and of calendars are ICU's; those of source files would be Mono's.
    assert len(erased) > 350_000
    assert b"Old_Sogdian\0" in erased
    assert b"gregorian\0" in erased
    assert b"/src/mono/" not in erased
    assert b"mono_" not in erased
    for name in ("dotnet.data.wasm", "dotnet.data.utc.wasm"):
        segments = Module.parse(store.read(name)).data_segments()
        assert all(s.offset + len(s.content) <= stretch.start or stretch.end <= s.offset
                   for s in segments)  # fmt: skip


class StoppedClock:
    def time(self) -> float:
        return 1e9

    def monotonic(self) -> float:
        return 5.0


def test_dotnet_starts_the_same_whatever_is_there(store: ArtifactStore, stretch: Stretch) -> None:
    assemblies = read_configurations(store)["minimal"].assemblies(store)
    engine = get_engine()
    code = engine.compile(store.read(CODE))
    data = Module.parse(store.read(SMALL_DATA))
    limits = data.memories()[0]

    def memory_after_boot(*more: DataSegment) -> bytes:
        pages = limits.minimum, limits.maximum or 65536
        module = memory_module([*data.data_segments(), *more], *pages)
        instance = engine.instantiate(code, engine.compile(module), memory_limit=1 << 30)
        options = WasiOptions(clock=StoppedClock(), random=bytes)
        host = Host(instance, Limits(memory_bytes=1 << 30), options)
        boot(host, assemblies.items(), with_time_zones=False)
        content = host.memory.read(0, host.memory.size)
        instance.close()
        return content

    size = stretch.end - stretch.start
    plain = memory_after_boot()
    filled = memory_after_boot(DataSegment(stretch.start, b"\xa5" * size))
    assert filled[stretch.start : stretch.end] == b"\xa5" * size
    assert plain[stretch.start : stretch.end] == bytes(size)
    assert filled[: stretch.start] == plain[: stretch.start]
    assert filled[stretch.end :] == plain[stretch.end :]
