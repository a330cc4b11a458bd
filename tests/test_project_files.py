"""Files that others read: workflows of the hosted CI, the project that an IDE opens."""

from __future__ import annotations

import fnmatch
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

import dotnet_wasm_host as dwh
from runtime_artifacts.pipeline import upstream
from runtime_artifacts.pipeline.build import Sources

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
GUEST = ROOT / "runtime_artifacts/guest"
#: The contract is in this compilation twice: as source, and as what every function refers to.
TWICE = "CS0436"


def test_workflows_are_as_github_reads_them() -> None:
    """By GitHub's own schema, which the checker brings along."""
    done = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows",
         *map(str, WORKFLOWS)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, ""), done.stdout


def test_the_matrix_has_every_python_that_is_supported() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    prefix = "Programming Language :: Python :: "
    named = (c.removeprefix(prefix) for c in settings["project"]["classifiers"] if prefix in c)
    supported = [version for version in named if "." in version]
    checks = (ROOT / ".github/workflows/checks.yml").read_text(encoding="utf-8")
    listed = re.search(r"python: \[(.*)\]", checks)
    assert listed is not None
    assert re.findall(r'"([\d.]+)"', listed[1]) == supported


@pytest.mark.long
def test_the_project_compiles_as_one_assembly() -> None:
    """What an IDE shows of the guest's C# has no errors: the files and the references that
    Guest.csproj names, with its language version, compiled by Roslyn."""
    project = ET.parse(GUEST / "Guest.csproj").getroot()
    settings = {element.tag: element.text for element in project.iterfind("PropertyGroup/*")}
    compile_ = project.find("ItemGroup/Compile")
    references = [item.attrib["Include"] for item in project.iterfind("ItemGroup/Reference")]
    assert compile_ is not None
    assert [name.rpartition("/")[0] for name in references] == ["../dist/roslyn", "../dist/nuget"]
    left_out = compile_.attrib["Exclude"].replace("**/AssemblyInfo", "*/AssemblyInfo").split(";")
    names = [file.relative_to(GUEST).as_posix() for file in sorted(GUEST.rglob("*.cs"))]
    sources = {
        name: (GUEST / name).read_text(encoding="utf-8-sig")
        for name in names
        if not any(fnmatch.fnmatch(name, pattern.replace("/**", "/*")) for pattern in left_out)
    }
    assert "MinimalRuntime/EntryPoints.cs" in sources
    # What dist is made of: it may be older than the project.
    checkout = Sources.of_checkout()
    pinned = checkout.fetch(upstream.COMPILER_PACKAGE)
    named = {**upstream.read_compiler(pinned), **upstream.read_package_rules(pinned)}
    assembly = dwh.compile_csharp(
        sources,
        assembly_name="Guest",
        references=named.values(),
        langversion=settings["LangVersion"],
        unsafe=settings["AllowUnsafeBlocks"] == "true",
    )
    assert {diagnostic.id for diagnostic in assembly.diagnostics} <= {TWICE}
