"""Programs and functions with packages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import dotnet_wasm_host as dwh
from tests.nuget.made import needs, put
from tests.standalone.hosts import PlainHosts

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HANDLER = """
public sealed class H : IFunctionHandler {
    public byte[] Execute(ReadOnlySpan<byte> input) => [(byte)Top.V];
}"""


@pytest.fixture
def feed(tmp_path: Path, libraries: Callable[..., bytes]) -> Path:
    put(
        tmp_path,
        "Top",
        "1.0.0",
        {"lib/netstandard2.0/Top.dll": libraries("Top", 6)},
        needs(("Leaf", "1.0")),
    )
    put(tmp_path, "Leaf", "1.0.0", {"lib/net6.0/Leaf.dll": libraries("Leaf", 7)})
    return tmp_path


def test_a_program_asks_for_packages_itself(feed: Path) -> None:
    source = "#:package Top@1.*\n#:package Leaf\nConsole.Write(Top.V * Leaf.V);"
    assert dwh.run_csharp(source, package_sources=feed, check=True).stdout == "42"


def test_packages_are_given_beside_the_source(feed: Path) -> None:
    done = dwh.run_csharp("return Top.V;", packages=["Top"], package_sources=[feed], timeout=60)
    assert done.returncode == 6


def test_a_function_is_compiled_with_packages_and_loaded_with_them(
    runtime: dwh.Runtime, feed: Path
) -> None:
    assembly = dwh.compile_csharp(HANDLER, packages=["Top@1.0"], package_sources=feed)
    found = dwh.resolve_packages(["Top@1.0"], feed)
    runtime.load_assembly("f", assembly, dependencies=found)
    assert runtime.invoke("f") == b"\x06"
    assert dwh.compile_csharp(HANDLER, references=found).data == assembly.data


def test_a_function_is_loaded_with_its_packages(
    runtime: dwh.Runtime, feed: Path, tmp_path: Path
) -> None:
    lock = tmp_path / "lock.json"
    function = runtime.load_csharp(
        HANDLER, packages=["Top@1.0"], package_sources=feed, lock_file=lock, timeout=60
    )
    assert function(b"") == b"\x06"
    assert lock.is_file()
    with pytest.raises(dwh.PackageError, match="not among the allowed"):
        runtime.load_csharp(
            HANDLER, packages=["Top@1.0"], package_sources=feed, allow_packages=["Leaf"]
        )
    with pytest.raises(dwh.InvocationTimeout):
        runtime.load_csharp(HANDLER, packages=["Top"], package_sources=feed, timeout=1e-9)


def test_what_is_given_is_used_instead_of_what_a_package_has(
    feed: Path, libraries: Callable[..., bytes]
) -> None:
    done = dwh.run_csharp(
        "return Top.V;",
        packages=["Top"],
        package_sources=feed,
        references=[libraries("Top", 9)],
    )
    assert done.returncode == 9


def test_errors_name_who_wants_a_package(feed: Path) -> None:
    with pytest.raises(dwh.PackageError, match=r"app.cs\(2\) wants package Nope"):
        dwh.run_csharp("// x\n#:package Nope@1.0\nreturn;", package_sources=feed)
    with pytest.raises(dwh.PackageError, match="not among the allowed"):
        dwh.run_csharp("return;", packages=["Top"], package_sources=feed, allow_packages=["Top"])
    for call in (dwh.run_csharp, dwh.compile_csharp):
        with pytest.raises(dwh.PackageError, match="no source of packages"):
            call("return;", packages=["Top"])


def test_finding_packages_has_a_deadline(feed: Path) -> None:
    with pytest.raises(dwh.InvocationTimeout):
        dwh.run_csharp("return;", packages=["Top"], package_sources=feed, timeout=1e-9)
    with pytest.raises(dwh.InvocationTimeout):
        dwh.compile_csharp(HANDLER, packages=["Top"], package_sources=feed, timeout=1e-9)


@pytest.mark.long
def test_a_standalone_module_has_its_packages_inside(feed: Path) -> None:
    hosts, source = PlainHosts(), f"#:package Top@1.*\n{HANDLER}"
    module = dwh.build_wasm(source, function_id="f", package_sources=feed)
    assert hosts.started(module.data).invoke("f") == (0, b"\6")
    assembly = dwh.compile_csharp(HANDLER, packages=["Top@1.0"], package_sources=feed)
    module = dwh.build_wasm(
        assembly, function_id="f", packages=["Top@1.0"], package_sources=feed, boot="at-start"
    )
    assert hosts.started(module.data).invoke("f") == (0, b"\6")
    with pytest.raises(dwh.PackageError):
        dwh.build_wasm(source, package_sources=feed, allow_packages=["Other"])
