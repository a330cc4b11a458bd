"""Where packages may come from. Only what somebody names is asked."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import final

from dotnet_wasm_host.errors import MarshallingError, MarshallingTypeError

__all__ = ["PackageSource"]


@final
@dataclass(frozen=True, slots=True)
class PackageSource:
    """A feed of packages.

    Args:
        location: a folder of ``.nupkg`` files, flat or laid out as NuGet's own package folders
            are.
        name: what messages call it; its location by default.
    """

    location: str | os.PathLike[str]
    name: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.location, (str, os.PathLike)):
            raise MarshallingTypeError(
                f"a package source is a folder, not {type(self.location).__name__}"
            )
        if not os.fspath(self.location):
            raise MarshallingError("a package source is a folder, and its name is empty")

    def __str__(self) -> str:
        return self.name or os.fspath(self.location)
