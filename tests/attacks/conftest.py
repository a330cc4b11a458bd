from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator

import pytest

import dotnet_wasm_host as dwh
from tests.attacks.attacks import PROGRAMS
from tests.conftest import CompiledSources
from tests.native_leaks import nothing_leaks


@pytest.fixture(autouse=True)
def nothing_native_leaks(made_runtimes: weakref.WeakSet[dwh.Runtime]) -> Iterator[None]:
    with nothing_leaks(made_runtimes):
        yield


@pytest.fixture(scope="session")
def attackers(compiled: CompiledSources) -> Callable[[str], dwh.Assembly]:
    """Assemblies by the name of the program."""
    return lambda name: compiled(PROGRAMS[name].read_text("utf-8"), assembly_name=name)
