"""Feeds that are folders: flat, or ``id/version/id.version.nupkg`` as NuGet keeps packages."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, final

from dotnet_wasm_host.packages.archive import MAX_PACKAGE_BYTES
from dotnet_wasm_host.packages.errors import PackageError

if TYPE_CHECKING:
    from dotnet_wasm_host.nuget.deadline import Deadline
    from dotnet_wasm_host.nuget.source import PackageSource

__all__ = ["FolderFeed"]

_SUFFIX = ".nupkg"
#: Two to four numbers, a pre-release and build metadata.
_VERSION = re.compile(r"\d+(\.\d+){1,3}(-[0-9a-z.-]+)?(\+[0-9a-z.-]+)?", re.ASCII | re.IGNORECASE)


@final
class FolderFeed:
    """Package files in a folder of this machine."""

    def __init__(self, source: PackageSource) -> None:
        self._source = source
        self._root = Path(source.location)
        self._files: dict[str, Path] | None = None

    @property
    def source(self) -> PackageSource:
        """Where it is."""
        return self._source

    def versions(self, name: str, deadline: Deadline) -> list[str]:
        """Versions that there are files of."""
        return list(self._find(name))

    def package(self, name: str, version: str, deadline: Deadline) -> bytes | None:
        """Content of a file. PackageError if it cannot be read."""
        path = self._find(name).get(version)
        if path is None:
            return None
        try:
            with path.open("rb") as file:
                return file.read(MAX_PACKAGE_BYTES + 1)
        except OSError as error:
            raise PackageError(f"{path} cannot be read: {error.strerror or error}") from error

    @property
    def is_local(self) -> bool:
        """A folder is."""
        return True

    def has(self, name: str, version: str) -> bool:
        """Whether there is a file of this version, written so."""
        return version in self._find(name)

    def keep(self, name: str, version: str, content: bytes) -> None:
        """It is there already."""

    def close(self) -> None:
        """Nothing is open."""

    def _find(self, name: str) -> dict[str, Path]:
        prefix = f"{name.lower()}."
        found = {}
        for file, path in self._listed().items():
            version = file[len(prefix) : -len(_SUFFIX)]
            if file.startswith(prefix) and _VERSION.fullmatch(version):
                found[version] = path
        folder = self._root / name.lower()
        for version in _names(folder):
            path = folder / version / f"{name.lower()}.{version}{_SUFFIX}"
            if _VERSION.fullmatch(version) and path.is_file():
                found[version] = path
        return found

    def _listed(self) -> dict[str, Path]:
        if self._files is None:
            if not self._root.is_dir():
                raise PackageError(f"package source {self._source} is not a folder that is there")
            names = _names(self._root)
            self._files = {
                name.lower(): self._root / name for name in names if name.lower().endswith(_SUFFIX)
            }
        return self._files


def _names(folder: Path) -> list[str]:
    try:
        return sorted(path.name for path in folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise PackageError(
            f"package source {folder} cannot be read: {error.strerror or error}"
        ) from error
