"""Whether something can still be used."""

from __future__ import annotations

from typing import final

from dotnet_wasm_host.errors import RuntimeClosed

__all__ = ["Lifetime"]


@final
class Lifetime:
    """Open until it is closed, or until the process forks.

    See :mod:`dotnet_wasm_host.runtime.forks`.

    Args:
        owner: what it is the life of, for messages.

    Attributes:
        closed: nothing can be done with the owner any more.
        disowned: because it belongs to the process that this one was forked from.
    """

    __slots__ = ("_owner", "closed", "disowned")

    def __init__(self, owner: str) -> None:
        self._owner = owner
        self.closed: bool = False
        self.disowned: bool = False

    def after_fork_in_child(self) -> None:
        """This is the child of a fork."""
        self.closed = self.disowned = True

    def require_open(self) -> None:
        """RuntimeClosed if it is closed."""
        if self.closed:
            raise RuntimeClosed(
                f"the {self._owner} belongs to the process that this one was forked from; make a "
                "new one"
                if self.disowned
                else f"the {self._owner} is closed; make a new one"
            )
