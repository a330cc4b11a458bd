"""Middleware that writes requests down."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, final

from dotnet_wasm_host.worker.exchanges import EXCHANGE, Exchange
from dotnet_wasm_host.worker.paths import REPLACED

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from dotnet_wasm_host.worker.access_log import AccessLog
    from dotnet_wasm_host.worker.invoke_route import InvokeRoute
    from dotnet_wasm_host.worker.leaving import Leaving
    from dotnet_wasm_host.worker.metrics import WorkerMetrics

__all__ = ["Observer"]


@final
class Observer:
    """Middleware that writes down every request when its answer is complete.

    It is the outermost of the worker's own, so it also takes the short cut to the route of calls
    for requests that the others are known to let through.
    """

    def __init__(
        self,
        app: ASGIApp,
        metrics: WorkerMetrics,
        log: AccessLog | None,
        calls: InvokeRoute,
        leaving: Leaving,
    ) -> None:
        self._leaving = leaving
        self._app = app
        self._metrics = metrics
        self._log = log
        self._calls = calls

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection (ASGI 3), and write down a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = scope[EXCHANGE] = Exchange()
        started = time.perf_counter()
        leaving = self._leaving
        leaving.last_request = started

        async def observed_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                exchange.status = message["status"]
                if leaving.active:
                    message["headers"] = [*message.get("headers", ()), (b"connection", b"close")]
            else:
                exchange.bytes_out += len(message.get("body", b""))
            await send(message)

        app = self._calls if self._calls.is_near(scope) else self._app
        if REPLACED in scope["path"]:
            app = self._calls.refuse_unless_utf8(scope, app)
        try:
            await app(scope, receive, observed_send)
        except BaseException as error:
            exchange.error = exchange.error or type(error).__name__
            exchange.status = exchange.status or 500
            raise
        finally:
            self._metrics.requested(exchange.status)
            if self._log is not None:
                self._log.add(scope, exchange, time.perf_counter() - started)
