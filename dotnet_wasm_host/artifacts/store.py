"""Find the runtime's artifacts and read them, verified.

An installed wheel carries them in ``dotnet_wasm_host/_artifacts``; in a checkout the
pipeline builds them into ``runtime_artifacts/dist``.
"""

from __future__ import annotations

import hashlib
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, final

from dotnet_wasm_host.errors import ArtifactError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dotnet_wasm_host.artifacts.manifest import ArtifactFile, Manifest

__all__ = ["MANIFEST_NAME", "ArtifactStore"]

MANIFEST_NAME = "manifest.json"
#: A manifest is some 60 kB; what is larger than this is not one.
MAX_MANIFEST_SIZE = 4 * 1024 * 1024

BUILD_COMMAND = "python -m runtime_artifacts.pipeline build"
REINSTALL_COMMAND = "pip install --force-reinstall dotnet-wasm-host"

_PACKAGE = Path(__file__).resolve().parents[1]
_WHEEL_DATA = _PACKAGE / "_artifacts"
_CHECKOUT = _PACKAGE.parent / "runtime_artifacts"


@final
class ArtifactStore:
    """The artifacts in one folder. It does not change, and is safe to share between threads.

    Attributes:
        root: the folder.
        fingerprint: SHA-256 of its manifest, which changes whenever any artifact does.
        remedy: the command that puts the folder right, for error messages.
    """

    def __init__(self, root: Path, remedy: str) -> None:
        self.root = root
        self.remedy = remedy
        self._data = self._read_manifest()
        self.fingerprint: str = hashlib.sha256(self._data).hexdigest()

    @classmethod
    def locate(cls) -> ArtifactStore:
        """The store of this installation, or of the checkout this package is imported from.

        Its manifest is parsed when something asks for it: an image in the cache does not, and
        that one was made from a manifest of the same SHA-256.
        """
        if not _WHEEL_DATA.is_dir() and _CHECKOUT.is_dir():
            return cls(_CHECKOUT / "dist", BUILD_COMMAND)
        return cls(_WHEEL_DATA, REINSTALL_COMMAND)

    @classmethod
    def open(cls, root: Path, remedy: str = BUILD_COMMAND) -> ArtifactStore:
        """The store in ``root``. ArtifactError if its manifest is missing or damaged."""
        store = cls(root, remedy)
        _ = store.manifest
        return store

    @cached_property
    def manifest(self) -> Manifest:
        """What is in the folder. ArtifactError if the manifest is damaged."""
        from dotnet_wasm_host.artifacts.manifest import Manifest

        try:
            return Manifest.parse(self._data, str(self.root / MANIFEST_NAME))
        except ArtifactError as error:
            raise ArtifactError(f"{error}; run '{self.remedy}'") from error

    def _read_manifest(self) -> bytes:
        path = self.root / MANIFEST_NAME
        try:
            with path.open("rb") as file:
                data = file.read(MAX_MANIFEST_SIZE + 1)
        except OSError as error:
            raise ArtifactError(
                f"the .NET runtime is missing: {path} cannot be read "
                f"({error.strerror or error}); run '{self.remedy}'"
            ) from error
        if len(data) > MAX_MANIFEST_SIZE:
            raise ArtifactError(f"{path} is damaged: it is too large; run '{self.remedy}'")
        return data

    def names(self, prefix: str = "") -> tuple[str, ...]:
        """Names that start with ``prefix``, ``"framework/"`` for example, sorted."""
        return tuple(sorted(name for name in self.manifest.files if name.startswith(prefix)))

    def path(self, name: str) -> Path:
        """Where a file is. Its presence and size are checked, its content is not."""
        entry = self._entry(name)
        path = self.root / name
        try:
            found = path.stat().st_size
        except OSError as error:
            raise self._missing(entry, error) from error
        if found != entry.size:
            raise self._damaged(entry, f"{entry.size} bytes", f"{found}")
        return path

    def read(self, name: str) -> bytes:
        """Content of a file, verified against the manifest's size and SHA-256."""
        path = self.path(name)
        entry = self._entry(name)
        try:
            data = path.read_bytes()
        except OSError as error:
            raise self._missing(entry, error) from error
        if len(data) != entry.size:
            raise self._damaged(entry, f"{entry.size} bytes", f"{len(data)}")
        found = hashlib.sha256(data).hexdigest()
        if found != entry.sha256:
            raise self._damaged(entry, f"SHA-256 {entry.sha256}", found)
        return data

    def verify(self) -> Iterator[ArtifactFile]:
        """Read every file, giving each when it is found intact."""
        for name in self.names():
            self.read(name)
            yield self.manifest.files[name]

    def _entry(self, name: str) -> ArtifactFile:
        try:
            return self.manifest.files[name]
        except KeyError:
            raise ArtifactError(
                f"there is no artifact {name!r} in {self.root}; run '{self.remedy}'"
            ) from None

    def _missing(self, entry: ArtifactFile, error: OSError) -> ArtifactError:
        return ArtifactError(
            f"artifact {entry.name} is missing from {self.root}: expected {entry.size} bytes, "
            f"found {error.strerror or error}; run '{self.remedy}'"
        )

    def _damaged(self, entry: ArtifactFile, expected: str, found: str) -> ArtifactError:
        return ArtifactError(
            f"artifact {entry.name} in {self.root} is damaged: expected {expected}, "
            f"found {found}; run '{self.remedy}'"
        )
