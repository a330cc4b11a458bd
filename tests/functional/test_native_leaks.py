"""The check that runs after every test here sees what it is there for."""

from __future__ import annotations

import gc

import pytest

import dotnet_wasm_host as dwh
from tests.native_leaks import nothing_leaks


@pytest.mark.needs("a list of instances")
def test_an_instance_that_nobody_owns_is_seen(image: dwh.RuntimeImage) -> None:
    kept = []
    with pytest.raises(AssertionError, match="1 instances"), nothing_leaks([]):
        runtime = dwh.Runtime(image)
        kept.append(runtime._current.guest.host.instance)
        runtime.close()
    kept.clear()


def test_memory_that_is_kept_is_seen() -> None:
    gc.collect()  # garbage of other tests, given back meanwhile, would make up for it
    kept = []
    with pytest.raises(AssertionError, match="not given back"), nothing_leaks([]):
        kept.append(b"x" * (600 << 20))  # much more than may be given back beside it
    kept.clear()
