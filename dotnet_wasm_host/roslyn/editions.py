"""Which Roslyn compiles: the one that comes with the package, or a newer one of the user's."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from dotnet_wasm_host.artifacts.store import ArtifactStore
from dotnet_wasm_host.assembly import MalformedImage, identify
from dotnet_wasm_host.ecma335.metadata import referenced_assemblies
from dotnet_wasm_host.errors import MarshallingError, MarshallingTypeError

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

__all__ = ["SDK", "RoslynEdition", "find_edition", "shipped_edition"]

#: Asks for the Roslyn of the newest .NET SDK of this machine.
SDK = "sdk"
_NAMES = ("Microsoft.CodeAnalysis", "Microsoft.CodeAnalysis.CSharp")
_FILES = tuple(f"{name}.dll" for name in _NAMES)
#: Where an SDK keeps its compiler.
_IN_SDK = Path("Roslyn", "bincore")
#: Where installers put .NET: Linux packages, the install script, macOS, Windows.
_INSTALLED = (
    *("/usr/share/dotnet", "/usr/lib/dotnet", "/usr/lib64/dotnet", "/usr/local/share/dotnet"),
    *("~/.dotnet", "C:/Program Files/dotnet"),
)
_VERSION = re.compile(r"\d+(\.\d+)*")


class RoslynEdition(NamedTuple):
    """The assemblies of one Roslyn.

    Attributes:
        version: of both.
        assemblies: their contents.
        key: what is different for each edition; ``""`` for the shipped one.
    """

    version: tuple[int, ...]
    assemblies: tuple[bytes, ...]
    key: str = ""


def shipped_edition() -> RoslynEdition:
    """The one that comes with the package."""
    store = ArtifactStore.locate()
    contents = tuple(store.read(name) for name in store.names("roslyn/"))
    return RoslynEdition(_version_of(contents[0]), contents)


def find_edition(where: str | os.PathLike[str], known: Container[str]) -> RoslynEdition:
    """The Roslyn in a folder.

    Args:
        where: a folder with its two DLLs, an SDK or an installation of .NET; ``"sdk"`` for the
            newest SDK of this machine.
        known: names of the assemblies that it may refer to.

    Raises:
        MarshallingError: there is none, it is older than the shipped one, its DLLs do not belong
            together, or it needs more than the base library.
    """
    given: object = where
    if not isinstance(given, (str, os.PathLike)):
        raise MarshallingTypeError(
            f"roslyn is the path of a folder, or {SDK!r}, not {type(given).__name__}; give one "
            "of these"
        )
    folder = _folder(where)
    files = [folder / name for name in _FILES]
    stamps = tuple((file.stat().st_mtime_ns, file.stat().st_size) for file in files)
    edition = _read(folder, stamps)
    for content in edition.assemblies:
        lacking = {n for n in referenced_assemblies(content) if n not in known} - set(_NAMES)
        if lacking:
            raise MarshallingError(
                f"the Roslyn in {folder} refers to {', '.join(sorted(lacking))}, which this .NET "
                "does not have; take one that was built for .NET 10 or older"
            )
    return edition


def _folder(where: str | os.PathLike[str]) -> Path:
    looked = []
    for folder in _candidates(where):
        looked.append(str(folder))
        if all((folder / name).is_file() for name in _FILES):
            return folder
    raise MarshallingError(
        f"roslyn={os.fspath(where)!r}: expected a folder with {' and '.join(_FILES)}, or an SDK "
        "with one; found neither in "
        f"{', '.join(looked) or 'any place where SDKs are installed'}; give the folder of those "
        "DLLs"
    )


def _candidates(where: str | os.PathLike[str]) -> Iterator[Path]:
    if where != SDK:
        yield from _inside(Path(where))
        return
    roots = [os.environ.get("DOTNET_ROOT"), *_INSTALLED]
    command = shutil.which("dotnet")
    if command is not None:
        roots.insert(1, str(Path(command).resolve().parent))
    for root in roots:
        if root:
            yield from _inside(Path(root).expanduser())


def _inside(folder: Path) -> Iterator[Path]:
    """The folder, what an SDK has in it, and the SDKs of an installation, the newest first."""
    if not folder.is_dir():
        return
    yield folder
    if (folder / _IN_SDK).is_dir():
        yield folder / _IN_SDK
    sdks = [sdk for sdk in (folder / "sdk").glob("*") if (sdk / _IN_SDK).is_dir()]
    for sdk in sorted(sdks, key=lambda sdk: _numbers(sdk.name), reverse=True):
        yield sdk / _IN_SDK


def _numbers(name: str) -> tuple[int, ...]:
    found = _VERSION.match(name)
    return tuple(map(int, found[0].split("."))) if found else ()


@lru_cache(maxsize=4)
def _read(folder: Path, _stamps: tuple[tuple[int, int], ...]) -> RoslynEdition:
    contents = tuple((folder / name).read_bytes() for name in _FILES)
    versions = []
    for file, name, content in zip(_FILES, _NAMES, contents, strict=True):
        try:
            identity = identify(content)
        except MalformedImage as error:
            raise MarshallingError(
                f"{folder / file} is not a .NET assembly: {error}; give another folder"
            ) from error
        if identity.name != name:
            raise MarshallingError(
                f"{folder / file} is {identity.name!r}, not {name!r}; give another folder"
            )
        versions.append(_version_of(content))
    if versions[0] != versions[1]:
        shown = " and ".join(".".join(map(str, version)) for version in versions)
        raise MarshallingError(
            f"the DLLs of Roslyn in {folder} have different versions: {shown}; give both of one "
            "version"
        )
    oldest = shipped_edition().version
    if versions[0] < oldest:
        raise MarshallingError(
            f"the Roslyn in {folder} is {'.'.join(map(str, versions[0]))}, older than the "
            f"{'.'.join(map(str, oldest))} that comes with this package; leave roslyn out"
        )
    digest = hashlib.sha256(b"".join(hashlib.sha256(c).digest() for c in contents)).hexdigest()
    return RoslynEdition(versions[0], contents, digest[:16])


def _version_of(content: bytes) -> tuple[int, ...]:
    return _numbers(identify(content).version)
