from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dotnet_wasm_host.artifacts.store import ArtifactStore
from dotnet_wasm_host.engines import get_engine
from dotnet_wasm_host.images.builder import ImageBuilder
from dotnet_wasm_host.images.frozen import FrozenRuntime
from dotnet_wasm_host.images.image import RuntimeImage
from dotnet_wasm_host.trimming.trimmer import TrimmedSet, TrimOptions, trim

if TYPE_CHECKING:
    from collections.abc import Mapping

#: What every image's warm-up runs.
WARM_UP = "MinimalRuntime.WarmUp"
NO_EMIT = {"System.Runtime.CompilerServices.RuntimeFeature.IsDynamicCodeSupported": False}


@pytest.fixture(scope="session")
def framework() -> Mapping[str, bytes]:
    """The base library and the guest, by simple name."""
    store = ArtifactStore.locate()
    assemblies = {Path(path).stem: store.read(path) for path in store.names("framework/")}
    for name in ("MinimalRuntime", WARM_UP):
        assemblies[name] = store.read(f"guest/{name}.dll")
    return assemblies


@pytest.fixture(scope="session")
def minimal(framework: Mapping[str, bytes]) -> TrimmedSet:
    """The smallest set that runs functions: the dispatcher alone."""
    roots = ("MinimalRuntime", WARM_UP)
    return trim(framework, TrimOptions(roots=roots, features=NO_EMIT, explain=True))


def image_of(trimmed: TrimmedSet, *, without: tuple[str, ...] = ()) -> RuntimeImage:
    """An image of a trimmed set, without the functions that are roots of it."""
    files = trimmed.files(without=[WARM_UP, *without])
    engine = get_engine(None)
    parts = ImageBuilder(engine, print).image_of("trimmed", files)
    return RuntimeImage(FrozenRuntime("trimmed", engine, parts))


@pytest.fixture(scope="session")
def minimal_image(minimal: TrimmedSet) -> RuntimeImage:
    return image_of(minimal)
