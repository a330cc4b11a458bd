"""Open connections, counted for a tenant and for the process."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from dotnet_wasm_host.fetch.access import HttpAccess

__all__ = ["Connections"]


@final
class Connections:
    """Open connections of one tenant. On the loop only."""

    def __init__(self, access: HttpAccess) -> None:
        self._access = access
        self._count = 0

    def opened(self) -> None:
        """One more. HttpPolicyError over the tenant's share of the process's descriptors."""
        self._access.connect(self._count)
        self._count += 1

    def closed(self) -> None:
        """One less."""
        self._count -= 1
        self._access.disconnect()
