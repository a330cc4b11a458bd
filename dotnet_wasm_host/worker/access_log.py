"""The access log: a line of JSON for each request, written without holding up any."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from starlette.types import Scope

    from dotnet_wasm_host.worker.exchanges import Exchange

__all__ = ["ACCESS_LOG", "AccessLog"]

ACCESS_LOG = "dotnet_wasm_host.worker.access"
#: How late a line may be written, so that lines are written together: one by one they would cost
#: more than a quick call.
DELAY_SECONDS = 0.05
#: Lines kept while whoever reads the log does not; more are dropped, and their number logged.
MOST_LINES = 20_000
_log = logging.getLogger(ACCESS_LOG)
#: C code for strings, which it looks for first.
_encode = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode


@final
class AccessLog:
    """Collects lines on the event loop and has a thread log them, all of a moment as one record.

    So a log that is slow to write, or that nobody reads, holds up no request.
    """

    def __init__(self) -> None:
        # The loop adds while a thread takes: a list that is exchanged could lose a line.
        self._lines: deque[str] = deque()
        self._dropped = self._dropped_told = 0
        #: The loop that will write what was collected.
        self._loop: asyncio.AbstractEventLoop | None = None
        self._writing = threading.Lock()

    def add(self, scope: Scope, exchange: Exchange, seconds: float) -> None:
        """A request was answered. On the event loop."""
        if not _log.isEnabledFor(logging.INFO):
            return
        if len(self._lines) >= MOST_LINES:
            self._dropped += 1
            return
        self._lines.append(_line(scope, exchange, seconds))
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop = loop
            loop.call_later(DELAY_SECONDS, self._write_soon)

    def flush(self) -> None:
        """Write what was collected. Not on the event loop."""
        with self._writing:
            lines = [self._lines.popleft() for _ in range(len(self._lines))]
            dropped = self._dropped - self._dropped_told
            self._dropped_told += dropped
            if dropped:
                lines.append(_encode({"time": round(time.time(), 3), "dropped_lines": dropped}))
            if lines:
                text = "\n".join(lines)
                _log.handle(
                    logging.LogRecord(ACCESS_LOG, logging.INFO, __file__, 0, text, None, None)
                )

    def _write_soon(self) -> None:
        loop = self._loop
        assert loop is not None
        loop.run_in_executor(None, self.flush).add_done_callback(self._written)

    def _written(self, written: asyncio.Future[None]) -> None:
        self._loop = None
        if not written.cancelled():
            written.exception()  # logging has reported it
        if self._lines:
            self._loop = asyncio.get_running_loop()
            self._loop.call_later(DELAY_SECONDS, self._write_soon)


def _line(scope: Scope, exchange: Exchange, seconds: float) -> str:
    client = scope.get("client")
    line = (
        f'{{"time":{time.time():.3f},"client":{_encode(client[0] if client else None)},'
        f'"method":{_encode(scope["method"])},"path":{_encode(scope["path"])},'
        f'"status":{exchange.status},"ms":{seconds * 1e3:.3f},'
        f'"bytes_in":{exchange.bytes_in},"bytes_out":{exchange.bytes_out}'
    )
    if exchange.function is not None:
        line += f',"function":{_encode(exchange.function)}'
    if exchange.error is not None:
        line += f',"error":{_encode(exchange.error)}'
    if exchange.trace is not None:
        line += f',"trace":{_encode(exchange.trace)}'
    return line + "}"
