"""All feeds together: which versions there are, and the packages that were read."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from dotnet_wasm_host.nuget.package import Package
from dotnet_wasm_host.packages.errors import PackageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dotnet_wasm_host.nuget.allow_list import AllowList
    from dotnet_wasm_host.nuget.deadline import Deadline
    from dotnet_wasm_host.nuget.feed import Feed
    from dotnet_wasm_host.nuget.lock_file import LockedPackage
    from dotnet_wasm_host.nuget.request import Request
    from dotnet_wasm_host.nuget.rules import PackageRules

__all__ = ["Catalog"]

#: Package files of one resolution together, versions that were read and not chosen included.
MAX_BYTES = 1 << 30
#: Versions of one package; the most that a package on nuget.org has is some 5,000.
MAX_VERSIONS = 20_000
_SHOWN = 5


@final
class Catalog:
    """Asks feeds in their order; the first that has a version gives it.

    Args:
        feeds: where packages may come from.
        rules: what versions and ranges mean.
        allowed: which packages may be used.
        deadline: of everything that feeds are asked.
        locked: the only packages there are, if there is a lock file: id in lower case to package.
    """

    def __init__(
        self,
        feeds: Sequence[Feed],
        rules: PackageRules,
        allowed: AllowList,
        deadline: Deadline,
        locked: Mapping[str, LockedPackage] | None = None,
    ) -> None:
        self._feeds = feeds
        self._rules = rules
        self._allowed = allowed
        self._deadline = deadline
        self._locked = locked
        self._listed: dict[str, dict[str, tuple[Feed, str]]] = {}
        self._known: dict[tuple[str, str], tuple[Feed, str]] = {}
        self._packages: dict[tuple[str, str], Package] = {}
        self._best: dict[tuple[str, str], str] = {}
        self._bytes = 0

    def best(self, request: Request) -> str:
        """The version for a request. PackageError if there is none, or none is allowed."""
        self._deadline.left("choosing packages")
        key = (request.key, request.wanted)
        if key not in self._best:
            self._best[key] = self._find_best(request)
        return self._best[key]

    def _find_best(self, request: Request) -> str:
        if not self._allowed.has(request.name):
            raise PackageError(
                f"{request.by} wants package {request.name}, which is not among the allowed "
                "packages (allow_packages)"
            )
        if self._locked is not None:
            return self._locked_version(request, self._locked)
        exact = self._rules.exact(request.wanted)
        if (
            exact is not None
            and self._allowed.permits(request.name, exact, self._rules)
            and self._is_known(request.name, exact)
        ):
            versions = [exact]
        else:
            versions = list(self._versions(request.name))
        permitted = [v for v in versions if self._allowed.permits(request.name, v, self._rules)]
        best = self._rules.best_match(request.wanted, permitted) if permitted else None
        if best is None:
            raise self._nothing(request, versions, permitted)
        return best

    def package(self, request: Request, version: str) -> Package:
        """A version that :meth:`best` gave. PackageError if it cannot be used."""
        key = (request.key, version)
        if key not in self._packages:
            self._packages[key] = self._read(request, version)
        return self._packages[key]

    def _read(self, request: Request, version: str) -> Package:
        if self._locked is not None:
            feed, content = self._read_locked(request.name, version)
        else:
            feed, written = (
                self._known.get((request.key, version)) or self._versions(request.name)[version]
            )
            found = feed.package(request.name, written, self._deadline)
            if found is None:
                raise PackageError(f"{feed.source} names {request.name} {version} and has it not")
            content = found
        self._bytes += len(content)
        if self._bytes > MAX_BYTES:
            raise PackageError(
                f"the packages that {request.name} needs have more than {MAX_BYTES} bytes"
            )
        where = f"{request.name}.{version}.nupkg of {feed.source}"
        package = Package(content, where, request.name, version, self._rules)
        self._check_hash(package, feed)
        feed.keep(request.name, version, content)
        return package

    def _is_known(self, name: str, version: str) -> bool:
        """Whether the first feed that may have a version has it, without asking over a network."""
        for feed in self._feeds_for(name):
            written: str | None = version
            if feed.is_local and not feed.has(name, version):
                written = self._written(feed, name, version)
            elif not feed.has(name, version):
                return False
            if written is not None:
                self._known[name.lower(), version] = (feed, written)
                return True
        return False

    def _written(self, feed: Feed, name: str, version: str) -> str | None:
        """A version as a feed writes it, if its list has it."""
        listed = feed.versions(name, self._deadline)
        normal = self._rules.versions(listed)
        return next((t for t, n in zip(listed, normal, strict=True) if n == version), None)

    def _versions(self, name: str) -> dict[str, tuple[Feed, str]]:
        """Version in its normal form to the feed that has it, and how it is written there."""
        key = name.lower()
        if key not in self._listed:
            found: dict[str, tuple[Feed, str]] = {}
            for feed in self._feeds_for(name):
                self._deadline.left("looking for packages")
                written = feed.versions(name, self._deadline)
                if len(written) > MAX_VERSIONS:
                    raise PackageError(
                        f"{feed.source} has {len(written)} versions of {name}; {MAX_VERSIONS} is "
                        "the most"
                    )
                for text, normal in zip(written, self._rules.versions(written), strict=True):
                    if normal is not None:
                        found.setdefault(normal, (feed, text))
            self._listed[key] = found
        return self._listed[key]

    def _feeds_for(self, name: str) -> list[Feed]:
        """Those whose patterns fit best, as in NuGet's package source mapping."""
        fits = [_fit(feed.source.patterns, name.lower()) for feed in self._feeds]
        best = max(fits, default=-1)
        return [feed for feed, fit in zip(self._feeds, fits, strict=True) if fit == best >= 0]

    # ------------------------------------------------------------- with a lock file

    def _locked_version(self, request: Request, locked: Mapping[str, LockedPackage]) -> str:
        entry = locked.get(request.key)
        version = self._rules.version(entry.resolved) if entry is not None else None
        if version is None or not self._rules.satisfies(request.wanted, version):
            has = f"has {version}" if version else "does not have it"
            raise PackageError(
                f"{request.by} wants package {request.name} {request.wanted}, and the lock file "
                f"{has}; delete the lock file to have it made anew"
            )
        if not self._allowed.permits(request.name, version, self._rules):
            raise PackageError(
                f"the lock file has {request.name} {version}, which allow_packages does not permit"
            )
        return version

    def _read_locked(self, name: str, version: str) -> tuple[Feed, bytes]:
        """From the first feed that has it; lists need not be asked for."""
        feeds = self._feeds_for(name)
        for feed in feeds:
            self._deadline.left("looking for packages")
            written = self._written(feed, name, version) if feed.is_local else version
            content = None if written is None else feed.package(name, written, self._deadline)
            if content is not None:
                return feed, content
        places = ", ".join(str(feed.source) for feed in feeds) or "any source"
        raise PackageError(f"the lock file has {name} {version}, which is not in {places}")

    def _check_hash(self, package: Package, feed: Feed) -> None:
        if self._locked is None:
            return
        expected = self._locked[package.name.lower()].content_hash
        if package.content_hash != expected:
            raise PackageError(
                f"package {package} of {feed.source} is not what the lock file says: expected "
                f"SHA-512 {expected}, found {package.content_hash}; somebody changed it. Find out "
                "who before you delete the lock file"
            )

    def _nothing(
        self, request: Request, versions: Sequence[str], permitted: Sequence[str]
    ) -> PackageError:
        places = ", ".join(str(feed.source) for feed in self._feeds_for(request.name))
        what = f"{request.by} wants package {request.name} {request.wanted}"
        if not places:
            return PackageError(f"{what}, and no source is asked for it by its patterns")
        if not versions:
            return PackageError(f"{what}, and there is no package of this id in {places}")
        if not permitted:
            return PackageError(f"{what}, and allow_packages permits no version that there is")
        shown = ", ".join(permitted[-_SHOWN:])
        return PackageError(f"{what}, and none of the versions in {places} fits: {shown}")


def _fit(patterns: Sequence[str] | None, name: str) -> int:
    """How well a source's patterns fit an id: -1 not at all, an exact one best."""
    if patterns is None:
        return 0
    lengths = [-1]
    for pattern in patterns:
        lowered = pattern.lower()
        if lowered == name:
            lengths.append(len(name) + 1)
        elif lowered.endswith("*") and name.startswith(lowered[:-1]):
            lengths.append(len(lowered) - 1)
    return max(lengths)
