"""One request and its response, streamed both ways, within the caps of the policy."""

from __future__ import annotations

import asyncio
import logging
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, final

from dotnet_wasm_host.errors import HttpPolicyError
from dotnet_wasm_host.fetch.decoding import DECODED, decoded
from dotnet_wasm_host.fetch.tenant import HeldBytes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable

    import httpx

    from dotnet_wasm_host.fetch.tenant import HttpTenant

__all__ = ["BodyStream", "Exchange", "HttpFailure", "Outgoing"]

T = TypeVar("T")
_log = logging.getLogger(__name__)
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class HttpFailure(Exception):
    """The network or the server failed; the text is a sentence for the caller."""


@final
class BodyStream:
    """A request's body that is still being written. On the loop only.

    Args:
        limit: most bytes.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._size = 0
        self._chunks: asyncio.Queue[bytes | None] = asyncio.Queue(maxsize=1)
        self._ended = asyncio.Event()

    async def write(self, data: bytes | None) -> None:
        """Hand over a piece, or the end, once there is room for it.

        HttpPolicyError over the limit, HttpFailure if nobody takes it any more.
        """
        self._size += len(data or b"")
        if self._size > self._limit:
            raise HttpPolicyError(
                f"a request body is refused at {self._size} bytes; send fewer than "
                f"max_request_bytes={self._limit}, or raise that"
            )
        put = asyncio.ensure_future(self._chunks.put(data))
        ended = asyncio.ensure_future(self._ended.wait())
        try:
            await asyncio.wait((put, ended), return_when=asyncio.FIRST_COMPLETED)
            if not put.done():
                raise HttpFailure("the server or the network ended the request")
        finally:
            put.cancel()
            ended.cancel()

    def end(self) -> None:
        """Nobody reads any further."""
        self._ended.set()

    async def chunks(self) -> AsyncIterator[bytes]:
        """The pieces, as they come."""
        while (chunk := await self._chunks.get()) is not None:
            yield chunk


@dataclass(frozen=True, slots=True)
class Outgoing:
    """What is to be sent.

    Attributes:
        headers: names and values, as the guest gave them.
        redirect: ``"follow"``, ``"manual"`` (the redirect itself is the response) or ``"error"``.
        body: all of it; ``None`` without one, or if it comes by :meth:`Exchange.write`.
    """

    method: str
    url: str
    header_names: list[str]
    header_values: list[str]
    redirect: str = "follow"
    body: bytes | None = None


@final
class Exchange:
    """A request that is under way. Coroutines run on the loop of ``tenant``.

    Attributes:
        status: of the response, 0 before there is one.
        headers: names and values of the response.
    """

    def __init__(self, tenant: HttpTenant) -> None:
        self._tenant = tenant
        self._policy = tenant.policy
        self._response: httpx.Response | None = None
        self._chunks: AsyncIterator[bytes] | None = None
        self._body: BodyStream | None = None
        self._deadline: float | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._received = 0
        self._counted = False
        self._where = ""
        self._overdue = False
        self._closed = False
        self._complete = False
        #: Why no more of the body will come, once that is known.
        self._broken = ""
        self._held = HeldBytes(tenant)
        self.status: int = 0
        self.headers: list[tuple[str, str]] = []

    # ---------------------------------------------------------------- the request

    async def send(self, outgoing: Outgoing) -> None:
        """Send the request; done when the response's headers are there."""
        self._begin()
        try:
            await self._timed(self._send(outgoing))
        except BaseException as error:  # noqa: BLE001 - it goes on
            await self.close()
            self._fail(error)
        finally:
            if self._body is not None:
                self._body.end()

    def stream_body(self) -> None:
        """The body will be written piece by piece. Before :meth:`send`."""
        self._body = BodyStream(self._policy.max_request_bytes)

    async def write(self, data: bytes | None) -> None:
        """Write a piece of the body, ``None`` for its end; done when there is room for more."""
        if self._body is None:
            raise HttpFailure("the request has no body to write to")
        try:
            await self._timed(self._body.write(data))
        except Exception as error:  # noqa: BLE001 - it goes on as a sentence
            self._fail(error)

    def _begin(self) -> None:
        if self._closed:
            raise HttpFailure("the request was aborted")
        self._tenant.begin_exchange()
        self._counted = True
        if self._policy.timeout is not None:
            loop = asyncio.get_running_loop()
            self._deadline = loop.time() + self._policy.timeout
            # A response that nobody reads must not keep its connection for ever.
            self._alarm = loop.call_at(self._deadline, self._expire)

    async def _send(self, outgoing: Outgoing) -> None:
        client = self._tenant.client()
        request = self._request(client, outgoing)
        response = await client.send(
            request, stream=True, follow_redirects=outgoing.redirect == "follow"
        )
        self._response = response
        if self._closed:
            # It came in the moment when nobody wanted it any more.
            raise HttpFailure("the request was aborted")
        if outgoing.redirect == "error" and response.status_code in _REDIRECTS:
            raise HttpFailure(f"the server at {self._where} redirects, which was not wanted")
        self._check_length(response)
        self.status = response.status_code
        self.headers = _shown_headers(response)
        coding = response.headers.get("Content-Encoding", "").strip().lower()
        chunks = response.aiter_raw()
        self._chunks = decoded(chunks, coding) if coding in DECODED else chunks

    def _request(self, client: httpx.AsyncClient, outgoing: Outgoing) -> httpx.Request:
        import httpx

        try:
            url = httpx.URL(outgoing.url)
            self._where = f"'{url.host}'"
            rules = self._tenant.rules
            # The transport asks again, for this request and for each redirect.
            rules.check(outgoing.method, url)
            headers = rules.headers(
                outgoing.header_names, outgoing.header_values, url.netloc.decode("ascii")
            )
        except (httpx.InvalidURL, ValueError) as error:
            if isinstance(error, HttpPolicyError):
                raise
            raise HttpFailure(f"the request cannot be made: {error}") from error
        body = outgoing.body
        if body is not None and len(body) > self._policy.max_request_bytes:
            raise HttpPolicyError(
                f"a request body of {len(body)} bytes is refused; send at most "
                f"max_request_bytes={self._policy.max_request_bytes}, or raise that"
            )
        content: Any = self._body.chunks() if self._body is not None else body
        request = client.build_request(outgoing.method, url, headers=headers, content=content)
        length = _declared_length(outgoing)
        if self._body is not None and length is not None:
            # A length that was declared is kept, and enforced by h11, instead of chunks.
            del request.headers["Transfer-Encoding"]
            request.headers["Content-Length"] = length
        return request

    # ---------------------------------------------------------------- the response

    async def read(self) -> bytes:
        """The next piece of the response's body; none at its end.

        HttpFailure or HttpPolicyError if the body was cut off, now and every time after that.
        """
        if self._complete:
            return b""
        try:
            if self._chunks is None:
                raise HttpFailure(self._broken or "the request was ended before its response was")
            chunk = await self._timed(_next(self._chunks))
            if self._closed:
                # Meanwhile; a connection that is closed looks like the end of some bodies.
                raise HttpFailure("the request was aborted")
            self._received += len(chunk)
            self._check_received(self._received)
        except BaseException as error:  # noqa: BLE001 - it goes on
            self._broken = self._broken or str(self._failure(error))
            await self.close()
            self._fail(error)
        if not chunk:
            self._complete = True
            await self.close()
        return chunk

    async def read_all(self) -> bytes:
        """The whole body, which is held until :meth:`free`."""
        chunks = []
        while chunk := await self.read():
            try:
                self._held.add(len(chunk))
            except HttpPolicyError as error:
                self._broken = str(error)
                await self.close()
                raise
            chunks.append(chunk)
        return b"".join(chunks)

    def free(self) -> None:
        """What was read is held no longer. From any thread."""
        self._held.close()

    def _check_length(self, response: httpx.Response) -> None:
        length = response.headers.get("Content-Length", "")
        if length.isdecimal() and response.request.method != "HEAD":
            self._check_received(int(length))

    def _check_received(self, size: int) -> None:
        if size > self._policy.max_response_bytes:
            raise HttpPolicyError(
                f"the response of {self._where} is refused at {size} bytes; ask for at most "
                f"max_response_bytes={self._policy.max_response_bytes}, or raise that"
            )

    # ---------------------------------------------------------------- the end

    async def close(self) -> None:
        """End the exchange, wherever it is; its connection is used again if it is at its end."""
        self._closed = True
        if self._alarm is not None:
            self._alarm.cancel()
        if self._counted:
            self._counted = False
            self._tenant.end_exchange()
        if self._body is not None:
            self._body.end()
        response, self._response, self._chunks = self._response, None, None
        if response is not None:
            try:
                await response.aclose()
            except Exception:  # noqa: BLE001 - logged; nobody reads on
                _log.debug("closing a response failed", exc_info=True)

    def _expire(self) -> None:
        self._overdue = True
        self._closing = asyncio.ensure_future(self.close())

    async def _timed(self, work: Awaitable[T]) -> T:
        if self._deadline is None:
            return await work
        left = self._deadline - asyncio.get_running_loop().time()
        return await asyncio.wait_for(work, max(left, 0.001))

    def _fail(self, error: BaseException) -> NoReturn:
        failure = self._failure(error)
        try:
            if failure is error:
                raise error
            raise failure from error
        finally:
            # Its frames hold this one: without a circle it goes when nobody wants it any more.
            del failure, error

    def _failure(self, error: BaseException) -> BaseException:
        """The error as a sentence; what is no failure of the exchange as it is."""
        if isinstance(error, HttpPolicyError) or not isinstance(error, Exception):
            return error
        if self._overdue or isinstance(error, (asyncio.TimeoutError, TimeoutError)):
            return HttpFailure(
                f"the exchange with {self._where} took longer than the "
                f"{self._policy.timeout} s that HttpPolicy.timeout allows"
            )
        if isinstance(error, HttpFailure):
            return error
        return _sentence(error, self._where, self._policy.max_redirects)


