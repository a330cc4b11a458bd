"""The base library beside an image: what a trimmed one lacks, for assemblies that refer to it."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, final

from dotnet_wasm_host.ecma335.metadata import Metadata
from dotnet_wasm_host.ecma335.tables import Table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dotnet_wasm_host.artifacts.manifest import ArtifactFile
    from dotnet_wasm_host.artifacts.store import ArtifactStore

__all__ = ["BaseLibrary"]


@final
class BaseLibrary:
    """The whole base library, of which an image has some. Thread-safe."""

    def __init__(self, store: ArtifactStore, present: frozenset[str]) -> None:
        self._store = store
        self._paths = {
            Path(path).stem: path
            for path in store.names("framework/")
            if Path(path).stem not in present
        }
        self._summaries: dict[str, _Summary] = {}
        self._lock = threading.Lock()

    @property
    def names(self) -> frozenset[str]:
        """Simple names of the assemblies that the image lacks."""
        return frozenset(self._paths)

    def needed_by(self, images: Iterable[bytes]) -> tuple[tuple[str, ...], list[str]]:
        """Names of the assemblies that these refer to; the same and all they refer to in turn.

        An assembly of the image itself is in neither, and one that only forwards is not in the
        first.
        """
        references = {name for image in images for name in _Summary.of(image).references}
        pending = sorted(references & self._paths.keys())
        direct = tuple(name for name in pending if not self._summary(name).is_facade)
        needed: set[str] = set()
        while pending:
            name = pending.pop()
            if name in self._paths and name not in needed:
                needed.add(name)
                pending += self._summary(name).references
        return direct, sorted(needed)

    def file(self, name: str) -> ArtifactFile:
        """Size and hash of an assembly."""
        return self._store.manifest.files[self._paths[name]]

    def read(self, name: str) -> bytes:
        """Content of an assembly."""
        return self._store.read(self._paths[name])

    def _summary(self, name: str) -> _Summary:
        with self._lock:
            if name not in self._summaries:
                self._summaries[name] = _Summary.of(self.read(name))
            return self._summaries[name]


class _Summary(NamedTuple):
    """Names of the assemblies that one refers to, and whether it has no types of its own."""

    references: tuple[str, ...]
    is_facade: bool

    @classmethod
    def of(cls, image: bytes) -> _Summary:
        metadata = Metadata(image)
        # Rows without names: this is part of a start, which would wait 10 ms for their classes.
        rows = metadata.rows(Table.ASSEMBLY_REF)
        references = tuple(metadata.string(name) for *_, name, _, _ in rows)
        # The first row of TypeDef is <Module>; compilers add their attributes.
        names = (metadata.string(space) for _, _, space, *_ in metadata.rows(Table.TYPE_DEF))
        return cls(references, not any(name.startswith("System") for name in names))
