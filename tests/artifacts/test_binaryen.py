from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import wasmtime

from dotnet_wasm_host.errors import ArtifactError
from dotnet_wasm_host.wasm.module import Module
from runtime_artifacts.pipeline import binaryen

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from runtime_artifacts.pipeline.build import Sources

    MakeTarball = Callable[[str, Mapping[str, bytes]], Path]

MODULE = bytes(
    wasmtime.wat2wasm(
        """(module (func $dead) (func $twice (param i32) (result i32)
             (i32.add (local.get 0) (local.get 0)))
             (func (export "f") (result i32) (call $twice (i32.const 21))))"""
    )
)


@pytest.fixture
def tarball(sources: Sources) -> Path:
    return sources.fetch(binaryen.PACKAGE)


def test_a_module_is_optimised_and_remembered(
    tarball: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = binaryen.optimise(MODULE, tarball, tmp_path)
    assert len(Module.parse(first).bodies()) == 1
    store = wasmtime.Store()
    instance = wasmtime.Instance(store, wasmtime.Module(store.engine, first), [])
    function = instance.exports(store)["f"]
    assert isinstance(function, wasmtime.Func)
    assert function(store) == 42
    (kept,) = tmp_path.iterdir()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    again = binaryen.optimise(MODULE, tarball, elsewhere)
    assert again == first

    runs: list[bytes] = []

    def run(_: object, files: Mapping[str, bytes], __: Sequence[str]) -> bytes:
        runs.extend(files.values())
        return first

    monkeypatch.setattr(binaryen._Program, "_run", run)
    assert binaryen.optimise(MODULE, tarball, tmp_path) == first
    assert not runs
    kept.write_bytes(kept.read_bytes()[:-1] + b"?")
    assert binaryen.optimise(MODULE, tarball, tmp_path) == first
    assert runs == [MODULE]


def test_what_is_no_module_is_an_error(tarball: Path, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="wasm-opt failed"):
        binaryen.optimise(b"\0asm\1\0\0\0\x01", tarball, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_package_without_the_program(make_tarball: MakeTarball, tmp_path: Path) -> None:
    empty = make_tarball("empty.tgz", {"package/readme": b""})
    with pytest.raises(ArtifactError, match="no file bin/wasm-opt"):
        binaryen.optimise(MODULE, empty, tmp_path)
