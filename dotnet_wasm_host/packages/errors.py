"""What is wrong with a package."""

from __future__ import annotations

from dotnet_wasm_host.errors import DotnetHostError

__all__ = ["PackageError"]


class PackageError(DotnetHostError, ValueError):
    """A NuGet package cannot be had, cannot be used here, or may not be.

    The message says which, who wanted it, and what to do.
    """
