"""Lock files: which versions were chosen, and their hashes. The format is that of NuGet.

Source: NuGet's documentation, "Locking dependencies" (``packages.lock.json``, version 1).
"""

from __future__ import annotations

import base64
import binascii
import json
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, final

from dotnet_wasm_host.packages.errors import PackageError
from dotnet_wasm_host.packages.references import is_package_id

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["LockFile", "LockedPackage"]

MAX_BYTES = 16 << 20
_FRAMEWORK = "net10.0"
_HASH_BYTES = 64


@final
@dataclass(frozen=True, slots=True)
class LockedPackage:
    """A package in a lock file.

    Attributes:
        name: its id.
        requested: the range that somebody asked for directly; ``""`` if only packages did.
        resolved: the version.
        content_hash: SHA-512 in base64.
        dependencies: ids of what it needs to ranges.
    """

    name: str
    requested: str
    resolved: str
    content_hash: str
    dependencies: Mapping[str, str]


@final
class LockFile:
    """A lock file that is there, or is going to be."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path: Path = Path(path)

    def read(self) -> dict[str, LockedPackage] | None:
        """Id in lower case to package; ``None`` if there is no file yet.

        PackageError if it is not a lock file for .NET 10.
        """
        try:
            with self.path.open("rb") as file:
                content = file.read(MAX_BYTES + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise PackageError(f"{self.path} cannot be read: {error.strerror or error}") from error
        if len(content) > MAX_BYTES:
            raise self._malformed(f"it has more than {MAX_BYTES} bytes")
        try:
            document = json.loads(content)
            packages = document["dependencies"][_FRAMEWORK]
            version = document["version"]
            items = list(packages.items())
        except (ValueError, RecursionError, LookupError, TypeError, AttributeError) as error:
            raise self._malformed(f"dependencies/{_FRAMEWORK} cannot be read") from error
        if version not in {1, 2}:
            raise self._malformed(f"its version is {version!r:.50}")
        found = [self._package(name, entry) for name, entry in items]
        return {package.name.lower(): package for package in found}

    def write(self, packages: Mapping[str, LockedPackage]) -> None:
        """Write the file, all of it or nothing. PackageError if that cannot be done."""
        entries = {}
        for package in sorted(packages.values(), key=lambda item: item.name.lower()):
            requested = {"requested": package.requested} if package.requested else {}
            needs = {"dependencies": dict(sorted(package.dependencies.items()))}
            entries[package.name] = {
                "type": "Direct" if package.requested else "Transitive",
                **requested,
                "resolved": package.resolved,
                "contentHash": package.content_hash,
                **(needs if package.dependencies else {}),
            }
        document = {"version": 1, "dependencies": {_FRAMEWORK: entries}}
        try:
            self._replace(json.dumps(document, indent=2).encode())
        except OSError as error:
            raise PackageError(
                f"{self.path} cannot be written: {error.strerror or error}"
            ) from error

    def _replace(self, content: bytes) -> None:
        temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}.tmp")
        try:
            temporary.write_bytes(content)
            temporary.replace(self.path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise

    def _package(self, name: str, entry: object) -> LockedPackage:
        if not isinstance(entry, dict) or not is_package_id(name):
            raise self._malformed(f"{name[:100]!r} is no package")
        kind, requested = entry.get("type"), entry.get("requested", "")
        resolved, digest = entry.get("resolved"), entry.get("contentHash")
        if kind not in {"Direct", "Transitive", "CentralTransitive"}:
            raise self._malformed(f"{name} is of type {kind!r:.50}")
        if not isinstance(requested, str) or not isinstance(resolved, str):
            raise self._malformed(f"{name} has no version")
        if not isinstance(digest, str) or not _is_hash(digest):
            raise self._malformed(f"{name} has no SHA-512 as contentHash")
        return LockedPackage(name, requested if kind == "Direct" else "", resolved, digest, {})

    def _malformed(self, what: str) -> PackageError:
        return PackageError(
            f"{self.path} is not a lock file of packages for .NET 10: {what}; delete it to have "
            "it made anew"
        )


def _is_hash(text: str) -> bool:
    try:
        return len(base64.b64decode(text, validate=True)) == _HASH_BYTES
    except (binascii.Error, ValueError):
        return False
