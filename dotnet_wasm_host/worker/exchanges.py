"""What happened during a request, for the access log, metrics and error answers."""

from __future__ import annotations

from typing import final

__all__ = ["EXCHANGE", "Exchange"]

#: Where in the scope the exchange is.
EXCHANGE = "dotnet_wasm_host.exchange"


@final
class Exchange:
    """A request and its answer; routes fill in what only they know."""

    __slots__ = ("bytes_in", "bytes_out", "error", "function", "status", "trace")

    def __init__(self) -> None:
        self.function: str | None = None
        self.error: str | None = None
        self.trace: str | None = None
        self.status: int = 0
        self.bytes_in: int = 0
        self.bytes_out: int = 0
