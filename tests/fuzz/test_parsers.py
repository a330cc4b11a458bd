"""Parsers of outside bytes answer with their own error, whatever they are given."""

from __future__ import annotations

import importlib.util
import random
import subprocess
import sys
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.mutation import mutate
from tests.fuzz.targets import TARGETS

MUTANTS = 300
#: A parser that takes this long for a few kilobytes can be made to hang.
SLOW = 5.0


@pytest.mark.parametrize("name", TARGETS)
def test_seeds_are_accepted_and_mutants_do_no_harm(name: str) -> None:
    target, generator = TARGETS[name], random.Random(20261122)
    seeds = target.seeds()
    assert any(target(seed) for seed in seeds)
    refused = 0
    for _ in range(MUTANTS):
        data = mutate(generator.choice(seeds), generator)
        start = time.monotonic()
        refused += not target(data)
        assert time.monotonic() - start < SLOW
    assert refused or name == "record"  # its three formats take each other's bytes


@pytest.mark.parametrize("name", TARGETS)
def test_bytes_of_any_kind_do_no_harm(name: str) -> None:
    target = TARGETS[name]

    @settings(max_examples=60)
    @given(st.binary(max_size=400))
    def check(data: bytes) -> None:
        target(data)
        target(b"MZ" + data)
        target(b"WbIL" + data)
        target(b"\0asm\x01\0\0\0" + data)

    check()
    for deep in (b"[" * 100_000, b'{"a":' * 100_000, b"1" * 10_000, b'{"format": 1e999}'):
        target(deep)


HAS_ATHERIS = importlib.util.find_spec("atheris") is not None


@pytest.mark.skipif(not HAS_ATHERIS, reason="atheris has no wheel for this platform")
@pytest.mark.parametrize("name", ["wasm", "image file"])
def test_the_coverage_guided_fuzzer_runs(name: str) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", name, "-runs=1500", "-seed=1"],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr[-3000:]
    assert "Done 1500 runs" in result.stderr
