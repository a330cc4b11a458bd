from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import dotnet_wasm_host as dwh
from dotnet_wasm_host.images.state import memory_module
from dotnet_wasm_host.wasm import module as wasm

COUNTER = """
using System; using System.Text;
public sealed class Counter : MinimalRuntime.IFunctionHandler {
    static int calls;
    public byte[] Execute(ReadOnlySpan<byte> input) => Encoding.UTF8.GetBytes($"{++calls}");
}
"""
RANDOMNESS = """
using System; using System.Security.Cryptography; using System.Text;
public sealed class Randomness : MinimalRuntime.IFunctionHandler {
    public byte[] Execute(ReadOnlySpan<byte> input) => Encoding.UTF8.GetBytes(string.Join("\\n",
        Guid.NewGuid(), Random.Shared.NextInt64(), new Random().NextInt64(),
        "text".GetHashCode(), HashCode.Combine(1, 2), RandomNumberGenerator.GetHexString(16)));
}
"""
SOURCES = (
    "Guid",
    "Random.Shared",
    "new Random",
    "string hash",
    "HashCode",
    "RandomNumberGenerator",
)
USE = """
import dotnet_wasm_host as dwh
image = dwh.RuntimeImage.load(progress=lambda text: print(text))
with dwh.Runtime(image) as runtime:
    print("functions", len(runtime.functions), runtime.stats().linear_memory_bytes > 0)
"""


@pytest.fixture(scope="module")
def counter() -> dwh.Assembly:
    return dwh.compile_csharp(COUNTER)


