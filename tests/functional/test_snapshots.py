"""Images with functions inside: frozen, saved, opened, and started many times."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

import pytest

import dotnet_wasm_host as dwh
from dotnet_wasm_host.artifacts.cache import ImageCache

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import CompiledSources


@pytest.fixture(scope="module")
def snapshot(image: dwh.RuntimeImage, moody: dwh.Assembly) -> dwh.RuntimeImage:
    """An image with function "f", called three times, and "g", never called."""
    with dwh.Runtime(image) as runtime:
        runtime.load_assembly("f", moody)
        runtime.load_assembly("g", moody)
        runtime.load_assembly("gone", moody)
        runtime.unload_assembly("gone")
        runtime.invoke_many("f", [b"count"] * 3)
        return runtime.snapshot("with functions")


def test_instances_start_with_functions_and_state(snapshot: dwh.RuntimeImage) -> None:
    with dwh.Runtime(snapshot) as runtime:
        assert list(runtime.functions) == ["f", "g"]
        assert runtime.functions["f"].generation == 1
        assert runtime.functions["f"].handler_type == "Programs.Moody"
        assert runtime.invoke("f", b"count") == b"4"
        assert runtime.invoke("g", b"count") == b"1"


def test_the_snapshot_describes_itself(
    snapshot: dwh.RuntimeImage, image: dwh.RuntimeImage, moody: dwh.Assembly
) -> None:
    assert snapshot.name == "with functions"
    assert snapshot.manifest.functions == ("f", "g")
    assert snapshot.manifest.dotnet_version == "10.0.10"
    # A smaller image is added to when a function refers to more.
    assert snapshot.manifest.assemblies.items() >= image.manifest.assemblies.items()
    assert image.name != "full" or snapshot.manifest.assemblies == image.manifest.assemblies
    assert snapshot.manifest.memory_bytes >= snapshot.manifest.image_bytes > 0
    assert [f.assembly_sha256 for f in snapshot.functions] == [moody.sha256] * 2
    assert image.manifest.functions == ()


def test_instances_of_a_snapshot_are_independent(snapshot: dwh.RuntimeImage) -> None:
    with dwh.Runtime(snapshot) as one, dwh.Runtime(snapshot) as other:
        one.invoke_many("f", [b"count"] * 10)
        one.unload_assembly("g")

        assert other.invoke("f", b"count") == b"4"
        assert other.invoke("g", b"count") == b"1"
        assert one.invoke("f", b"count") == b"14"


def test_the_frozen_runtime_itself_lives_on(image: dwh.RuntimeImage, moody: dwh.Assembly) -> None:
    with dwh.Runtime(image) as runtime:
        runtime.load_assembly("f", moody)
        runtime.invoke("f", b"count")
        frozen = runtime.snapshot()
        assert runtime.invoke("f", b"count") == b"2"

        with dwh.Runtime(frozen) as other:
            assert other.invoke("f", b"count") == b"2"


def test_a_crash_goes_back_to_the_snapshot(snapshot: dwh.RuntimeImage) -> None:
    with dwh.Runtime(snapshot) as runtime:
        handle = runtime.functions["f"]
        runtime.invoke_many("f", [b"count"] * 10)
        with pytest.raises(dwh.GuestTerminated):
            runtime.invoke("f", b"exit 1")

        assert handle.invoke(b"count") == b"4"


def test_functions_of_a_snapshot_are_replaced_and_unloaded_like_others(
    snapshot: dwh.RuntimeImage, moody: dwh.Assembly
) -> None:
    with dwh.Runtime(snapshot) as runtime:
        old = runtime.functions["f"]
        assert runtime.load_assembly("f", moody).generation == 2
        assert not old.is_alive
        assert runtime.invoke("f", b"count") == b"1"
        assert runtime.unload_assembly("g") is True

        runtime.recycle()

        assert list(runtime.functions) == ["f"]
        assert runtime.invoke("f", b"count") == b"1"
        with pytest.raises(dwh.FunctionNotLoaded):
            runtime.invoke("g", b"count")
        assert runtime.load_assembly("g", moody).generation == 2
        assert runtime.invoke("g", b"count") == b"1"


def test_a_snapshot_of_a_snapshot(snapshot: dwh.RuntimeImage, moody: dwh.Assembly) -> None:
    with dwh.Runtime(snapshot) as runtime:
        runtime.load_assembly("h", moody)
        runtime.unload_assembly("g")
        runtime.invoke("f", b"count")
        second = runtime.snapshot("second")

    with dwh.Runtime(second) as runtime:
        assert list(runtime.functions) == ["f", "h"]
        assert runtime.invoke("f", b"count") == b"5"
        assert runtime.invoke("h", b"count") == b"1"


def test_a_snapshot_after_a_crash_has_every_function(
    image: dwh.RuntimeImage, moody: dwh.Assembly
) -> None:
    with dwh.Runtime(image) as runtime:
        runtime.load_assembly("f", moody)
        runtime.load_assembly("g", moody)
        with pytest.raises(dwh.GuestTerminated):
            runtime.invoke("f", b"exit 1")
        frozen = runtime.snapshot()

    with dwh.Runtime(frozen) as runtime:
        assert runtime.invoke("f", b"count") == b"1"
        assert runtime.invoke("g", b"count") == b"1"


def test_dependencies_not_yet_used_are_part_of_a_snapshot(
    image: dwh.RuntimeImage, compiled: CompiledSources
) -> None:
    library = compiled(
        'namespace Late; public class L { public static string Get() => "late"; }',
        assembly_name="Late",
    )
    user = compiled(
        "public class U : MinimalRuntime.IFunctionHandler { public byte[] Execute("
        "System.ReadOnlySpan<byte> i) => System.Text.Encoding.UTF8.GetBytes(Late.L.Get()); }",
        references=(library,),
    )
    with dwh.Runtime(image) as runtime:
        runtime.load_assembly("f", user, dependencies=[library])
        frozen = runtime.snapshot()

    with dwh.Runtime(frozen) as runtime:
        assert runtime.invoke("f") == b"late"


@pytest.fixture
def separate_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache that starts with what the user's has; what is added goes with the test."""
    folder = tmp_path_factory.mktemp("cache")
    users = ImageCache.locate()
    for entry in users.root.iterdir() if users else ():
        (folder / entry.name).symlink_to(entry)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOTNET_WASM_HOST_CACHE", str(folder))
        yield folder


