"""The built-in images: what each one declares, and the base library trimmed to it.

``runtime_artifacts/images.toml`` is where they are written down; the pipeline makes
``images.json`` of it, which comes with the other artifacts. Trimmed assemblies are not shipped:
the whole base library is, and trimming it takes seconds, once.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dotnet_wasm_host.errors import ArtifactError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dotnet_wasm_host.artifacts.store import ArtifactStore

__all__ = ["FULL", "IMAGE_NAMES", "TRIMMED_IMAGES", "Configuration", "read_configurations"]

#: The image with the whole base library.
FULL = "full"
#: Those with a part of it, by size.
TRIMMED_IMAGES = ("minimal", "linq", "json", "http", "reflection", "common")
#: What stands in their place for images that were published for a function.
PUBLISHED = "store"
#: Names of all built-in images.
IMAGE_NAMES = (*TRIMMED_IMAGES, FULL)
CONTRACT = "MinimalRuntime"
#: Host functions as JSON, in images that have System.Text.Json.
HOST_JSON = "MinimalRuntime.Json"
CORE = "System.Private.CoreLib"
_LIST = "images.json"
CODE = "dotnet.code.wasm"
#: What linear memory starts with: all of it, or all but the time zones.
DATA, SMALL_DATA = "dotnet.data.wasm", "dotnet.data.utc.wasm"
NO_TIME_ZONES = "System.TimeZoneInfo.Invariant"
_FRAMEWORK = "framework/"
#: Assemblies that the dispatcher looks up by name and does without.
_OPTIONAL = ("System.Console", "System.Runtime.InteropServices.JavaScript")


@dataclass(frozen=True, slots=True)
class Configuration:
    """A built-in image that has a part of the base library.

    Attributes:
        name: the image's name.
        description: what it is for, in a few words.
        descriptors: name and XML of the ILLink descriptors that declare its API.
        guest: assemblies of the guest that it has beside the dispatcher.
        samples: guest assemblies that what is kept must be able to run.
        optional: assemblies of :data:`_OPTIONAL` that it has.
        features: feature switches.
        reflected: whether declared types keep what serializers by reflection look at.
        raw_budget, compressed_budget: upper bounds in bytes of everything that must be shipped
            to run, as files and with brotli at quality 11.
    """

    name: str
    description: str
    descriptors: tuple[tuple[str, str], ...] = field(repr=False)
    guest: tuple[str, ...]
    samples: tuple[str, ...]
    optional: tuple[str, ...]
    features: Mapping[str, bool]
    reflected: bool
    raw_budget: int
    compressed_budget: int

    @property
    def data(self) -> str:
        """Which data module it boots on."""
        return SMALL_DATA if self.features.get(NO_TIME_ZONES, True) else DATA

    def assemblies(
        self, store: ArtifactStore, progress: Callable[[str], object] | None = None
    ) -> dict[str, bytes]:
        """File name to content of the image's assemblies; takes seconds."""
        # Slow to import, and needed where an image is made.
        from dotnet_wasm_host.trimming import TrimOptions, trim

        roots = (CONTRACT, *self.guest, *self.samples)
        available = _available(store, roots)
        for name in _OPTIONAL:
            if name not in self.optional:
                del available[name]
        options = TrimOptions(
            roots=roots,
            features=self.features,
            descriptors=self.descriptors,
            open_to_guests=True,
            reflected=self.reflected,
        )
        return trim(available, options, progress=progress).files(without=self.samples)


def _available(store: ArtifactStore, guest: tuple[str, ...]) -> dict[str, bytes]:
    assemblies = {Path(path).stem: store.read(path) for path in store.names(_FRAMEWORK)}
    for name in guest:
        assemblies[name] = store.read(f"guest/{name}.dll")
    return assemblies


def read_configurations(store: ArtifactStore) -> dict[str, Configuration]:
    """The configurations of an installation, by name."""
    try:
        entries = json.loads(store.read(_LIST))
        return {name: _configuration(name, entry, store) for name, entry in entries.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(
            f"{_LIST} in {store.root} cannot be used: {error!r}; run '{store.remedy}'"
        ) from error


def _configuration(name: str, entry: dict[str, Any], store: ArtifactStore) -> Configuration:
    return Configuration(
        name=name,
        description=entry["description"],
        descriptors=tuple(
            (file, store.read(f"images/{file}").decode()) for file in entry["descriptors"]
        ),
        guest=tuple(entry.get("guest", ())),
        samples=tuple(entry["samples"]),
        optional=tuple(entry.get("optional", ())),
        features=dict(entry.get("features", {})),
        reflected=bool(entry.get("reflected", False)),
        raw_budget=int(entry["budget"]["raw"]),
        compressed_budget=int(entry["budget"]["compressed"]),
    )
