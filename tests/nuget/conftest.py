from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import pytest

from dotnet_wasm_host.nuget.rules import PackageRules
from tests.nuget.made import library

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(scope="module")
def rules() -> Iterator[PackageRules]:
    with PackageRules() as rules:
        yield rules


@pytest.fixture(scope="session")
def libraries() -> Callable[..., bytes]:
    """Compiles a library once."""
    return cache(library)
