"""NuGet's rules in the sandbox."""

from __future__ import annotations

import pytest

import dotnet_wasm_host as dwh
from dotnet_wasm_host.nuget.deadline import Deadline
from dotnet_wasm_host.nuget.rules import PackageRules
from dotnet_wasm_host.packages.archive import FRAMEWORKS, nearest_framework

VERSIONS = ["0.9.0", "1.0.0", "1.2.0-beta.1", "1.2.0", "1.10.0", "2.0.0", "3.0.0-rc.1"]


@pytest.mark.parametrize(
    ("wanted", "best"),
    [
        ("1.0", "1.0.0"),
        ("1.1", "1.2.0"),
        ("1.*", "1.10.0"),
        ("*", "2.0.0"),
        ("*-*", "3.0.0-rc.1"),
        ("[1.0,2.0)", "1.0.0"),
        ("(1.0,2.0)", "1.2.0"),
        ("[1.2.0-a,)", "1.2.0-beta.1"),
        ("[2.0.0]", "2.0.0"),
        ("[4.0,)", None),
        ("(,1.0)", "0.9.0"),
    ],
)
def test_the_version_for_a_range(rules: PackageRules, wanted: str, best: str | None) -> None:
    assert rules.best_match(wanted, ["nonsense", *VERSIONS]) == best


def test_versions_and_ranges_in_their_normal_form(rules: PackageRules) -> None:
    assert rules.version("1.0") == "1.0.0"
    assert rules.version("01.2.3.0-Beta+build") == "1.2.3-beta"
    assert rules.version("1.2.3.4") == "1.2.3.4"
    assert rules.range("1.0") == "[1.0.0, )"
    for nonsense in ("", "x", "1.0 && 2", "[1,2", "1.0/../..", "\0", "\ud800", "9" * 5000):
        assert rules.version(nonsense) is None
        assert rules.range(nonsense) is None
    assert rules.highest(["1.9.0", "1.10.0", "1.10.0-x"]) == "1.10.0"
    assert rules.satisfies("[1.0,2.0)", "1.9.9")
    assert not rules.satisfies("[1.0,2.0)", "2.0.0")
    assert rules.begins_below("[1.0]", "1.5.0")
    assert not rules.begins_below("1.6", "1.5.0")


@pytest.mark.parametrize(
    ("names", "nearest"),
    [
        (["net45", "netstandard2.0", "net8.0", "net10.0-windows7.0"], "net8.0"),
        (["portable-net45+win8", "netstandard1.0"], "netstandard1.0"),
        (["portable-net45+win8"], "portable-net45+win8"),
        (["net472", "net462"], "net462"),
        (["NetStandard2.0", "net11.0"], "NetStandard2.0"),
        (["uap10.0", "monoandroid10", "net11.0"], None),
        (["", "net11.0"], ""),
        (["...", "\0", "net-", "a" * 5000], None),
        ([], None),
    ],
)
def test_the_nearest_framework(rules: PackageRules, names: list[str], nearest: str | None) -> None:
    assert rules.nearest_folder(names) == nearest


def test_groups_of_dependencies_have_long_names_too(rules: PackageRules) -> None:
    assert rules.nearest_group([".NETFramework4.5", ".NETStandard2.0"]) == ".NETStandard2.0"
    assert rules.nearest_group([".NETFramework4.5", ""]) == ""
    assert rules.nearest_group([".NETFramework4.8", "net11.0"]) == ".NETFramework4.8"


def test_package_files_given_as_dependencies_are_read_by_the_same_order(
    rules: PackageRules,
) -> None:
    left = list(FRAMEWORKS)
    while left:
        assert rules.nearest_folder(left) == nearest_framework(left) == left[0]
        left.pop(0)


def test_questions_have_a_deadline() -> None:
    with PackageRules(Deadline(1e-9)) as late, pytest.raises(dwh.InvocationTimeout, match="1e-09"):
        late.version("1.0")
