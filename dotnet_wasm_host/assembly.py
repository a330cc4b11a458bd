"""Assemblies as values: what the compiler gives, and every way a user can hand one in."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from dotnet_wasm_host.diagnostic import Diagnostic
from dotnet_wasm_host.ecma335.binary import MalformedImage
from dotnet_wasm_host.ecma335.debug_directory import LARGEST_PDB, embedded_pdb, is_pdb_of
from dotnet_wasm_host.ecma335.metadata import identify
from dotnet_wasm_host.errors import MarshallingTypeError
from dotnet_wasm_host.memory import buffer_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import TypeAlias

    from typing_extensions import Buffer

    #: One assembly, in every way that a user can hand it in.
    AssemblySource: TypeAlias = "Buffer | AssemblyPath | Assembly"
    #: A ``.dll``, a folder, a ``.nupkg``; or any number of these and of assemblies as values.
    DependencySource: TypeAlias = "Iterable[AssemblySource] | AssemblyPath"

__all__ = [
    "Assembly",
    "AssemblyPath",
    "Diagnostic",
    "Library",
    "MalformedImage",
    "identify",
    "is_managed",
    "read_assembly",
    "read_dependencies",
    "read_libraries",
    "read_library",
]

AssemblyPath = str | os.PathLike[str]


@dataclass(frozen=True, slots=True)
class Assembly:
    """A compiled assembly.

    Attributes:
        name: simple name, without ``.dll``.
        data: the file's content.
        diagnostics: warnings and notes of the compilation that made it.
        pdb: its portable PDB, if that is not embedded in it.
        documentation: the XML file of its comments, if it was asked for.
    """

    name: str
    data: bytes = field(repr=False)
    diagnostics: tuple[Diagnostic, ...] = field(default=(), repr=False)
    pdb: bytes | None = field(default=None, repr=False)
    documentation: str | None = field(default=None, repr=False)

    @property
    def sha256(self) -> str:
        """SHA-256 of the content, in hex."""
        return hashlib.sha256(self.data).hexdigest()

    def save(self, path: AssemblyPath) -> None:
        """Write the assembly to a file, or into a folder as ``<name>.dll``."""
        target = Path(path)
        if target.is_dir():
            target /= f"{self.name}.dll"
        target.write_bytes(self.data)


class Library(NamedTuple):
    """An assembly that was handed in.

    Attributes:
        content: the file's content.
        where: the file it came from, or ``""``.
        pdb: its portable PDB, if that was handed in with it.
    """

    content: bytes
    where: str = ""
    pdb: bytes | None = None

    def symbols(self) -> bytes | None:
        """Its portable PDB: handed in, embedded, or in the file beside it that belongs to it."""
        return self.pdb or embedded_pdb(self.content) or self._pdb_beside()

    def _pdb_beside(self) -> bytes | None:
        if not self.where:
            return None
        try:
            with Path(self.where).with_suffix(".pdb").open("rb") as stream:
                pdb = stream.read(LARGEST_PDB + 1)
        except (OSError, ValueError):
            return None
        return pdb if len(pdb) <= LARGEST_PDB and is_pdb_of(pdb, self.content) else None


def read_assembly(source: AssemblySource) -> bytes:
    """Content of an assembly given in any form. OSError if a file cannot be read."""
    return read_library(source).content


def read_library(source: AssemblySource) -> Library:
    """An assembly given in any form. OSError if a file cannot be read."""
    if isinstance(source, Assembly):
        return Library(source.data, pdb=source.pdb)
    if isinstance(source, (str, os.PathLike)):
        return Library(Path(source).read_bytes(), os.fspath(source))
    try:
        return Library(bytes(buffer_of(source, "an assembly")))
    except MarshallingTypeError:
        raise MarshallingTypeError(
            "an assembly is bytes, a path or what compile_csharp returned, "
            f"not {type(source).__name__}; give one of these"
        ) from None


def read_dependencies(source: DependencySource) -> dict[str, bytes]:
    """What :func:`read_libraries` finds, without where it came from."""
    return {name: library.content for name, library in read_libraries(source).items()}


def read_libraries(source: DependencySource) -> dict[str, Library]:
    """Dependencies by simple name, those of a culture (satellites) by ``culture/name``.

    A folder stands for every managed DLL in it and the satellites in its subfolders, a ``.nupkg``
    for the libraries in it that were built for this .NET.

    Raises:
        MalformedImage: an item is not a .NET assembly. In a folder such files are left out:
            build outputs keep native libraries beside the managed ones.
        DuplicateDependency: two different assemblies have one name.
        MarshallingTypeError: not a file, a folder or a list.
    """
    found: dict[str, Library] = {}
    for library in _each(source):
        where = library.where
        try:
            identity = identify(library.content)
        except MalformedImage as error:
            raise MalformedImage(f"{where}: {error}" if where else str(error)) from error
        name = f"{identity.culture}/{identity.name}" if identity.culture else identity.name
        before = found.setdefault(name, library)
        if before.content != library.content:
            raise DuplicateDependency(name, before.where, where)
    return found


class DuplicateDependency(MalformedImage):
    """Two different assemblies of one name are given; .NET would take either."""

    def __init__(self, name: str, first: str, second: str) -> None:
        places = f" ({first} and {second})" if first and second else ""
        super().__init__(
            f"two different assemblies are called {name!r}{places}; give the one that is to be used"
        )


def _each(source: DependencySource) -> Iterator[Library]:
    """Every assembly."""
    if isinstance(source, (str, os.PathLike)):
        yield from _of_path(Path(source))
        return
    given: object = source
    if isinstance(given, (Assembly, bytes, bytearray, memoryview)) or not hasattr(
        given, "__iter__"
    ):
        raise MarshallingTypeError(
            "dependencies are a file, a folder or a list of assemblies, files and folders, not "
            f"{type(given).__name__}; give one of these"
        )
    for item in source:
        if isinstance(item, (str, os.PathLike)):
            yield from _of_path(Path(item))
        else:
            yield read_library(item)


def _of_path(path: Path) -> Iterator[Library]:
    if path.is_dir():
        for file in sorted(_libraries_in(path)):
            content = file.read_bytes()
            if is_managed(content):
                yield Library(content, str(file))
    elif path.suffix.lower() == ".nupkg":
        from dotnet_wasm_host.packages.archive import read_libraries

        for name, content in read_libraries(path.read_bytes(), str(path)).items():
            yield Library(content, f"{path}/{name}")
    else:
        yield Library(path.read_bytes(), str(path))


def _libraries_in(folder: Path) -> list[Path]:
    found = (*folder.iterdir(), *folder.glob("*/*.resources.dll"))
    return [path for path in found if path.suffix.lower() == ".dll" and path.is_file()]


def is_managed(content: bytes) -> bool:
    """False for native libraries, which build outputs keep beside the managed ones."""
    try:
        identify(content)
    except MalformedImage:
        return False
    return True
