"""What functions need of the base library, where an image lacks some of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from dotnet_wasm_host.artifacts.manifest import ArtifactFile
    from dotnet_wasm_host.base_library.missing_api import MissingPart

__all__ = ["LibraryUse"]


@final
class LibraryUse:
    """By id of functions and name of capabilities, so that their failures can be explained.

    Attributes:
        own: contents of their assemblies.
        wanted: names of assemblies of the base library that they refer to and the image lacks.
        added: those, and what they refer to in turn, by name; the guest has them all.
        places: file name to address of these in linear memory.
        loading: what is being loaded now.
        explained: what was found to be missing for functions whose failures said nothing; their
            assemblies are read once, not whenever they throw.
    """

    __slots__ = ("added", "explained", "loading", "own", "places", "wanted")

    def __init__(self) -> None:
        self.own: dict[str, tuple[bytes, ...]] = {}
        self.wanted: dict[str, tuple[str, ...]] = {}
        self.added: dict[str, ArtifactFile] = {}
        self.places: dict[str, int] = {}
        self.loading: str | None = None
        self.explained: dict[str, MissingPart | None] = {}
