"""Every built-in image boots and runs what it declares, with the results of the full one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import dotnet_wasm_host as dwh
from dotnet_wasm_host.artifacts.store import ArtifactStore
from dotnet_wasm_host.configurations import FULL, IMAGE_NAMES, read_configurations

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import CompiledSources

    Load = Callable[[str], dwh.RuntimeImage]

PROGRAMS = Path(__file__).with_name("programs")
NAMES = sorted(path.stem for path in PROGRAMS.glob("*.cs"))
QUESTION = "the cat and the dog and the bird"


@pytest.mark.parametrize(
    ("image", "program"),
    [(name, "minimal") for name in IMAGE_NAMES[:-1]]
    + [(name, name) for name in NAMES if name != "minimal"]
    + [("common", name) for name in NAMES if name != "minimal"],
)
def test_an_image_runs_what_it_declares(
    image: str, program: str, load: Load, compiled: CompiledSources
) -> None:
    assembly = compiled((PROGRAMS / f"{program}.cs").read_text("utf-8"))
    answers = []
    for name in (image, FULL):
        with dwh.Runtime(load(name)) as runtime:
            runtime.load_assembly("f", assembly)
            answers.append(runtime.invoke("f", QUESTION.encode()).decode())
    assert answers[0] == answers[1]
    assert len(answers[0]) > 50


def test_images_say_what_they_are(load: Load) -> None:
    image = load("minimal")
    assert image.manifest.configuration == "minimal"
    assert image.assembly_names == {
        "System.Private.CoreLib",
        "System.Collections",
        "MinimalRuntime",
    }
    assert load(FULL).manifest.configuration == FULL
    with pytest.raises(ValueError, match="there is no image 'tiny'"):
        load("tiny")


def test_an_image_survives_a_file(load: Load, compiled: CompiledSources, tmp_path: Path) -> None:
    path = tmp_path / "minimal.image"
    load("minimal").save(path)
    with dwh.Runtime(dwh.RuntimeImage.open(path)) as runtime:
        assert runtime.image.manifest.configuration == "minimal"
        runtime.load_assembly("f", compiled((PROGRAMS / "minimal.cs").read_text("utf-8")))
        assert runtime.invoke("f", b"a b").startswith(b"a=1;b=1;")


def test_every_configuration_has_a_budget_and_they_stand_in_order() -> None:
    configurations = read_configurations(ArtifactStore.locate())
    assert set(configurations) == set(IMAGE_NAMES) - {FULL}
    for configuration in configurations.values():
        assert 0 < configuration.compressed_budget < configuration.raw_budget <= 8_500_000
        assert configuration.description
