"""C# that is woven into the base library: what changes, and nothing else."""

from __future__ import annotations

from dataclasses import replace as replaced
from typing import TYPE_CHECKING

import pytest

from dotnet_wasm_host.ecma335 import webcil
from dotnet_wasm_host.ecma335.binary import MalformedImage
from dotnet_wasm_host.ecma335.tables import SCHEMA, Table
from dotnet_wasm_host.trimming.module import CORE, Module
from runtime_artifacts.pipeline import replacements, unicode_data, update
from runtime_artifacts.pipeline.assembly_draft import AssemblyDraft
from runtime_artifacts.pipeline.build import Sources
from runtime_artifacts.pipeline.guest import BIN
from runtime_artifacts.pipeline.weaving import Replacement, Weave, body_hash, edited, find, weave

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from dotnet_wasm_host.artifacts.store import ArtifactStore
    from runtime_artifacts.pipeline.upstream import RuntimeFiles

SOURCES = Sources.of_checkout()
CODE = {name: (BIN / name).read_bytes() for name in replacements.CODE_FILES}
INSIDE_CORE = replacements.INSIDE_CORE
CONSOLE = next(one for one in replacements.WEAVES if one.assembly == "System.Console")
WOVEN = sorted({one.assembly for one in replacements.WEAVES})
#: Where rows that were there change: visibility, and the addresses of bodies.
CHANGED_COLUMNS = {Table.TYPE_DEF: {0}, Table.FIELD: {0}, Table.METHOD_DEF: {0, 2}}


@pytest.fixture(scope="module")
def published(runtime_files: RuntimeFiles) -> dict[str, bytes]:
    return {name: webcil.unwrap(runtime_files.assemblies[name]) for name in replacements.ASSEMBLIES}


@pytest.fixture(scope="module")
def shipped(published: dict[str, bytes]) -> dict[str, bytes]:
    return replacements.patched(published, CODE)


@pytest.fixture(params=WOVEN)
def pair(
    request: pytest.FixtureRequest, published: Mapping[str, bytes], shipped: Mapping[str, bytes]
) -> tuple[Module, Module]:
    """An assembly as published, and with what it gets."""
    name = request.param
    return (
        Module(0, name, published[name], is_root=False),
        Module(0, name, shipped[name], is_root=False),
    )


def test_what_is_shipped_is_what_was_published_woven(
    shipped: Mapping[str, bytes], store: ArtifactStore
) -> None:
    for name, content in shipped.items():
        assert store.read(f"framework/{name}.webcil") == content


def test_only_the_named_methods_have_other_code(pair: tuple[Module, Module]) -> None:
    before, after = pair
    changed = {
        method
        for method in before.metadata.numbers(Table.METHOD_DEF)
        if before.body(method) != after.body(method)
    }
    named = {
        find(before, method)
        for one in replacements.WEAVES
        if one.assembly == before.name
        for method in one.replacements
    }
    assert changed == named


def test_rows_keep_their_numbers(pair: tuple[Module, Module]) -> None:
    before, after = (module.metadata for module in pair)
    for table in SCHEMA:
        if table is Table.MODULE:
            continue
        old, new = before.rows(table), after.rows(table)
        same = set(range(len(old[0]) if old else 0)) - CHANGED_COLUMNS.get(table, set())
        for one, other in zip(old, new, strict=False):
            assert all(one[column] == other[column] for column in same), table.name
        assert len(new) >= len(old)
    assert pair[0].resources() == pair[1].resources()


def test_it_is_still_a_file_of_its_kind(pair: tuple[Module, Module]) -> None:
    _, new = pair
    assert webcil.from_pe(webcil.to_pe(new.data)) == new.data
    if new.name == CORE:
        # Roslyn takes nothing else for the core library.
        assert not new.metadata.count(Table.ASSEMBLY_REF)


@pytest.mark.parametrize("name", WOVEN)
def test_taken_apart_and_put_together_it_is_the_same(
    name: str, published: Mapping[str, bytes]
) -> None:
    again = Module(0, name, AssemblyDraft(published[name]).webcil(), is_root=False)
    before = Module(0, name, published[name], is_root=False)
    for table in SCHEMA:
        if table is not Table.MODULE:
            assert again.metadata.rows(table) == before.metadata.rows(table)
    for method in list(before.metadata.numbers(Table.METHOD_DEF))[:500]:
        assert again.body(method) == before.body(method)
    assert again.resources() == before.resources()


