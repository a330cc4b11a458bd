"""All feeds together: which versions there are, and the packages that were read."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from dotnet_wasm_host.nuget.package import Package
from dotnet_wasm_host.packages.errors import PackageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dotnet_wasm_host.nuget.allow_list import AllowList
    from dotnet_wasm_host.nuget.deadline import Deadline
    from dotnet_wasm_host.nuget.feed import Feed
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
    """Asks feeds in their order; the first that has a version gives it."""

    def __init__(
        self, feeds: Sequence[Feed], rules: PackageRules, allowed: AllowList, deadline: Deadline
    ) -> None:
        self._feeds = feeds
        self._rules = rules
        self._allowed = allowed
        self._deadline = deadline
        self._found: dict[str, dict[str, tuple[Feed, str]]] = {}
        self._packages: dict[tuple[str, str], Package] = {}
        self._bytes = 0

    def best(self, request: Request) -> str:
        """The version for a request. PackageError if there is none, or none is allowed."""
        if not self._allowed.has(request.name):
            raise PackageError(
                f"{request.by} wants package {request.name}, which is not among the allowed "
                "packages (allow_packages)"
            )
        versions = self._versions(request.name)
        permitted = [v for v in versions if self._allowed.permits(request.name, v, self._rules)]
        best = self._rules.best_match(request.wanted, permitted) if permitted else None
        if best is None:
            raise self._nothing(request, tuple(versions), tuple(permitted))
        return best

    def package(self, request: Request, version: str) -> Package:
        """A version that :meth:`best` gave. PackageError if it cannot be used."""
        key = (request.key, version)
        if key not in self._packages:
            feed, written = self._versions(request.name)[version]
            content = feed.package(request.name, written, self._deadline)
            self._bytes += len(content)
            if self._bytes > MAX_BYTES:
                raise PackageError(
                    f"the packages that {request.name} needs have more than {MAX_BYTES} bytes"
                )
            where = f"{request.name}.{version}.nupkg of {feed.source}"
            self._packages[key] = Package(content, where, request.name, version, self._rules)
        return self._packages[key]

    def feed_of(self, package: Package) -> Feed:
        """Where a package came from."""
        return self._versions(package.name)[package.version][0]

    def _versions(self, name: str) -> dict[str, tuple[Feed, str]]:
        """Version in its normal form to the feed that has it, and how it is written there."""
        key = name.lower()
        if key not in self._found:
            found: dict[str, tuple[Feed, str]] = {}
            for feed in self._feeds:
                self._deadline.left("looking for packages")
                written = feed.versions(name, self._deadline)
                if len(written) > MAX_VERSIONS:
                    raise PackageError(
                        f"{feed.source} has {len(written)} versions of {name}; {MAX_VERSIONS} is "
                        "the most"
                    )
                for text in written:
                    normal = self._rules.version(text)
                    if normal is not None:
                        found.setdefault(normal, (feed, text))
            self._found[key] = found
        return self._found[key]

    def _nothing(
        self, request: Request, versions: Sequence[str], permitted: Sequence[str]
    ) -> PackageError:
        places = ", ".join(str(feed.source) for feed in self._feeds)
        what = f"{request.by} wants package {request.name} {request.wanted}"
        if not versions:
            return PackageError(f"{what}, and there is no package of this id in {places}")
        if not permitted:
            return PackageError(f"{what}, and allow_packages permits no version that there is")
        shown = ", ".join(permitted[-_SHOWN:])
        return PackageError(f"{what}, and none of the versions in {places} fits: {shown}")
