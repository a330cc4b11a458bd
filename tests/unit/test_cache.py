from __future__ import annotations

import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import platformdirs
import pytest

from dotnet_wasm_host.artifacts.cache import (
    ENVIRONMENT_VARIABLE,
    UNUSED_SECONDS,
    ImageCache,
    default_folder,
)


@pytest.fixture
def cache(tmp_path: Path) -> ImageCache:
    return ImageCache(tmp_path)


def test_what_was_written_is_read(cache: ImageCache) -> None:
    cache.write("key", {"a": 1}, b"content")
    found = cache.read("key")
    assert found is not None
    description, path = found
    assert description == {"a": 1}
    assert path.read_bytes() == b"content"
    assert cache.read("other") is None


@pytest.mark.parametrize("damage", ["flip", "truncate", "extend", "remove"])
def test_a_damaged_file_is_an_entry_that_does_not_exist(cache: ImageCache, damage: str) -> None:
    cache.write("key", {}, b"content" * 1000)
    found = cache.read("key")
    assert found is not None
    path = found[1]
    data = bytearray(path.read_bytes())
    if damage == "remove":
        path.unlink()
    else:
        if damage == "flip":
            data[3000] ^= 1
        elif damage == "truncate":
            del data[-1]
        else:
            data.append(0)
        path.write_bytes(data)
    assert cache.read("key") is None
    cache.write("key", {}, b"content" * 1000)
    assert cache.read("key") is not None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not json",
        "[]",
        "{}",
        '{"sha256": 5, "size": "x", "description": {}}',
        '{"sha256": "../../etc/passwd", "size": 1, "description": {}}',
        '{"sha256": "00", "size": 1e400, "description": null}',
    ],
)
def test_a_damaged_description_is_an_entry_that_does_not_exist(
    cache: ImageCache, text: str
) -> None:
    (cache.root / "key.json").write_text(text)
    assert cache.read("key") is None


def test_concurrent_writers_leave_a_whole_entry(cache: ImageCache) -> None:
    contents = [bytes([n]) * 50_000 for n in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda c: cache.write("key", {"first": c[0]}, c), contents * 5))
    found = cache.read("key")
    assert found is not None
    description, path = found
    assert path.read_bytes() == bytes([description["first"]]) * 50_000
    assert not list(cache.root.glob("*.tmp"))


def test_entries_and_clear(cache: ImageCache) -> None:
    cache.write("one", {}, b"1" * 10)
    cache.write("two", {}, b"2" * 20, "the second")
    listed = [(entry.key, entry.size, entry.what) for entry in cache.entries()]
    assert listed == [("one", 10, ""), ("two", 20, "the second")]
    assert all(time.time() - 60 < entry.used <= time.time() + 1 for entry in cache.entries())
    assert cache.size() == sum(path.stat().st_size for path in cache.root.iterdir())
    (cache.root / "unrelated.txt").write_text("kept")
    assert cache.clear() > 30
    assert [path.name for path in cache.root.iterdir()] == ["unrelated.txt"]


def test_unused_entries_are_dropped_by_the_next_write(cache: ImageCache) -> None:
    cache.write("old", {}, b"old")
    past = time.time() - UNUSED_SECONDS - 60
    for path in cache.root.iterdir():
        os.utime(path, (past, past))
    cache.write("new", {}, b"new")
    assert [entry.key for entry in cache.entries()] == ["new"]
    assert len(list(cache.root.glob("*.bin"))) == 1


def test_reading_keeps_an_entry(cache: ImageCache) -> None:
    cache.write("used", {}, b"used")
    past = time.time() - UNUSED_SECONDS - 60
    for path in cache.root.iterdir():
        os.utime(path, (past, past))
    assert cache.read("used") is not None
    cache.write("new", {}, b"new")
    assert [entry.key for entry in cache.entries()] == ["new", "used"]