@pytest.mark.usefixtures("separate_cache")
def test_a_saved_image_opens_with_its_functions(snapshot: dwh.RuntimeImage, tmp_path: Path) -> None:
    path = tmp_path / "functions.image"
    snapshot.save(path)
    assert [p.name for p in tmp_path.iterdir()] == ["functions.image"]

    opened = dwh.RuntimeImage.open(path)

    assert opened.name == snapshot.name
    assert opened.manifest == snapshot.manifest
    with dwh.Runtime(opened) as one, dwh.Runtime(opened) as other:
        assert one.functions["f"].loaded_at == snapshot.functions[0].loaded_at
        assert one.invoke_many("f", [b"count"] * 2) == [b"4", b"5"]
        assert other.invoke("f", b"count") == b"4"


def test_a_damaged_image_file_is_refused(snapshot: dwh.RuntimeImage, tmp_path: Path) -> None:
    path = tmp_path / "whole.image"
    snapshot.save(path)
    whole = path.read_bytes()
    damaged = {
        "empty": b"",
        "truncated": whole[: len(whole) // 2],
        "not an archive": b"hello world" * 100,
    }
    for name, content in damaged.items():
        broken = tmp_path / f"{name}.image"
        broken.write_bytes(content)
        with pytest.raises(dwh.ArtifactError, match=f"{name}.image"):
            dwh.RuntimeImage.open(broken)

    with zipfile.ZipFile(path) as archive:
        description, module = archive.read("image.json"), archive.read("memory.wasm")
    for name, members in {
        "other memory": {"image.json": description, "memory.wasm": module[:-1] + b"\7"},
        "no memory": {"image.json": description},
        "no description": {"memory.wasm": module},
        "other runtime": {
            "image.json": description.replace(b'"code_sha256": "', b'"code_sha256": "0'),
            "memory.wasm": module,
        },
        "list": {"image.json": b"[]", "memory.wasm": module},
        "other format": {"image.json": b'{"format": 99}', "memory.wasm": module},
    }.items():
        broken = tmp_path / f"{name}.image"
        with zipfile.ZipFile(broken, "w") as archive:
            for member, content in members.items():
                archive.writestr(member, content)
        with pytest.raises(dwh.ArtifactError, match=f"{name}.image"):
            dwh.RuntimeImage.open(broken)


def test_an_image_that_does_not_exist_is_named() -> None:
    with pytest.raises(ValueError, match=r"'fulll'.*'full'"):
        dwh.RuntimeImage.load("fulll")
