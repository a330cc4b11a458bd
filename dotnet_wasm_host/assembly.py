"""Assemblies as values: what the compiler gives, and every way a user can hand one in."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from dotnet_wasm_host.ecma335.binary import MalformedImage
from dotnet_wasm_host.ecma335.metadata import identify
from dotnet_wasm_host.errors import Diagnostic, MarshallingTypeError
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
    "MalformedImage",
    "identify",
    "read_assembly",
    "read_dependencies",
]

AssemblyPath = str | os.PathLike[str]


@dataclass(frozen=True, slots=True)
class Assembly:
    """A compiled assembly.

    Attributes:
        name: simple name, without ``.dll``.
        data: the file's content.
        diagnostics: warnings and notes of the compilation that made it.
    """

    name: str
    data: bytes = field(repr=False)
    diagnostics: tuple[Diagnostic, ...] = field(default=(), repr=False)

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


def read_assembly(source: AssemblySource) -> bytes:
    """Content of an assembly given in any form. OSError if a file cannot be read."""
    if isinstance(source, Assembly):
        return source.data
    if isinstance(source, (str, os.PathLike)):
        return Path(source).read_bytes()
    try:
        return bytes(buffer_of(source, "an assembly"))
    except MarshallingTypeError:
        raise MarshallingTypeError(
            "an assembly is bytes, a path or what compile_csharp returned, "
            f"not {type(source).__name__}"
        ) from None


def read_dependencies(source: DependencySource) -> dict[str, bytes]:
    """Dependencies by simple name, those of a culture (satellites) by ``culture/name``.

    A folder stands for every managed DLL in it and the satellites in its subfolders, a ``.nupkg``
    for the libraries in it that were built for this .NET.

    Raises:
        MalformedImage: an item is not a .NET assembly. In a folder such files are left out:
            build outputs keep native libraries beside the managed ones.
        DuplicateDependency: two different assemblies have one name.
        MarshallingTypeError: not a file, a folder or a list.
    """
    found: dict[str, tuple[bytes, str]] = {}
    for content, where in _each(source):
        try:
            identity = identify(content)
        except MalformedImage as error:
            raise MalformedImage(f"{where}: {error}" if where else str(error)) from error
        name = f"{identity.culture}/{identity.name}" if identity.culture else identity.name
        before = found.setdefault(name, (content, where))
        if before[0] != content:
            raise DuplicateDependency(name, before[1], where)
    return {name: content for name, (content, _) in found.items()}


class DuplicateDependency(MalformedImage):
    """Two different assemblies of one name are given; .NET would take either."""

    def __init__(self, name: str, first: str, second: str) -> None:
        places = f" ({first} and {second})" if first and second else ""
        super().__init__(
            f"two different assemblies are called {name!r}{places}; give the one that is to be used"
        )


def _each(source: DependencySource) -> Iterator[tuple[bytes, str]]:
    """Content, and the file it came from or ``""``, of every assembly."""
    if isinstance(source, (str, os.PathLike)):
        yield from _of_path(Path(source))
        return
    given: object = source
    if isinstance(given, (Assembly, bytes, bytearray, memoryview)) or not hasattr(
        given, "__iter__"
    ):
        raise MarshallingTypeError(
            "dependencies are a file, a folder or a list of assemblies, files and folders, not "
            f"{type(given).__name__}"
        )
    for item in source:
        if isinstance(item, (str, os.PathLike)):
            yield from _of_path(Path(item))
        else:
            yield read_assembly(item), ""


def _of_path(path: Path) -> Iterator[tuple[bytes, str]]:
    if path.is_dir():
        for file in sorted(_libraries_in(path)):
            content = file.read_bytes()
            if _is_managed(content):
                yield content, str(file)
    elif path.suffix.lower() == ".nupkg":
        from dotnet_wasm_host.packages.archive import read_libraries

        for name, content in read_libraries(path.read_bytes(), str(path)).items():
            yield content, f"{path}/{name}"
    else:
        yield path.read_bytes(), str(path)


def _libraries_in(folder: Path) -> list[Path]:
    found = (*folder.iterdir(), *folder.glob("*/*.resources.dll"))
    return [path for path in found if path.suffix.lower() == ".dll" and path.is_file()]


def _is_managed(content: bytes) -> bool:
    try:
        identify(content)
    except MalformedImage:
        return False
    return True
