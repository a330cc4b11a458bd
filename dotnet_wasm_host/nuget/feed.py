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

    @property
    def is_local(self) -> bool:
        """Whether its list of versions costs nothing."""
        ...

    def has(self, name: str, version: str) -> bool:
        """Whether it surely has a version in its normal form, as far as that costs nothing."""
        ...

    def keep(self, name: str, version: str, content: bytes) -> None:
        """A package turned out to be what it should be: remember it for the next time."""
        ...

    def close(self) -> None:
        """End what is under way."""
        ...

    def package(self, name: str, version: str, deadline: Deadline) -> bytes | None:
        """The file of a package; ``None`` if it does not have it.

        PackageError if it cannot be had.
        """
        ...
