"""Packages that are made to harm. What they say is refused, and nothing is left behind."""

from __future__ import annotations

import io
import tempfile
import zipfile
from typing import TYPE_CHECKING

import pytest

import dotnet_wasm_host as dwh
from dotnet_wasm_host.nuget import catalog, resolver, resolving
from dotnet_wasm_host.nuget.nuspec import MAX_DEPENDENCIES, read_nuspec
from dotnet_wasm_host.nuget.xml_text import MAX_BYTES, MalformedXml, parse_xml
from dotnet_wasm_host.packages import archive
from tests.nuget.made import needs, nuspec, package, put, zipped
from tests.nuget.served import serving

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path


def resolve(folder: object, *wanted: str, **options: object) -> dict[str, str]:
    found = dwh.resolve_packages(wanted, folder, **options)  # type: ignore[arg-type]
    return dict(found.versions)


def written(folder: Path, content: bytes) -> Path:
    (folder / "A.1.0.0.nupkg").write_bytes(content)
    return folder


def everything(folder: Path) -> set[str]:
    return {str(path) for path in folder.rglob("*")}


# ------------------------------------------------------------------ archives


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"../../evil.dll": b""}, "leads out"),
        ({"lib/net8.0/../../../evil.dll": b""}, "leads out"),
        ({"lib/net8.0/%2e%2e%2fevil.dll": b""}, "leads out"),
        ({"lib\\net8.0\\..\\evil.dll": b""}, "leads out"),
        ({"/etc/evil.dll": b""}, "leads out"),
        ({"c:/evil.dll": b""}, "leads out"),
        ({"lib/net8.0/a.dll": b"", "LIB/net8.0/A.DLL": b""}, "several entries"),
        ({"a.NUSPEC": b""}, "several entries"),
        ({"b.nuspec": nuspec("B", "1.0.0")}, "2 nuspec files"),
        ({"lib/net8.0/\x1b[2J.dll": b""}, r"\\x1b\[2J.dll', which is not a .NET assembly"),
        ({"runtimes/\x1b[2J/native/x": b""}, r"machine code.*\\x1b"),
    ],
)
def test_names_that_harm(tmp_path: Path, files: Mapping[str, bytes], message: str) -> None:
    content = package("A", "1.0.0", files)
    folder = written(tmp_path, content)
    before = everything(tmp_path)
    with pytest.raises(dwh.PackageError, match=message) as caught:
        resolve(folder, "A")
    assert "\x1b" not in str(caught.value)
    assert everything(tmp_path) == before


def test_nothing_is_unpacked_to_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, libraries: Callable[..., bytes]
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.chdir(scratch)
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    put(tmp_path / "feed", "A", "1.0.0", {"lib/net8.0/L.dll": libraries("L")})
    assert resolve(tmp_path / "feed", "A")
    assert list(scratch.iterdir()) == []


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_compressions_without_a_bound(tmp_path: Path, method: int) -> None:
    output = io.BytesIO()
    with zipfile.ZipFile(output, "w", method) as target:
        target.writestr("A.nuspec", nuspec("A", "1.0.0"))
        target.writestr("lib/net8.0/a.dll", bytes(1_000_000))
    with pytest.raises(dwh.PackageError, match="neither stored nor deflated"):
        resolve(written(tmp_path, output.getvalue()), "A")


def test_bombs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, libraries: Callable[..., bytes]
) -> None:
    written(tmp_path, package("A", "1.0.0", {"lib/net8.0/a.dll": bytes(1_000_000)}))
    monkeypatch.setattr(archive, "MAX_LIBRARY_BYTES", 999_999)
    with pytest.raises(dwh.PackageError, match="libraries have more than 999999 bytes"):
        resolve(tmp_path, "A")
    monkeypatch.setattr(archive, "MAX_UNPACKED_BYTES", 999_999)
    with pytest.raises(dwh.PackageError, match="999999 is the most"):
        resolve(tmp_path, "A")
    put(tmp_path, "B", "1.0.0", {"lib/net8.0/L.dll": libraries("L")}, needs(("C", "1.0")))
    put(tmp_path, "C", "1.0.0", {"lib/net8.0/M.dll": libraries("M")})
    monkeypatch.setattr(resolving, "MAX_LIBRARY_BYTES", len(libraries("L")) + 1)
    with pytest.raises(dwh.PackageError, match=r"C 1.0.0 and those before it have libraries"):
        resolve(tmp_path, "B")
    monkeypatch.setattr(catalog, "MAX_BYTES", 100)
    with pytest.raises(dwh.PackageError, match="more than 100 bytes"):
        resolve(tmp_path, "B")


