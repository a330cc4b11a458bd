"""``resolve_packages``: from ids to assemblies."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from dotnet_wasm_host.assembly import Assembly
from dotnet_wasm_host.errors import MarshallingTypeError
from dotnet_wasm_host.nuget.allow_list import AllowList
from dotnet_wasm_host.nuget.base_library import BaseLibrary
from dotnet_wasm_host.nuget.catalog import Catalog
from dotnet_wasm_host.nuget.deadline import Deadline
from dotnet_wasm_host.nuget.folder_feed import FolderFeed
from dotnet_wasm_host.nuget.resolver import Resolver
from dotnet_wasm_host.nuget.rules import PackageRules
from dotnet_wasm_host.nuget.source import PackageSource
from dotnet_wasm_host.packages.errors import PackageError
from dotnet_wasm_host.packages.references import PackageLibraries, parse_packages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import TypeAlias

    from dotnet_wasm_host.nuget.package import Package
    from dotnet_wasm_host.packages.references import PackageReference

    #: One source of packages, or any number of them.
    PackageSources: TypeAlias = (
        "PackageSource | str | os.PathLike[str] | Iterable[PackageSource | str | os.PathLike[str]]"
    )

__all__ = ["PackageOptions", "ResolvedPackages", "resolve_packages"]


@final
@dataclass(frozen=True, slots=True)
class ResolvedPackages:
    """Packages with all that they need. Iterating gives the assemblies to load.

    Give it as ``dependencies=`` and ``references=``, alone or among others with ``*``.

    Attributes:
        libraries: what is loaded at run time, by simple name; satellites by ``culture/name``.
        references: what is compiled against, by simple name.
        versions: id of each package to its version.
    """

    libraries: Mapping[str, bytes]
    references: Mapping[str, bytes]
    versions: Mapping[str, str]

    def __iter__(self) -> Iterator[Assembly]:
        return (
            Assembly(name.rpartition("/")[2], content) for name, content in self.libraries.items()
        )

    def __len__(self) -> int:
        return len(self.libraries)


@final
@dataclass(frozen=True, slots=True)
class PackageOptions:
    """Where packages come from and which are allowed; the names of ``run_csharp``."""

    package_sources: PackageSources = ()
    allow_packages: Iterable[str] | None = None

    def resolver(
        self, deadline: Deadline, progress: Callable[[str], object] | None = None
    ) -> Callable[[Sequence[PackageReference]], PackageLibraries] | None:
        """What finds packages; ``None`` without sources."""
        sources = read_sources(self.package_sources)
        if not sources:
            return None
        allowed = AllowList(self.allow_packages)

        def resolve(wanted: Sequence[PackageReference]) -> PackageLibraries:
            found = _resolve(wanted, sources, allowed, deadline, progress)
            return PackageLibraries(found.references, found.libraries)

        return resolve


def resolve_packages(
    packages: Iterable[str],
    package_sources: PackageSources,
    *,
    allow_packages: Iterable[str] | None = None,
    timeout: float | None = None,
) -> ResolvedPackages:
    """Find NuGet packages and all that they depend on.

    Which versions and which of a package's libraries are taken is decided by NuGet's own code,
    which runs in the sandbox. Only the sources that are named are asked.

    Args:
        packages: ``"Newtonsoft.Json@13.0.3"``; ``"Name@[1.0,2.0)"`` and ``"Name@1.*"`` are
            ranges as NuGet writes them; ``"Name"`` is the newest version.
        package_sources: folders of ``.nupkg`` files.
        allow_packages: ids that may be used, dependencies included: ``"Name"``, ``"Name@range"``,
            ``"Prefix.*"``; ``None`` for all.
        timeout: seconds it may take.

    Raises:
        PackageError: a package is not there, damaged, not allowed, or cannot run here.
        InvocationTimeout: it took longer than ``timeout``.
        MarshallingError: an argument is not what it should be.
    """
    sources = read_sources(package_sources)
    wanted = parse_packages(packages)
    if not sources and wanted:
        raise PackageError(
            f"package {wanted[0].name} is wanted and no source of packages was given; give "
            "package_sources, for example a folder of .nupkg files"
        )
    return _resolve(wanted, sources, AllowList(allow_packages), Deadline(timeout))


def read_sources(given: PackageSources) -> tuple[PackageSource, ...]:
    """Sources in the order in which they are asked."""
    if isinstance(given, (PackageSource, str, os.PathLike)):
        given = (given,)
    if not hasattr(given, "__iter__"):
        raise MarshallingTypeError(
            f"package_sources is a folder, a PackageSource or a list of these, not {given!r}"
        )
    return tuple(item if isinstance(item, PackageSource) else PackageSource(item) for item in given)


def _resolve(
    wanted: Sequence[PackageReference],
    sources: Sequence[PackageSource],
    allowed: AllowList,
    deadline: Deadline,
    progress: Callable[[str], object] | None = None,
) -> ResolvedPackages:
    if not wanted:
        return ResolvedPackages({}, {}, {})
    with PackageRules(deadline, progress=progress) as rules:
        allowed.check(rules)
        catalog = Catalog([FolderFeed(source) for source in sources], rules, allowed, deadline)
        base_library = BaseLibrary(rules)
        graph = Resolver(catalog, rules, base_library).resolve(wanted)
        packages = graph.packages.values()
        return ResolvedPackages(
            _merged(packages, base_library, "libraries"),
            _merged(packages, base_library, "references"),
            {package.name: package.version for package in packages},
        )


def _merged(packages: Iterable[Package], base_library: BaseLibrary, kind: str) -> dict[str, bytes]:
    found: dict[str, tuple[bytes, Package]] = {}
    for package in packages:
        own = package.libraries() if kind == "libraries" else package.references()
        for name, content in own.items():
            if base_library.has_assembly(name.rpartition("/")[2]):
                continue
            before = found.setdefault(name, (content, package))
            if before[0] != content:
                raise PackageError(
                    f"packages {before[1]} and {package} both have an assembly {name!r}, and not "
                    "the same; choose versions that agree, or give the one that is to be used"
                )
    return {name: content for name, (content, _) in found.items()}
