"""A package that was found: what of it is used on .NET 10 in WebAssembly."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, final

from dotnet_wasm_host.ecma335.binary import MalformedImage
from dotnet_wasm_host.ecma335.metadata import identify
from dotnet_wasm_host.nuget.nuspec import read_nuspec
from dotnet_wasm_host.nuget.xml_text import MAX_BYTES, MalformedXml
from dotnet_wasm_host.packages.archive import PackageFile
from dotnet_wasm_host.packages.content_hash import content_hash
from dotnet_wasm_host.packages.errors import PackageError

if TYPE_CHECKING:
    from dotnet_wasm_host.nuget.nuspec import Dependency, Nuspec
    from dotnet_wasm_host.nuget.rules import PackageRules

__all__ = ["Package"]

_log = logging.getLogger(__name__)
#: Runtime identifiers whose libraries run here, the nearest first (NuGet's graph of them).
_RUNTIMES = ("browser-wasm", "browser", "any")
#: The framework that every function has.
_OWN_FRAMEWORK = "microsoft.netcore.app"
_SHOWN = 5


@final
class Package:
    """One version of a package.

    Attributes:
        name: its id, as it writes it.
        version: its version in NuGet's normal form, lower case.
        content_hash: SHA-512 of the file without its signature, as lock files have it.
        dependencies: what it needs on .NET 10.

    Raises:
        PackageError: it is damaged, made to harm, or not what was asked for.
    """

    def __init__(
        self, content: bytes, where: str, name: str, version: str, rules: PackageRules
    ) -> None:
        self.where = where
        self._rules = rules
        self.content_hash: str = content_hash(content)
        try:
            self._file = PackageFile(content, where)
            nuspec = self._read_nuspec()
        except (MalformedImage, MalformedXml) as error:
            raise PackageError(f"package {name} {version} cannot be used: {error}") from error
        if nuspec.name.lower() != name.lower() or rules.version(nuspec.version) != version:
            raise PackageError(
                f"package {name} {version} cannot be used: {where} says that it is "
                f"{nuspec.name} {nuspec.version[:100]!r}"
            )
        self.name: str = nuspec.name
        self.version: str = version
        self._nuspec = nuspec
        self.dependencies: tuple[Dependency, ...] = self._find_dependencies()

    def __str__(self) -> str:
        return f"{self.name} {self.version}"

    def libraries(self) -> dict[str, bytes]:
        """What is loaded at run time, by simple name; satellites by ``culture/name``."""
        self._require_portable()
        self._require_frameworks()
        found = self._runtime_libraries()
        if found is None:
            found = self._nearest("lib")
        return self._checked(found)

    def references(self) -> dict[str, bytes]:
        """What is compiled against, by simple name."""
        found = self._nearest("ref") if self._file.frameworks("ref") else self._nearest("lib")
        return {name: content for name, content in self._checked(found).items() if "/" not in name}

    def _read_nuspec(self) -> Nuspec:
        names = [n for n in self._file.names if "/" not in n and n.lower().endswith(".nuspec")]
        if len(names) != 1:
            raise MalformedXml(f"{self.where} has {len(names)} nuspec files at its root, not one")
        if self._file.size(names[0]) > MAX_BYTES:
            raise MalformedXml(f"{names[0][:80]} has more than {MAX_BYTES} bytes")
        return read_nuspec(self._file.read(names[0]))

    def _find_dependencies(self) -> tuple[Dependency, ...]:
        groups = self._nuspec.dependencies
        nearest = self._rules.nearest_group(tuple(groups)) if groups else None
        return () if nearest is None else groups[nearest]

    def _require_portable(self) -> None:
        native = self._file.native_files()
        if native:
            raise PackageError(
                f"package {self} has parts in machine code, which cannot run in WebAssembly: "
                f"{_shown(native)}; choose a package that is all .NET"
            )
        if any(name.lower().startswith("analyzers/dotnet/") for name in self._file.names):
            _log.warning(
                "package %s brings analyzers or source generators; they do not run here", self
            )

    def _require_frameworks(self) -> None:
        groups = self._nuspec.frameworks
        nearest = self._rules.nearest_group(tuple(groups)) if groups else None
        others = [n for n in groups.get(nearest or "", ()) if n.lower() != _OWN_FRAMEWORK]
        if nearest is not None and others:
            raise PackageError(
                f"package {self} needs {_shown(tuple(others))}, and there is only the base library "
                "here"
            )

    def _runtime_libraries(self) -> dict[str, bytes] | None:
        for runtime in _RUNTIMES:
            folder = f"runtimes/{runtime}/lib"
            nearest = self._rules.nearest_folder(self._file.frameworks(folder))
            if nearest is not None:
                return self._read(folder, nearest)
        return None

    def _nearest(self, folder: str) -> dict[str, bytes]:
        frameworks = self._file.frameworks(folder)
        nearest = self._rules.nearest_folder(frameworks) if frameworks else None
        if nearest is not None:
            return self._read(folder, nearest)
        others = [n for n in self._file.names if _is_for_others(n.lower())]
        if frameworks or others:
            what = _shown(frameworks or tuple(others))
            raise PackageError(
                f"package {self} has libraries for {what}, and none for .NET 10 in WebAssembly"
            )
        return {}

    def _read(self, folder: str, framework: str) -> dict[str, bytes]:
        try:
            return self._file.libraries(folder, framework)
        except MalformedImage as error:
            raise PackageError(f"package {self} cannot be used: {error}") from error

    def _checked(self, files: dict[str, bytes]) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        for file, content in files.items():
            try:
                identity = identify(content)
            except MalformedImage as error:
                raise PackageError(
                    f"package {self} has {file[:100]!r}, which is not a .NET assembly and cannot "
                    f"run in WebAssembly: {error}"
                ) from error
            name = f"{identity.culture}/{identity.name}" if identity.culture else identity.name
            if found.setdefault(name, content) != content:
                raise PackageError(f"package {self} has two assemblies called {name}")
        return found


def _is_for_others(name: str) -> bool:
    return name.startswith("runtimes/") and "/lib/" in name and name.endswith(".dll")


def _shown(names: tuple[str, ...]) -> str:
    more = len(names) - _SHOWN
    # What strangers wrote may be long, or move the cursor.
    shown = ", ".join(repr(name[:100])[1:-1] for name in names[:_SHOWN])
    return shown + (f" and {more} more" if more > 0 else "")
