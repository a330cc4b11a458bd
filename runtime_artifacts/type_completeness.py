"""How much of the package's interface type checkers know without inferring it themselves.

``python -m runtime_artifacts.type_completeness`` runs ``--verifytypes`` of basedpyright, which is
pyright with its own Node.js in a package of PyPI. It exits with 1 below :data:`FLOOR`, and names
every symbol whose type is unknown or could be inferred differently by another type checker.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["FLOOR", "incomplete", "main"]

#: The least share of symbols with a known type.
FLOOR = 0.99
_PACKAGE = "dotnet_wasm_host"


def main() -> int:
    """Measure, print what is missing, and return the exit code."""
    command = [sys.executable, "-m", "basedpyright", "--verifytypes", _PACKAGE]
    # It searches the packages of the python on PATH.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    done = subprocess.run(  # noqa: S603 - fixed arguments
        [*command, "--ignoreexternal", "--outputjson"],
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        report = json.loads(done.stdout)["typeCompleteness"]
    except (ValueError, KeyError):
        print(
            f"expected a report of basedpyright, found {done.stdout[-2000:]!r} and "
            f"{done.stderr[-2000:]!r}; install the extra test",
            file=sys.stderr,
        )
        return 1
    for line in incomplete(report):
        print(line)
    score = float(report["completenessScore"])
    print(f"type completeness of {_PACKAGE}: {score:.1%}, at least {FLOOR:.0%} is asked for")
    return 0 if score >= FLOOR else 1


def incomplete(report: Mapping[str, Any]) -> Iterator[str]:
    """A line for each exported symbol whose type is not known, with the reasons."""
    for symbol in report["symbols"]:
        if symbol["isExported"] and not (symbol["isTypeKnown"] and not symbol["isTypeAmbiguous"]):
            reasons = (found["message"].partition("\n")[0] for found in symbol["diagnostics"])
            yield f"{symbol['name']}: {'; '.join(reasons)}"


if __name__ == "__main__":
    sys.exit(main())
