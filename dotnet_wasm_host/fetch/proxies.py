"""Proxies that the environment names, for what the host itself gets."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, final
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies_environment

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Proxies", "Proxy"]

_PORTS = {"http": 80, "https": 443}


class Proxy(NamedTuple):
    """One proxy.

    Attributes:
        address: without user and password.
        credentials: user and password that it wants; ``None`` for none.
    """

    address: str
    credentials: tuple[bytes, bytes] | None

    def __repr__(self) -> str:
        return f"Proxy({self.address!r})"


@final
class Proxies:
    """Which proxy a request goes through.

    Args:
        named: scheme of requests, ``"http"``, ``"https"`` or ``"all"``, to the address of a proxy;
            ``"no"`` to the hosts that are asked directly, with all that are below them, as in the
            variable ``NO_PROXY``: ``"a.example,.b.example,c.example:8443"``, or ``"*"``.

    Raises:
        ValueError: an address is none, or its proxy speaks something else than HTTP.
    """

    def __init__(self, named: Mapping[str, str]) -> None:
        items = (item.strip().lstrip(".").lower() for item in named.get("no", "").split(","))
        self._direct = frozenset(item for item in items if item)
        self._proxies = {
            scheme: _read(scheme, address)
            for scheme in _PORTS
            if (address := named.get(scheme) or named.get("all"))
        }

    @classmethod
    def of_environment(cls) -> Proxies:
        """Those of ``HTTPS_PROXY``, ``HTTP_PROXY``, ``ALL_PROXY`` and ``NO_PROXY``, in any case.

        ``HTTP_PROXY`` does not count where ``REQUEST_METHOD`` is set: under CGI it is a header of
        the client.
        """
        return cls(getproxies_environment())

    def __bool__(self) -> bool:
        return bool(self._proxies)

    def of(self, scheme: str, host: str, port: int | None) -> Proxy | None:
        """The proxy for requests to a host; ``None`` to ask it directly."""
        return None if self._is_direct(host, port or _PORTS[scheme]) else self._proxies.get(scheme)

    def _is_direct(self, host: str, port: int) -> bool:
        """Whether ``NO_PROXY`` has the host, one above it, or either with its port."""
        labels = host.lower().split(".")
        above = [".".join(labels[index:]) for index in range(len(labels))]
        names = ["*", *above, *(f"{name}:{port}" for name in above)]
        return not self._direct.isdisjoint(names)


def _read(scheme: str, address: str) -> Proxy:
    variable = f"{scheme.upper()}_PROXY"
    text = address if "://" in address else f"http://{address}"
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(
            f"{variable} has no address of a proxy: {error}; give http://host:port"
        ) from error
    if parts.scheme not in _PORTS or not host:
        raise ValueError(
            f"{variable} names a proxy for {parts.scheme or 'nothing'}; give http://host:port"
        )
    credentials = None
    if parts.username is not None:
        credentials = (
            unquote(parts.username).encode(),
            unquote(parts.password or "").encode(),
        )
    name = f"[{host}]" if ":" in host else host
    return Proxy(f"{parts.scheme}://{name}:{port or _PORTS[parts.scheme]}", credentials)
