"""Where packages may come from. Only what somebody names is asked."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, final
from urllib.parse import urlsplit

from dotnet_wasm_host.errors import MarshallingError, MarshallingTypeError

if TYPE_CHECKING:
    import ssl

__all__ = ["ENVIRONMENT_PREFIX", "PackageSource"]

#: Before the name of a source: the variable that has its credentials, as for NuGet.
ENVIRONMENT_PREFIX = "NuGetPackageSourceCredentials_"
_THIS_MACHINE = frozenset({"localhost", "127.0.0.1", "::1"})


@final
@dataclass(frozen=True, slots=True)
class PackageSource:
    """A feed of packages.

    Args:
        location: a folder of ``.nupkg`` files, flat or laid out as NuGet's own package folders
            are; or the address of a v3 feed's index, ``"https://.../index.json"``.
        name: what messages call it; its location by default. With a name, user and password may
            be in the environment as NuGet has them: ``NuGetPackageSourceCredentials_<name>``,
            ``"Username=...;Password=..."``.
        credentials: user and password for a feed. They go to the host of ``location`` only.
        hosts: other hosts that the feed may send downloads to, as ``HttpPolicy.allowed_hosts`` has
            them; by default none but the host of ``location``.
        patterns: ids that it is asked for, ``"Acme.*"`` or ``"Acme.Core"``, as NuGet's package
            source mapping has them: of several sources the longest pattern that fits decides.
            ``None`` for every id.
        allow_insecure: whether ``location`` may be ``http://`` on another machine.
        tls: whom to trust; by default the certificates of certifi.

    Raises:
        MarshallingError: it cannot be a source.
    """

    location: str | os.PathLike[str]
    name: str | None = None
    credentials: tuple[str, str] | None = field(default=None, repr=False)
    hosts: tuple[str, ...] = ()
    patterns: tuple[str, ...] | None = None
    allow_insecure: bool = False
    tls: ssl.SSLContext | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.location, (str, os.PathLike)):
            raise MarshallingTypeError(
                f"expected a package source, found {type(self.location).__name__}; give a folder "
                "or the "
                "address of a feed"
            )
        if not os.fspath(self.location):
            raise MarshallingError(
                "expected a package source, found an empty text; give a folder or the address of "
                "a feed"
            )
        for option in ("hosts", "patterns"):
            given: object = getattr(self, option)
            if isinstance(given, str):
                raise MarshallingTypeError(f"{option} is a text; give a tuple: ({given!r},)")
        given = self.credentials
        is_pair = isinstance(given, tuple) and len(given) == 2
        if given is not None and not (is_pair and all(isinstance(part, str) for part in given)):
            raise MarshallingTypeError(
                f"expected credentials as two texts, found {type(given).__name__}; give "
                "(user, password)"
            )
        if self.is_http:
            self._check_address()

    def __str__(self) -> str:
        return self.name or os.fspath(self.location)

    @property
    def is_http(self) -> bool:
        """Whether it is asked over HTTP."""
        return isinstance(self.location, str) and self.location.lower().startswith(
            ("http://", "https://")
        )

    def _check_address(self) -> None:
        address = str(self.location)
        try:
            parts = urlsplit(address)
            host, _ = parts.hostname, parts.port
        except ValueError as error:
            raise MarshallingError(
                f"a package source cannot be at {address!r}: {error}; give an address such as https://host/v3/index.json"
            ) from error
        if parts.username is not None or parts.password is not None:
            raise MarshallingError(
                f"the address of the package source at {host} holds a user or password; give them "
                "as credentials=, or in the environment (NuGetPackageSourceCredentials_<name>)"
            )
        if not host or not parts.path.lower().endswith(".json"):
            raise MarshallingError(
                f"expected the index of a NuGet feed of version 3, found {address}; give an "
                "address that "
                "ends in index.json, for example https://host/v3/index.json"
            )
        if parts.scheme == "http" and host not in _THIS_MACHINE and not self.allow_insecure:
            raise MarshallingError(
                f"{address} is not encrypted, and anybody on the way could change packages; use "
                "https, or say allow_insecure=True (allowInsecureConnections in NuGet.Config)"
            )
