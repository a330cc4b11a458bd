"""Which packages in which versions: all that is wanted, directly or by what is wanted.

Source: NuGet's documentation, "How NuGet resolves package dependencies". The lowest version that
fits is taken (of a floating range the highest), what somebody asks for directly counts more than
what packages ask for, and of several requests of packages the highest wins. What NuGet reports as
NU1107 (conflict), NU1108 (cycle) and NU1605 (downgrade) are errors here.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from dotnet_wasm_host.nuget.request import Request
from dotnet_wasm_host.packages.errors import PackageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dotnet_wasm_host.nuget.base_library import BaseLibrary
    from dotnet_wasm_host.nuget.catalog import Catalog
    from dotnet_wasm_host.nuget.package import Package
    from dotnet_wasm_host.nuget.rules import PackageRules
    from dotnet_wasm_host.packages.references import PackageReference

__all__ = ["Graph", "Resolver"]

#: Times that everything is gone through until nothing changes. Real graphs need two or three.
MAX_ROUNDS = 100
#: After so many a version never goes down again, so that it comes to an end.
_FREE_ROUNDS = 20
#: Packages of one resolution. Applications with 300 are large.
MAX_PACKAGES = 1_000
#: Packages that want the same one.
MAX_REQUESTS = 10_000
#: Somebody who does not say which version gets the newest that is no pre-release.
_NEWEST = "*"
#: A package that does not say which version takes any: NuGet gives it the lowest.
_ANY = "0.0"


@dataclass(frozen=True, slots=True)
class Graph:
    """What was chosen.

    Attributes:
        packages: id in lower case to package, those that are nearest to the request first.
        requests: id in lower case to who wants it.
    """

    packages: Mapping[str, Package]
    requests: Mapping[str, Sequence[Request]]


@final
class Resolver:
    """Resolves once."""

    def __init__(self, catalog: Catalog, rules: PackageRules, base_library: BaseLibrary) -> None:
        self._catalog = catalog
        self._rules = rules
        self._base_library = base_library

    def resolve(self, wanted: Sequence[PackageReference]) -> Graph:
        """All packages for these. PackageError if there are none that fit."""
        direct = [self._direct(reference) for reference in wanted]
        picks: dict[str, Package] = {}
        for number in range(MAX_ROUNDS):
            requests = self._walk(direct, picks)
            floor = picks if number >= _FREE_ROUNDS else {}
            chosen = {key: self._choose(found, floor.get(key)) for key, found in requests.items()}
            if chosen == picks:
                graph = Graph(picks, requests)
                self._check(graph)
                return graph
            picks = chosen
        raise PackageError(
            f"the versions of {', '.join(r.name for r in direct)} and what they need do not "
            f"settle in {MAX_ROUNDS} rounds: name the versions of what they need, too"
        )

    def _direct(self, reference: PackageReference) -> Request:
        by = f"{reference.file}({reference.line})" if reference.file else "packages="
        wanted = reference.version or _NEWEST
        if self._rules.range(wanted) is None:
            raise PackageError(
                f"{by} wants {reference.name}@{wanted}, which is no version or range; write for "
                "example 'Name@1.2.3', 'Name@[1.0,2.0)' or 'Name@1.*'"
            )
        return Request(reference.name, wanted, by, direct=True)

    def _walk(
        self, direct: Sequence[Request], picks: Mapping[str, Package]
    ) -> dict[str, list[Request]]:
        """Everything that is reached, going through each package once."""
        requests: dict[str, list[Request]] = {}
        pending: deque[str] = deque()
        self._note(direct, requests, pending)
        while pending:
            key = pending.popleft()
            if len(requests) > MAX_PACKAGES:
                raise PackageError(
                    f"{direct[0].name} and what it needs are more than {MAX_PACKAGES} packages"
                )
            package = picks.get(key) or self._choose(requests[key])
            self._note(self._requests_of(package), requests, pending)
        return requests

    def _note(
        self,
        more: Sequence[Request],
        requests: dict[str, list[Request]],
        pending: deque[str],
    ) -> None:
        for request in more:
            if self._base_library.provides(request.name, request.wanted, request.by):
                continue
            known = requests.setdefault(request.key, [])
            known.append(request)
            if len(known) == 1:
                pending.append(request.key)
            if len(known) > MAX_REQUESTS:
                raise PackageError(
                    f"package {request.name} is wanted more than {MAX_REQUESTS} times"
                )

    def _requests_of(self, package: Package) -> list[Request]:
        found = []
        for dependency in package.dependencies:
            wanted = dependency.wanted or _ANY
            if self._rules.range(wanted) is None:
                raise PackageError(
                    f"package {package} wants {dependency.name} {wanted[:100]!r}, which is no "
                    "range of versions"
                )
            found.append(Request(dependency.name, wanted, f"package {package}"))
        return found

    def _choose(self, requests: Sequence[Request], floor: Package | None = None) -> Package:
        own = [request for request in requests if request.direct] or requests
        versions = [self._catalog.best(request) for request in own]
        if floor is not None:
            versions.append(floor.version)
        version = self._rules.highest(list(dict.fromkeys(versions)))
        return self._catalog.package(own[0], version)

    def _check(self, graph: Graph) -> None:
        for key, requests in graph.requests.items():
            package = graph.packages[key]
            for request in requests:
                if not self._rules.satisfies(request.wanted, package.version):
                    raise _conflict(request, requests, package)
        _check_for_cycles(graph)


def _conflict(request: Request, requests: Sequence[Request], package: Package) -> PackageError:
    direct = next((other for other in requests if other.direct), None)
    if direct is not None and not request.direct:
        return PackageError(
            f"{request.by} wants {request.name} {request.wanted}, and {direct.by} asks for "
            f"{direct.wanted}, which gives {package.version}; ask for a version that fits"
        )
    others = "; ".join(f"{other.by} wants {other.wanted}" for other in requests[:5])
    return PackageError(
        f"no version of {request.name} fits all who want it ({others}): name one in packages"
    )


def _check_for_cycles(graph: Graph) -> None:
    """PackageError if a package needs itself, by way of others."""
    done: set[str] = set()
    for start in graph.packages:
        path: list[str] = []
        open_keys: set[str] = set()
        # Keys to go into, and None where a package's own are behind.
        pending: list[str | None] = [start]
        while pending:
            key = pending.pop()
            if key is None:
                left = path.pop()
                open_keys.discard(left)
                done.add(left)
            elif key in open_keys:
                chain = [*path[path.index(key) :], key]
                names = " -> ".join(graph.packages[part].name for part in chain[:20])
                raise PackageError(f"packages need each other in a circle: {names}")
            elif key not in done and key in graph.packages:
                path.append(key)
                open_keys.add(key)
                pending.append(None)
                pending += [d.name.lower() for d in graph.packages[key].dependencies]
