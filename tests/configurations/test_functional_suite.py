"""The whole functional suite on every image, for what the image declares."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: How many tests run on each image at least; the others need what it does not declare
#: (tests/functional/declarations.py). Raise them when tests are added.
FLOORS = {
    "minimal": 365, "linq": 365, "json": 395, "http": 365, "reflection": 365, "common": 550
}  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize("image", FLOORS)
def test_the_functional_suite_passes(image: str) -> None:
    command = [
        *(sys.executable, "-m", "pytest", "tests/functional", "--image", image, "-q"),
        *("-m", "not long", "-p", "no:cacheprovider"),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-1000:]
    summary = re.search(
        rf"^image {image}: (\d+) ran on it, \d+ not declared$", done.stdout, re.MULTILINE
    )
    assert summary is not None
    assert int(summary[1]) >= FLOORS[image]
