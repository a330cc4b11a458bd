"""What an engine must do to carry parts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Carrier", "PartMissing"]


class PartMissing(LookupError):
    """An engine does not have a part any more. The text says what to do."""


class Carrier(Protocol):
    """The means of an engine. One object for a process."""

    def is_ready(self, digests: Sequence[str]) -> bool:
        """Whether these parts can be sent from here and now."""

    def send(self, digest: str, part: bytes) -> Any:  # noqa: ANN401 - the engine's own
        """Give a part to the engine, once; what finds it there, and can be pickled by it."""

    def receive(self, digest: str, token: Any) -> bytes:  # noqa: ANN401
        """The part. PartMissing if the engine does not have it."""