def test_what_is_too_much_is_dropped(cache: ImageCache, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(4):
        cache.write(f"{number}", {}, bytes([number]) * 100)
        past = time.time() - 24 * 3600 + number
        os.utime(cache.root / f"{number}.json", (past, past))
    assert cache.read("0") is not None
    monkeypatch.setattr("dotnet_wasm_host.artifacts.cache.MOST_BYTES", 250)
    cache.write("new", {}, b"new")
    assert [entry.key for entry in cache.entries()] == ["0", "3", "new"]
    cache.write("larger", {}, bytes(1000))  # and what was used a moment ago stays
    assert [entry.key for entry in cache.entries()] == ["0", "larger", "new"]
    assert cache.read("larger") is not None


def test_what_nothing_refers_to_is_dropped(cache: ImageCache) -> None:
    cache.write("key", {}, b"first")
    cache.write("key", {}, b"second")
    cache.note("noted")
    past = time.time() - 3600
    for path in cache.root.iterdir():
        os.utime(path, (past, past))
    cache.write("other", {}, b"third")
    assert len(list(cache.root.glob("*.bin"))) == 2
    assert cache.is_noted("noted")


def test_one_at_a_time_makes_an_entry(cache: ImageCache, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    def make(number: int) -> None:
        with cache.making("key"):
            if cache.read("key") is None:
                time.sleep(0.1)
                made.append(number)
                cache.write("key", {}, bytes([number]))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(make, range(4)))
    assert len(made) == 1
    assert len(list(cache.root.glob("*.bin"))) == 1
    monkeypatch.setattr("dotnet_wasm_host.artifacts.cache.PATIENCE", 0.1)
    with cache.making("other"), cache.making("other"):
        """Whoever does not get done keeps nobody from it for ever."""


def test_the_folder_is_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(tmp_path / "cache"))
    located = ImageCache.locate()
    assert located is not None
    assert located.root.stat().st_mode & 0o777 == 0o700
    located.write("key", {}, b"content")
    assert all(path.stat().st_mode & 0o077 == 0 for path in located.root.iterdir())


def test_a_folder_that_others_can_write_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tmp_path.chmod(0o777)
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(tmp_path))
    assert ImageCache.locate() is None
    assert "can be written by other users" in caplog.text


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="modes are POSIX's")
@pytest.mark.parametrize(("mode", "used"), [(0o777, False), (0o1777, True), (0o755, True)])
def test_a_folder_that_others_can_exchange_is_not_used(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    mode: int,
    used: bool,
) -> None:
    above = tmp_path / "shared"
    (above / "mine").mkdir(parents=True)
    above.chmod(mode)
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(above / "mine" / "images"))
    assert (ImageCache.locate() is not None) is used
    assert used or f"is inside of {above}, where everybody can put" in caplog.text


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() != 0, reason="root can give it away")
@pytest.mark.parametrize(("owner", "used"), [(0, True), (4321, False)])
def test_a_folder_of_root_is_used_and_one_of_others_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: int, used: bool
) -> None:
    os.chown(tmp_path, owner, owner)
    monkeypatch.setattr(os, "geteuid", lambda: 1234)
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(tmp_path))
    assert (ImageCache.locate() is not None) is used


def test_an_empty_setting_turns_the_cache_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, "")
    assert ImageCache.locate() is None


def test_descriptions_are_readable_json(cache: ImageCache) -> None:
    cache.write("key", {"a": 1}, b"content")
    assert json.loads((cache.root / "key.json").read_text())["description"] == {"a": 1}


@pytest.mark.parametrize("home", [None, "", "/home/me", "/home/me/", "relative"])
@pytest.mark.parametrize("caches", [None, "", " ", "/var/caches", "/var//caches/", "relative"])
def test_the_cache_is_where_platformdirs_says(
    monkeypatch: pytest.MonkeyPatch, caches: str | None, home: str | None
) -> None:
    for name, value in {"XDG_CACHE_HOME": caches, "HOME": home}.items():
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    assert default_folder() == Path(platformdirs.user_cache_dir("dotnet_wasm_host"))


def test_a_note_lasts_until_it_is_cleared(cache: ImageCache) -> None:
    assert not cache.is_noted("compiled-1")
    cache.note("compiled-1")
    assert cache.is_noted("compiled-1")
    assert not cache.is_noted("compiled-2")
    assert list(cache.entries()) == []
    cache.clear()
    assert not cache.is_noted("compiled-1")
