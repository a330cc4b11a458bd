"""How requests go out: each checked by the rules, each connection to a checked address."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any, final

import httpcore
import httpx

from dotnet_wasm_host.errors import HttpPolicyError
from dotnet_wasm_host.overriding import override

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

    from dotnet_wasm_host.fetch.connections import Connections
    from dotnet_wasm_host.fetch.proxies import Proxies, Proxy
    from dotnet_wasm_host.fetch.rules import Rules

__all__ = ["CheckedTransport", "system_resolver"]


async def system_resolver(host: str, port: int) -> list[str]:
    """What the operating system resolves a name to. OSError if it does not."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


_IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "QUERY"})
#: Several connections may have gone stale together.
_ATTEMPTS = 3


@final
class CheckedBackend(httpcore.AsyncNetworkBackend):
    """Connects to exactly the addresses that the rules have permitted.

    The name is resolved here and nowhere else: between the check and the connection nobody asks
    DNS again, so it cannot answer differently. TLS still verifies the name, not the address.
    """

    def __init__(
        self,
        rules: Rules,
        resolve: Callable[[str, int], Awaitable[list[str]]],
        connections: Connections,
    ) -> None:
        self._rules = rules
        self._resolve = resolve
        self._connections = connections
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        try:
            addresses = await self._resolve(host, port)
        except OSError as error:
            raise httpcore.ConnectError(
                f"the name '{host}' cannot be resolved: {error.strerror or error}"
            ) from error
        failure: Exception = httpcore.ConnectError(f"'{host}' has no address")
        for address in self._rules.permitted(host, addresses):
            self._connections.opened()
            try:
                inner = await self._inner.connect_tcp(
                    address, port, timeout, local_address, socket_options
                )
            except BaseException as error:
                self._connections.closed()
                if not isinstance(error, (httpcore.ConnectError, httpcore.ConnectTimeout)):
                    raise
                failure = error
            else:
                return _CountedStream(inner, self._connections.closed)
        raise failure

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        raise HttpPolicyError("a guest has no Unix sockets; use a host name")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@final
class _CountedStream(httpcore.AsyncNetworkStream):
    """A connection that is counted until it is closed, and can be marked as not to be used again.

    Attributes:
        spoiled: more has come than the response that it was read for.
    """

    def __init__(self, inner: httpcore.AsyncNetworkStream, closed: Callable[[], object]) -> None:
        self._inner = inner
        self._closed: Callable[[], object] | None = closed
        self.spoiled = False

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return await self._inner.read(max_bytes, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        await self._inner.write(buffer, timeout)

    async def aclose(self) -> None:
        closed, self._closed = self._closed, None
        if closed is not None:
            closed()
        await self._inner.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        self._inner = await self._inner.start_tls(ssl_context, server_hostname, timeout)
        return self

    def get_extra_info(self, info: str) -> object:
        # A pool takes a readable connection that nobody reads from for one that has ended.
        if info == "is_readable" and self.spoiled:
            return True
        return self._inner.get_extra_info(info)


@final
class CheckedTransport(httpx.AsyncBaseTransport):
    """The transport of a client that follows redirects: each of them passes here too."""

    def __init__(
        self,
        rules: Rules,
        tls: ssl.SSLContext,
        *,
        max_connections: int,
        connections: Connections,
        resolve: Callable[[str, int], Awaitable[list[str]]] = system_resolver,
        proxies: Proxies | None = None,
    ) -> None:
        self._rules = rules
        self._proxies = proxies
        self._backend = CheckedBackend(rules, resolve, connections)
        self._tls, self._max_connections = tls, max_connections
        self._pools: dict[Proxy | None, httpcore.AsyncConnectionPool] = {}

    @override
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self._rules.check(request.method, request.url)
        response = await self._exchange(request)
        return httpx.Response(
            status_code=response.status,
            headers=response.headers,
            stream=_Body(response),
            extensions=response.extensions,
        )

    async def _exchange(self, request: httpx.Request) -> httpcore.Response:
        for _ in range(_ATTEMPTS - 1 if _can_be_repeated(request) else 0):
            try:
                return await self._pool(request).handle_async_request(_for_httpcore(request))
            except (httpcore.NetworkError, httpcore.RemoteProtocolError) as error:
                if not _went_stale(error):
                    raise
        return await self._pool(request).handle_async_request(_for_httpcore(request))

    def _pool(self, request: httpx.Request) -> httpcore.AsyncConnectionPool:
        """Connections for a request: to its host, or to the proxy in front of it."""
        url = request.url
        proxy = self._proxies.of(url.scheme, url.host, url.port) if self._proxies else None
        pool = self._pools.get(proxy)
        if pool is None:
            pool = self._pools[proxy] = httpcore.AsyncConnectionPool(
                ssl_context=self._tls,
                proxy=httpcore.Proxy(proxy.address, proxy.credentials) if proxy else None,
                max_connections=self._max_connections,
                max_keepalive_connections=self._max_connections,
                keepalive_expiry=5.0,
                network_backend=self._backend,
            )
        return pool

    @override
    async def aclose(self) -> None:
        pools, self._pools = self._pools, {}
        for pool in pools.values():
            await pool.aclose()


def _for_httpcore(request: httpx.Request) -> httpcore.Request:
    assert isinstance(request.stream, httpx.AsyncByteStream)
    return httpcore.Request(
        method=request.method,
        url=httpcore.URL(
            scheme=request.url.raw_scheme,
            host=request.url.raw_host,
            port=request.url.port,
            target=request.url.raw_path,
        ),
        headers=request.headers.raw,
        content=request.stream,
        extensions=request.extensions,
    )


def _can_be_repeated(request: httpx.Request) -> bool:
    """Whether doing it twice is like doing it once (RFC 9110 9.2.2), and possible."""
    return request.method in _IDEMPOTENT and isinstance(request.stream, httpx.ByteStream)


def _went_stale(error: Exception) -> bool:
    """Whether a server ended the connection before it said anything.

    It may do so with one that is kept open, in the moment when it is used again.
    """
    if isinstance(error, httpcore.RemoteProtocolError):
        return "without sending a response" in str(error)
    return isinstance(error, (httpcore.ReadError, httpcore.WriteError))


class _Body(httpx.AsyncByteStream):
    def __init__(self, response: httpcore.Response) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._response.aiter_stream():
            yield chunk

    async def aclose(self) -> None:
        stream = self._response.extensions.get("network_stream")
        if isinstance(stream, _CountedStream) and _has_surplus(self._response):
            stream.spoiled = True
        await self._response.aclose()


def _has_surplus(response: httpcore.Response) -> bool:
    """Whether bytes after the end of the response were read with it.

    The next request on the connection would take them for its response. httpcore leaves them
    with h11 and has no way to ask; without its way in, no connection is used again.
    """
    stream = getattr(response.stream, "_stream", None)
    state = getattr(getattr(stream, "_connection", None), "_h11_state", None)
    if state is None:
        return True
    data, _ = state.trailing_data
    return bool(data)
