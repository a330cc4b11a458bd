"""An :class:`~dotnet_wasm_host.options.HttpPolicy`, applied to requests."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import TYPE_CHECKING, NamedTuple, final

from dotnet_wasm_host.errors import HttpPolicyError
from dotnet_wasm_host.fetch.addresses import is_permitted

if TYPE_CHECKING:
    from collections.abc import Iterable

    import httpx

    from dotnet_wasm_host.options import HttpPolicy

__all__ = ["HostPattern", "Rules"]

_PORTS = {"http": 80, "https": 443}
#: Headers that say how a message is framed or where it goes. They are the host's to write; the
#: fetch standard has a list like this ("forbidden request-header").
_HOSTS_OWN_HEADERS = frozenset({
    "accept-encoding", "connection", "content-length", "expect", "host", "keep-alive",
    "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
    "transfer-encoding", "upgrade",
})  # fmt: skip
#: RFC 9110 5.6.2.
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")


class HostPattern(NamedTuple):
    """An entry of ``HttpPolicy.allowed_hosts``: a name as it is or below, and a port or any."""

    name: str
    below: bool
    port: int | None

    @classmethod
    def parse(cls, text: str) -> HostPattern:
        """Read a pattern whose syntax ``HttpPolicy`` has checked."""
        host, colon, port = text.lower().rpartition(":")
        if not colon or text.endswith("]"):
            host, port = text.lower(), ""
        host = host.rstrip(".")
        below = host.startswith("*")
        name = host.lstrip("*") if below else _ascii(host.strip("[]"))
        return cls(name, below, int(port) if port else None)

    def matches(self, host: str, port: int) -> bool:
        """Whether an address, ASCII and in lower case, is one of those meant."""
        if self.port not in {None, port}:
            return False
        if self.below:
            return host.endswith(self.name) and len(host) > len(self.name)
        return host == self.name


def _ascii(host: str) -> str:
    """A name as it is looked up; addresses in their one canonical form."""
    try:
        return str(ip_address(host))
    except ValueError:
        return host


@final
class Rules:
    """Answers what one policy allows; every refusal is a sentence.

    Args:
        policy: ``None`` allows nothing.
    """

    def __init__(self, policy: HttpPolicy | None) -> None:
        self.policy = policy
        self._patterns = [HostPattern.parse(p) for p in policy.allowed_hosts] if policy else []

    def check(self, method: str, url: httpx.URL) -> None:
        """HttpPolicyError unless this request may be made; asked for every redirect too."""
        policy = self.policy
        where = f"{method} {_shown(url)}"
        if policy is None:
            raise HttpPolicyError(
                f"{where} is refused: this runtime has no HTTP; give it "
                "Runtime(http=HttpPolicy(allowed_hosts=...))"
            )
        if url.scheme not in policy.schemes:
            raise HttpPolicyError(
                f"{where} is refused: scheme {url.scheme!r} is not allowed; add it to "
                "HttpPolicy(schemes=...)"
            )
        if method not in policy.methods:
            raise HttpPolicyError(
                f"{where} is refused: method {method!r} is not allowed; add it to "
                "HttpPolicy(methods=...)"
            )
        if url.userinfo:
            raise HttpPolicyError(
                f"{where} is refused: its URL holds a user name or password; send them in the "
                "header Authorization"
            )
        host = _ascii(url.raw_host.decode("ascii").lower().rstrip("."))
        port = _PORTS[url.scheme] if url.port is None else url.port
        if not any(pattern.matches(host, port) for pattern in self._patterns):
            raise HttpPolicyError(
                f"{where} is refused: host '{host}:{port}' is not among the allowed hosts; "
                "add it to HttpPolicy(allowed_hosts=...)"
            )

    def headers(self, names: list[str], values: list[str], host: str) -> list[tuple[bytes, bytes]]:
        """Headers for the wire, without those that are the host's own affair.

        ValueError for what cannot be a header, HttpPolicyError for another ``Host``.
        """
        found = []
        for name, value in zip(names, values, strict=True):
            if not _TOKEN.match(name):
                raise ValueError(
                    f"{name!r} cannot be the name of a header; use letters, digits and '-'"
                )
            if any(character in value for character in "\r\n\0"):
                raise ValueError(
                    f"the value of header '{name}' holds a line break or NUL; leave that out"
                )
            if name.lower() == "host" and value.lower() != host.lower():
                raise HttpPolicyError(
                    f"a request to '{host}' is refused: its Host header names '{value}'; "
                    "leave that header out"
                )
            if name.lower() in _HOSTS_OWN_HEADERS:
                continue
            try:
                found.append((name.encode("ascii"), value.encode("latin-1")))
            except UnicodeEncodeError:
                raise ValueError(
                    f"the value of header '{name}' holds characters beyond Latin-1; encode them"
                ) from None
        return found

    def permitted(self, host: str, addresses: Iterable[str]) -> list[str]:
        """Those addresses of a name that may be connected to. HttpPolicyError if none may."""
        private = self.policy is not None and self.policy.allow_private_addresses
        # A scope ("fe80::1%eth0") is only for link-local ones, which never may.
        found = list(dict.fromkeys(address for address in addresses if "%" not in address))
        good = [a for a in found if is_permitted(ip_address(a), private=private)]
        if not good:
            shown = ", ".join(found) or "of this link"
            raise HttpPolicyError(
                f"a connection to '{host}' is refused: its address {shown} is not a public "
                "one; set HttpPolicy(allow_private_addresses=True) if it may be reached"
            )
        return good


def _shown(url: httpx.URL) -> str:
    """A URL as it may stand in a message: without credentials and query, and not endless."""
    return str(url.copy_with(username=None, password=None, query=None, fragment=None))[:200]
