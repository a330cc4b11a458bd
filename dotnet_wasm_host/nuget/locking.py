"""From what was chosen to what a lock file has of it, and back."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from dotnet_wasm_host.nuget.lock_file import LockedPackage
from dotnet_wasm_host.packages.errors import PackageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dotnet_wasm_host.nuget.lock_file import LockFile
    from dotnet_wasm_host.nuget.resolver import Graph
    from dotnet_wasm_host.nuget.rules import PackageRules

__all__ = ["check_requests", "locked_packages"]

#: NuGet writes "1.0.0" for what is "[1.0.0, )" in full.
_AT_LEAST = re.compile(r"\[([^,]+), \)")


def locked_packages(graph: Graph, rules: PackageRules) -> dict[str, LockedPackage]:
    """Id in lower case to what a lock file has of a package."""
    found = {}
    for key, package in graph.packages.items():
        direct = [request.wanted for request in graph.requests[key] if request.direct]
        found[key] = LockedPackage(
            package.name,
            rules.range(direct[0]) or "" if direct else "",
            package.version,
            package.content_hash,
            {
                dependency.name: _short(rules.range(dependency.wanted) or dependency.wanted)
                for dependency in package.dependencies
                if dependency.name.lower() in graph.packages
            },
        )
    return found


def check_requests(
    fresh: Mapping[str, LockedPackage], locked: Mapping[str, LockedPackage], file: LockFile
) -> None:
    """PackageError unless a lock file was made for the same requests."""
    now = {key: package.requested for key, package in fresh.items() if package.requested}
    then = {key: package.requested for key, package in locked.items() if package.requested}
    for key in sorted({*now, *then}):
        if now.get(key) != then.get(key):
            raise PackageError(
                f"{file.path} was made for other packages: {key} is wanted as "
                f"{now.get(key, 'nothing')} and was as {then.get(key, 'nothing')}; delete it to "
                "have it made anew"
            )


def _short(wanted: str) -> str:
    found = _AT_LEAST.fullmatch(wanted)
    return found[1] if found else wanted
