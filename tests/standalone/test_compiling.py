"""What ``build_wasm`` hands over was compiled by wasmtime."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import dotnet_wasm_host as dwh
from dotnet_wasm_host.artifacts.cache import ImageCache
from dotnet_wasm_host.images.compiling import check_compiles, code_key

if TYPE_CHECKING:
    from pathlib import Path

#: (module (func (drop (i32.const 0)))), and the same without a value to drop.
MODULE = bytes.fromhex("0061736d01000000010401600000030201000a070105004100 1a0b")
BROKEN = bytes.fromhex("0061736d01000000010401600000030201000a05010300 1a0b")


@pytest.mark.long
def test_a_build_compiles_what_it_wrote(
    probe: dwh.Assembly, probe_module: dwh.StandaloneModule
) -> None:
    cache = ImageCache.locate()
    assert cache is not None
    key = code_key(probe_module.data)
    (cache.root / f"{key}.ok").unlink()
    assert not cache.is_noted(key)
    said: list[str] = []
    dwh.build_wasm(probe, function_id="probe", progress=said.append)
    assert cache.is_noted(key)
    assert any("compiling what was written" in text for text in said)


def test_code_that_was_compiled_is_not_compiled_again(probe_module: dwh.StandaloneModule) -> None:
    said: list[str] = []
    check_compiles(probe_module.data, said.append)
    assert said == []


@pytest.mark.long
def test_files_with_other_data_have_the_same_code(
    probe: dwh.Assembly, probe_module: dwh.StandaloneModule
) -> None:
    other = dwh.build_wasm(probe, function_id="other")
    assert other.data != probe_module.data
    assert code_key(other.data) == code_key(probe_module.data)
    logging = dwh.build_wasm(probe, function_id="probe", js_log=True)
    assert code_key(logging.data) != code_key(probe_module.data)


def test_what_does_not_compile_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOTNET_WASM_HOST_CACHE", str(tmp_path))
    for _ in range(2):
        with pytest.raises(dwh.ArtifactError, match="expected wasmtime to compile"):
            check_compiles(BROKEN, str)
    check_compiles(MODULE, str)
    monkeypatch.setenv("DOTNET_WASM_HOST_CACHE", "")
    check_compiles(MODULE, str)
