"""Packages that were fetched before, and work without a network."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import dotnet_wasm_host as dwh
from dotnet_wasm_host.artifacts.cache import ENVIRONMENT_VARIABLE
from dotnet_wasm_host.nuget.package_cache import FOLDER, PackageCache
from tests.nuget.made import needs, package, put
from tests.nuget.served import ServedFeed, serving

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def feed() -> Iterator[ServedFeed]:
    with serving() as feed:
        feed.add("Top", "1.0.0", package("Top", "1.0.0", needs=needs(("Leaf", "1.0"))))
        feed.add("Leaf", "1.0.0", package("Leaf", "1.0.0"))
        yield feed


@pytest.fixture
def cache(cache_folder: Path) -> Path:
    return cache_folder / FOLDER


def versions(sources: Any, *wanted: str, **options: Any) -> dict[str, str]:
    return dict(dwh.resolve_packages(wanted, sources, **options).versions)


def test_what_was_fetched_is_not_fetched_again(feed: ServedFeed, cache: Path) -> None:
    first = versions(feed.index, "Top@1.0")
    feed.asked.clear()
    assert versions(feed.index, "Top@1.0") == first
    assert feed.asked == []
    # The newest one is not known without asking.
    feed.add("Top", "1.1.0", package("Top", "1.1.0"))
    assert versions(feed.index, "Top@*") == {"Top": "1.1.0"}
    assert feed.asked == [
        "/v3/index.json",
        "/flat/top/index.json",
        "/flat/top/1.1.0/top.1.1.0.nupkg",
    ]
    assert len(list(cache.glob("*.json"))) == 3


def test_offline_only_the_cache_and_folders_are_asked(
    feed: ServedFeed, cache: Path, tmp_path: Path
) -> None:
    with pytest.raises(dwh.PackageError, match="no package of this id"):
        versions(feed.index, "Top", offline=True)
    online = versions(feed.index, "Top")
    feed.add("Top", "9.0.0", package("Top", "9.0.0"))
    feed.asked.clear()
    assert versions(feed.index, "Top", offline=True) == online
    put(tmp_path / "folder", "Top", "2.0.0")
    both = [feed.index, tmp_path / "folder"]
    assert versions(both, "Top", offline=True) == {"Top": "2.0.0"}
    done = dwh.run_csharp(
        "return 3;", packages=["Top@1.0"], package_sources=feed.index, offline=True
    )
    assert done.returncode == 3
    assert feed.asked == []
    assert cache.is_dir()


def test_a_damaged_package_is_fetched_again(
    feed: ServedFeed, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    versions(feed.index, "Leaf@1.0")
    (data,) = cache.glob("*.bin")
    before = data.read_bytes()
    data.write_bytes(before[:-1] + b"x")
    feed.asked.clear()
    assert versions(feed.index, "Leaf@1.0")
    assert "does not have its hash" in caplog.text
    assert "/flat/leaf/1.0.0/leaf.1.0.0.nupkg" in feed.asked
    with pytest.raises(dwh.PackageError, match=r"has it not|no package of this id|none of"):
        versions(feed.index, "Leaf@1.0.1", offline=True)


def test_entries_that_were_exchanged_are_not_believed(feed: ServedFeed, cache: Path) -> None:
    versions(feed.index, "Top@1.0")
    top, leaf = (
        next(path for path in cache.glob("*.json") if name in path.name)
        for name in ("top@", "leaf@")
    )
    top.write_bytes(leaf.read_bytes())
    feed.asked.clear()
    assert versions(feed.index, "Top@1.0")
    assert "/flat/top/1.0.0/top.1.0.0.nupkg" in feed.asked


def test_what_another_feed_gave_is_another_package(feed: ServedFeed, cache: Path) -> None:
    versions(feed.index, "Leaf@1.0")
    with serving() as other:
        with pytest.raises(dwh.PackageError, match="no package of this id"):
            versions(other.index, "Leaf@1.0")
        with pytest.raises(dwh.PackageError, match="no package of this id"):
            versions(other.index, "Leaf@1.0", offline=True)
    assert cache.is_dir()


def test_what_cannot_be_used_is_not_kept(feed: ServedFeed, cache: Path) -> None:
    feed.add("Bad", "1.0.0", b"junk")
    with pytest.raises(dwh.PackageError, match="not a zip"):
        versions(feed.index, "Bad@1.0")
    assert list(cache.glob("*.json")) == []
    feed.add("Bad", "1.0.0", package("Bad", "1.0.0"))
    assert versions(feed.index, "Bad@1.0")


def test_without_a_cache_everything_is_fetched(
    feed: ServedFeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, "")
    for _ in range(2):
        feed.asked.clear()
        versions(feed.index, "Leaf@1.0")
        assert "/flat/leaf/1.0.0/leaf.1.0.0.nupkg" in feed.asked
    cache = PackageCache(dwh.PackageSource(feed.index))
    assert (cache.read("a", "1.0.0"), cache.has("a", "1.0.0"), cache.versions("a")) == (
        None,
        False,
        [],
    )


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="POSIX has modes")
def test_a_cache_that_others_can_write_is_not_used(
    feed: ServedFeed, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cache.mkdir(parents=True)
    cache.chmod(0o777)
    versions(feed.index, "Leaf@1.0")
    assert "packages are not cached" in caplog.text
    assert list(cache.iterdir()) == []


def test_names_and_versions_cannot_leave_the_cache(cache: Path) -> None:
    kept = PackageCache(dwh.PackageSource("https://feed.example/index.json"))
    kept.write("A.B-c_d", "1.0.0-" + "a" * 60, b"content")
    assert list(cache.glob("*.json")) == []
    kept.write("A.B-c_d", "1.0.0-beta.1", b"content")
    assert kept.read("a.b-C_d", "1.0.0-beta.1") == b"content"
    (entry,) = cache.glob("*.json")
    assert json.loads(entry.read_bytes())["description"] == {
        "source": "https://feed.example/index.json",
        "package": "a.b-c_d",
        "version": "1.0.0-beta.1",
    }
