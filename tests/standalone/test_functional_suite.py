"""The functional suite's programs agree with a Runtime in a standalone module, byte for byte."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.standalone.hosts import HERE

ROOT = HERE.parents[1]
#: Modules of the suite. Not text, whose run has no end in a host without deadlines, and not crypto,
#: whose answers are random.
SUITE = ("language", "numbers", "spans", "compression", "data", "exceptions")
#: Answers that differ from one call to the next; the end of an instance (test_library.py).
LEFT_OUT = ("random", "crash")
#: At least this many questions are asked; fewer would mean that something was left out.
FLOOR = 1000


@pytest.mark.long
def test_programs_answer_the_same_in_a_standalone_module() -> None:
    tests = [f"tests/functional/test_{name}.py" for name in SUITE]
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "tests.standalone.beside"),
            *("-p", "no:cacheprovider", "-k", " and ".join(f"not {name}" for name in LEFT_OUT)),
            *tests,
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )
    found = re.search(r"beside: (\d+) compared, (\d+) different", done.stdout)
    assert found is not None, done.stdout[-6000:] + done.stderr[-2000:]
    assert int(found[2]) == 0, done.stdout[-6000:]
    assert int(found[1]) >= FLOOR
