"""Packages of a program: what finds them, made only where some may be wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable

    from dotnet_wasm_host.nuget.resolving import PackageSources
    from dotnet_wasm_host.packages.references import PackageResolver

__all__ = ["package_resolver"]


def package_resolver(
    package_sources: PackageSources,
    *,
    allow_packages: Iterable[str] | None = None,
    lock_file: str | os.PathLike[str] | None = None,
    offline: bool = False,
    timeout: float | None = None,
    progress: Callable[[str], object] | None = None,
) -> PackageResolver | None:
    """What finds packages in these sources; ``None`` without any."""
    given: object = package_sources
    if given in ((), []):
        return None
    # Most programs want no packages.
    from dotnet_wasm_host.nuget.deadline import Deadline
    from dotnet_wasm_host.nuget.resolving import PackageOptions

    options = PackageOptions(package_sources, allow_packages, lock_file, offline)
    return options.resolver(Deadline(timeout), progress)
