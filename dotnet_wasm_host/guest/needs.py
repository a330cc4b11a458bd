"""What functions need of the base library, where an image lacks some of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from dotnet_wasm_host.artifacts.manifest import ArtifactFile

__all__ = ["Needs"]


@final
@dataclass(slots=True)
class Needs:
    """By id of functions and name of capabilities, so that their failures can be explained.

    Attributes:
        own: contents of their assemblies.
        wanted: names of assemblies of the base library that they refer to and the image lacks.
        added: those, and what they refer to in turn, by name; the guest has them all.
        places: file name to address of these in linear memory.
        loading: what is being loaded now.
    """

    own: dict[str, tuple[bytes, ...]] = field(default_factory=dict)
    wanted: dict[str, tuple[str, ...]] = field(default_factory=dict)
    added: dict[str, ArtifactFile] = field(default_factory=dict)
    places: dict[str, int] = field(default_factory=dict)
    loading: str | None = None
