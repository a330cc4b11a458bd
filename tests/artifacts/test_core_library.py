"""Methods of the base library that are replaced: which, by what, and nothing else."""

from __future__ import annotations

from dataclasses import replace as replaced
from typing import TYPE_CHECKING

import pytest

from dotnet_wasm_host.ecma335 import webcil
from dotnet_wasm_host.ecma335.binary import MalformedImage
from dotnet_wasm_host.ecma335.metadata import Metadata
from dotnet_wasm_host.ecma335.rows import MethodDefRow
from dotnet_wasm_host.ecma335.tables import SCHEMA, Table
from dotnet_wasm_host.trimming.module import Module
from runtime_artifacts.pipeline import core_library, platform_code, update
from runtime_artifacts.pipeline.assembly_draft import AssemblyDraft
from runtime_artifacts.pipeline.guest import BIN
from runtime_artifacts.pipeline.weaving import body_hash, edited, find, weave

if TYPE_CHECKING:
    from dotnet_wasm_host.artifacts.store import ArtifactStore
    from runtime_artifacts.pipeline.upstream import RuntimeFiles

CODE = (BIN / core_library.CODE).read_bytes()


@pytest.fixture(scope="module")
def published(runtime_files: RuntimeFiles) -> bytes:
    return webcil.unwrap(runtime_files.assemblies[core_library.CORE])


@pytest.fixture(scope="module")
def shipped(published: bytes) -> bytes:
    """As it is before it gets the code of ``platform_code``."""
    return weave(published, CODE, core_library.REPLACEMENTS)


def test_the_shipped_library_is_the_published_one_woven(
    shipped: bytes, store: ArtifactStore
) -> None:
    woven = platform_code.WOVEN[core_library.CORE]
    code = (BIN / f"{woven.source}.dll").read_bytes()
    expected = platform_code.weave(core_library.CORE, shipped, code, woven)
    assert store.read(f"framework/{core_library.CORE}.webcil") == expected


def test_only_the_named_methods_have_other_code(published: bytes, shipped: bytes) -> None:
    before, after = (Module(0, "core", data, is_root=False) for data in (published, shipped))
    count = before.metadata.count(Table.METHOD_DEF)
    changed = {
        method
        for method in range(1, count + 1)
        if (body := before.body(method)) is not None and body.code != after.body(method).code  # type: ignore[union-attr]
    }
    assert changed == {find(before, one) for one in core_library.REPLACEMENTS}


def test_rows_keep_their_numbers(published: bytes, shipped: bytes) -> None:
    before, after = Metadata(published), Metadata(shipped)
    for table in SCHEMA:
        old, new = before.rows(table), after.rows(table)
        assert len(new) >= len(old)
        if table not in {Table.MODULE, Table.TYPE_DEF, Table.FIELD, Table.METHOD_DEF}:
            assert new[: len(old)] == old, table.name
    methods = zip(before.rows(MethodDefRow), after.rows(MethodDefRow), strict=False)
    assert all((a.name, a.signature) == (b.name, b.signature) for a, b in methods)


def test_taken_apart_and_put_together_it_is_the_same(published: bytes) -> None:
    again = Module(0, "core", AssemblyDraft(published).webcil(), is_root=False)
    before = Module(0, "core", published, is_root=False)
    for table in SCHEMA:
        if table is not Table.MODULE:
            assert again.metadata.rows(table) == before.metadata.rows(table)
    for method in range(1, 500):
        assert again.body(method) == before.body(method)
    assert again.resources() == before.resources()


def test_another_body_is_refused(published: bytes) -> None:
    one = core_library.REPLACEMENTS[0]
    other = (one._replace(sha256="0" * 64), *core_library.REPLACEMENTS[1:])
    with pytest.raises(MalformedImage, match=r"WaitCore is not the method .*docs/artifacts"):
        weave(published, CODE, other)
    missing = one._replace(method="WaitCoreOfOld")
    with pytest.raises(MalformedImage, match="not there"):
        weave(published, CODE, [missing])
    with pytest.raises(MalformedImage, match="0 times"):
        weave(published, CODE, [one._replace(by="System.Threading.HostWaits::Nothing")])


def test_a_hash_does_not_depend_on_row_numbers(published: bytes, shipped: bytes) -> None:
    before, after = (Module(0, "core", data, is_root=False) for data in (published, shipped))
    method = 77
    assert body_hash(before, method) == body_hash(after, method)


def test_an_edit_changes_its_bytes_only(runtime_files: RuntimeFiles, store: ArtifactStore) -> None:
    for edit in core_library.EDITS:
        old = webcil.unwrap(runtime_files.assemblies[edit.assembly])
        new = store.read(f"framework/{edit.assembly}.webcil")
        assert new == edited(old, edit)
        different = [n for n, (a, b) in enumerate(zip(old, new, strict=True)) if a != b]
        assert 0 < len(different) <= len(edit.new)


def test_update_names_methods_that_changed(runtime_files: RuntimeFiles, shipped: bytes) -> None:
    assemblies = {**runtime_files.assemblies, core_library.CORE: shipped}
    del assemblies["System.Threading"]
    found = update.compare(runtime_files, replaced(runtime_files, assemblies=assemblies))
    work = "\n".join(found.work)
    assert "core_library.py: System.Threading.Monitor.ObjWait is not the method" in work
    assert "'System.Threading'" in work
