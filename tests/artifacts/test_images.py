from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest

from dotnet_wasm_host.base_library.configurations import FULL, IMAGE_NAMES
from dotnet_wasm_host.errors import ArtifactError
from runtime_artifacts.pipeline import images

if TYPE_CHECKING:
    from pathlib import Path

    from runtime_artifacts.pipeline.build import Sources


def test_images_and_their_descriptors_are_collected(sources: Sources) -> None:
    contents = images.collect(sources.images_file, sources.images)
    described = json.loads(contents.pop("images.json"))
    assert set(described) == set(IMAGE_NAMES) - {FULL}
    wanted = {f"images/{file}" for image in described.values() for file in image["descriptors"]}
    assert set(contents) == wanted
    assert {path.name for path in sources.images.iterdir()} == {n.partition("/")[2] for n in wanted}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[minimal]", "[tiny]", "the package knows"),
        ("[minimal]", "[minimal", "not TOML"),
        ('descriptors = ["minimal.xml"]', 'descriptors = "minimal.xml"', "is no list"),
        ('descriptors = ["minimal.xml"]', "", "lacks 'descriptors'"),
        ('"linq.xml"', '"nothing.xml"', r"\[linq\].*names nothing\.xml"),
        ("raw = 3_400_000, ", "", "'budget' is raw and compressed"),
        ("[linq]\n", "[linq]\nbugdet = 1\n", "'bugdet' that means nothing"),
    ],
)
def test_mistakes_are_found(
    old: str, new: str, message: str, sources: Sources, tmp_path: Path
) -> None:
    shutil.copytree(sources.images, tmp_path / "images")
    text = sources.images_file.read_text(encoding="utf-8")
    assert old in text
    file = tmp_path / "images.toml"
    file.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ArtifactError, match=message):
        images.collect(file, tmp_path / "images")
