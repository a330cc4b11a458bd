from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import dotnet_wasm_host as dwh

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def released() -> Iterator[None]:
    """Columns and portable functions have a pool of the process, which outlives a snippet."""
    yield
    dwh.DotnetFunction.release()
