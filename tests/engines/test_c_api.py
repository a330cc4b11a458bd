"""The library of wasmtime, found without importing its package."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

import dotnet_wasm_host as dwh
from dotnet_wasm_host.engines import get_engine
from dotnet_wasm_host.engines.wasmtime import c_api, probe
from dotnet_wasm_host.engines.wasmtime.engine import WasmtimeEngine

STACK = 300 * 1024
USE = """
import sys
import dotnet_wasm_host as dwh
with dwh.Runtime(engine="wasmtime") as runtime:
    assert runtime.functions == {}
print(*{"wasmtime", "platformdirs", "tempfile", "asyncio"}.intersection(sys.modules))
"""


def test_a_new_process_imports_no_more_than_it_needs() -> None:
    dwh.RuntimeImage.load(engine="wasmtime")  # is in the cache now
    command = [sys.executable, "-c", USE]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the package seems to be."""

    def find(name: str) -> ModuleSpec:
        assert name == "wasmtime"
        spec = ModuleSpec(name, None, is_package=True)
        spec.submodule_search_locations = [str(tmp_path)]
        return spec

    monkeypatch.setattr(c_api, "find_spec", find)
    return tmp_path


@pytest.fixture
def library(package: Path) -> Path:
    """Where its library would be."""
    names = {"win32": "_wasmtime.dll", "darwin": "_libwasmtime.dylib"}
    folder = package / "some-platform"
    folder.mkdir()
    return folder / names.get(sys.platform, "_libwasmtime.so")


def test_no_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(c_api, "find_spec", lambda _name: None)
    with pytest.raises(
        dwh.EngineUnavailable, match=r"no module wasmtime\); run: pip install 'wasmtime>="
    ):
        get_engine("wasmtime", stack_bytes=STACK)


def test_no_library_in_the_package(package: Path) -> None:
    assert package.is_dir()
    with pytest.raises(dwh.EngineUnavailable, match=r"no \S+wasmtime\.\S+ in the package"):
        get_engine("wasmtime", stack_bytes=STACK)


def test_a_damaged_library(library: Path) -> None:
    library.write_bytes(b"not a library")
    with pytest.raises(dwh.EngineUnavailable, match="cannot be loaded"):
        get_engine("wasmtime", stack_bytes=STACK)


def test_another_library(library: Path) -> None:
    import _ctypes

    library.symlink_to(_ctypes.__file__)
    with pytest.raises(dwh.EngineUnavailable, match="has no wasm_config_new; it is of another"):
        get_engine("wasmtime", stack_bytes=STACK)


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("sizeof", lambda kind: ctypes.sizeof(kind) - 8, "Instance has more than the 8 bytes"),
        ("VAL_RAW_SIZE", 8, "the sum of the probe: expected 42, found"),
        ("MEMORY", 4, "the export memory of the probe"),
        ("I32", 1, "its global of the probe"),
        ("PAGE", 4096, "its memory of the probe: expected 4096, found 65536"),
        ("_PROBE", b"not a module", "magic"),
    ],
)
def test_another_layout(
    monkeypatch: pytest.MonkeyPatch, name: str, value: object, reason: str
) -> None:
    """The same as a library of another layout: other expectations of this one."""
    engine = WasmtimeEngine()
    monkeypatch.setattr(probe, name, value)
    with pytest.raises(dwh.EngineUnavailable, match=reason) as caught:
        engine.compile(b"\0asm\x01\0\0\0")
    assert f"pip install 'wasmtime{c_api.SUPPORTED_VERSIONS}'" in str(caught.value)
    monkeypatch.undo()
    engine.compile(b"\0asm\x01\0\0\0")


def test_the_versions_are_those_of_the_package() -> None:
    project = Path(__file__).resolve().parents[2] / "pyproject.toml"
    expected = f'"wasmtime{c_api.SUPPORTED_VERSIONS}"'
    # To use it, and to build a wheel.
    assert project.read_text(encoding="utf-8").count(expected) == 2


def test_continuous_integration_runs_both_ends_of_the_range() -> None:
    script = (Path(__file__).resolve().parents[2] / ".ci" / "run").read_text(encoding="utf-8")
    line = next(line for line in script.splitlines() if line.startswith("for wasmtime in "))
    oldest, newest = line.removeprefix("for wasmtime in ").removesuffix("; do").split()
    assert (
        f">={oldest.split('.')[0]},<{int(newest.split('.')[0]) + 1}"
    ) == c_api.SUPPORTED_VERSIONS
