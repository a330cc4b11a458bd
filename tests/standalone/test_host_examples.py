"""The programs in ``examples/hosts`` do what their README says."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import dotnet_wasm_host as dwh
from runtime_artifacts.pipeline.node import node_command
from tests.standalone.conftest import GREETER
from tests.standalone.hosts import HERE

if TYPE_CHECKING:
    from pathlib import Path

    from dotnet_wasm_host.linking.options import Target

HOSTS = HERE.parents[1] / "examples" / "hosts"


@pytest.mark.parametrize(
    ("name", "target"), [("wasmtime", "library"), ("node", "library"), ("extism", "extism")]
)
def test_it_calls_the_function(name: str, target: Target, tmp_path: Path) -> None:
    source = tmp_path / "greet.cs"
    source.write_text(GREETER)
    dwh.build_wasm(source, target=target).save(tmp_path / "greet.wasm")
    program = [*node_command(), "--no-warnings"] if name == "node" else [sys.executable]
    (script,) = (HOSTS / name).glob("call.*")
    done = subprocess.run(
        [*program, str(script), "greet.wasm", "greet", "Ada"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "Hello, Ada!\n"), done.stderr[-2000:]
    assert len((HOSTS / name / "README.md").read_text().strip().splitlines()) == 4
