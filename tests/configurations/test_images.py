"""Every built-in image boots and runs what it declares, with the results of the full one."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

import dotnet_wasm_host as dwh
from dotnet_wasm_host.artifacts.store import ArtifactStore
from dotnet_wasm_host.base_library.configurations import (
    FULL,
    IMAGE_NAMES,
    TRIMMED_IMAGES,
    read_configurations,
)
from dotnet_wasm_host.images.image import frozen_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import CompiledSources

    Load = Callable[[str], dwh.RuntimeImage]

PROGRAMS = Path(__file__).with_name("programs")
QUESTIONS = (b"the cat and the dog and the bird", b"", "Zoë 7 🐍 -12.5 \t x=y".encode() * 9)


def programs(folder: str) -> list[str]:
    """Those that use what an image declares, none of which was a root when it was trimmed."""
    return sorted(f"{folder}/{path.stem}" for path in (PROGRAMS / folder).glob("*.cs"))


def read(program: str) -> str:
    return (PROGRAMS / f"{program}.cs").read_text("utf-8")


@pytest.fixture(scope="module")
def expected(load: Load, compiled: CompiledSources) -> Callable[[str], list[str]]:
    """What a program answers on the untrimmed base library."""

    @cache
    def answers(program: str) -> list[str]:
        return ask(load(FULL), compiled(read(program)))

    return answers


def ask(image: dwh.RuntimeImage, assembly: dwh.Assembly) -> list[str]:
    with dwh.Runtime(image) as runtime:
        runtime.load_assembly("f", assembly)
        return [runtime.invoke("f", question).decode() for question in QUESTIONS]


@pytest.mark.parametrize(
    ("image", "program"),
    [(image, program) for image in TRIMMED_IMAGES for program in programs(image)]
    + [("common", program) for image in TRIMMED_IMAGES[:-1] for program in programs(image)]
    + [(image, program) for image in TRIMMED_IMAGES[1:-1] for program in programs("minimal")],
)
def test_an_image_runs_what_it_declares(
    image: str, program: str, load: Load, compiled: CompiledSources,
    expected: Callable[[str], list[str]],
) -> None:  # fmt: skip
    answers = ask(load(image), compiled(read(program)))
    assert answers == expected(program)
    assert len(answers[0]) > 50
    assert len(set(answers)) > 1


def test_images_say_what_they_are(load: Load) -> None:
    image = load("minimal")
    assert image.manifest.configuration == "minimal"
    assert frozen_of(image).assembly_names == {
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
        runtime.load_assembly("f", compiled(read("minimal/words")))
        assert runtime.invoke("f", b"a b").startswith(b"a=1;b=1;")


def test_every_configuration_has_a_budget_and_they_stand_in_order() -> None:
    configurations = read_configurations(ArtifactStore.locate())
    assert set(configurations) == set(IMAGE_NAMES) - {FULL}
    for configuration in configurations.values():
        assert 0 < configuration.compressed_budget < configuration.raw_budget <= 8_500_000
        assert configuration.description


def test_what_common_has_of_an_assembly_is_what_others_may_need(load: Load) -> None:
    # Assemblies from the wheel are added to it whole. One that it has in part would fail them.
    descriptors = read_configurations(ArtifactStore.locate())["common"].descriptors
    declared = {
        element.get("fullname") for _, text in descriptors for element in ET.fromstring(text)
    }
    present = frozen_of(load("common")).assembly_names
    assert {name for name in present if not name.startswith("MinimalRuntime")} <= declared


@pytest.mark.parametrize("name", ["common", FULL])
def test_the_world_has_time_zones(name: str, load: Load, compiled: CompiledSources) -> None:
    function = compiled("""
        using System; using System.Text;
        public sealed class Clock : MinimalRuntime.IFunctionHandler {
            public byte[] Execute(ReadOnlySpan<byte> zone) {
                var noon = new DateTime(2026, 7, 1, 12, 0, 0, DateTimeKind.Utc);
                var there = TimeZoneInfo.FindSystemTimeZoneById(Encoding.UTF8.GetString(zone));
                var clock = TimeZoneInfo.ConvertTimeFromUtc(noon, there);
                return Encoding.UTF8.GetBytes($"{clock:HH:mm} {TimeZoneInfo.Local.Id}");
            }
        }""")
    image = load(name)
    with dwh.Runtime(image) as runtime:
        runtime.load_assembly("clock", function)
        assert runtime.invoke("clock", b"Europe/Paris") == b"14:00 UTC"
        assert runtime.invoke("clock", b"Asia/Kolkata") == b"17:30 UTC"
        with pytest.raises(dwh.InvocationError, match="Mars/Olympus"):
            runtime.invoke("clock", b"Mars/Olympus")
    at_home = dwh.WasiOptions(env={"TZ": "Asia/Tokyo"})
    with dwh.Runtime(image, wasi=at_home) as runtime:
        runtime.load_assembly("clock", function)
        assert runtime.invoke("clock", b"UTC") == b"12:00 Asia/Tokyo"
