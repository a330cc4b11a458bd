"""Code that the base library gets."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from dotnet_wasm_host.ecma335 import webcil
from dotnet_wasm_host.ecma335.tables import Table
from dotnet_wasm_host.errors import ArtifactError
from dotnet_wasm_host.trimming.module import Module
from runtime_artifacts.pipeline import unicode_data, upstream
from runtime_artifacts.pipeline.build import Sources
from runtime_artifacts.pipeline.platform_code import WOVEN, Redirect, Weave, weave

if TYPE_CHECKING:
    from pathlib import Path

    from runtime_artifacts.pipeline.upstream import RuntimeFiles

SOURCES = Sources.of_checkout()


@pytest.fixture(scope="module")
def published() -> RuntimeFiles:
    return upstream.read_runtime(SOURCES.fetch(upstream.RUNTIME_PACKAGE))


@pytest.fixture(scope="module", params=sorted(WOVEN))
def pair(request: pytest.FixtureRequest, published: RuntimeFiles) -> tuple[Module, Module]:
    """An assembly as published, and with what it gets."""
    name = request.param
    old = webcil.unwrap(published.assemblies[name])
    source = (SOURCES.guest / f"{WOVEN[name].source}.dll").read_bytes()
    new = weave(name, old, source, WOVEN[name])
    return (Module(0, name, old, is_root=False), Module(0, name, new, is_root=False))


def test_what_was_there_has_the_numbers_and_bodies_that_it_had(pair: tuple[Module, Module]) -> None:
    old, new = pair
    redirected = {
        method
        for redirect in WOVEN[old.name].redirects
        for name in redirect.methods
        for method in old.methods_named(old.by_name[redirect.type_name], name)
    }
    for table in Table:
        # Of methods, the addresses; of the others every column.
        rows = old.metadata.rows(table)
        begin = 1 if table in {Table.METHOD_DEF, Table.FIELD_RVA} else 0
        assert [row[begin:] for row in new.metadata.rows(table)[: len(rows)]] == [
            row[begin:] for row in rows
        ], table
    differing = set()
    for method in old.metadata.numbers(Table.METHOD_DEF):
        if old.body(method) != new.body(method):
            differing.add(method)
    assert differing <= redirected
    assert differing
    assert old.resources() == new.resources()
    assert [new.metadata.string(i) for i in range(1, 200)] == [
        old.metadata.string(i) for i in range(1, 200)
    ]


def test_it_is_still_a_file_of_its_kind(pair: tuple[Module, Module]) -> None:
    _, new = pair
    assert webcil.from_pe(webcil.to_pe(new.data)) == new.data
    ends = 0
    for section in webcil.parse_webcil(new.data).sections:
        assert section.virtual_address >= ends
        assert section.virtual_address % 0x2000 == 0
        ends = section.virtual_address + section.virtual_size
    name = new.name
    if name == "System.Private.CoreLib":
        # Roslyn takes nothing else for the core library.
        assert not new.metadata.count(Table.ASSEMBLY_REF)


@pytest.mark.parametrize(
    ("redirect", "said"),
    [
        (Redirect("System.ConsolePal", "ConsoleDevice", ("Nothing",)), "no Nothing"),
        (Redirect("System.Nothing", "ConsoleDevice", ("ReadKey",)), "no static ReadKey"),
        (
            Redirect("System.Console", "ConsoleDevice", ("Beep", "GetOrCreateReader")),
            "no static GetOr",
        ),
        (Redirect("System.ConsolePal", "StandardInputStream", ("Read",)), "no static Read"),
    ],
)
def test_another_build_of_dotnet_is_not_woven_by_chance(
    published: RuntimeFiles, redirect: Redirect, said: str
) -> None:
    content = webcil.unwrap(published.assemblies["System.Console"])
    woven = WOVEN["System.Console"]
    source = (SOURCES.guest / f"{woven.source}.dll").read_bytes()
    with pytest.raises(ArtifactError, match=said):
        weave("System.Console", content, source, replace(woven, redirects=(redirect,)))


def test_an_assembly_of_another_kind_is_refused(
    published: RuntimeFiles,
) -> None:
    source = (SOURCES.guest / "MinimalRuntime.Platform.dll").read_bytes()
    content = webcil.unwrap(published.assemblies["System.Numerics.Vectors"])
    with pytest.raises(ArtifactError, match="no heap #US"):
        weave("X", content, source, Weave("MinimalRuntime.Platform", ()))


def test_the_sources_are_what_unicode_says(tmp_path: Path) -> None:
    # It has no wheel for the newest Python.
    pytest.importorskip("unicodedata2")
    changed = unicode_data.write_sources(tmp_path, SOURCES.cache)
    assert changed == ["NormalizationData.cs", "TimeZoneData.cs"]
    for name in changed:
        text = (tmp_path / name).read_text(encoding="utf-8")
        assert text == (SOURCES.platform / name).read_text(encoding="utf-8")
    assert unicode_data.write_sources(tmp_path, SOURCES.cache) == []
