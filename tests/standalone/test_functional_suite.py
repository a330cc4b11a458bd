"""The functional suite's programs agree with a Runtime in a standalone module, byte for byte."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.standalone.hosts import HERE

ROOT = HERE.parents[1]
#: Modules of the suite that ask programs one question after the other.
SUITE = (*("language", "numbers", "spans", "compression", "data", "exceptions", "text", "crypto"),)
#: Names of tests that cannot be compared, and why.
LEFT_OUT = {
    "random": "the answers differ from one call to the next",
    "crash": "the end of an instance; test_library.py has that",
    "backtracking_ends": "has no end in a host without deadlines",
}
#: Programs of the suite that are not asked, and why.
NOT_ASKED = {
    "awaiting": "whether a call waits is the host's to see; test_library.py has what waits",
    "calling": "host functions: refused when the file is built",
    "deep": "how deep recursion may go is the host's to say; test_library.py has the overflow",
    "files": "where files are is the host's to say; test_commands_of_wasi.py has them",
    "forging": "host functions",
    "interop": "functions of JavaScript: refused when the file is built",
    "moody": "ends instances; test_library.py has that",
    "waiting": "how long a wait takes is the host's to say; test_waits.py has them",
    "world": "clocks, environment and output of the host; test_library.py has them",
}
#: At least this many questions are asked; fewer would mean that something was left out.
FLOOR = 1250


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
    found = re.search(r"beside: (\d+) compared, (\d+) different; programs: ([\w ]+)", done.stdout)
    assert found is not None, done.stdout[-6000:] + done.stderr[-2000:]
    assert int(found[2]) == 0, done.stdout[-6000:]
    assert int(found[1]) >= FLOOR
    programs = {path.stem for path in (ROOT / "tests/functional/programs").glob("*.cs")}
    assert {*found[3].split(), *NOT_ASKED, "JsonHandler"} == programs
