"""``resolve_packages``: from ids to assemblies."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, final

from dotnet_wasm_host.assembly import Assembly
from dotnet_wasm_host.errors import MarshallingTypeError
from dotnet_wasm_host.nuget.allow_list import AllowList
from dotnet_wasm_host.nuget.base_library import BaseLibrary
from dotnet_wasm_host.nuget.catalog import Catalog
from dotnet_wasm_host.nuget.config import is_config, read_config
from dotnet_wasm_host.nuget.deadline import Deadline
from dotnet_wasm_host.nuget.folder_feed import FolderFeed
from dotnet_wasm_host.nuget.lock_file import LockFile
from dotnet_wasm_host.nuget.locking import check_requests, locked_packages
from dotnet_wasm_host.nuget.resolver import Resolver
from dotnet_wasm_host.nuget.rules import PackageRules
from dotnet_wasm_host.nuget.source import PackageSource
from dotnet_wasm_host.packages.errors import PackageError
from dotnet_wasm_host.packages.references import PackageLibraries, parse_packages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import TypeAlias

    from dotnet_wasm_host.nuget.feed import Feed
    from dotnet_wasm_host.nuget.package import Package
    from dotnet_wasm_host.packages.references import PackageReference

    #: One source of packages, or any number of them.
    PackageSources: TypeAlias = (
        "PackageSource | str | os.PathLike[str] | Iterable[PackageSource | str | os.PathLike[str]]"
    )


__all__ = ["PackageOptions", "ResolvedPackages", "resolve_packages"]

#: Libraries of all packages together; a runtime has 256 MiB of memory unless it is given more.
MAX_LIBRARY_BYTES = 512 << 20


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
    lock_file: str | os.PathLike[str] | None = None
    offline: bool = False

    def resolver(
        self, deadline: Deadline, progress: Callable[[str], object] | None = None
    ) -> Callable[[Sequence[PackageReference]], PackageLibraries] | None:
        """What finds packages; ``None`` without sources."""
        work = _Resolution(self, deadline, progress)
        if not work.sources:
            return None

        def resolve(wanted: Sequence[PackageReference]) -> PackageLibraries:
            found = work.run(wanted)
            return PackageLibraries(found.references, found.libraries)

        return resolve


def resolve_packages(
    packages: Iterable[str],
    package_sources: PackageSources,
    *,
    allow_packages: Iterable[str] | None = None,
    lock_file: str | os.PathLike[str] | None = None,
    offline: bool = False,
    timeout: float | None = None,
) -> ResolvedPackages:
    """Find NuGet packages and all that they depend on.

    Which versions and which of a package's libraries are taken is decided by NuGet's own code,
    which runs in the sandbox. Only the sources that are named are asked.

    Args:
        packages: ``"Newtonsoft.Json@13.0.3"``; ``"Name@[1.0,2.0)"`` and ``"Name@1.*"`` are
            ranges as NuGet writes them; ``"Name"`` is the newest version.
        package_sources: folders of ``.nupkg`` files; addresses of feeds of NuGet's version 3,
            ``"https://.../index.json"`` (extra ``http``); a ``NuGet.Config``; a
            :class:`PackageSource`; or a list of these, asked in their order.
        allow_packages: ids that may be used, dependencies included: ``"Name"``, ``"Name@range"``,
            ``"Prefix.*"``; ``None`` for all.
        lock_file: a file in the format of NuGet's ``packages.lock.json``. If it is there, exactly
            its packages are used, and each must have its hash; if not, it is written.
        offline: ask no feed over a network; folders and what was fetched before remain.
        timeout: seconds it may take.

    Raises:
        PackageError: a package is not there, damaged, not allowed, not the one that was locked,
            or cannot run here.
        ExtraNotInstalled: a source has an address and the extra ``http`` is missing.
        InvocationTimeout: it took longer than ``timeout``.
        MarshallingError: an argument is not what it should be.
    """
    options = PackageOptions(package_sources, allow_packages, lock_file, offline)
    work = _Resolution(options, Deadline(timeout))
    wanted = parse_packages(packages)
    if not work.sources and wanted:
        raise PackageError(
            f"package {wanted[0].name} is wanted and no source of packages was given; give "
            "package_sources, for example a folder of .nupkg files"
        )
    return work.run(wanted)


def read_sources(given: PackageSources) -> tuple[PackageSource, ...]:
    """Sources in the order in which they are asked."""
    if isinstance(given, (PackageSource, str, os.PathLike)):
        given = (given,)
    if not hasattr(given, "__iter__"):
        raise MarshallingTypeError(
            f"expected package_sources, found {given!r:.80}; give a folder, the address of a "
            "feed, a "
            "NuGet.Config, a PackageSource or a list of these"
        )
    found: list[PackageSource] = []
    for item in given:
        if isinstance(item, PackageSource):
            found.append(item)
        elif is_config(item):
            found += read_config(Path(item))
        else:
            found.append(PackageSource(item))
    return tuple(found)


@final
class _Resolution:
    """Options that were checked."""

    def __init__(
        self,
        options: PackageOptions,
        deadline: Deadline,
        progress: Callable[[str], object] | None = None,
    ) -> None:
        self.sources = read_sources(options.package_sources)
        self._allowed = AllowList(options.allow_packages)
        self._lock_file = None if options.lock_file is None else LockFile(options.lock_file)
        self._offline = options.offline
        self._deadline = deadline
        self._progress = progress

    def run(self, wanted: Sequence[PackageReference]) -> ResolvedPackages:
        """All packages for these."""
        if not wanted:
            return ResolvedPackages({}, {}, {})
        locked = self._lock_file.read() if self._lock_file is not None else None
        with (
            PackageRules(self._deadline, progress=self._progress) as rules,
            ExitStack() as opened,
        ):
            self._allowed.check(rules)
            feeds = [self._open(source) for source in self.sources]
            for feed in feeds:
                opened.callback(feed.close)
            base_library = BaseLibrary(rules)
            catalog = Catalog(feeds, rules, self._allowed, self._deadline, locked)
            graph = Resolver(catalog, rules, base_library).resolve(wanted)
            packages = graph.packages.values()
            found = ResolvedPackages(
                _merged(packages, base_library, "libraries"),
                _merged(packages, base_library, "references"),
                {package.name: package.version for package in packages},
            )
            if self._lock_file is not None:
                fresh = locked_packages(graph, rules)
                if locked is None:
                    self._lock_file.write(fresh)
                else:
                    check_requests(fresh, locked, self._lock_file)
        return found

    def _open(self, source: PackageSource) -> Feed:
        if not source.is_http:
            return FolderFeed(source)
        # Most feeds are folders, and httpx is in an extra.
        from dotnet_wasm_host.nuget.http_feed import HttpFeed

        return HttpFeed(source, offline=self._offline)


def _merged(packages: Iterable[Package], base_library: BaseLibrary, kind: str) -> dict[str, bytes]:
    # Upper and lower case are the same in names of assemblies.
    found: dict[str, tuple[str, bytes, Package]] = {}
    total = 0
    for package in packages:
        own = package.libraries() if kind == "libraries" else package.references()
        for name, content in own.items():
            if base_library.has_assembly(name.rpartition("/")[2]):
                continue
            _, before, other = found.setdefault(name.lower(), (name, content, package))
            if before != content:
                raise PackageError(
                    f"packages {other} and {package} both have an assembly {name!r}, and not the "
                    "same; choose versions that agree"
                )
            total += len(content)
        if total > MAX_LIBRARY_BYTES:
            raise PackageError(
                f"package {package} and those before it have libraries of more than "
                f"{MAX_LIBRARY_BYTES} bytes"
            )
    return {name: content for name, content, _ in found.values()}