def test_a_nuspec_that_is_a_bomb(tmp_path: Path) -> None:
    content = zipped({"A.nuspec": nuspec("A", "1.0.0") + b" " * MAX_BYTES})
    assert len(content) < 100_000
    with pytest.raises(dwh.PackageError, match=f"more than {MAX_BYTES} bytes"):
        resolve(written(tmp_path, content), "A")


def test_an_assembly_cannot_stand_in_for_the_base_library(
    tmp_path: Path, libraries: Callable[..., bytes]
) -> None:
    for number, name in enumerate(("System.Linq", "minimalruntime", "SYSTEM.TEXT.JSON")):
        files = {"lib/net8.0/innocent.dll": libraries(name, number)}
        put(tmp_path, "A", f"1.0.{number}", files)
        found = dwh.resolve_packages([f"A@[1.0.{number}]"], tmp_path)
        assert found.libraries == found.references == {}


def test_names_of_assemblies_that_differ_in_case(
    tmp_path: Path, libraries: Callable[..., bytes]
) -> None:
    put(tmp_path, "A", "1.0.0", {"lib/net8.0/Lib.dll": libraries("Lib", 1)})
    put(tmp_path, "B", "1.0.0", {"lib/net8.0/lib.dll": libraries("lib", 2)})
    with pytest.raises(dwh.PackageError, match="both have an assembly 'lib'"):
        resolve(tmp_path, "A", "B")


# ------------------------------------------------------------------ nuspecs

PAIRS = zip("abcdefgh", "bcdefghi", strict=True)
LAUGHS = (
    '<!DOCTYPE x [<!ENTITY a "ha">'
    + "".join(f'<!ENTITY {after} "{f"&{before};" * 10}">' for before, after in PAIRS)
    + "]><package><metadata><id>&i;</id></metadata></package>"
)
OUTSIDE = '<!DOCTYPE x SYSTEM "file:///etc/passwd"><package />'
PARAMETER = '<!DOCTYPE x [<!ENTITY % p SYSTEM "http://127.0.0.1/"> %p;]><package />'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (LAUGHS, "DOCTYPE"),
        (OUTSIDE, "DOCTYPE"),
        (PARAMETER, "DOCTYPE"),
        ("<package>&lol;</package>", "not XML"),
        ("<a>" * 65 + "</a>" * 65, "more than 64"),
        ("<a>" + "<b/>" * 50_000 + "</a>", "more than 50000 elements"),
        ("<a>" * 100_000, "more than 64"),
        ('<?xml version="1.0" encoding="no-such"?><a/>', "not XML"),
        ('<?xml version="1.0" encoding="rot13"?><a/>', "not XML"),
        ("", "not XML"),
        ("<a></b>", "not XML"),
        ("\0", "not XML"),
    ],
)
def test_xml_that_harms(text: str, message: str) -> None:
    with pytest.raises(MalformedXml, match=message):
        parse_xml(text.encode())


def test_xml_in_every_encoding_that_it_has() -> None:
    for encoding in ("utf-8-sig", "utf-16", "latin-1"):
        declared = encoding.removesuffix("-sig")
        text = f'<?xml version="1.0" encoding="{declared}"?><a b="é">ü<c/>ß</a>'
        root = parse_xml(text.encode(encoding))
        assert (root.attributes, root.text) == ({"b": "é"}, "üß")


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ("", "its id is ''"),
        ("<id>../A</id><version>1</version>", "its id is '../A'"),
        ("<id>A</id>", "and its version ''"),
        (f"<id>{'A' * 101}</id><version>1</version>", "its id is"),
        ("<id>A</id><version>1</version>{../x}", "depends on '../x'"),
        ("<id>A</id><version>1</version>{B|1.0\n2}", None),
        ("<id>A</id><version>1</version>{B|1.0\u2028x}", "no range"),
        (f"<id>A</id><version>1</version>{{B|{'1' * 300}}}", "no range"),
    ],
)
def test_nuspecs_that_are_none(metadata: str, message: str | None) -> None:
    head, brace, rest = metadata.partition("{")
    if brace:
        name, _, wanted = rest.rstrip("}").partition("|")
        head += f'<dependencies><dependency id="{name}" version="{wanted}" /></dependencies>'
    content = f"<package><metadata>{head}</metadata></package>".encode()
    if message is None:
        # A line break in an attribute is a space.
        assert read_nuspec(content).dependencies[""][0].wanted == "1.0 2"
        return
    with pytest.raises(MalformedXml, match=message):
        read_nuspec(content)


