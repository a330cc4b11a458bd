"""Every example prints what its docstring says."""

from __future__ import annotations

import ast
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
FILES = sorted(EXAMPLES.glob("*.py"))


def expected_output(file: Path) -> str:
    docstring = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    _, marker, output = docstring.partition("Prints::\n")
    assert marker, f"{file.name} does not say what it prints"
    return textwrap.dedent(output).strip()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_it_prints_what_it_says(file: Path, tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-W", "error", str(file)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == expected_output(file)


def test_the_readme_lists_them_all() -> None:
    readme = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert all(f"({file.name})" in readme for file in FILES)
