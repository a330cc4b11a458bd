"""Packages that feeds gave, kept for the next time: private, by hash, verified before use."""

from __future__ import annotations

import contextlib
import hashlib
import logging
from typing import TYPE_CHECKING, final

from dotnet_wasm_host.artifacts.cache import ImageCache

if TYPE_CHECKING:
    from dotnet_wasm_host.nuget.source import PackageSource

__all__ = ["FOLDER", "PackageCache"]

_log = logging.getLogger(__name__)
#: Its part of the user's cache.
FOLDER = "packages"
#: What is longer does not go into the name of a file.
_LONGEST_VERSION = 64


@final
class PackageCache:
    """Packages of one feed. What another feed calls by the same name is another package.

    A published version never changes, so one that is here is not asked for again. Where there
    is no cache, nothing is found and nothing is kept.
    """

    def __init__(self, source: PackageSource) -> None:
        self._cache = ImageCache.locate(FOLDER)
        address = str(source.location)
        self._prefix = f"{hashlib.sha256(address.encode()).hexdigest()[:24]}-"
        self._address = address
        self._written = False

    def read(self, name: str, version: str) -> bytes | None:
        """A package's file, verified; ``None`` if it is not here whole."""
        found = self._cache.read(self._key(name, version)) if self._cache else None
        if found is None:
            return None
        description, path = found
        if description != self._description(name, version):
            return None
        with contextlib.suppress(OSError):
            return path.read_bytes()
        return None

    def write(self, name: str, version: str, content: bytes) -> None:
        """Keep a package's file, if that is possible."""
        if self._cache is None or len(version) > _LONGEST_VERSION:
            return
        try:
            self._written = True
            self._cache.put(self._key(name, version), self._description(name, version), content)
        except OSError as error:
            _log.warning("package %s %s is not cached: %s", name, version, error)

    def close(self) -> None:
        """Drop what nobody has used for long, if something has come in its place."""
        if self._cache is not None and self._written:
            with contextlib.suppress(OSError):
                self._cache.prune()

    def has(self, name: str, version: str) -> bool:
        """Whether a package seems to be here; reading it may find it damaged."""
        return (
            self._cache is not None
            and (self._cache.root / f"{self._key(name, version)}.json").is_file()
        )

    def versions(self, name: str) -> list[str]:
        """Versions of a package that are here."""
        if self._cache is None:
            return []
        prefix = f"{self._prefix}{name.lower()}@"
        return [path.stem.removeprefix(prefix) for path in self._cache.root.glob(f"{prefix}*.json")]

    def _key(self, name: str, version: str) -> str:
        return f"{self._prefix}{name.lower()}@{version}"

    def _description(self, name: str, version: str) -> dict[str, str]:
        return {"source": self._address, "package": name.lower(), "version": version}