def test_another_body_is_refused(published: Mapping[str, bytes]) -> None:
    core, code = published[CORE], CODE[INSIDE_CORE.code]
    one = INSIDE_CORE.replacements[0]

    def woven(*methods: Replacement) -> bytes:
        return weave(INSIDE_CORE._replace(replacements=methods), core, code)

    assert isinstance(one, Replacement)
    with pytest.raises(MalformedImage, match=r"WaitCore is not the method .*docs/artifacts"):
        woven(one._replace(sha256="0" * 64))
    with pytest.raises(MalformedImage, match="not there"):
        woven(one._replace(method="WaitCoreOfOld"))
    with pytest.raises(MalformedImage, match="0 times"):
        woven(one._replace(by="System.Threading.HostWaits::Nothing"))


@pytest.mark.parametrize(
    "by",
    ["ConsoleDevice::get_CursorSize", "ConsoleDevice::set_Title", "StandardInputStream::Flush"],
)
def test_a_method_of_another_signature_takes_over_nothing(
    by: str, published: Mapping[str, bytes]
) -> None:
    beep = next(one for one in CONSOLE.replacements if one.method == "Beep")
    one = CONSOLE._replace(replacements=(beep._replace(by=f"MinimalRuntime.Platform.{by}"),))
    with pytest.raises(MalformedImage, match=r"signature of System.ConsolePal.Beep 0 times"):
        weave(one, published[CONSOLE.assembly], CODE[CONSOLE.code])


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (INSIDE_CORE.code, "System.SR::get_InvalidCast_DownCastArrayElement, not there"),
        (CONSOLE.code, "System.ConsoleColor, which System.Threading has not"),
    ],
)
def test_code_that_refers_to_what_is_not_there_is_refused(
    code: str, said: str, published: Mapping[str, bytes]
) -> None:
    one = Weave("System.Threading", code, ())
    with pytest.raises(MalformedImage, match=f"the code refers to {said}"):
        weave(one, published["System.Threading"], CODE[code])


def test_a_type_joins_the_one_of_its_name(shipped: Mapping[str, bytes]) -> None:
    # Mono knows its internal calls by names of types: this one is declared in the C#.
    core = Module(0, CORE, shipped[CORE], is_root=False)
    assert core.enclosing[core.by_name["Interop/Runtime"]] == core.by_name["Interop"]
    assert not [name for name in core.by_name if name.startswith("Interop.Minimal")]


def test_a_hash_does_not_depend_on_row_numbers(pair: tuple[Module, Module]) -> None:
    before, after = pair
    method = 77
    assert body_hash(before, method) == body_hash(after, method)


def test_an_edit_changes_its_bytes_only(
    published: Mapping[str, bytes], shipped: Mapping[str, bytes]
) -> None:
    for edit in replacements.EDITS:
        old, new = published[edit.assembly], shipped[edit.assembly]
        assert new == edited(old, edit)
        different = [n for n, (a, b) in enumerate(zip(old, new, strict=True)) if a != b]
        assert 0 < len(different) <= len(edit.new)


def test_update_names_methods_that_changed(
    runtime_files: RuntimeFiles, shipped: Mapping[str, bytes]
) -> None:
    assemblies = {**runtime_files.assemblies, **shipped}
    del assemblies["System.Threading"]
    found = update.compare(runtime_files, replaced(runtime_files, assemblies=assemblies))
    work = "\n".join(found.work)
    assert "replacements.py: System.Threading.Monitor.ObjWait is not the method" in work
    assert "replacements.py: System.ConsolePal.ReadKey is not the method" in work
    assert "'System.Threading'" in work


def test_the_sources_are_what_unicode_says(tmp_path: Path) -> None:
    # It has no wheel for the newest Python.
    pytest.importorskip("unicodedata2")
    changed = unicode_data.write_sources(tmp_path, SOURCES.cache)
    assert changed == ["NormalizationData.cs", "TimeZoneData.cs"]
    for name in changed:
        text = (tmp_path / name).read_text(encoding="utf-8")
        assert text == (SOURCES.platform / name).read_text(encoding="utf-8")
    assert unicode_data.write_sources(tmp_path, SOURCES.cache) == []
