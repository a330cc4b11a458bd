from __future__ import annotations

import weakref
from collections.abc import Iterator

import pytest

import dotnet_wasm_host as dwh
from tests.native_leaks import nothing_leaks


@pytest.fixture(autouse=True)
def nothing_native_leaks(made_runtimes: weakref.WeakSet[dwh.Runtime]) -> Iterator[None]:
    with nothing_leaks(made_runtimes):
        yield
