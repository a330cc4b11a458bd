"""Types of .NET itself, whose metadata is read when a signature has one."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from dotnet_wasm_host.artifacts.store import ArtifactStore
from dotnet_wasm_host.base_library.library import BaseLibrary
from dotnet_wasm_host.typed.metadata import TypeReader

if TYPE_CHECKING:
    from dotnet_wasm_host.typed.definitions import TypeDefinition

__all__ = ["framework_type"]

_CORE = "System.Private.CoreLib"
#: Namespaces whose types are in an assembly of another name.
_ASSEMBLIES = {
    "System": ("System.Private.Uri", "System.Runtime.Extensions"),
    "System.Net": ("System.Net.Primitives",),
    "System.Net.Sockets": ("System.Net.Primitives",),
    "System.Text.Json": ("System.Text.Json",),
    "System.IO.Compression": ("System.IO.Compression",),
}


def framework_type(name: str) -> TypeDefinition | None:
    """A type by its full name, from the assembly that is likely to have it."""
    namespace = name.rpartition(".")[0]
    parts = namespace.split(".")
    prefixes = [".".join(parts[:n]) for n in range(len(parts), 0, -1)]
    for assembly in (_CORE, *_ASSEMBLIES.get(namespace, ()), *prefixes):
        found = _types(assembly).get(name)
        if found is not None:
            return found
    return None


@cache
def _library() -> BaseLibrary:
    return BaseLibrary(ArtifactStore.locate(), frozenset())


@cache
def _types(assembly: str) -> dict[str, TypeDefinition]:
    library = _library()
    if assembly not in library.names:
        return {}
    return {of.full_name: of for of in TypeReader(library.read(assembly)).types.values()}