def _sentence(error: Exception, where: str, max_redirects: int) -> Exception:
    import httpcore
    import httpx

    said = str(error).rstrip(".") or type(error).__name__
    if isinstance(error, httpx.TooManyRedirects):
        return HttpPolicyError(
            f"a response of {where} is refused: it is one redirect more than the {max_redirects} "
            "that max_redirects allows"
        )
    # The first that fits.
    sentences: tuple[tuple[type[Exception], str], ...] = (
        (httpcore.ConnectError, f"no connection to {where}: {said}"),
        (httpcore.ProxyError, f"the proxy lets nothing through to {where}: {said}"),
        (httpcore.RemoteProtocolError, f"{where} does not keep to HTTP: {said}"),
        (httpx.RemoteProtocolError, f"{where} redirects to what is no URL: {said}"),
        (zlib.error, f"the body of {where} is not what its Content-Encoding says: {said}"),
        (httpx.StreamConsumed, f"{where} redirects a request whose streamed body is gone"),
        (httpcore.LocalProtocolError, f"the request to {where} cannot be sent: {said}"),
        (httpcore.UnsupportedProtocol, f"{where} redirects to what is no URL: {said}"),
        (httpx.InvalidURL, f"{where} redirects to what is no URL: {said}"),
        (httpcore.NetworkError, f"the connection to {where} broke: {said}"),
        (OSError, f"the connection to {where} broke: {said}"),
    )
    for kind, sentence in sentences:
        if isinstance(error, kind):
            return HttpFailure(sentence)
    return error


async def _next(chunks: AsyncIterator[bytes]) -> bytes:
    async for chunk in chunks:
        if chunk:
            return chunk
    return b""


def _declared_length(outgoing: Outgoing) -> str | None:
    for name, value in zip(outgoing.header_names, outgoing.header_values, strict=True):
        if name.lower() == "content-length" and value.isdecimal():
            return value
    return None


def _shown_headers(response: httpx.Response) -> list[tuple[str, str]]:
    """Headers for the guest; those that describe the encoded body are gone with the encoding."""
    headers = [
        (name.decode("latin-1"), value.decode("latin-1")) for name, value in response.headers.raw
    ]
    if response.headers.get("Content-Encoding", "").strip().lower() in DECODED:
        hidden = {"content-encoding", "content-length"}
        return [(name, value) for name, value in headers if name.lower() not in hidden]
    return headers
