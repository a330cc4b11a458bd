"""Packages out of folders: which are found, and what of them is used."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import dotnet_wasm_host as dwh
from tests.nuget.made import needs, package, put

if TYPE_CHECKING:
    from collections.abc import Callable


def versions(folder: Path | list[Path], *wanted: str, **options: list[str]) -> dict[str, str]:
    return dict(dwh.resolve_packages(wanted, folder, **options).versions)  # type: ignore[arg-type]


def test_what_a_package_needs_comes_along(tmp_path: Path) -> None:
    put(tmp_path, "Top", "1.0.0", needs={"net8.0": [("Mid", "1.0")], "net45": [("Nope", "1")]})
    put(tmp_path, "Mid", "1.5.0", needs=needs(("leaf", "[2.0,3.0)")))
    put(tmp_path, "Mid", "1.0.0", needs=needs(("LEAF", "[2.0,3.0)")))
    for number in ("1.0.0", "2.0.0", "2.1.0", "3.0.0"):
        put(tmp_path, "Leaf", number)
    assert versions(tmp_path, "top") == {"Top": "1.0.0", "Mid": "1.0.0", "Leaf": "2.0.0"}
    assert versions(tmp_path, "Top", "Leaf@2.*")["Leaf"] == "2.1.0"


def test_the_highest_of_several_requests_wins_and_what_is_asked_for_directly(
    tmp_path: Path,
) -> None:
    for number in ("1.0.0", "2.0.0", "3.0.0"):
        put(tmp_path, "C", number, needs=needs(("Old", "1.0")) if number == "1.0.0" else None)
    put(tmp_path, "Old", "1.0.0")
    put(tmp_path, "A", "1.0.0", needs=needs(("C", "1.0"), ("B", "1.0")))
    put(tmp_path, "B", "1.0.0", needs=needs(("C", "2.0")))
    # Old is needed by a version of C that is not taken in the end.
    assert versions(tmp_path, "A") == {"A": "1.0.0", "C": "2.0.0", "B": "1.0.0"}
    assert versions(tmp_path, "A", "C@3.0")["C"] == "3.0.0"
    with pytest.raises(dwh.PackageError, match=r"package B 1.0.0 wants C 2.0, and packages="):
        versions(tmp_path, "A", "C@[1.0]")


def test_requests_that_no_version_fits_are_told(tmp_path: Path) -> None:
    for number in ("1.0.0", "2.0.0"):
        put(tmp_path, "C", number)
    put(tmp_path, "A", "1.0.0", needs=needs(("C", "[1.0]")))
    put(tmp_path, "B", "1.0.0", needs=needs(("C", "2.0")))
    with pytest.raises(dwh.PackageError, match=r"fits all .*A 1.0.0 wants \[1.0\]; .*B 1.0.0"):
        versions(tmp_path, "A", "B")
    with pytest.raises(dwh.PackageError, match=r"no package of this id in .*"):
        versions(tmp_path, "Missing")
    with pytest.raises(dwh.PackageError, match=r"A 9.0, and none of the versions.*: 1.0.0"):
        versions(tmp_path, "A@9.0")
    with pytest.raises(dwh.PackageError, match="no version or range"):
        versions(tmp_path, "A@[1.0")


def test_packages_that_need_each_other_are_refused(tmp_path: Path) -> None:
    put(tmp_path, "A", "1.0.0", needs=needs(("B", "1.0")))
    put(tmp_path, "B", "1.0.0", needs=needs(("C", "1.0")))
    put(tmp_path, "C", "1.0.0", needs=needs(("b", "1.0")))
    with pytest.raises(dwh.PackageError, match="in a circle: B -> C -> B"):
        versions(tmp_path, "A")
    put(tmp_path, "Self", "1.0.0", needs=needs(("Self", "1.0")))
    with pytest.raises(dwh.PackageError, match="in a circle: Self -> Self"):
        versions(tmp_path, "Self")


def test_versions_that_chase_each_other_come_to_an_end(tmp_path: Path) -> None:
    put(tmp_path, "A", "1.0.0", needs=needs(("B", "2.0")))
    put(tmp_path, "A", "2.0.0", needs=needs(("B", "1.0")))
    put(tmp_path, "B", "1.0.0")
    put(tmp_path, "B", "2.0.0", needs=needs(("A", "2.0")))
    put(tmp_path, "Top", "1.0.0", needs=needs(("A", "1.0")))
    with pytest.raises(dwh.PackageError, match="in a circle"):
        versions(tmp_path, "Top")


def test_parts_of_the_base_library_are_not_looked_for(tmp_path: Path) -> None:
    put(
        tmp_path,
        "A",
        "1.0.0",
        needs=needs(
            ("System.Memory", "4.5.5"),
            ("NETStandard.Library", "1.6.1"),
            ("runtime.native.System", "4.3.0"),
            ("System.Text.Json", "[8.0.0]"),
        ),
    )
    assert versions(tmp_path, "A", "Microsoft.CSharp") == {"A": "1.0.0"}
    put(tmp_path, "B", "1.0.0", needs=needs(("System.Text.Json", "11.0")))
    with pytest.raises(dwh.PackageError, match=r"package B 1.0.0 wants .* cannot be replaced"):
        versions(tmp_path, "B")


def test_only_what_is_allowed_is_used(tmp_path: Path) -> None:
    put(tmp_path, "A", "1.0.0", needs=needs(("Acme.B", "1.0")))
    put(tmp_path, "Acme.B", "1.0.0")
    put(tmp_path, "Acme.B", "2.0.0")
    assert versions(tmp_path, "A", allow_packages=["a@1.0", "acme.*"])
    with pytest.raises(dwh.PackageError, match=r"package A 1.0.0 wants package Acme.B.*allow_"):
        versions(tmp_path, "A", allow_packages=["A"])
    with pytest.raises(dwh.PackageError, match="permits no version"):
        versions(tmp_path, "A", allow_packages=["A", "Acme.B@3.0"])
    assert versions(tmp_path, "A", allow_packages=["A", "Acme.B@2.0"])["Acme.B"] == "2.0.0"
    for wrong, message in (("A@[1", "no range"), ("../*", "beginning of an id"), ("a b", "id of")):
        with pytest.raises(dwh.MarshallingError, match=message):
            versions(tmp_path, "A", allow_packages=[wrong])
    with pytest.raises(dwh.MarshallingError, match="list of texts"):
        dwh.resolve_packages(["A"], tmp_path, allow_packages="A")


def test_sources_are_asked_in_their_order(tmp_path: Path, libraries: Callable[..., bytes]) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    put(first, "A", "1.0.0", {"lib/net8.0/A.dll": libraries("A", 1)})
    put(second, "A", "1.0.0", {"lib/net8.0/A.dll": libraries("A", 2)})
    put(second, "A", "2.0.0")
    found = dwh.resolve_packages(["A@1.0"], [dwh.PackageSource(first), second])
    assert found.libraries["A"] == libraries("A", 1)
    assert versions([first, second], "A") == {"A": "2.0.0"}


def test_folders_are_laid_out_as_nuget_does(tmp_path: Path) -> None:
    folder = tmp_path / "a.b" / "1.2.0"
    folder.mkdir(parents=True)
    (folder / "a.b.1.2.0.nupkg").write_bytes(package("A.B", "1.2"))
    (tmp_path / "A.B.1.1.nupkg").write_bytes(package("A.B", "1.1"))
    (tmp_path / "A.B.C.1.3.nupkg").write_bytes(package("A.B.C", "1.3"))
    (tmp_path / "A.B.nonsense.nupkg").write_bytes(b"")
    assert versions(tmp_path, "a.b") == {"A.B": "1.2.0"}
    assert versions(tmp_path, "a.b@[1.1]") == {"A.B": "1.1.0"}
    with pytest.raises(dwh.PackageError, match="not a folder that is there"):
        versions(tmp_path / "nowhere", "a.b")


def test_a_package_is_what_its_nuspec_says(tmp_path: Path) -> None:
    (tmp_path / "A.1.0.0.nupkg").write_bytes(package("B", "1.0.0"))
    with pytest.raises(dwh.PackageError, match=r"says that it is B '1.0.0'"):
        versions(tmp_path, "A")
    (tmp_path / "A.1.0.0.nupkg").write_bytes(package("A", "1.0.1"))
    with pytest.raises(dwh.PackageError, match=r"says that it is A '1.0.1'"):
        versions(tmp_path, "A")


def test_references_and_libraries_of_a_package(
    tmp_path: Path, libraries: Callable[..., bytes]
) -> None:
    real, surface, here = libraries("Lib", 1), libraries("Lib", 2), libraries("Lib", 3)
    put(tmp_path, "A", "1.0.0", {"LIB/netstandard2.0/Lib.dll": real, "lib/net11.0/_._": b""})
    put(tmp_path, "A", "2.0.0", {"lib/net8.0/Lib.dll": real, "ref/net8.0/Lib.dll": surface})
    put(
        tmp_path,
        "A",
        "3.0.0",
        {
            "lib/netstandard2.0/Lib.dll": real,
            "runtimes/browser/lib/net8.0/Lib.dll": here,
            "runtimes/win/lib/net8.0/Lib.dll": b"other",
        },
    )
    put(tmp_path, "A", "4.0.0", {"lib/net8.0/_._": b"", "lib/net45/Lib.dll": b"old"})
    found = {n: dwh.resolve_packages([f"A@[{n}.0]"], tmp_path) for n in range(1, 5)}
    assert [found[n].libraries.get("Lib") for n in found] == [real, real, here, None]
    assert [found[n].references.get("Lib") for n in found] == [real, surface, real, None]
    assert [[a.name for a in found[n]] for n in found] == [["Lib"]] * 3 + [[]]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"runtimes/linux-x64/native/libx.so": b""}, "machine code.*linux-x64/native/libx.so"),
        ({"lib/net8.0/x.dll": b"MZ native"}, "x.dll', which is not a .NET assembly"),
        ({"lib/net11.0/_._": b""}, "has libraries for net11.0, and none for .NET 10"),
        ({"runtimes/win/lib/net8.0/x.dll": b""}, "runtimes/win/lib/net8.0/x.dll, and none"),
    ],
)
def test_what_cannot_run_here_is_named(
    tmp_path: Path, files: dict[str, bytes], message: str
) -> None:
    put(tmp_path, "A", "1.0.0", files)
    with pytest.raises(dwh.PackageError, match=message):
        versions(tmp_path, "A")


def test_a_package_that_needs_another_framework_is_refused(tmp_path: Path) -> None:
    references = (
        "<frameworkReferences><group targetFramework='net8.0'>{}</group></frameworkReferences>"
    )
    item = '<frameworkReference name="Microsoft.{}.App" />'
    put(tmp_path, "A", "1.0.0", more=references.format(item.format("AspNetCore")))
    put(tmp_path, "B", "1.0.0", more=references.format(item.format("NETCore")))
    assert versions(tmp_path, "B")
    with pytest.raises(dwh.PackageError, match=r"needs Microsoft.AspNetCore.App"):
        versions(tmp_path, "A")


def test_two_packages_with_one_assembly_are_refused(
    tmp_path: Path, libraries: Callable[..., bytes]
) -> None:
    put(tmp_path, "A", "1.0.0", {"lib/net8.0/Lib.dll": libraries("Lib", 1)})
    put(tmp_path, "B", "1.0.0", {"lib/net8.0/lib.dll": libraries("Lib", 2)})
    put(tmp_path, "C", "1.0.0", {"lib/net8.0/Lib.dll": libraries("Lib", 1)})
    assert versions(tmp_path, "A", "C")
    with pytest.raises(dwh.PackageError, match=r"A 1.0.0 and B 1.0.0 both have .*'Lib'"):
        versions(tmp_path, "A", "B")


def test_analyzers_are_told_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    put(tmp_path, "A", "1.0.0", {"analyzers/dotnet/cs/a.dll": b"x"})
    versions(tmp_path, "A")
    assert "A 1.0.0 brings analyzers or source generators" in caplog.text


def test_what_is_no_request_or_source_is_told(tmp_path: Path) -> None:
    for wrong in ("A@1.0", [b"A"], 5):
        with pytest.raises(dwh.MarshallingTypeError, match="packages"):
            dwh.resolve_packages(wrong, tmp_path)  # type: ignore[arg-type]
    with pytest.raises(dwh.MarshallingError, match="id of a package"):
        dwh.resolve_packages(["../A"], tmp_path)
    with pytest.raises(dwh.MarshallingTypeError, match="package source"):
        dwh.resolve_packages(["A"], [5])  # type: ignore[list-item]
    with pytest.raises(dwh.MarshallingTypeError, match="package_sources"):
        dwh.resolve_packages(["A"], 5)  # type: ignore[arg-type]
    with pytest.raises(dwh.MarshallingError, match="empty"):
        dwh.resolve_packages(["A"], [""])
    with pytest.raises(dwh.PackageError, match="no source of packages"):
        dwh.resolve_packages(["A"], [])
    assert len(dwh.resolve_packages([], [])) == 0
