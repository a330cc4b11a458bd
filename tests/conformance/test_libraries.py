"""A part of .NET's own library tests, where they can be fetched."""

from __future__ import annotations

import subprocess

import pytest

from tests.conformance import results
from tests.conformance.corpus import FOLDER, SOURCE, fetch, units
from tests.conformance.running import Settings, run

pytestmark = pytest.mark.long

#: Quick ones, of several areas, with the number of cases that pass.
PART = {
    "Runtime.Version": 164,
    "Runtime.Boolean": 85,
    "Runtime.Guid": 813,
    "ValueTuple": 96,
    "Complex": 1252,
    "Unsafe": 110,
}


@pytest.fixture(scope="module", autouse=True)
def _corpus() -> None:
    if not (FOLDER / "src").is_dir():
        try:
            fetch()
        except subprocess.CalledProcessError:
            pytest.skip(f"{SOURCE} cannot be reached")


@pytest.mark.parametrize("name", PART)
def test_interpreted_and_compiled_agree(name: str) -> None:
    (unit,) = (unit for unit in units(wanted=[name]) if unit.name == name)
    interpreted = run(unit, Settings())
    assert results.totals([interpreted])["pass"] >= PART[name]
    assert not results.totals([interpreted])["crash"]
    compiled = run(unit, Settings(jit="everything", rounds=2))
    assert not list(results.differences({name: interpreted}, {name: compiled}))
    assert interpreted.compiled_methods == 0 < compiled.compiled_methods
