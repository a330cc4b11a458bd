"""A Roslyn of the user's: found, checked, and run in the sandbox as the shipped one is."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import dotnet_wasm_host as dwh
from dotnet_wasm_host.artifacts.store import ArtifactStore
from dotnet_wasm_host.images.image import frozen_of
from dotnet_wasm_host.roslyn import editions
from dotnet_wasm_host.roslyn.editions import RoslynEdition, find_edition, shipped_edition

NAMES = ("Microsoft.CodeAnalysis.dll", "Microsoft.CodeAnalysis.CSharp.dll")


@pytest.fixture(scope="module")
def known() -> frozenset[str]:
    return frozen_of(dwh.RuntimeImage.load("full")).assembly_names


def put(folder: Path) -> Path:
    """The shipped Roslyn in a folder."""
    folder.mkdir(parents=True)
    for name in NAMES:
        shutil.copy(ArtifactStore.locate().root / "roslyn" / name, folder / name)
    return folder


def test_it_is_found_in_a_folder_an_sdk_and_an_installation(
    tmp_path: Path, known: frozenset[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    own = put(tmp_path / "own")
    sdk = tmp_path / "dotnet" / "sdk"
    for version in ("9.0.100", "10.0.100-rc.1", "8.0.400"):
        put(sdk / version / "Roslyn" / "bincore")
    (sdk / "11.0.1").mkdir()
    newest = sdk / "10.0.100-rc.1"
    found = {
        name: find_edition(where, known)
        for name, where in {"own": own, "sdk": newest, "all": tmp_path / "dotnet"}.items()
    }
    assert len({edition.key for edition in found.values()}) == 1
    assert found["own"].version == shipped_edition().version
    monkeypatch.setenv("DOTNET_ROOT", str(tmp_path / "dotnet"))
    folders: list[Path] = []
    read = editions._read

    def watch(folder: Path, stamps: tuple[tuple[int, int], ...]) -> RoslynEdition:
        folders.append(folder)
        return read(folder, stamps)

    monkeypatch.setattr(editions, "_read", watch)
    assert find_edition("sdk", known).key == found["own"].key
    assert folders == [newest / "Roslyn" / "bincore"]


def test_it_compiles(tmp_path: Path) -> None:
    own = put(tmp_path / "own")
    source = "class C { int[] X = [1, 2]; }"
    same = dwh.compile_csharp(source, roslyn=own)
    assert same.data == dwh.compile_csharp(source).data
    with pytest.raises(dwh.CompilationError, match=r"CS1617.*99.*12\.0"):
        dwh.compile_csharp(source, roslyn=own, langversion="99")
    with dwh.Runtime() as runtime:
        function = runtime.load_csharp(
            "public class H : IFunctionHandler {"
            " public byte[] Execute(ReadOnlySpan<byte> input) => [1]; }",
            roslyn=str(own),
        )
        assert function(b"") == b"\x01"


def test_what_is_no_newer_roslyn_is_refused(
    tmp_path: Path, known: frozenset[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(dwh.MarshallingError, match=r"expected a folder with .*CSharp\.dll"):
        dwh.compile_csharp("class C {}", roslyn=tmp_path)
    with pytest.raises(dwh.MarshallingError, match="roslyn is the path of a folder"):
        dwh.compile_csharp("class C {}", roslyn=7)  # type: ignore[arg-type]
    own = put(tmp_path / "own")
    with pytest.raises(dwh.MarshallingError, match=r"refers to System\.Collections\.Immutable"):
        find_edition(own, known - {"System.Collections.Immutable"})
    shutil.copy(own / NAMES[0], own / NAMES[1])
    with pytest.raises(dwh.MarshallingError, match=r"is 'Microsoft\.CodeAnalysis', not"):
        find_edition(own, known)
    (own / NAMES[1]).write_bytes(b"MZ, but nothing else")
    with pytest.raises(dwh.MarshallingError, match=r"not a \.NET assembly"):
        find_edition(own, known)
    other = put(tmp_path / "other")
    newer = RoslynEdition((99, 0, 0, 0), ())
    monkeypatch.setattr(editions, "shipped_edition", lambda: newer)
    editions._read.cache_clear()
    with pytest.raises(dwh.MarshallingError, match=r"older than the 99\.0\.0\.0"):
        find_edition(other, known)


def test_no_sdk_says_where_it_was_looked_for(
    known: frozenset[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DOTNET_ROOT", str(tmp_path))
    monkeypatch.setattr(editions, "_INSTALLED", ())
    monkeypatch.setenv("PATH", "")
    with pytest.raises(dwh.MarshallingError, match="found neither in .*" + tmp_path.name):
        find_edition("sdk", known)
