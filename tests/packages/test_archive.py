"""Files of packages, those that are made to harm included."""

from __future__ import annotations

import io
import struct
import zipfile
from typing import TYPE_CHECKING

import pytest

import dotnet_wasm_host as dwh
from dotnet_wasm_host.assembly import MalformedImage
from dotnet_wasm_host.packages import archive
from dotnet_wasm_host.packages.archive import PackageFile, nearest_framework, read_libraries

if TYPE_CHECKING:
    from pathlib import Path


def package(*entries: tuple[str, bytes]) -> bytes:
    output = io.BytesIO()
    with zipfile.ZipFile(output, "w", zipfile.ZIP_DEFLATED) as target:
        for name, content in entries:
            target.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return output.getvalue()


@pytest.mark.parametrize(
    ("names", "nearest"),
    [
        (("net45", "netstandard2.0", "net6.0"), "net6.0"),
        (("NET8.0", "net10.0", "net11.0"), "net10.0"),
        (("netstandard1.3", "netcoreapp2.1"), "netcoreapp2.1"),
        (("net472", "netstandard2.1"), "netstandard2.1"),
        (("net472",), "net472"),
        (("net35", "net48"), "net35"),
        (("monoandroid10", "net8.0-windows7.0"), None),
        ((), None),
    ],
)
def test_the_nearest_framework(names: tuple[str, ...], nearest: str | None) -> None:
    assert nearest_framework(names) == nearest


def test_libraries_and_satellites_of_the_nearest_framework() -> None:
    content = package(
        ("a.nuspec", b""),
        ("lib/net45/a.dll", b"old"),
        ("lib/net8.0/a.dll", b"new"),
        ("lib/net8.0/a.xml", b"docs"),
        ("lib/net8.0/de-DE/a.resources.dll", b"german"),
        ("lib/net8.0/other/b.dll", b"not of the package"),
        ("runtimes/win-x64/native/n.dll", b"machine code"),
    )
    found = read_libraries(content, "a.nupkg")
    assert found == {"a.dll": b"new", "de-DE/a.resources.dll": b"german"}
    assert PackageFile(content, "a").native_files() == ("runtimes/win-x64/native/n.dll",)


def test_a_package_for_other_frameworks_only_is_refused() -> None:
    with pytest.raises(MalformedImage, match=r"for monoandroid10, not for \.NET 10"):
        read_libraries(package(("lib/monoandroid10/a.dll", b"")), "a.nupkg")
    assert read_libraries(package(("readme.md", b"")), "a.nupkg") == {}


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        (["../a.dll"], "leads out"),
        (["lib/net8.0/../../../a.dll"], "leads out"),
        (["/etc/passwd"], "leads out"),
        (["C:/a.dll"], "leads out"),
        (["lib\\..\\a.dll"], "leads out"),
        (["lib/net8.0/%2e%2e/%2e%2e/a.dll"], "leads out"),
        (["lib/net8.0/a.dll", "lib/net8.0/A.dll"], "several entries"),
        (["lib/a+b/a.dll", "lib/a%2Bb/a.dll"], "several entries"),
    ],
)
def test_names_that_harm_are_refused(entries: list[str], message: str) -> None:
    content = package(*((name, b"") for name in entries))
    with pytest.raises(MalformedImage, match=message):
        PackageFile(content, "bad.nupkg")


def test_a_name_that_is_there_twice_is_refused() -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        content = package(("a", b"1"), ("a", b"2"))
    with pytest.raises(MalformedImage, match="several entries"):
        PackageFile(content, "bad.nupkg")


def test_bombs_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    content = package(("lib/net8.0/a.dll", bytes(100_000)))
    monkeypatch.setattr(archive, "MAX_UNPACKED_BYTES", 99_999)
    with pytest.raises(MalformedImage, match="unpacked it has 100000 bytes"):
        PackageFile(content, "bomb.nupkg")
    monkeypatch.setattr(archive, "MAX_ENTRIES", 0)
    with pytest.raises(MalformedImage, match="1 entries"):
        PackageFile(content, "bomb.nupkg")
    monkeypatch.setattr(archive, "MAX_PACKAGE_BYTES", 10)
    with pytest.raises(MalformedImage, match="10 is the most"):
        PackageFile(content, "bomb.nupkg")


def test_an_entry_that_lies_about_its_size_is_refused() -> None:
    content = bytearray(package(("lib/net8.0/a.dll", bytes(100_000))))
    # APPNOTE.TXT 4.3.12: the uncompressed size in the central directory.
    directory = content.index(b"PK\x01\x02")
    struct.pack_into("<I", content, directory + 24, 10)
    with pytest.raises(MalformedImage, match="cannot be read"):
        read_libraries(bytes(content), "lies.nupkg")


@pytest.mark.parametrize("content", [b"", b"junk", b"PK\x05\x06" + bytes(18)[:-1]])
def test_what_is_no_archive_is_refused(content: bytes) -> None:
    with pytest.raises(MalformedImage, match="not a zip archive"):
        PackageFile(content, "junk.nupkg")


def test_a_damaged_entry_is_refused() -> None:
    content = bytearray(package(("lib/net8.0/a.dll", bytes(range(256)) * 50)))
    content[60] ^= 0xFF
    with pytest.raises(MalformedImage, match=r"cannot be read|bytes it says"):
        read_libraries(bytes(content), "damaged.nupkg")


def test_a_package_is_a_dependency(runtime: dwh.Runtime, tmp_path: Path) -> None:
    library = dwh.compile_csharp(
        "namespace Lib; public static class L { public static byte V => 42; }", assembly_name="Lib"
    )
    (tmp_path / "lib.1.0.0.nupkg").write_bytes(
        package(("lib/net35/Lib.dll", b"other"), ("lib/netstandard2.0/Lib.dll", library.data))
    )
    user = dwh.compile_csharp(
        "public class U : IFunctionHandler { "
        "public byte[] Execute(ReadOnlySpan<byte> i) => [Lib.L.V]; }",
        references=tmp_path / "lib.1.0.0.nupkg",
    )
    runtime.load_assembly("f", user, dependencies=[tmp_path / "lib.1.0.0.nupkg"])
    assert runtime.invoke("f") == b"\x2a"
