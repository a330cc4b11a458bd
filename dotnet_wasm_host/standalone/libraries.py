"""Which part of the base library goes into a file."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import PurePath
from typing import TYPE_CHECKING

from dotnet_wasm_host.artifacts.store import ArtifactStore
from dotnet_wasm_host.base_library.configurations import (
    DATA,
    FULL,
    NO_TIME_ZONES,
    SMALL_DATA,
    read_configurations,
)
from dotnet_wasm_host.base_library.publishing import trim_for_functions
from dotnet_wasm_host.images.image import RuntimeImage
from dotnet_wasm_host.trimming.api_surface import ApiSurface

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from dotnet_wasm_host.standalone.functions import GivenFunction

__all__ = ["AUTO", "BASE_LAYER", "Library", "image_library", "trimmed_library"]

#: The base library trimmed for the function.
AUTO = "auto"
#: What files without a function have.
BASE_LAYER = "minimal"


@dataclass(frozen=True, slots=True)
class Library:
    """Assemblies of .NET.

    Attributes:
        image: name of the image they are of, or ``"auto"``.
        files: file name to content, as an image is made from.
        data: name of the data module that they boot on.
        unresolved: what dependencies of the function refer to and nobody has.
    """

    image: str
    files: Mapping[str, bytes] = field(repr=False)
    data: str
    unresolved: tuple[str, ...] = ()

    @property
    def names(self) -> frozenset[str]:
        """Simple names of the assemblies."""
        return frozenset(name.rpartition(".")[0] for name in self.files)


def trimmed_library(
    functions: Sequence[GivenFunction],
    features: Mapping[str, bool],
    descriptors: tuple[tuple[str, str | bytes], ...],
    progress: Callable[[str], object],
) -> Library:
    """What functions reach. AssemblyLoadError if one uses what .NET does not have."""
    roots = {function.function_id: function.roots() for function in functions}
    others = {content: None for _, *contents in roots.values() for content in contents}
    found = trim_for_functions(
        {function_id: own for function_id, (own, *_) in roots.items()},
        dependencies=tuple(others),
        features=features,
        descriptors=descriptors,
        progress=progress,
    )
    data = SMALL_DATA if features.get(NO_TIME_ZONES, True) else DATA
    return Library(AUTO, found.library(), data, found.unresolved)


def image_library(
    image: str, functions: Sequence[GivenFunction], progress: Callable[[str], object]
) -> Library:
    """What a built-in image has. AssemblyLoadError if a function uses something else."""
    loaded = RuntimeImage.load(image, progress=progress)
    contents = loaded.assemblies()
    files = {file: contents[file.rpartition(".")[0]] for file in loaded.manifest.assemblies}
    store = ArtifactStore.locate()
    everything = {PurePath(name).stem for name in store.names("framework/")}
    surface = ApiSurface(image, lambda: contents, everything)
    for function in functions:
        own = {function.assembly.name: function.assembly.data, **function.dependencies}
        surface.require(function.function_id, own)
    data = DATA if image == FULL else read_configurations(store)[image].data
    return Library(image, files, data)
