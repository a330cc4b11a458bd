"""What happened during a request: access log, metrics, traces."""

from __future__ import annotations

import json
import logging
import time
from typing import TYPE_CHECKING, Any, final

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from dotnet_wasm_host.worker.metrics import WorkerMetrics

__all__ = ["ACCESS_LOG", "EXCHANGE", "Exchange", "Observer"]

ACCESS_LOG = "dotnet_wasm_host.worker.access"
#: Where in the scope the exchange is.
EXCHANGE = "dotnet_wasm_host.exchange"
_log = logging.getLogger(ACCESS_LOG)
_encode = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode


@final
class Exchange:
    """A request and its answer; routes fill in what only they know."""

    __slots__ = ("bytes_in", "bytes_out", "error", "function", "status", "trace")

    def __init__(self) -> None:
        self.function: str | None = None
        self.error: str | None = None
        self.trace: str | None = None
        self.status = 0
        self.bytes_in = 0
        self.bytes_out = 0


@final
class Observer:
    """Middleware that writes down every request when its answer is complete."""

    def __init__(self, app: ASGIApp, metrics: WorkerMetrics, *, access_log: bool) -> None:
        self._app = app
        self._metrics = metrics
        self._access_log = access_log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = scope[EXCHANGE] = Exchange()
        started = time.perf_counter()

        async def observed_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                exchange.status = message["status"]
            else:
                exchange.bytes_out += len(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, receive, observed_send)
        except BaseException as error:
            exchange.error = exchange.error or type(error).__name__
            exchange.status = exchange.status or 500
            raise
        finally:
            self._metrics.requested(exchange.status)
            if self._access_log and _log.isEnabledFor(logging.INFO):
                # As _log.info() does, without looking for the line of code it is called from.
                line = _line(scope, exchange, time.perf_counter() - started)
                _log.handle(
                    logging.LogRecord(ACCESS_LOG, logging.INFO, __file__, 0, line, None, None)
                )


def _line(scope: Scope, exchange: Exchange, seconds: float) -> str:
    client = scope.get("client")
    entry: dict[str, Any] = {
        "time": round(time.time(), 3),
        "client": client[0] if client else None,
        "method": scope["method"],
        "path": scope["path"],
        "status": exchange.status,
        "ms": round(seconds * 1e3, 3),
        "bytes_in": exchange.bytes_in,
        "bytes_out": exchange.bytes_out,
    }
    if exchange.function is not None:
        entry["function"] = exchange.function
    if exchange.error is not None:
        entry["error"] = exchange.error
    if exchange.trace is not None:
        entry["trace"] = exchange.trace
    return _encode(entry)
