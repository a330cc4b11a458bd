"""The editor of the worker's page: what it is made of, and that its licences come along."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dotnet_wasm_host.errors import ArtifactError
from runtime_artifacts.pipeline import build as build_module
from runtime_artifacts.pipeline import editor, fetch

if TYPE_CHECKING:
    from pathlib import Path

    from dotnet_wasm_host.artifacts.store import ArtifactStore
    from runtime_artifacts.pipeline.build import Sources


def test_every_package_that_one_needs_is_pinned(sources: Sources) -> None:
    for package in editor.MODULES:
        missing = editor.dependencies(sources.fetch(package)) - set(editor.MODULES)
        assert missing == set(), package


def test_the_bundle_asks_for_nothing_and_has_its_licences(store: ArtifactStore) -> None:
    bundle = store.read(editor.EDITOR).decode()
    assert "createEditor" in bundle
    # Neither modules nor addresses of elsewhere, nor code out of texts.
    for word in (
        ' from"',
        "import(",
        "eval(",
        "new Function",
        "fetch(",
        "XMLHttpRequest",
        "innerHTML",
    ):
        assert word not in bundle, word
    licences = store.read(editor.LICENCES).decode()
    for package in editor.MODULES:
        assert package in licences
    assert licences.count("THE SOFTWARE IS PROVIDED") >= 5


@pytest.mark.slow
def test_the_same_packages_give_the_same_bundle(sources: Sources, store: ArtifactStore) -> None:
    tarballs = {name: sources.fetch(name) for name in (*editor.MODULES, editor.BUNDLER)}
    assert editor._bundle(sources.editor.read_bytes(), tarballs) == store.read(editor.EDITOR)


def test_without_its_packages_there_is_no_editor_and_the_next_build_tries_again(
    sources: Sources, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def nothing(*_: object) -> Path:
        raise ArtifactError("npm could not fetch @codemirror/state 6.7.6")

    with monkeypatch.context() as patch:
        patch.setattr(fetch, "fetch", nothing)
        assert editor.collect(sources) == {}
    assert "a plain text field" in capsys.readouterr().err

    published: list[bytes] = []
    monkeypatch.setattr(build_module, "_collect", lambda _: {"manifest.json": b""})
    monkeypatch.setattr(
        build_module, "_publish", lambda contents, _: published.append(contents[".inputs"])
    )
    build_module.build(sources, force=True)
    assert published != [build_module.inputs_fingerprint(sources).encode()]


@pytest.mark.slow
def test_a_source_that_is_no_javascript_fails_and_says_where(sources: Sources) -> None:
    tarballs = {name: sources.fetch(name) for name in (*editor.MODULES, editor.BUNDLER)}
    with pytest.raises(ArtifactError, match=r"editor\.js:1:6"):
        editor._bundle(b"const = 1", tarballs)
