"""What it takes to load a function, checked: its assembly, dependencies and handler."""

from __future__ import annotations

import re
from os import PathLike
from typing import TYPE_CHECKING, NamedTuple

from dotnet_wasm_host.assembly import (
    DuplicateDependency,
    MalformedImage,
    identify,
    read_libraries,
    read_library,
)
from dotnet_wasm_host.ecma335.metadata import referenced_assemblies
from dotnet_wasm_host.errors import AssemblyLoadError, MarshallingError, MarshallingTypeError
from dotnet_wasm_host.guest.loading import LEAK_PER_UNLOAD

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping

    from dotnet_wasm_host.assembly import AssemblySource, DependencySource, Library

__all__ = ["FunctionSource", "read_source"]

#: What C# has near its beginning, and neither a file name nor an assembly has.
_SOURCE = re.compile(r"\b(using|namespace|class|record|struct)\s+\w[^\0]*[;{]")
_LOOKED_AT = 4096


class FunctionSource(NamedTuple):
    """What it takes to load a function (again).

    Attributes:
        image: its assembly.
        dependencies: simple name and content of the assemblies that it brings.
        handler_type: full name of the handler; ``""`` for the first one.
        unresolved: what dependencies refer to and nobody has.
        symbols: simple name and portable PDB of those that have one.
    """

    image: bytes
    dependencies: tuple[tuple[str, bytes], ...]
    handler_type: str
    unresolved: tuple[str, ...] = ()
    symbols: tuple[tuple[str, bytes], ...] = ()

    def assemblies(self) -> dict[str, bytes]:
        """Simple name to content of the function's assembly and what it brings."""
        return {**dict(self.dependencies), identify(self.image).name: self.image}

    def resolved(self, function_id: str, known: Container[str]) -> FunctionSource:
        """The same, with the names of assemblies that dependencies refer to and that are nowhere.

        Args:
            function_id: whose source it is.
            known: what the function shares with others.

        Raises:
            AssemblyLoadError: the function's own assembly refers to one of them.
        """
        own = {name for name, _ in self.dependencies} | {identify(self.image).name}

        def missing_of(image: bytes) -> set[str]:
            found = referenced_assemblies(image)
            return {name for name in found if name not in own and name not in known}

        missing = sorted(missing_of(self.image))
        if missing:
            raise AssemblyLoadError(
                function_id,
                "System.IO.FileNotFoundException",
                f"it refers to {', '.join(missing)}, which it was not given and .NET does not "
                "have; give what it was compiled with as dependencies=[...], or load the "
                "capability that has it first",
            )
        images = (content for _, content in self.dependencies)
        unresolved = {name for image in images for name in missing_of(image)}
        return self._replace(unresolved=tuple(sorted(unresolved)))

    @property
    def leak(self) -> int:
        """Estimate of the linear memory that unloading does not give back, in bytes."""
        images = len(self.image) + sum(len(content) for _, content in self.dependencies)
        return images + LEAK_PER_UNLOAD


def read_source(
    function_id: str,
    assembly: AssemblySource,
    dependencies: DependencySource,
    handler_type: str | None,
    shared: frozenset[str],
) -> FunctionSource:
    """Read and check everything that a user hands in, before anything changes.

    Assemblies named in ``shared`` are left out of the dependencies.
    """
    try:
        function = read_library(assembly)
        identity = identify(function.content)
        named = read_libraries(dependencies)
    except DuplicateDependency as error:
        raise AssemblyLoadError(function_id, "System.IO.FileLoadException", str(error)) from error
    except MalformedImage as error:
        raise AssemblyLoadError(
            function_id,
            "System.BadImageFormatException",
            f"not a .NET assembly: {error}{_hint(assembly)}",
        ) from error
    except OSError as error:
        raise AssemblyLoadError(
            function_id,
            "System.IO.FileNotFoundException",
            f"cannot be read: {error}{_hint(assembly)}",
        ) from error
    own = {name: library for name, library in named.items() if name not in shared}
    return FunctionSource(
        image=function.content,
        dependencies=tuple((name, library.content) for name, library in own.items()),
        handler_type=_check_handler_type(handler_type),
        symbols=tuple(_symbols({**own, identity.name: function})),
    )


def _symbols(libraries: Mapping[str, Library]) -> Iterator[tuple[str, bytes]]:
    for name, library in libraries.items():
        pdb = library.symbols()
        if pdb is not None:
            yield name, pdb


def _hint(given: AssemblySource) -> str:
    """What to do about something that is not an assembly, C# for example."""
    if isinstance(given, (bytes, bytearray)):
        looks_like_source = bool(_SOURCE.search(bytes(given[:_LOOKED_AT]).decode(errors="replace")))
    else:
        text = str(given)[:_LOOKED_AT] if isinstance(given, (str, PathLike)) else ""
        looks_like_source = text.endswith(".cs") or bool(_SOURCE.search(text))
    if not looks_like_source:
        return "; give a .dll, its path, or what compile_csharp returned"
    return "; it looks like C#: compile it first, load_assembly(id, compile_csharp(source))"


def _check_handler_type(name: str | None) -> str:
    if name is None:
        return ""
    if not isinstance(name, str):
        raise MarshallingTypeError(
            f"handler_type is a string, not {type(name).__name__}; give the full name of a type"
        )
    if not name or not name.isprintable():
        raise MarshallingError(
            f"handler_type {name!r} is not the full name of a type; give 'Namespace.Type'"
        )
    return name
