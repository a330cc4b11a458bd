"""Request bodies, read within limits."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any, final

from dotnet_wasm_host.errors import DotnetHostError
from dotnet_wasm_host.worker.options import SMALL_BODY

if sys.version_info >= (3, 11):
    from asyncio import timeout
else:
    from contextlib import asynccontextmanager

    from anyio import fail_after

    @asynccontextmanager
    async def timeout(seconds: float) -> AsyncIterator[None]:
        """What asyncio has since Python 3.11."""
        with fail_after(seconds):
            yield


if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Generator

    from starlette.types import Message, Receive, Scope

    from dotnet_wasm_host.worker.options import WorkerOptions

__all__ = ["BodyReader", "BodyTimeout", "BodyTooLarge", "Disconnected", "TooManyBodies", "header"]


#: Bytes that take more than a moment to put together.
_LARGE_BODY = 1 << 20
#: Bytes that a value of JSON takes while it is read, about: an empty list is two of text, and 56.
_VALUE_BYTES = 64


class BodyTooLarge(DotnetHostError):
    """The request's body is larger than allowed."""


class BodyTimeout(DotnetHostError):
    """The request's body did not arrive in time."""


class TooManyBodies(DotnetHostError):
    """Bodies that are being received take all the memory they may take."""


class Disconnected(DotnetHostError):
    """The client left before its request was complete."""


def header(scope: Scope, name: bytes) -> bytes | None:
    """The first header of a (lower case) name."""
    for key, value in scope["headers"]:
        if key == name:
            return bytes(value)
    return None


@final
class _Begun:
    """Something awaitable that was begun at once, as a task would without waiting for its turn.

    Attributes:
        ended: it had nothing to wait for.
        result: what it gave; empty before.
    """

    __slots__ = ("_awaited", "_steps", "ended", "result")

    def __init__(self, awaitable: Awaitable[Message]) -> None:
        self._steps = awaitable.__await__()
        self.ended = False
        self.result: Message = {}
        try:
            self._awaited = next(self._steps)
        except StopIteration as end:
            self.ended, self.result = True, end.value

    def __await__(self) -> Generator[Any, Any, Message]:
        """Wait for what it waits for, as ``await`` would have."""
        awaited = self._awaited
        try:
            while True:
                try:
                    given = yield awaited
                except BaseException as error:  # noqa: BLE001 - it is for what was begun
                    awaited = self._steps.throw(error)
                else:
                    awaited = self._steps.send(given)
        except StopIteration as end:
            result: Message = end.value
            return result


@final
class BodyReader:
    """Reads bodies, none larger than allowed and not too many large ones at a time.

    A body that says it is too large is refused before any of it is read; one that does not say
    is refused as soon as it is.
    """

    def __init__(self, options: WorkerOptions) -> None:
        self._seconds = options.body_seconds
        self._room = self._most = options.buffered_bytes

    async def read(self, scope: Scope, receive: Receive, most: int) -> Body:
        """The whole body. Use it as a context manager: it holds a share of the memory.

        Raises:
            BodyTooLarge, BodyTimeout, TooManyBodies, Disconnected: as they say.
        """
        declared = header(scope, b"content-length")
        length = int(declared) if declared is not None and declared.isdigit() else 0
        if length > most:
            raise BodyTooLarge(f"the body has {length} bytes; at most {most} are accepted")
        body = Body(self)
        try:
            body.reserve(length)
            coming = _Begun(receive())
            if coming.ended and not coming.result.get("more_body", False):
                # A short body is there with its request; a timer would cost more than to read it.
                await self._fill(body, coming, receive, most)
                return body
            async with timeout(self._seconds):
                await self._fill(body, coming, receive, most)
        except TimeoutError:
            body.release()
            raise BodyTimeout(f"the body did not arrive within {self._seconds:g} s") from None
        except BaseException:
            body.release()
            raise
        return body

    async def _fill(self, body: Body, coming: _Begun, receive: Receive, most: int) -> None:
        chunks: list[bytes] = []
        size = 0
        message = coming.result if coming.ended else await coming
        while True:
            if message["type"] == "http.disconnect":
                raise Disconnected("the client left")
            chunk = message.get("body", b"")
            size += len(chunk)
            if size > most:
                raise BodyTooLarge(f"the body has more than the {most} bytes that are accepted")
            chunks.append(chunk)
            if not message.get("more_body", False):
                break
            body.reserve(size)
            message = await receive()
        if size > _LARGE_BODY:  # the event loop has others to serve meanwhile
            body.content = await asyncio.to_thread(b"".join, chunks)
        else:
            body.content = chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def values(self, content: bytes) -> Body:
        """Memory for the values of JSON while they are read; a context manager.

        Raises:
            BodyTooLarge, TooManyBodies: they take more than there is, or than is left.
        """
        held = Body(self)
        if len(content) > SMALL_BODY:
            count = sum(map(content.count, (b",", b":", b"[", b"{")))
            if count * _VALUE_BYTES > self._most:
                raise BodyTooLarge(
                    f"the body has some {count} values of JSON; at most "
                    f"{self._most // _VALUE_BYTES} are accepted"
                )
            held.reserve(count * _VALUE_BYTES)
        return held

    def take(self, count: int) -> None:
        """Reserve memory."""
        if count > self._room:
            raise TooManyBodies("too many large requests at the same time")
        self._room -= count

    def give_back(self, count: int) -> None:
        """Free memory."""
        self._room += count


@final
class Body:
    """What was sent."""

    __slots__ = ("_reader", "_reserved", "content")

    def __init__(self, reader: BodyReader) -> None:
        self._reader = reader
        self._reserved = 0
        self.content: bytes = b""

    def reserve(self, size: int) -> None:
        """Have memory for so many bytes in all."""
        if size > SMALL_BODY and size > self._reserved:
            self._reader.take(size - self._reserved)
            self._reserved = size

    def release(self) -> None:
        """The content is no longer needed."""
        if self._reserved:
            self._reader.give_back(self._reserved)
            self._reserved = 0

    def __enter__(self) -> bytes:
        return self.content

    def __exit__(self, *_: object) -> None:
        self.release()
