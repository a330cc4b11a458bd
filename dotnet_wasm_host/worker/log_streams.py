"""Calls that bring what the function prints: ``POST /functions/{id}/invoke?logs=stream``."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import threading
from collections import deque
from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, final
from urllib.parse import parse_qs

from dotnet_wasm_host.errors import DotnetHostError
from dotnet_wasm_host.overriding import override
from dotnet_wasm_host.worker.exchanges import EXCHANGE, Exchange
from dotnet_wasm_host.worker.openapi import LOGGED_CALL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from dotnet_wasm_host.worker.context import WorkerContext

__all__ = ["LogStreams"]

#: What is kept of one call, in characters and lines.
MOST_CHARACTERS = 1 << 20
MOST_LINES = 10_000
_LOGGER = "dotnet_wasm_host.guest"
_HEADERS = [
    (b"content-type", LOGGED_CALL.encode()),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-accel-buffering", b"no"),  # nginx would keep lines until it has many
]


@final
class LogStreams:
    """Middleware that answers such calls with lines of the function and its answer, as they come.

    The answer has one JSON object a line: ``{"log": {"level", "text"}}`` as the function writes,
    ``{"start": {"status", "type"}}`` and ``{"body": base64}`` for its own answer, and last
    ``{"end": true}``. A call that fails before its function has written anything has the answer
    that it always has.

    Whoever may deploy may read what functions print. It wraps every route for calls alike, and
    does nothing for requests that do not ask.
    """

    def __init__(self, app: ASGIApp, context: WorkerContext) -> None:
        self._app = app
        self._context = context

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection (ASGI 3)."""
        if not _asks_for_logs(scope):
            await self._app(scope, receive, send)
            return
        try:
            self._context.guard.check_change(scope)
        except DotnetHostError as error:
            await self._context.problem(scope, error)(scope, receive, send)
            return
        answer = _Answer(send)
        loop = asyncio.get_running_loop()

        def add(line: dict[str, str]) -> None:
            # Guests run in threads, which may outlive the loop by a moment.
            if not loop.is_closed():
                loop.call_soon_threadsafe(answer.add, {"log": line})

        pump = asyncio.create_task(answer.pump())
        try:
            with _lines.captured(scope[EXCHANGE], add):
                await self._app(scope, receive, answer.take)
            await answer.end()
        finally:
            pump.cancel()


def _asks_for_logs(scope: Scope) -> bool:
    if scope["type"] != "http" or scope["method"] != "POST" or not scope.get("query_string"):
        return False
    path = scope["path"].removeprefix(scope.get("root_path", ""))
    if not path.startswith("/functions/"):
        return False
    return parse_qs(scope["query_string"].decode("latin-1")).get("logs") == ["stream"]


@final
class _Answer:
    """The lines that are sent. Its methods belong to the event loop."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._sending = asyncio.Lock()
        self._waiting: deque[bytes] = deque()
        self._filled = asyncio.Event()
        self._started = False
        #: The call failed before its function wrote a line: its own answer says so.
        self._is_plain = False

    def add(self, line: dict[str, Any]) -> None:
        """Send a line soon."""
        self._waiting.append(json.dumps(line).encode() + b"\n")
        self._filled.set()

    async def pump(self) -> None:
        """Send lines when there are some, until it is cancelled."""
        while True:
            await self._filled.wait()
            await self._flush()

    async def take(self, message: Message) -> None:
        """What the application sends of the call's own answer."""
        # Lines that were written on the event loop itself are here after this.
        await asyncio.sleep(0)
        if message["type"] == "http.response.start":
            status = message["status"]
            self._is_plain = status >= HTTPStatus.BAD_REQUEST and not (
                self._started or self._waiting
            )
            kind = dict(message.get("headers", ())).get(b"content-type", b"").decode("latin-1")
            line: dict[str, Any] = {"start": {"status": status, "type": kind}}
        else:
            line = {"body": base64.b64encode(message.get("body", b"")).decode()}
        if self._is_plain:
            await self._send(message)
        elif line != {"body": ""}:
            self.add(line)
            await self._flush()

    async def end(self) -> None:
        """Nothing comes any more."""
        if not self._is_plain:
            self.add({"end": True})
            await self._flush(last=True)

    async def _flush(self, *, last: bool = False) -> None:
        async with self._sending:
            self._filled.clear()
            data = b"".join(self._waiting)
            self._waiting.clear()
            if not self._started:
                self._started = True
                await self._send(
                    {"type": "http.response.start", "status": 200, "headers": _HEADERS}
                )
            await self._send({"type": "http.response.body", "body": data, "more_body": not last})


@final
class _Capture:
    """What one call is told of the lines of its function."""

    def __init__(self, exchange: Exchange, add: Callable[[dict[str, str]], object]) -> None:
        self._exchange = exchange
        self._add = add
        self._characters = MOST_CHARACTERS
        self._lines = MOST_LINES

    def offer(self, function_id: object, record: logging.LogRecord) -> None:
        """Pass a line on if it is of the function that is called."""
        if function_id is None or function_id != self._exchange.function or self._lines < 0:
            return
        text = record.getMessage()
        if record.exc_text:
            text += f"\n{record.exc_text}"
        self._characters -= len(text)
        self._lines -= 1
        if self._characters < 0 or self._lines < 0:
            self._lines = -1
            text = "... more is in the worker's log"
        level = record.levelname if record.levelno >= logging.DEBUG else "TRACE"
        self._add({"level": level, "text": text})


@final
class _Lines(logging.Filter):
    """Shows lines of guests to calls that want them.

    It is a filter of the logger, and there only while somebody wants lines. Then guests also make
    records that the logger's level would leave out; the filter takes those out again, so that
    handlers see what they see at other times.
    """

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._captures: tuple[_Capture, ...] = ()
        self._own_level = logging.NOTSET
        self._level = logging.NOTSET

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        function_id = getattr(record, "function_id", None)
        for capture in self._captures:
            capture.offer(function_id, record)
        return record.levelno >= self._level

    @contextmanager
    def captured(
        self, exchange: Exchange, add: Callable[[dict[str, str]], object]
    ) -> Iterator[None]:
        """Tell ``add`` the lines of the function of an exchange, in whatever thread they come."""
        capture = _Capture(exchange, add)
        with self._lock:
            if not self._captures:
                self._begin()
            self._captures = (*self._captures, capture)
        try:
            yield
        finally:
            with self._lock:
                self._captures = tuple(each for each in self._captures if each is not capture)
                if not self._captures:
                    self._end()

    def _begin(self) -> None:
        logger = logging.getLogger(_LOGGER)
        self._own_level, self._level = logger.level, logger.getEffectiveLevel()
        logger.addFilter(self)
        if self._level > logging.DEBUG:
            logger.setLevel(logging.DEBUG)

    def _end(self) -> None:
        logger = logging.getLogger(_LOGGER)
        logger.removeFilter(self)
        if logger.level == logging.DEBUG:  # else somebody has set another one
            logger.setLevel(self._own_level)


_lines = _Lines()
