"""One end for everything that a resolution does."""

from __future__ import annotations

import time
from typing import final

from dotnet_wasm_host.errors import InvocationTimeout

__all__ = ["Deadline"]


@final
class Deadline:
    """When to stop.

    Args:
        timeout: seconds from now; ``None`` for never.
    """

    __slots__ = ("_end", "_timeout")

    def __init__(self, timeout: float | None = None) -> None:
        self._timeout = timeout
        self._end = None if timeout is None else time.monotonic() + timeout

    def left(self, doing: str) -> float | None:
        """Seconds that are left. InvocationTimeout if none are."""
        if self._end is None:
            return None
        left = self._end - time.monotonic()
        if left <= 0:
            raise self.over(doing)
        return left

    def over(self, doing: str) -> InvocationTimeout:
        """The error of somebody who was stopped while ``doing``."""
        return InvocationTimeout(f"{doing} took longer than the timeout of {self._timeout:g} s")
