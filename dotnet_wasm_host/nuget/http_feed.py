"""Feeds of NuGet's protocol, version 3.

Source: NuGet's documentation, "NuGet Server API": the service index and the package content
resource (``PackageBaseAddress/3.0.0``). Nothing else of a feed is asked.
"""

from __future__ import annotations

import base64
import json
import os
import time
from typing import TYPE_CHECKING, NoReturn, final
from urllib.parse import quote, urljoin, urlsplit

from dotnet_wasm_host.errors import ExtraNotInstalled, HttpPolicyError
from dotnet_wasm_host.fetch.downloads import Downloads, DownloadTimeout, HttpFailure
from dotnet_wasm_host.fetch.proxies import Proxies
from dotnet_wasm_host.nuget.package_cache import PackageCache
from dotnet_wasm_host.nuget.source import ENVIRONMENT_PREFIX
from dotnet_wasm_host.packages.archive import MAX_PACKAGE_BYTES
from dotnet_wasm_host.packages.errors import PackageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dotnet_wasm_host.fetch.downloads import Download
    from dotnet_wasm_host.nuget.deadline import Deadline
    from dotnet_wasm_host.nuget.source import PackageSource

__all__ = ["HttpFeed"]

MAX_INDEX_BYTES = 1 << 20
#: A package with 5,000 versions has a list of 100 kB.
MAX_LIST_BYTES = 4 << 20
#: Seconds for one request where nobody has set a shorter time.
REQUEST_SECONDS = 100.0
MAX_REDIRECTS = 5
#: What a server says that may go well the next time (RFC 9110 15.6, RFC 6585 4).
_AGAIN = frozenset({429, 500, 502, 503, 504})
_ATTEMPTS = 3
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_CONTENT = "PackageBaseAddress/3.0.0"
_PORTS = {"http": 80, "https": 443}


@final
class HttpFeed:
    """One feed, for one resolution. Close it.

    Args:
        source: where it is.
        offline: whether only the cache is asked.
    """

    def __init__(self, source: PackageSource, *, offline: bool = False) -> None:
        self._source = source
        self._offline = offline
        self._cache = PackageCache(source)
        self._index = str(source.location)
        self._origin = _origin(self._index)
        self._authorization = _authorization(source)
        scheme, host, port = self._origin
        name = f"[{host}]" if ":" in host else host
        try:
            self._downloads = Downloads(
                (f"{name}:{port}", *source.hosts),
                tuple({"https", scheme}),
                source.tls,
                Proxies.of_environment(),
            )
        except ValueError as error:
            raise PackageError(f"{source} cannot be asked: {error}") from error
        except ExtraNotInstalled as error:
            raise ExtraNotInstalled(
                "a package source with an address needs httpx", "http"
            ) from error
        self._content = ""

    @property
    def source(self) -> PackageSource:
        """Where it is."""
        return self._source

    @property
    def is_local(self) -> bool:
        """A feed is not."""
        return False

    def has(self, name: str, version: str) -> bool:
        """Whether a version is in the cache."""
        return self._cache.has(name, version)

    def versions(self, name: str, deadline: Deadline) -> list[str]:
        """Versions that the feed lists, unlisted ones included; none for 404.

        Offline those in the cache.
        """
        if self._offline:
            return self._cache.versions(name)
        address = f"{self._content_address(deadline)}{quote(name.lower())}/index.json"
        content = self._get(address, deadline, MAX_LIST_BYTES)
        if content is None:
            return []
        found = _read_json(content, self._source, address).get("versions")
        if not isinstance(found, list):
            raise PackageError(f"{self._source} has no list of versions at {address}")
        return [version for version in found if isinstance(version, str)]

    def package(self, name: str, version: str, deadline: Deadline) -> bytes | None:
        """The file of a package, out of the cache if it is there."""
        number = version.lower().partition("+")[0]
        cached = self._cache.read(name, number)
        if cached is not None or self._offline:
            return cached
        key, number = quote(name.lower()), quote(number)
        address = f"{self._content_address(deadline)}{key}/{number}/{key}.{number}.nupkg"
        return self._get(address, deadline, MAX_PACKAGE_BYTES)

    def keep(self, name: str, version: str, content: bytes) -> None:
        """Put a package into the cache, unless it came from there."""
        number = version.lower().partition("+")[0]
        if not self._cache.has(name, number):
            self._cache.write(name, number, content)

    def close(self) -> None:
        """Close its connections."""
        self._downloads.close()
        self._cache.close()

    def _content_address(self, deadline: Deadline) -> str:
        if not self._content:
            content = self._get(self._index, deadline, MAX_INDEX_BYTES)
            if content is None:
                raise PackageError(f"{self._source} has no index at {self._index} (404)")
            index = _read_json(content, self._source, self._index)
            address = _resource(index)
            if address is None:
                raise PackageError(
                    f"the index of {self._source} names no {_CONTENT}: it is not a feed of "
                    "version 3 that packages can be had from"
                )
            self._content = self._join(self._index, address).rstrip("/") + "/"
        return self._content

    def _get(self, address: str, deadline: Deadline, max_bytes: int) -> bytes | None:
        """Content at an address, ``None`` for 404. PackageError for everything else."""
        at = address
        for _ in range(MAX_REDIRECTS + 1):
            found = self._ask(at, deadline, max_bytes)
            if found.status == 200:
                return found.content
            if found.status in {404, 410}:
                return None
            if found.status not in _REDIRECTS or not found.location:
                self._refuse(at, found.status)
            at = self._join(at, found.location)
        raise PackageError(f"{self._source} redirects {address} more than {MAX_REDIRECTS} times")

    def _ask(self, address: str, deadline: Deadline, max_bytes: int) -> Download:
        doing = f"getting packages from {self._source}"
        headers = self._headers(address)
        for attempt in range(_ATTEMPTS):
            left = deadline.left(doing)
            seconds = REQUEST_SECONDS if left is None else min(left, REQUEST_SECONDS)
            is_last = attempt == _ATTEMPTS - 1
            try:
                found = self._downloads.get(address, headers, max_bytes=max_bytes, timeout=seconds)
            except DownloadTimeout as error:
                deadline.left(doing)
                raise PackageError(f"{self._source} does not answer: {error}") from error
            except HttpPolicyError as error:
                raise PackageError(f"{self._source} cannot be asked: {error}") from error
            except HttpFailure as error:
                if is_last:
                    raise PackageError(
                        f"{self._source} cannot be read at {address}: {error}"
                    ) from error
            else:
                if found.status not in _AGAIN or is_last:
                    return found
            _wait(0.1 * 4**attempt, deadline.left(doing))
        raise AssertionError

    def _headers(self, address: str) -> Mapping[str, str]:
        """Headers for an address. PackageError if nobody has named its host."""
        origin = _origin(address)
        if origin == self._origin:
            return {"Authorization": self._authorization} if self._authorization else {}
        scheme, host, _ = origin
        if scheme != "https":
            raise PackageError(
                f"{self._source} leads to {scheme}://{host}, which is not the feed's own address "
                "and not encrypted"
            )
        if not self._source.hosts:
            raise PackageError(
                f"{self._source} leads to the host {host}, which nobody has named; if packages may "
                f"come from there, give PackageSource(..., hosts=({host!r},))"
            )
        return {}

    def _join(self, base: str, address: str) -> str:
        """An absolute address of the web. PackageError if it is none."""
        try:
            joined = urljoin(base, address)
            _origin(joined)
        except ValueError as error:
            raise PackageError(
                f"{self._source} leads to {address[:200]!r}, which is no address"
            ) from error
        return joined

    def _refuse(self, address: str, status: int) -> NoReturn:
        if status in {401, 403, 407}:
            name = self._source.name or "<name>"
            given = "those that were given are not accepted" if self._authorization else "none"
            raise PackageError(
                f"{self._source} wants other credentials ({status} at {address}; {given}): give "
                f"PackageSource(credentials=(user, password)), or set {ENVIRONMENT_PREFIX}{name}"
            )
        raise PackageError(f"{self._source} cannot be read at {address}: it answers {status}")