def use_image(cache: Path) -> str:
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", USE],
        env={"DOTNET_WASM_HOST_CACHE": str(cache), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert "functions 0 True" in result.stdout
    return result.stdout


def private(folder: Path) -> Path:
    folder.mkdir(mode=0o700)
    return folder


@pytest.mark.parametrize("instance_of", ["base", "later base"])
def test_instances_of_the_built_in_image_draw_their_own_randomness(instance_of: str) -> None:
    assembly = dwh.compile_csharp(RANDOMNESS)
    answers = []
    for _ in range(2):
        with dwh.Runtime() as runtime:
            if instance_of == "later base":
                runtime.recycle()
            runtime.load_assembly("r", assembly)
            answers.append(runtime.invoke("r").decode().split("\n"))
    for source, first, second in zip(SOURCES, *answers, strict=True):
        assert first != second, source


def test_instances_of_a_snapshot_draw_their_own_random_numbers() -> None:
    with dwh.Runtime() as runtime:
        runtime.load_assembly("r", dwh.compile_csharp(RANDOMNESS))
        runtime.invoke("r")
        image = runtime.snapshot()
    answers = []
    for _ in range(2):
        with dwh.Runtime(image) as runtime:
            answers.append(runtime.invoke("r").decode().split("\n"))
    for source, first, second in zip(SOURCES, *answers, strict=True):
        # Tables in the snapshot were filled with its hash seeds: those stay.
        assert (first == second) == (source in {"string hash", "HashCode"}), source


def test_a_snapshot_holds_functions_and_their_statics(counter: dwh.Assembly) -> None:
    with dwh.Runtime() as runtime:
        function = runtime.load_assembly("counter", counter)
        assert [runtime.invoke("counter") for _ in range(3)] == [b"1", b"2", b"3"]
        image = runtime.snapshot("counted")
        assert runtime.invoke("counter") == b"4"
    assert image.name == "counted"
    assert image.manifest.functions == ("counter",)
    with dwh.Runtime(image) as first, dwh.Runtime(image) as second:
        assert first.functions["counter"].assembly_sha256 == function.assembly_sha256
        assert [first.invoke("counter"), first.invoke("counter")] == [b"4", b"5"]
        assert second.invoke("counter") == b"4"


def test_functions_of_a_snapshot_survive_a_recycle_and_can_be_unloaded(
    counter: dwh.Assembly,
) -> None:
    with dwh.Runtime() as runtime:
        runtime.load_assembly("counter", counter)
        image = runtime.snapshot()
    with dwh.Runtime(image) as runtime:
        assert runtime.invoke("counter") == b"1"
        runtime.recycle()
        assert runtime.invoke("counter") == b"1"
        assert runtime.unload_assembly("counter")
        runtime.recycle()
        assert "counter" not in runtime.functions
        runtime.load_assembly("counter", counter)
        assert runtime.invoke("counter") == b"1"


def test_a_snapshot_of_a_snapshot(counter: dwh.Assembly) -> None:
    with dwh.Runtime() as runtime:
        runtime.load_assembly("one", counter)
        image = runtime.snapshot()
    with dwh.Runtime(image) as runtime:
        runtime.load_assembly("two", counter)
        runtime.invoke("one")
        again = runtime.snapshot()
    with dwh.Runtime(again) as runtime:
        assert runtime.functions.list_functions() == ("one", "two")
        assert (runtime.invoke("one"), runtime.invoke("two")) == (b"2", b"1")


def test_capabilities_are_part_of_a_snapshot() -> None:
    library = dwh.compile_csharp(
        'namespace Lib; public static class L { public static string V => "lib"; }',
        assembly_name="Lib",
    )
    user = dwh.compile_csharp(
        """
        using System; using System.Text;
        public sealed class User : MinimalRuntime.IFunctionHandler {
            public byte[] Execute(ReadOnlySpan<byte> i) => Encoding.UTF8.GetBytes(Lib.L.V); }
        """,
        references=[library],
    )
    with dwh.Runtime() as runtime:
        runtime.load_capability("lib", library)
        image = runtime.snapshot()
    with dwh.Runtime(image) as runtime:
        assert runtime.capabilities == ("lib",)
        runtime.load_assembly("user", user)
        assert runtime.invoke("user") == b"lib"


def test_saved_images_open_again(counter: dwh.Assembly, tmp_path: Path) -> None:
    with dwh.Runtime() as runtime:
        runtime.load_assembly("counter", counter)
        runtime.invoke("counter")
        runtime.snapshot("saved").save(tmp_path / "saved.image")
    image = dwh.RuntimeImage.open(tmp_path / "saved.image")
    assert image.name == "saved"
    assert image.manifest.dotnet_version == "10.0.10"
    with dwh.Runtime(image) as runtime:
        assert runtime.invoke("counter") == b"2"


def rewrite(source: Path, target: Path, **changes: Any) -> Path:
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name == "image.json":
                description = json.loads(data)
                for path, value in changes.items():
                    *parents, last = path.split("__")
                    node = description
                    for parent in parents:
                        node = node[parent]
                    node[last] = value
                data = json.dumps(description).encode()
            new.writestr(name, data)
    return target


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("image") / "base.image"
    dwh.RuntimeImage.load().save(path)
    return path


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 99}, "format 99"),
        ({"memory_sha256": "00"}, "does not have its hash"),
        ({"state__code_sha256": "00" * 32}, "another build"),
        ({"state__layout": {"methods": {}}}, "not a readable runtime image"),
        ({"state": None}, "not a readable runtime image"),
    ],
)
def test_files_that_are_no_image_are_artifact_errors(
    saved: Path, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(dwh.ArtifactError, match=message):
        dwh.RuntimeImage.open(rewrite(saved, tmp_path / "changed.image", **changes))


def test_addresses_outside_of_memory_are_refused(saved: Path, tmp_path: Path) -> None:
    path = rewrite(saved, tmp_path / "hostile.image", state__layout__frame=2**31)
    with pytest.raises(dwh.ArtifactError, match="not inside its memory"):
        dwh.Runtime(dwh.RuntimeImage.open(path))


def test_junk_truncation_and_absence_are_artifact_errors(saved: Path, tmp_path: Path) -> None:
    data = saved.read_bytes()
    for name, content in (("junk", b"junk"), ("empty", b""), ("half", data[: len(data) // 2])):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(dwh.ArtifactError, match="not a readable runtime image"):
            dwh.RuntimeImage.open(tmp_path / name)
    with pytest.raises(dwh.ArtifactError):
        dwh.RuntimeImage.open(tmp_path / "missing")


def test_a_memory_with_code_in_it_is_refused(saved: Path, tmp_path: Path) -> None:
    import hashlib

    module = memory_module(b"x" * 65536)
    module += bytes([wasm.SectionId.CUSTOM, 2, 1, 0x61])
    with zipfile.ZipFile(saved) as old, zipfile.ZipFile(tmp_path / "code.image", "w") as new:
        description = json.loads(old.read("image.json"))
        description["memory_sha256"] = hashlib.sha256(module).hexdigest()
        new.writestr("image.json", json.dumps(description))
        new.writestr("memory.wasm", module)
    with pytest.raises(dwh.ArtifactError, match="not a plain memory"):
        dwh.RuntimeImage.open(tmp_path / "code.image")


def test_the_image_says_what_it_is() -> None:
    image = dwh.RuntimeImage.load()
    assert image is dwh.RuntimeImage.load("full")
    manifest = image.manifest
    assert manifest.dotnet_version == "10.0.10"
    assert len(manifest.assemblies) == 174
    assert set(manifest.assemblies) == set(manifest.hashes)
    assert 20_000_000 < manifest.image_bytes <= manifest.memory_bytes
    assert "10.0.10" in repr(image)


def test_unknown_images_and_engines_are_refused() -> None:
    with pytest.raises(ValueError, match="there is no image 'tiny'"):
        dwh.RuntimeImage.load("tiny")
    with pytest.raises(ValueError, match="there is no engine 'v8'"):
        dwh.RuntimeImage.load(engine="v8")


@pytest.mark.slow
def test_the_cache_is_filled_used_and_heals_itself(tmp_path: Path) -> None:
    cache = private(tmp_path / "cache")
    assert "compiling" in use_image(cache)
    assert "compiling" not in use_image(cache)
    for path in sorted(cache.glob("*.bin")):
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 0xFF
        path.write_bytes(data)
    assert "compiling" in use_image(cache)
    for path in sorted(cache.glob("*.json")):
        path.write_bytes(path.read_bytes()[:100])
    assert "compiling" in use_image(cache)
    assert "compiling" not in use_image(cache)


@pytest.mark.slow
def test_processes_that_build_the_same_image_at_once_all_succeed(tmp_path: Path) -> None:
    cache = private(tmp_path / "cache")
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(use_image, [cache] * 3))
    assert "compiling" not in use_image(cache)
    assert not list(cache.glob("*.tmp"))


@pytest.mark.slow
def test_a_runtime_needs_no_cache_folder(tmp_path: Path) -> None:
    missing = tmp_path / "file"
    missing.write_text("not a folder")
    assert "compiling" in use_image(missing)
