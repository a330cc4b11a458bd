"""Coverage-guided fuzzing of the parsers: ``python -m tests.fuzz TARGET [libFuzzer options]``.

Needs atheris. ``-max_total_time=60`` fuzzes for a minute; a folder as the last argument keeps
what was found. Without a target, the targets are listed.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path


def main() -> None:
    import atheris

    with atheris.instrument_imports(include=["dotnet_wasm_host", "zipfile", "json.decoder"]):
        from tests.fuzz.targets import TARGETS

    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        sys.exit("targets: " + ", ".join(map(repr, TARGETS)))
    target = TARGETS[sys.argv[1]]
    with tempfile.TemporaryDirectory() as corpus:
        for index, seed in enumerate(target.seeds()):
            (Path(corpus) / str(index)).write_bytes(seed)
        # What is found is written to where it can be looked at, not into the checkout.
        artifacts = f"-artifact_prefix={tempfile.gettempdir()}/"
        arguments = [sys.argv[0], "-print_final_stats=1", artifacts, *sys.argv[2:], corpus]
        atheris.Setup(arguments, target)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
