"""A program that PyInstaller made runs functions, with no option named."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HOOKS = ROOT / "dotnet_wasm_host" / "pyinstaller"
PROGRAM = """
import dotnet_wasm_host as dwh
print(dwh.run_csharp("Console.Write(6 * 7);").stdout)
"""
#: What tests have installed and nobody's program would need.
NOT_NEEDED = ("IPython", "hypothesis", "mypy", "numpy", "pytest", "scipy", "sphinx", "trio")


@pytest.mark.long
def test_a_program_runs(tmp_path: Path) -> None:
    pytest.importorskip("PyInstaller", reason="the extra test has it")
    (tmp_path / "program.py").write_text(PROGRAM, "utf-8")
    excluded = [option for name in NOT_NEEDED for option in ("--exclude-module", name)]
    subprocess.run(
        [
            sys.executable, "-m", "PyInstaller", "--noconfirm", "--log-level", "ERROR",
            # An installed wheel says by its entry point where they are.
            "--additional-hooks-dir", str(HOOKS), "--paths", str(ROOT), *excluded, "program.py",
        ],
        cwd=tmp_path,
        check=True,
    )  # fmt: skip
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [tmp_path / "dist" / "program" / "program"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "42", done.stderr


def test_wheels_say_where_the_hooks_are() -> None:
    from dotnet_wasm_host.pyinstaller import hook_folders

    assert hook_folders() == [str(HOOKS)]
    assert list(HOOKS.glob("hook-*.py"))
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    assert 'hook-dirs = "dotnet_wasm_host.pyinstaller:hook_folders"' in text
