"""``images build`` leaves nothing to the first use."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dotnet_wasm_host.base_library.configurations import IMAGE_NAMES

COMMAND = "from dotnet_wasm_host.cli.main import main; main()"
#: Uses of everything that its help names.
USES = """
import sys
import dotnet_wasm_host as dwh
from dotnet_wasm_host.nuget.rules import PackageRules

for name in sys.argv[1:]:
    dwh.Runtime(name).close()
dwh.compile_csharp("class A { }")
assert dwh.run_csharp('Console.WriteLine("hello");').stdout == "hello\\n"
with PackageRules():
    pass
"""


def run(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "XDG_CACHE_HOME": str(folder), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def keys(folder: Path) -> set[str]:
    listing = json.loads(run(folder, "-c", COMMAND, "images", "list", "--json"))
    return {entry["key"] for entry in listing["entries"]}


@pytest.mark.long
def test_nothing_is_left_to_the_first_use(tmp_path: Path) -> None:
    assert "images are ready" in run(tmp_path, "-c", COMMAND, "images", "build")
    built = keys(tmp_path)
    run(tmp_path, "-c", USES, *IMAGE_NAMES)
    assert keys(tmp_path) == built


def test_a_name_that_is_none_is_refused_before_anything_is_built(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, "images", "build", "minimal", "everything"],
        env={**os.environ, "XDG_CACHE_HOME": str(tmp_path), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "there is no image 'everything'" in done.stderr
    assert keys(tmp_path) == set()
