from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import pytest

import dotnet_wasm_host as dwh
from dotnet_wasm_host.artifacts.cache import ENVIRONMENT_VARIABLE
from dotnet_wasm_host.nuget.rules import PackageRules
from tests.nuget.made import library

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture(scope="session", autouse=True)
def images_in_memory() -> None:
    """What this process has it need not look for in an empty cache."""
    with PackageRules():
        dwh.run_csharp("return 0;", check=True)


@pytest.fixture(autouse=True)
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own for each test: servers get each other's ports."""
    folder = tmp_path.with_name(f"{tmp_path.name}-cache")
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(folder))
    return folder


@pytest.fixture(scope="module")
def rules() -> Iterator[PackageRules]:
    with PackageRules() as rules:
        yield rules


@pytest.fixture(scope="session")
def libraries() -> Callable[..., bytes]:
    """Compiles a library once."""
    return cache(library)
