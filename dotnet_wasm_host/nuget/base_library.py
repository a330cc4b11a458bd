"""Packages that .NET has inside: nobody needs to fetch them."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING, final

from dotnet_wasm_host.artifacts.store import ArtifactStore
from dotnet_wasm_host.packages.errors import PackageError

if TYPE_CHECKING:
    from dotnet_wasm_host.nuget.rules import PackageRules

__all__ = ["BaseLibrary"]

#: Packages without assemblies of their own that stand for the base library or parts of it.
_STAND_INS = frozenset(
    {
        "microsoft.netcore.app",
        "microsoft.netcore.app.ref",
        "microsoft.netcore.platforms",
        "microsoft.netcore.targets",
        "netstandard.library",
        "netstandard.library.ref",
    }
)
_STAND_IN_PREFIXES = ("runtime.any.", "runtime.native.", "runtime.unix.", "runtime.win.")


@final
class BaseLibrary:
    """What is there without packages; as .NET 10 prunes references to its own packages."""

    def __init__(self, rules: PackageRules) -> None:
        store = ArtifactStore.locate()
        self._rules = rules
        self._version = store.manifest.dotnet_version
        names = (PurePath(path).stem.lower() for path in store.names("framework/"))
        self._names = frozenset({*names, "minimalruntime"})

    def has_assembly(self, name: str) -> bool:
        """Whether an assembly of this simple name is shared by all functions."""
        return name.lower() in self._names

    def provides(self, name: str, wanted: str, by: str) -> bool:
        """Whether the base library is what a package would bring.

        PackageError if the package would be newer: the base library cannot be replaced.
        """
        key = name.lower()
        if key in _STAND_INS or key.startswith(_STAND_IN_PREFIXES):
            return True
        if key not in self._names:
            return False
        if self._rules.begins_below(wanted, self._version):
            return True
        raise PackageError(
            f"{by} wants {name} {wanted}, which is a part of .NET: the one here is "
            f"{self._version} and cannot be replaced"
        )
