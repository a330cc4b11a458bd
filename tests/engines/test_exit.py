from __future__ import annotations

import subprocess
import sys

import pytest

#: What hangs on the sys module outlives the modules whose functions its finalizers need.
PROGRAMS = {
    "closed": "dwh.Runtime().close()",
    "open": "r = dwh.Runtime(); r._lifetime.closed = True",
    "outliving": (
        "import sys; r = dwh.Runtime(); r._lifetime.closed = True; sys.kept = (r, r.image)"
    ),
    "deadline running": (
        "import threading, time; r = dwh.Runtime(); r._lifetime.closed = True; "
        "r._current.guest.host.instance.set_deadline(60)"
    ),
}


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_the_interpreter_exits_without_a_word(program: str) -> None:
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", f"import dotnet_wasm_host as dwh; {program}"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