def _resource(index: Mapping[str, object]) -> str | None:
    resources = index.get("resources")
    for resource in resources if isinstance(resources, list) else ():
        if not isinstance(resource, dict):
            continue
        kinds = resource.get("@type")
        address = resource.get("@id")
        if _CONTENT in (kinds if isinstance(kinds, list) else [kinds]) and isinstance(address, str):
            return address
    return None


def _read_json(content: bytes, source: PackageSource, address: str) -> Mapping[str, object]:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise PackageError(f"{source} has no JSON at {address}: {error}") from error
    if not isinstance(found, dict):
        raise PackageError(f"{source} has no JSON object at {address}")
    return found


def _origin(address: str) -> tuple[str, str, int]:
    """Scheme, host and port. ValueError for what has none of the web."""
    parts = urlsplit(address)
    if parts.scheme not in _PORTS or not parts.hostname or parts.username is not None:
        raise ValueError(f"{address[:200]!r}")
    return parts.scheme, parts.hostname, parts.port or _PORTS[parts.scheme]


def _authorization(source: PackageSource) -> str:
    """The header for credentials that were given, or are in the environment; ``""`` for none."""
    pair = source.credentials
    if pair is None and source.name:
        pair = _from_environment(os.environ.get(f"{ENVIRONMENT_PREFIX}{source.name}", ""))
    if pair is None:
        return ""
    return "Basic " + base64.b64encode(":".join(pair).encode()).decode()


def _from_environment(text: str) -> tuple[str, str] | None:
    """``Username=...;Password=...``, as NuGet reads it."""
    found = {}
    for part in text.split(";"):
        key, _, value = part.partition("=")
        found[key.strip().lower()] = value
    if "username" not in found or "password" not in found:
        return None
    return found["username"], found["password"]


def _wait(seconds: float, left: float | None) -> None:
    time.sleep(seconds if left is None else min(seconds, left))
