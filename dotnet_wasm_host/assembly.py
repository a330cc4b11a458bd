"""Assemblies as values: what the compiler gives, and every way a user can hand one in."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from dotnet_wasm_host.ecma335.binary import MalformedImage
from dotnet_wasm_host.ecma335.metadata import AssemblyIdentity, identify
from dotnet_wasm_host.errors import Diagnostic, MarshallingTypeError
from dotnet_wasm_host.memory import buffer_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import TypeAlias

    from typing_extensions import Buffer

    #: One assembly, in every way that a user can hand it in.
    AssemblySource: TypeAlias = "Buffer | AssemblyPath | Assembly"
    #: Assemblies that go with another one: each by itself, or the folder that has them.
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


def read_dependencies(
    source: DependencySource,
) -> Iterator[tuple[AssemblyIdentity, bytes]]:
    """Dependencies with their names: one for each item, or every managed DLL of a folder.

    Raises:
        MalformedImage: an item is not a .NET assembly. In a folder such files are left out:
            build outputs keep native libraries beside the managed ones.
    """
    if isinstance(source, (str, os.PathLike)):
        for path in sorted(Path(source).iterdir()):
            if path.suffix.lower() == ".dll" and path.is_file():
                content = path.read_bytes()
                try:
                    yield identify(content), content
                except MalformedImage:
                    continue
        return
    if isinstance(source, (Assembly, bytes, bytearray, memoryview)) or not hasattr(
        source, "__iter__"
    ):
        raise MarshallingTypeError(
            f"dependencies are a list of assemblies or a folder, not {type(source).__name__}"
        )
    for item in source:
        content = read_assembly(item)
        yield identify(content), content
