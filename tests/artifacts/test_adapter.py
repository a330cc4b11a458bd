"""The checked-in adapter is what its sources compile to, byte for byte."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from dotnet_wasm_host.errors import ArtifactError
from dotnet_wasm_host.linking.adapter_layout import ADAPTER_MEMORY
from runtime_artifacts.pipeline import adapter

if TYPE_CHECKING:
    from pathlib import Path


def test_rebuilding_gives_the_checked_in_bytes() -> None:
    assert adapter.compile_adapter() == adapter.BINARY.read_bytes(), (
        "run: python -m runtime_artifacts.pipeline adapter"
    )


def test_a_changed_source_would_be_noticed(tmp_path: Path) -> None:
    sources = tmp_path / "src"
    shutil.copytree(adapter.SOURCES, sources)
    clock = sources / "clock.c"
    clock.write_text(clock.read_text().replace('"UTC"', '"GMT"'))
    assert adapter.compile_adapter(sources) != adapter.BINARY.read_bytes()
    clock.write_text("this is no C")
    with pytest.raises(ArtifactError, match="does not compile"):
        adapter.compile_adapter(sources)


def test_data_beyond_the_free_addresses_is_an_error(tmp_path: Path) -> None:
    sources = tmp_path / "src"
    shutil.copytree(adapter.SOURCES, sources)
    boot = sources / "boot.c"
    boot.write_text(
        boot.read_text() + f"\nu8 too_much[{ADAPTER_MEMORY.stop}];\n"
        'EXPORT("too_much") u8 *use(void) { return too_much; }\n'
    )
    with pytest.raises(ArtifactError, match="addresses"):
        adapter.compile_adapter(sources)


def test_another_compiler_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapter, "COMPILER_VERSION", "0.0.1")
    with pytest.raises(ArtifactError, match=r"ziglang 0\.0\.1"):
        adapter.compile_adapter()
