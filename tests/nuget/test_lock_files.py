"""Lock files: written once, kept to afterwards, never believed against a hash."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import struct
import zipfile
from typing import TYPE_CHECKING, Any

import pytest

import dotnet_wasm_host as dwh
from dotnet_wasm_host.packages.content_hash import content_hash, without_signature
from tests.nuget.made import needs, package, put, zipped
from tests.nuget.served import serving

if TYPE_CHECKING:
    from pathlib import Path


def sha512(content: bytes) -> str:
    return base64.b64encode(hashlib.sha512(content).digest()).decode()


def resolve(folder: Any, lock: Path, *wanted: str, **options: Any) -> dict[str, str]:
    found = dwh.resolve_packages(wanted, folder, lock_file=lock, **options)
    return dict(found.versions)


@pytest.fixture
def feed(tmp_path: Path) -> Path:
    folder = tmp_path / "feed"
    put(folder, "Top", "1.0.0", needs=needs(("Leaf", "1.0"), ("System.Memory", "4.5.5")))
    put(folder, "Leaf", "1.0.0")
    return folder


def test_a_lock_file_is_written_as_nuget_has_it(feed: Path, tmp_path: Path) -> None:
    lock = tmp_path / "packages.lock.json"
    resolve(feed, lock, "top@1.*")
    assert json.loads(lock.read_bytes()) == {
        "version": 1,
        "dependencies": {
            "net10.0": {
                "Leaf": {
                    "type": "Transitive",
                    "resolved": "1.0.0",
                    "contentHash": sha512((feed / "Leaf.1.0.0.nupkg").read_bytes()),
                },
                "Top": {
                    "type": "Direct",
                    "requested": "[1.*, )",
                    "resolved": "1.0.0",
                    "contentHash": sha512((feed / "Top.1.0.0.nupkg").read_bytes()),
                    "dependencies": {"Leaf": "1.0.0"},
                },
            }
        },
    }
    assert list(tmp_path.glob("*.tmp")) == list(tmp_path.glob(".*.tmp")) == []


def test_what_is_locked_stays(feed: Path, tmp_path: Path) -> None:
    lock = tmp_path / "lock.json"
    first = resolve(feed, lock, "Top@*")
    before = lock.read_bytes()
    put(feed, "Top", "2.0.0")
    assert resolve(feed, lock, "Top@*") == first
    assert lock.read_bytes() == before
    lock.unlink()
    assert resolve(feed, lock, "Top@*") == {"Top": "2.0.0"}


def test_a_package_that_was_changed_is_refused(feed: Path, tmp_path: Path) -> None:
    lock = tmp_path / "lock.json"
    resolve(feed, lock, "Top")
    put(feed, "Leaf", "1.0.0", {"readme.md": b"changed"})
    with pytest.raises(dwh.PackageError, match=r"Leaf 1.0.0 .* not what the lock file says"):
        resolve(feed, lock, "Top")


def test_a_lock_file_for_other_packages_is_refused(feed: Path, tmp_path: Path) -> None:
    lock = tmp_path / "lock.json"
    put(feed, "Other", "1.0.0")
    resolve(feed, lock, "Top@1.0")
    for wanted, message in (
        (["Top@[1.0]"], r"top is wanted as \[1.0.0, 1.0.0\] and was as \[1.0.0, \)"),
        (["Top@1.0", "Leaf@1.0"], "leaf is wanted as"),
        (["Leaf@1.0"], "made for other packages"),
        (["Top@1.0", "Other"], "Other .* lock file does not have it"),
        (["Top@2.0"], r"lock file has 1.0.0; delete"),
    ):
        with pytest.raises(dwh.PackageError, match=message):
            resolve(feed, lock, *wanted)
    with pytest.raises(dwh.PackageError, match="allow_packages does not permit"):
        resolve(feed, lock, "Top@1.0", allow_packages=["Top", "Leaf@2.0"])
    (feed / "Leaf.1.0.0.nupkg").unlink()
    with pytest.raises(dwh.PackageError, match=r"lock file has Leaf 1.0.0, which is not in"):
        resolve(feed, lock, "Top@1.0")


HASH = sha512(b"")


def entry(**fields: object) -> str:
    usual = {"type": "Direct", "requested": "[1.0.0, )", "resolved": "1.0.0", "contentHash": HASH}
    return json.dumps({"version": 1, "dependencies": {"net10.0": {"A": {**usual, **fields}}}})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "cannot be read"),
        ("[]", "cannot be read"),
        ("[" * 100_000, "cannot be read"),
        ('{"version": 1, "dependencies": {"net8.0": {}}}', "net10.0 cannot be read"),
        ('{"version": 1, "dependencies": {"net10.0": []}}', "net10.0 cannot be read"),
        ('{"version": 9, "dependencies": {"net10.0": {}}}', "version is 9"),
        ('{"version": 1, "dependencies": {"net10.0": {"../a": {}}}}', "no package"),
        ('{"version": 1, "dependencies": {"net10.0": {"A": 5}}}', "no package"),
        (entry(type="Project"), "of type"),
        (entry(resolved=5), "no version"),
        (entry(contentHash="AAAA"), "no SHA-512"),
        (entry(contentHash="!"), "no SHA-512"),
        (entry(contentHash=None), "no SHA-512"),
        (entry(resolved="nonsense"), "lock file does not have it"),
    ],
)
def test_what_is_no_lock_file_is_refused(
    feed: Path, tmp_path: Path, text: str, message: str
) -> None:
    lock = tmp_path / "lock.json"
    lock.write_text(text, encoding="utf-8")
    with pytest.raises(dwh.PackageError, match=message):
        resolve(feed, lock, "A@1.0")
    assert lock.read_text(encoding="utf-8") == text


def test_a_lock_file_that_cannot_be_written_or_read(feed: Path, tmp_path: Path) -> None:
    with pytest.raises(dwh.PackageError, match="cannot be written"):
        resolve(feed, tmp_path / "nowhere" / "lock.json", "Top")
    with pytest.raises(dwh.PackageError, match="cannot be read"):
        resolve(feed, tmp_path, "Top")


def test_programs_take_lock_files(feed: Path, tmp_path: Path) -> None:
    lock = tmp_path / "lock.json"
    source = "#:package Top@1.0\nreturn 4;"
    assert dwh.run_csharp(source, package_sources=feed, lock_file=lock).returncode == 4
    put(feed, "Leaf", "1.0.0", {"readme.md": b"changed"})
    with pytest.raises(dwh.PackageError, match="not what the lock file says"):
        dwh.run_csharp(source, package_sources=feed, lock_file=lock)
    with pytest.raises(dwh.PackageError, match="not what the lock file says"):
        dwh.compile_csharp("", packages=["Top@1.0"], package_sources=feed, lock_file=lock)


def test_with_a_lock_file_no_list_is_asked_for(tmp_path: Path) -> None:
    lock = tmp_path / "lock.json"
    with serving() as feed:
        feed.add("A", "1.0.0", package("A", "1.0.0"))
        resolve(feed.index, lock, "A@1.*")
        feed.asked.clear()
        resolve(feed.index, lock, "A@1.*")
        # It is in the cache.
        assert feed.asked == []


# ------------------------------------------------------------------ signatures


def signed(content: bytes, *, first: bool = False) -> bytes:
    """With a signature as NuGet puts it there: one more entry, stored."""
    output = io.BytesIO()
    if not first:
        output.write(content)
        with zipfile.ZipFile(output, "a") as target:
            target.writestr(zipfile.ZipInfo(".signature.p7s"), b"signature" * 100)
        return output.getvalue()
    with zipfile.ZipFile(output, "w") as target, zipfile.ZipFile(io.BytesIO(content)) as given:
        target.writestr(zipfile.ZipInfo(".signature.p7s"), b"signature" * 100)
        for item in given.infolist():
            target.writestr(item, given.read(item), item.compress_type)
    return output.getvalue()


@pytest.mark.parametrize("first", [False, True])
def test_a_signature_does_not_count(first: bool) -> None:
    plain = package("A", "1.0.0", {"lib/net8.0/a.dll": bytes(range(256)) * 20})
    assert signed(plain, first=first) != plain
    assert without_signature(signed(plain, first=first)) == plain
    assert content_hash(signed(plain, first=first)) == content_hash(plain) == sha512(plain)


def test_only_the_signature_at_the_root_does_not_count() -> None:
    for name in ("lib/.signature.p7s", ".signature.p7s.dll", ".SIGNATURE.P7S"):
        content = zipped({name: b"x"})
        assert without_signature(content) == content


def test_what_is_no_plain_archive_is_hashed_whole() -> None:
    plain = signed(package("A", "1.0.0"))
    end = plain.rindex(b"PK\x05\x06")
    for offset, value in ((4, 1), (8, 3), (16, 5), (12, 7)):
        damaged = bytearray(plain)
        struct.pack_into("<H", damaged, end + offset, value)
        assert without_signature(bytes(damaged)) == damaged
    for content in (b"", b"PK\x05\x06", plain[:-1], plain[: end - 10] + plain[end:]):
        assert without_signature(content) == content


def test_a_feed_may_sign_what_was_locked(feed: Path, tmp_path: Path) -> None:
    lock = tmp_path / "lock.json"
    resolve(feed, lock, "Top")
    path = feed / "Leaf.1.0.0.nupkg"
    path.write_bytes(signed(path.read_bytes()))
    assert resolve(feed, lock, "Top")