def test_a_nuspec_with_too_many_dependencies() -> None:
    items = [("B", "1.0")] * (MAX_DEPENDENCIES // 2)
    assert len(read_nuspec(nuspec("A", "1.0.0", {"net8.0": items})).dependencies["net8.0"]) == 1000
    with pytest.raises(MalformedXml, match=f"more than {MAX_DEPENDENCIES} dependencies"):
        read_nuspec(nuspec("A", "1.0.0", {"net8.0": items, "net6.0": [*items, ("C", "1")]}))


@pytest.mark.parametrize("wanted", ["x", "[1.0", "1.0 2", "[2.0,1.0)", "()", "1.*.*"])
def test_ranges_that_are_none(tmp_path: Path, wanted: str) -> None:
    put(tmp_path, "A", "1.0.0", needs=needs(("B", wanted)))
    put(tmp_path, "B", "1.0.0")
    with pytest.raises(dwh.PackageError, match=r"package A 1.0.0 wants B|none of the versions"):
        resolve(tmp_path, "A")


# ------------------------------------------------------------------ graphs


def test_a_deep_graph_is_no_deep_recursion(tmp_path: Path) -> None:
    last = 150
    for number in range(last):
        put(tmp_path, f"P{number}", "1.0.0", needs=needs((f"P{number + 1}", "1.0")))
    put(tmp_path, f"P{last}", "1.0.0")
    assert len(resolve(tmp_path, "P0")) == last + 1
    put(tmp_path, f"P{last}", "1.0.0", needs=needs(("P0", "1.0")))
    with pytest.raises(dwh.PackageError, match="in a circle: P0 -> P1"):
        resolve(tmp_path, "P0")


def test_a_graph_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolver, "MAX_PACKAGES", 10)
    for number in range(12):
        put(tmp_path, f"P{number}", "1.0.0", needs=needs((f"P{number + 1}", "1.0")))
    with pytest.raises(dwh.PackageError, match="P0 and what it needs are more than 10 packages"):
        resolve(tmp_path, "P0")
    monkeypatch.setattr(resolver, "MAX_REQUESTS", 20)
    put(tmp_path, "Wide", "1.0.0", needs=needs(*[("P12", f"1.0.{n}") for n in range(30)]))
    put(tmp_path, "P12", "1.0.0")
    with pytest.raises(dwh.PackageError, match="P12 is wanted more than 20 times"):
        resolve(tmp_path, "Wide")


def test_versions_that_never_settle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolver, "MAX_ROUNDS", 1)
    put(tmp_path, "A", "1.0.0", needs=needs(("B", "1.0")))
    put(tmp_path, "B", "1.0.0")
    with pytest.raises(dwh.PackageError, match="do not settle in 1 rounds"):
        resolve(tmp_path, "A")


def test_a_package_with_very_many_versions(tmp_path: Path) -> None:
    with serving() as feed:
        for number in range(5_000):
            feed.add("Many", f"1.0.{number}", b"")
        feed.add("Many", "1.0.4999", package("Many", "1.0.4999"))
        items = [("Many", f"1.0.{number}") for number in range(0, 5_000, 100)]
        put(tmp_path, "A", "1.0.0", needs=needs(*items, ("Many", "1.0.4999")))
        assert resolve([tmp_path, feed.index], "A") == {"A": "1.0.0", "Many": "1.0.4999"}


def test_a_deadline_ends_a_resolution(tmp_path: Path) -> None:
    for number in range(60):
        put(tmp_path, f"P{number}", "1.0.0", needs=needs((f"P{number + 1}", "1.0")))
    put(tmp_path, "P60", "1.0.0")
    with pytest.raises(dwh.InvocationTimeout):
        resolve(tmp_path, "P0", timeout=0.01)
