from __future__ import annotations

import json
import sys
import zlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from dotnet_wasm_host.artifacts.store import ArtifactStore
from dotnet_wasm_host.base_library import sizes
from dotnet_wasm_host.base_library.sizes import Component, ImageSize, measure, namespaces
from dotnet_wasm_host.cli.main import app
from dotnet_wasm_host.cli.treemap import Rectangle, squarify, treemap
from dotnet_wasm_host.errors import DotnetHostError

if TYPE_CHECKING:
    from collections.abc import Sequence


@pytest.fixture(scope="session")
def store() -> ArtifactStore:
    return ArtifactStore.locate()


@pytest.fixture(scope="session")
def minimal(store: ArtifactStore) -> ImageSize:
    return measure(store, "minimal")


def test_the_smallest_image_is_within_its_budget(minimal: ImageSize) -> None:
    assert minimal.raw_bytes <= 3_400_000
    assert minimal.compressed_bytes <= 1_100_000
    assert not minimal.over_budget
    assert minimal.raw_bytes == sum(minimal.files.values())


def test_parts_add_up(minimal: ImageSize) -> None:
    def check(component: Component) -> None:
        if component.parts:
            assert component.raw_bytes == sum(part.raw_bytes for part in component.parts)
            assert [p.raw_bytes for p in component.parts] == sorted(
                (p.raw_bytes for p in component.parts), reverse=True
            )
        for part in component.parts:
            check(part)

    check(minimal.content)
    assert {part.name for part in minimal.content.parts} == {
        "runtime native", "base library", "guest",
    }  # fmt: skip


@pytest.mark.parametrize("assembly", ["System.Private.CoreLib", "System.Linq", "System.Text.Json"])
def test_an_assembly_by_namespace(assembly: str, store: ArtifactStore) -> None:
    data = store.read(f"framework/{assembly}.webcil")
    found = namespaces(assembly, data)
    assert found.raw_bytes == len(data)
    by_name = {part.name: part.raw_bytes for part in found.parts}
    assert all(size >= 0 for size in by_name.values())
    expected = {"System.Private.CoreLib": "System.Threading", "System.Linq": "System.Linq",
                "System.Text.Json": "System.Text"}[assembly]  # fmt: skip
    # Code and definitions: some two thirds of an assembly are not names and signatures.
    assert by_name[expected] > 0.02 * len(data)
    assert by_name["names, signatures, references"] < 0.6 * len(data)


@pytest.fixture
def known_sizes(minimal: ImageSize, monkeypatch: pytest.MonkeyPatch) -> list[ImageSize]:
    """What the command measures; the last one put in is for every image."""
    found = [minimal]
    monkeypatch.setattr(sizes, "measure", lambda *_: found[-1])
    return found


def run(*arguments: str, exit_code: int = 0) -> str:
    result = CliRunner().invoke(app, ["sizes", *arguments])
    assert result.exit_code == exit_code, result.output
    return result.stdout


@pytest.mark.usefixtures("known_sizes")
def test_json_for_programs(minimal: ImageSize) -> None:
    document = json.loads(run("minimal", "json", "--json"))
    assert set(document) == {"configurations"}
    assert list(document["configurations"]) == ["minimal", "json"]
    entry = document["configurations"]["minimal"]
    assert set(entry) == {"raw_bytes", "compressed_bytes", "components"}
    assert entry["raw_bytes"] == minimal.raw_bytes
    native = entry["components"]["runtime native"]
    assert native["raw_bytes"] == sum(c["raw_bytes"] for c in native["components"].values())


@pytest.mark.usefixtures("known_sizes")
def test_a_tree_for_people() -> None:
    text = run("minimal")
    for name in ("minimal", "runtime native", "System.Private.CoreLib", "System.Threading", "%"):
        assert name in text


def test_growth_over_the_budget_fails(minimal: ImageSize, known_sizes: list[ImageSize]) -> None:
    assert "OVER" not in run("minimal", "--diff")
    known_sizes.append(replace(minimal, raw_budget=minimal.raw_bytes - 1))
    text = run("minimal", "--diff", exit_code=1)
    assert "OVER BUDGET" in text
    known_sizes.append(replace(minimal, raw_budget=None, compressed_budget=None))
    assert "none" in run("full", "--diff")


def test_an_image_that_does_not_exist() -> None:
    run("tiny", exit_code=2)


def test_without_brotli_the_command_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "brotli", None)
    with pytest.raises(DotnetHostError, match=r"dotnet-wasm-host\[sizes\]"):
        sizes._compressed(b"not seen before")


@pytest.mark.usefixtures("known_sizes")
def test_a_picture(tmp_path: Path, minimal: ImageSize) -> None:
    file = tmp_path / "sizes.svg"
    run("minimal", "json", "--treemap", str(file))
    root = ET.fromstring(file.read_text(encoding="utf-8"))
    titles = [e.text or "" for e in root.iter("{http://www.w3.org/2000/svg}title")]
    assert sum(title.startswith("System.Private.CoreLib ") for title in titles) == 2
    assert treemap([minimal.content]).count("<svg") == 1
    assert treemap([Component("a < b & c", 10, (Component("<x>", 10),))]).count("&lt;x&gt;") == 2


@given(
    st.lists(st.floats(1, 1e7), min_size=1, max_size=40), st.floats(50, 2000), st.floats(50, 2000)
)
def test_rectangles_fill_the_area(sizes: Sequence[float], width: float, height: float) -> None:
    sizes = sorted(sizes, reverse=True)
    placed = squarify(sizes, Rectangle(10, 20, width, height))
    assert len(placed) == len(sizes)
    total = sum(sizes)
    for size, place in zip(sizes, placed, strict=True):
        assert place.width * place.height == pytest.approx(size / total * width * height, rel=1e-6)
        assert place.x >= 10 - 1e-6
        assert place.y >= 20 - 1e-6
        assert place.x + place.width <= 10 + width * (1 + 1e-6) + 1e-6
        assert place.y + place.height <= 20 + height * (1 + 1e-6) + 1e-6
    # Filling it by area without leaving it means that they do not overlap.
    assert sum(p.width * p.height for p in placed) == pytest.approx(width * height, rel=1e-6)


def test_a_wheel_stays_below_15_megabytes(store: ArtifactStore) -> None:
    packed = sum(len(zlib.compress(store.read(name), 6)) for name in store.names())
    package = Path(sizes.__file__).parent
    packed += sum(len(zlib.compress(path.read_bytes(), 6)) for path in package.rglob("*.py"))
    assert packed < 15_000_000
