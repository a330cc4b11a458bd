from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dotnet_wasm_host import RuntimeImage

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(scope="session")
def load() -> Callable[[str], RuntimeImage]:
    """Built-in images by name; each is trimmed, booted and cached when it is first asked for."""
    return RuntimeImage.load
