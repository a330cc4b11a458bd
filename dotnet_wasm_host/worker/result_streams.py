"""Results that are sent while their method runs: one after the other, as fast as they are taken."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from collections import deque
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, final

from dotnet_wasm_host.errors import (
    DotnetHostError,
    InvocationTimeout,
    is_crash,
)
from dotnet_wasm_host.typed.codecs import AnswerDamaged
from dotnet_wasm_host.worker.bodies import Disconnected, header
from dotnet_wasm_host.worker.cancel_on_disconnect import cancel_on_disconnect
from dotnet_wasm_host.worker.exchanges import EXCHANGE

if TYPE_CHECKING:
    from typing import Any

    from starlette.types import Receive, Scope, Send

    from dotnet_wasm_host.pool.calls import CallInSeries
    from dotnet_wasm_host.typed.json_streams import JsonStream
    from dotnet_wasm_host.worker.context import WorkerContext

__all__ = ["NDJSON", "Begins", "Form", "dump", "form_of", "send_results"]

_log = logging.getLogger(__name__)
NDJSON = "application/x-ndjson"
#: Bytes of results that wait for the client, beyond which the method waits, too.
MOST_WAITING = 64 * 1024
#: Seconds that a method has to notice that its client left, and again to clean up.
END_SECONDS = 1.0


class Begins(NamedTuple):
    """How a stream begins.

    Attributes:
        stream: its calls.
        number: which one it is.
        payload: of the call that begins it.
    """

    stream: JsonStream
    number: int
    payload: bytes


class Form(NamedTuple):
    """How several values of JSON follow each other.

    Attributes:
        media_type: its name.
        before: what is before each of them; behind it is the end of a line.
    """

    media_type: str
    before: bytes


_LINES = Form(NDJSON, b"")
#: By what is asked for.
_FORMS = {
    b"application/x-ndjson": _LINES,
    b"application/ndjson": _LINES,
    b"application/jsonl": _LINES,
    b"application/json-seq": Form("application/json-seq", b"\x1e"),  # RFC 7464
}


def form_of(scope: Scope) -> Form | None:
    """How a request wants the results of a stream; ``None`` for an array."""
    accepted = (header(scope, b"accept") or b"").lower()
    return next((form for name, form in _FORMS.items() if name in accepted), None)


def dump(value: Any) -> bytes:  # noqa: ANN401 - whatever JSON has
    """JSON. ValueError, RecursionError for what it cannot hold."""
    text = json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    return text.encode()


async def send_results(
    context: WorkerContext,
    scope: Scope,
    receive: Receive,
    send: Send,
    *,
    begins: Begins,
    form: Form,
    seconds: float,
) -> None:
    """Call a method that returns a stream, and send each result when it is there.

    The method goes on when the client has taken what is before. It ends when the client leaves, and
    after so many ``seconds`` in all. What goes wrong before the first result is raised; what goes
    wrong later ends the connection before the end of the answer, which a client notices.
    """
    function_id = scope["path_params"]["function_id"]
    pipe = _Pipe(asyncio.get_running_loop())
    produce = partial(_produce, pipe=pipe, begins=begins, form=form, end=seconds)
    series = asyncio.ensure_future(context.run_series(scope, function_id, produce))
    series.add_done_callback(pipe.end)
    answer = _Answer(send, form)
    try:
        with cancel_on_disconnect(receive):
            while data := await pipe.take():
                await answer.send(data)
            await series
            await answer.end()
    except DotnetHostError as error:
        if not answer.started:
            raise
        scope[EXCHANGE].error = type(error).__name__
        if not isinstance(error, Disconnected):
            _log.warning("the answer of %r ended before its end: %s", function_id, error)
    finally:
        pipe.close()
        if not series.done():
            # What the method does now may end by itself, and its instance stays then.
            asyncio.get_running_loop().call_later(END_SECONDS, series.cancel)


def _produce(call: CallInSeries, *, pipe: _Pipe, begins: Begins, form: Form, end: float) -> None:
    """The calls of one stream, in a thread that has a place for them."""
    stream, number, payload = begins
    end += time.monotonic()
    call(payload, _left(end))
    try:
        while results := stream.results(call(stream.next(number), _left(end))):
            try:
                pipe.put(form.before + dump(results[0]) + b"\n", end)
            except (ValueError, RecursionError) as error:
                raise AnswerDamaged(f"a result is what JSON cannot hold: {error}") from error
    except BaseException as error:
        if not is_crash(error):  # with its instance the stream is gone
            with suppress(DotnetHostError):
                call(stream.end(number), END_SECONDS, last=True)
        raise
    call(stream.end(number), END_SECONDS, last=True)


def _left(end: float) -> float:
    left = end - time.monotonic()
    if left <= 0:
        raise InvocationTimeout(
            "the stream took longer than its function may; take results faster, or ask for fewer"
        )
    return left


@final
class _Pipe:
    """From the thread in which results are made to the event loop that sends them."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._changed = threading.Condition()
        self._filled = asyncio.Event()
        self._waiting: deque[bytes] = deque()
        self._size = 0
        self._ended = False
        self._closed = False

    def put(self, data: bytes, end: float) -> None:
        """Have ``data`` sent, as soon as not too much waits for that.

        Raises:
            InvocationTimeout: the client took too long.
            Disconnected: nobody wants it any more.
        """
        with self._changed:
            while self._size >= MOST_WAITING and not self._closed:
                self._changed.wait(_left(end))
            if self._closed:
                raise Disconnected("the client left before the stream ended")
            self._waiting.append(data)
            self._size += len(data)
            is_first = len(self._waiting) == 1
        if is_first:
            with suppress(RuntimeError):  # the loop is closed, and nobody listens
                self._loop.call_soon_threadsafe(self._filled.set)

    async def take(self) -> bytes:
        """What waits; empty at the end."""
        await self._filled.wait()
        with self._changed:
            data = b"".join(self._waiting)
            self._waiting.clear()
            self._size = 0
            if not self._ended:
                self._filled.clear()
            self._changed.notify()
        return data

    def end(self, series: asyncio.Future[None]) -> None:
        """Nothing comes any more. On the event loop."""
        if not series.cancelled():
            series.exception()  # where nobody awaits it any more, it is nobody's business
        self._ended = True
        self._filled.set()

    def close(self) -> None:
        """Nobody takes anything any more."""
        with self._changed:
            self._closed = True
            self._changed.notify()


@final
class _Answer:
    """The answer to a request, begun with the first result."""

    def __init__(self, send: Send, form: Form) -> None:
        self._send = send
        self._form = form
        self.started = False

    async def send(self, data: bytes) -> None:
        await self._start()
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self) -> None:
        await self._start()
        await self._send({"type": "http.response.body", "body": b""})

    async def _start(self) -> None:
        if not self.started:
            self.started = True
            headers = [
                (b"content-type", self._form.media_type.encode()),
                (b"cache-control", b"no-store"),
                (b"x-content-type-options", b"nosniff"),
                (b"x-accel-buffering", b"no"),  # nginx would keep results until it has many
            ]
            await self._send({"type": "http.response.start", "status": 200, "headers": headers})
