"""Who may change what is deployed."""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, final

from dotnet_wasm_host.errors import DotnetHostError
from dotnet_wasm_host.worker.bodies import header

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.types import Scope

    from dotnet_wasm_host.worker.options import WorkerOptions

__all__ = ["Forbidden", "Guard", "Unauthorized"]

_SCHEME = b"bearer "


class Unauthorized(DotnetHostError):
    """The request needs the token and does not carry it."""


class Forbidden(DotnetHostError):
    """The request comes from a web page of another origin."""


@final
class Guard:
    """Checks the bearer token (RFC 6750), in constant time.

    Without a token it still refuses what browsers send for pages of other origins: a worker on
    a developer's loopback address is in reach of every web page they visit.
    """

    def __init__(self, options: WorkerOptions) -> None:
        self._tokens: tuple[bytes, ...] = ()
        self._calls = options.token_for_calls
        self.accept(options.tokens)

    def accept(self, tokens: Iterable[str]) -> None:
        """Accept these tokens from now on, and no others."""
        self._tokens = tuple(_digest(token.encode("ascii")) for token in tokens)

    def check_change(self, scope: Scope) -> None:
        """For deploying, unloading, downloading and reloading."""
        self._check_origin(scope)
        tokens = self._tokens
        if tokens:
            self._check_token(scope, tokens)

    def check_call(self, scope: Scope) -> None:
        """For calls and listings."""
        if self._calls:
            self.check_change(scope)

    def _check_token(self, scope: Scope, tokens: Iterable[bytes]) -> None:
        given = header(scope, b"authorization") or b""
        scheme, value = given[: len(_SCHEME)], given[len(_SCHEME) :].strip()
        # Digests have equal lengths, so the comparison tells nothing about the token's. All of
        # them are compared, so it does not tell which one it was either.
        digest = _digest(value)
        right = [hmac.compare_digest(digest, token) for token in tokens]
        if scheme.lower() != _SCHEME or not any(right):
            raise Unauthorized("this needs the header 'Authorization: Bearer' with the token")

    def _check_origin(self, scope: Scope) -> None:
        origin = header(scope, b"origin")
        if origin is None:
            return
        host = header(scope, b"host") or b""
        if origin.partition(b"://")[2] != host:
            raise Forbidden("web pages of other origins may not do this")


def _digest(value: bytes) -> bytes:
    return hashlib.sha256(value).digest()
