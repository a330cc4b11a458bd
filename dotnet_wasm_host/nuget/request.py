"""Who wants a package."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Request"]


@dataclass(frozen=True, slots=True)
class Request:
    """Somebody wants a package.

    Attributes:
        name: its id.
        wanted: a range, as it was written.
        by: who, for messages.
        direct: whether a person asks for it.
    """

    name: str
    wanted: str
    by: str
    direct: bool = False

    @property
    def key(self) -> str:
        """The id, for comparisons."""
        return self.name.lower()
