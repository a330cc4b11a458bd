"""One runtime's part of an :class:`~dotnet_wasm_host.fetch.access.HttpAccess`."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, TypeVar, final
from weakref import WeakKeyDictionary

from dotnet_wasm_host.errors import HttpPolicyError
from dotnet_wasm_host.fetch.connections import Connections

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from concurrent.futures import Future

    import httpx

    from dotnet_wasm_host.fetch.access import HttpAccess
    from dotnet_wasm_host.fetch.rules import Rules
    from dotnet_wasm_host.options import HttpPolicy

__all__ = ["MAX_EXCHANGES", "HeldBytes", "HttpTenant", "HttpTenants"]

T = TypeVar("T")

#: Requests of a tenant that may be under way, or have a response that is not read to its end, at
#: a time. It never has more connections than ``HttpPolicy.max_connections``; the rest wait.
MAX_EXCHANGES = 1000


@final
class HttpTenant:
    """A client with connections that no other tenant ever gets, on the loop of an access.

    What a server has sent beyond a response stays in a connection, and requests that hang keep
    theirs: neither may reach a function that others wrote.

    Args:
        access: what carries out the requests.
        lasting: whether connections stay when one of the runtimes that use them is closed.
    """

    def __init__(self, access: HttpAccess, *, lasting: bool = False) -> None:
        self.access: HttpAccess = access
        self._lasting = lasting
        self._client: httpx.AsyncClient | None = None
        #: Exchanges that have begun and not ended. Changed on the loop.
        self.exchanges: int = 0
        self._held = 0

    @property
    def policy(self) -> HttpPolicy:
        """What is allowed."""
        return self.access.policy

    @property
    def rules(self) -> Rules:
        """The policy, applied."""
        return self.access.rules

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Run a coroutine on the loop. Cancelling the future cancels it."""
        return self.access.submit(work)

    def hold(self, count: int) -> None:
        """Count bytes of bodies that the host keeps. HttpPolicyError over the tenant's share."""
        with self.access.lock:
            self.access.hold(count, self._held)
            self._held += count

    def free(self, count: int) -> None:
        """They are kept no longer."""
        with self.access.lock:
            self._held -= count
            self.access.free(count)

    def begin_exchange(self) -> None:
        """Count an exchange. HttpPolicyError over :data:`MAX_EXCHANGES`. On the loop only."""
        if self.exchanges >= MAX_EXCHANGES:
            raise HttpPolicyError(
                f"a request is refused: {MAX_EXCHANGES} others are under way, or have responses "
                "that were not read to their end"
            )
        self.exchanges += 1
        self.access.exchanges += 1

    def end_exchange(self) -> None:
        """It has ended. On the loop only."""
        self.exchanges -= 1
        self.access.exchanges -= 1

    def client(self) -> httpx.AsyncClient:
        """The client. On the loop only."""
        if self._client is None:
            self._client = self._make_client()
            self.access.clients.add(self._client)
            # Whoever lets go of the tenant need not close it.
            weakref.finalize(self, self.access.close_client, self._client).atexit = False
        return self._client

    def leave(self) -> None:
        """A runtime was closed: close its connections unless others use them. Idempotent."""
        if not self._lasting and self._client is not None:
            self.access.close_client(self._client)

    def _make_client(self) -> httpx.AsyncClient:
        # Nobody pays for httpx who makes no request.
        from http.cookiejar import CookieJar, DefaultCookiePolicy

        import httpx

        from dotnet_wasm_host.fetch.transport import (
            CheckedTransport,
            system_resolver,
        )

        transport = CheckedTransport(
            self.rules,
            self.access.tls,
            max_connections=self.policy.max_connections,
            resolve=self.access.resolve or system_resolver,
            connections=Connections(self.access),
            proxies=self.access.proxies,
        )
        return httpx.AsyncClient(
            transport=transport,
            # A jar would carry cookies from one function's requests to another's.
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            headers={"User-Agent": "dotnet-wasm-host", "Accept-Encoding": "gzip, deflate"},
            max_redirects=self.policy.max_redirects,
            # The whole exchange has a deadline (exchange.py); a part of it needs none.
            timeout=None,  # noqa: S113
            trust_env=False,
        )


@final
class HttpTenants:
    """The tenants of an access that is shared."""

    def __init__(self, access: HttpAccess) -> None:
        self._access = access
        self._lasting: WeakKeyDictionary[object, HttpTenant] = WeakKeyDictionary()

    def of(self, key: object = None) -> HttpTenant:
        """A new one; with a key the one of all who give that key, while it exists."""
        if key is None:
            return HttpTenant(self._access)
        with self._access.lock:
            tenant = self._lasting.get(key)
            if tenant is None:
                tenant = self._lasting[key] = HttpTenant(self._access, lasting=True)
        return tenant


@final
class HeldBytes:
    """Bytes that are held for one exchange, until it ends or the guest has them. Thread-safe."""

    def __init__(self, tenant: HttpTenant) -> None:
        self._tenant = tenant
        self._count = 0
        self._closed = False

    def add(self, count: int) -> None:
        """Hold more. HttpPolicyError if there is no room, or the exchange has ended."""
        with self._tenant.access.lock:
            if self._closed:
                raise HttpPolicyError("the request was aborted; send it again")
            self._tenant.hold(count)
            self._count += count

    def close(self) -> None:
        """Hold nothing, now and from now on."""
        with self._tenant.access.lock:
            self._closed = True
            count, self._count = self._count, 0
            self._tenant.free(count)
