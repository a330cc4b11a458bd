"""What the host itself gets over HTTP, with the rules and bounds that guests' requests have."""

from __future__ import annotations

from concurrent.futures import TimeoutError as FutureTimeout
from typing import TYPE_CHECKING, NamedTuple, final

from dotnet_wasm_host.fetch.access import HttpAccess
from dotnet_wasm_host.fetch.exchange import Exchange, HttpFailure, Outgoing
from dotnet_wasm_host.fetch.tenant import HttpTenant
from dotnet_wasm_host.options import HttpPolicy

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping

    from dotnet_wasm_host.fetch.proxies import Proxies

__all__ = ["Download", "DownloadTimeout", "Downloads", "HttpFailure"]


class DownloadTimeout(Exception):
    """It took longer than it may."""


class Download(NamedTuple):
    """A response.

    Attributes:
        status: 200 comes with content, all others without.
        location: where a redirect leads.
    """

    status: int
    location: str
    content: bytes


@final
class Downloads:
    """GET requests to hosts that were named. A context manager: it has a thread.

    Private networks are allowed, because somebody has named the host; link-local addresses, where
    clouds have their metadata, are not. Redirects are given back and not followed.

    Args:
        hosts: as ``HttpPolicy.allowed_hosts`` has them.
        schemes: ``"https"``, ``"http"``.
        tls: whom to trust; by default the certificates of certifi.
        proxies: which requests go through a proxy. A proxy resolves the names of hosts itself, so
            their addresses are not checked here; its own is.

    Raises:
        ExtraNotInstalled: httpx is not installed.
    """

    def __init__(
        self,
        hosts: tuple[str, ...],
        schemes: tuple[str, ...],
        tls: ssl.SSLContext | None = None,
        proxies: Proxies | None = None,
    ) -> None:
        policy = HttpPolicy(
            allowed_hosts=hosts,
            allow_private_addresses=True,
            schemes=schemes,
            methods=("GET",),
            # Each download says how much it may be.
            max_response_bytes=1 << 40,
            timeout=None,
            max_redirects=0,
            max_connections=4,
            tls=tls,
        )
        self._access = HttpAccess(policy, proxies=proxies)
        self._tenant = HttpTenant(self._access)

    def get(
        self, url: str, headers: Mapping[str, str], *, max_bytes: int, timeout: float
    ) -> Download:
        """Get one.

        Args:
            url: absolute.
            headers: beside those that every request has.
            max_bytes: most that the content may have, after decompression.
            timeout: seconds for everything, the name's resolution included.

        Raises:
            DownloadTimeout: it took longer.
            HttpFailure: the network or the server failed.
            HttpPolicyError: the host or its address is not allowed.
        """
        future = self._tenant.submit(self._get(url, headers, max_bytes))
        try:
            return future.result(timeout)
        except FutureTimeout:
            raise DownloadTimeout(f"{url} was not there in {timeout:g} s") from None
        finally:
            future.cancel()

    async def _get(self, url: str, headers: Mapping[str, str], max_bytes: int) -> Download:
        exchange = Exchange(self._tenant)
        try:
            await exchange.send(
                Outgoing("GET", url, list(headers), list(headers.values()), redirect="manual")
            )
            found = {name.lower(): value for name, value in exchange.headers}
            if exchange.status != 200:
                return Download(exchange.status, found.get("location", ""), b"")
            chunks = []
            size = 0
            while chunk := await exchange.read():
                size += len(chunk)
                if size > max_bytes:
                    raise HttpFailure(f"it has more than the {max_bytes} bytes it may have")
                chunks.append(chunk)
            return Download(200, "", b"".join(chunks))
        finally:
            await exchange.close()

    def close(self) -> None:
        """End what is under way, and the thread."""
        self._access.close()
