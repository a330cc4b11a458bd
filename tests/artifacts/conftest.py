from __future__ import annotations

import io
import tarfile
from typing import TYPE_CHECKING

import pytest

from dotnet_wasm_host.artifacts.store import ArtifactStore
from runtime_artifacts.pipeline import upstream
from runtime_artifacts.pipeline.build import Sources, build

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from runtime_artifacts.pipeline.upstream import RuntimeFiles


@pytest.fixture(scope="session")
def sources() -> Sources:
    return Sources.of_checkout()


@pytest.fixture(scope="session")
def store(sources: Sources) -> ArtifactStore:
    build(sources)
    return ArtifactStore.open(sources.dist)


@pytest.fixture(scope="session")
def runtime_files(sources: Sources) -> RuntimeFiles:
    return upstream.read_runtime(sources.fetch(upstream.RUNTIME_PACKAGE))


@pytest.fixture
def make_tarball(tmp_path: Path) -> Callable[[str, Mapping[str, bytes]], Path]:
    def make(name: str, members: Mapping[str, bytes]) -> Path:
        path = tmp_path / name
        with tarfile.open(path, "w:gz") as archive:
            for member, content in members.items():
                info = tarfile.TarInfo(member)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
        return path

    return make
