"""The functional suite on every image, for what the image declares."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: How many tests run on each image at least; the others need what it does not declare, which
#: tests/functional/declarations.py makes sure of. Raise these when tests are added.
FLOORS = {
    "minimal": 375, "linq": 375, "json": 405, "http": 374, "reflection": 384, "common": 570
}  # fmt: skip
#: What every function relies on: the part of the suite that is never left out.
LIVES = ("lifecycle", "crashes", "exceptions", "snapshots")
LIVES_FLOOR = 110


@pytest.mark.long
def test_functions_live_on_the_smallest_image() -> None:
    tests = [f"tests/functional/test_{name}.py" for name in LIVES]
    assert ran_on("minimal", *tests) >= LIVES_FLOOR


@pytest.mark.long
@pytest.mark.parametrize("image", FLOORS)
def test_the_functional_suite_passes(image: str) -> None:
    assert ran_on(image, "tests/functional") >= FLOORS[image]


def ran_on(image: str, *tests: str) -> int:
    """How many tests ran on the image; none may fail."""
    command = [
        *(sys.executable, "-m", "pytest", *tests, "--image", image, "-q"),
        *("-m", "not long", "-p", "no:cacheprovider"),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-1000:]
    summary = re.search(rf"^image {image}: (\d+) ran on it, \d+ not", done.stdout, re.MULTILINE)
    assert summary is not None
    return int(summary[1])
