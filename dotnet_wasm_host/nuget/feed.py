"""What every feed answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dotnet_wasm_host.nuget.deadline import Deadline
    from dotnet_wasm_host.nuget.source import PackageSource

__all__ = ["Feed"]


class Feed(Protocol):
    """Packages by id and version. Upper and lower case are the same in ids."""

    @property
    def source(self) -> PackageSource:
        """Where it is."""
        ...

    def versions(self, name: str, deadline: Deadline) -> Sequence[str]:
        """Versions of a package that it has, as it writes them; none if it has none.

        PackageError if it cannot be asked.
        """
        ...

    def package(self, name: str, version: str, deadline: Deadline) -> bytes:
        """The file of a package; ``version`` is one that :meth:`versions` named.

        PackageError if it cannot be had.
        """
        ...
