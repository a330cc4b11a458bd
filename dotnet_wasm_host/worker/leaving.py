"""The last moments of a process that is replaced: its clients are told to go before it goes."""

from __future__ import annotations

import math
from typing import final

__all__ = ["Leaving"]


@final
class Leaving:
    """Whether the process is about to end, and when it was last asked for something.

    A client that keeps its connection may send a request at the very moment at which an idle
    connection is closed, and cannot tell whether that was carried out. So for a while each answer
    closes its connection, which the client sees before it sends anything more.

    Attributes:
        active: the process ends soon: answers close their connections.
        last_request: when the last one came, ``time.perf_counter()``.
    """

    __slots__ = ("active", "last_request")

    def __init__(self) -> None:
        self.active: bool = False
        self.last_request: float = -math.inf
