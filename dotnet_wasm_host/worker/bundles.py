"""Bundles: an assembly and what it depends on, in one zip archive.

A bundle comes as a zip of a folder: the output of ``dotnet publish``, of ``dotnet-wasm-host
publish``, or some DLLs. What is stored and served is its canonical form, so that the same
assemblies have the same version however they were packed.
"""

from __future__ import annotations

import io
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from dotnet_wasm_host.assembly import MalformedImage, identify, is_managed
from dotnet_wasm_host.ecma335.metadata import referenced_assemblies
from dotnet_wasm_host.packages.archive import PackageFile
from dotnet_wasm_host.programs.folders import BUILD_MARKS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from zipfile import ZipFile

__all__ = [
    "Bundle",
    "bundle_of",
    "canonical",
    "documentation_of",
    "is_bundle",
    "read_bundle",
    "write_bundle",
]

#: What a zip archive begins with (APPNOTE.TXT, 4.3.7); an assembly begins with ``MZ``.
_LOCAL_FILE = b"PK\x03\x04"
#: Where ``dotnet-wasm-host publish`` puts the function, and what else it writes.
_PUBLISHED, _PUBLISHED_TOO = "function/", "guest/"
#: The earliest date that a zip archive can have: canonical archives have no time of their own.
_NO_TIME = (1980, 1, 1, 0, 0, 0)
_SHOWN = 8
_WHERE = "the bundle"


class Bundle(NamedTuple):
    """An assembly and its dependencies.

    Attributes:
        assembly: the one that has the handler.
        dependencies: file names to the others; satellites as ``culture/name``.
    """

    assembly: bytes
    dependencies: Mapping[str, bytes]


def is_bundle(content: bytes) -> bool:
    """Whether this is an archive and no assembly."""
    return content.startswith(_LOCAL_FILE)


def bundle_of(content: bytes) -> Bundle:
    """What is deployed, from what is stored: an assembly, or a canonical archive."""
    return read_bundle(content, len(content)) if is_bundle(content) else Bundle(content, {})


def canonical(content: bytes, most: int, assembly: str | None = None) -> bytes:
    """What is stored of an assembly, as it is, or of an archive. Errors: :func:`read_bundle`."""
    return write_bundle(read_bundle(content, most, assembly)) if is_bundle(content) else content


def read_bundle(content: bytes, most: int, assembly: str | None = None) -> Bundle:
    """Read an archive of a stranger.

    Args:
        content: the archive.
        most: bytes that its entries may hold together.
        assembly: file name of the DLL that has the handler; ``None``: find out.

    Raises:
        MalformedImage: it is damaged or made to harm, or one cannot tell which of its assemblies
            is to be called.
    """
    package = PackageFile(content, _WHERE, most)
    libraries = _libraries(package)
    main = _main(libraries, package.names, assembly)
    return Bundle(libraries.pop(main), libraries)


def documentation_of(content: bytes, most: int, assembly: str | None = None) -> bytes:
    """What the compiler wrote of comments beside an archive's assembly; empty if it did not."""
    if not is_bundle(content):
        return b""
    package = PackageFile(content, _WHERE, most)
    name = f"{identify(read_bundle(content, most, assembly).assembly).name}.xml"
    found = [each for each in package.names if PurePosixPath(each).name == name]
    return package.read(found[0]) if found else b""


def write_bundle(bundle: Bundle) -> bytes:
    """The canonical archive: not compressed, without times, the assembly first and marked."""
    import zipfile

    identity = identify(bundle.assembly)
    entries = {
        f"{identity.name}.dll": bundle.assembly,
        f"{identity.name}{BUILD_MARKS[0]}": b"{}",
        **dict(sorted(bundle.dependencies.items())),
    }
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        _write(archive, entries)
    return written.getvalue()


def _write(archive: ZipFile, entries: Mapping[str, bytes]) -> None:
    from zipfile import ZipInfo

    for name, content in entries.items():
        entry = ZipInfo(name, _NO_TIME)
        entry.create_system = 3  # the same on every operating system
        archive.writestr(entry, content)


def _libraries(package: PackageFile) -> dict[str, bytes]:
    """The managed DLLs of the folder that has some, satellites in their folders."""
    names = [name for name in package.names if name.lower().endswith(".dll")]
    top = _top(names)
    found = {}
    for name in names:
        if not name.startswith(top):
            continue
        content = package.read(name)
        if is_managed(content):
            found[name[len(top) :]] = content
    return found


def _top(names: Iterable[str]) -> str:
    """The folder, ending in ``/`` or empty, that DLLs lie in: archives often have one around it."""
    names = list(names)
    published = {name.partition(_PUBLISHED)[0] for name in names if _PUBLISHED in name}
    for folder in published:
        if any(name.startswith(folder + _PUBLISHED_TOO) for name in names):
            return folder + _PUBLISHED
    depths = sorted((name.count("/"), name.rpartition("/")[0]) for name in names)
    return f"{depths[0][1]}/" if depths and depths[0][1] else ""


def _main(libraries: Mapping[str, bytes], names: Iterable[str], wanted: str | None) -> str:
    """The assembly that has the handler."""
    candidates = [name for name in libraries if "/" not in name]
    if wanted is not None:
        found = [name for name in candidates if wanted in (name, PurePosixPath(name).stem)]
    else:
        files = {PurePosixPath(name).name for name in names}
        found = [name for name in candidates if _is_marked(name, files)]
        if not found:
            referenced = _referenced(libraries)
            found = [n for n in candidates if identify(libraries[n]).name not in referenced]
    if len(found) == 1:
        return found[0]
    shown = ", ".join((found or candidates)[:_SHOWN]) or "no managed DLL"
    asked = f"named {wanted!r}" if wanted else "that no other one refers to"
    raise MalformedImage(
        f"expected a bundle with one assembly {asked}, found {shown}; say which one has the "
        "handler with ?assembly=NAME.dll"
    )


def _is_marked(name: str, files: set[str]) -> bool:
    return any(PurePosixPath(name).stem + mark in files for mark in BUILD_MARKS)


def _referenced(libraries: Mapping[str, bytes]) -> set[str]:
    """Simple names that any of these refers to, itself left out."""
    found = set[str]()
    for content in libraries.values():
        found |= set(referenced_assemblies(content)) - {identify(content).name}
    return found
