"""What can be checked of how the project writes: docstrings, words, error messages."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
CODE = ("dotnet_wasm_host", "runtime_artifacts", "benchmarks", "examples")
PAGES = (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"))
Definition = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def sources() -> Iterator[tuple[str, ast.Module]]:
    """Name and syntax tree of every Python file that users or contributors read."""
    for folder in CODE:
        for file in sorted((ROOT / folder).rglob("*.py")):
            name = file.relative_to(ROOT).as_posix()
            if not name.startswith(("runtime_artifacts/dist/", "runtime_artifacts/.cache/")):
                yield name, ast.parse(file.read_text(encoding="utf-8"))


def docstrings() -> Iterator[tuple[str, str]]:
    """Place and text of every docstring."""
    for name, tree in sources():
        for node in ast.walk(tree):
            if isinstance(node, Definition) and (text := ast.get_docstring(node)):
                yield f"{name}:{getattr(node, 'name', '')}", text


def test_no_docstring_only_points_elsewhere() -> None:
    """A method that overrides one has ``@override`` and needs no docstring."""
    only_see = [place for place, text in docstrings() if re.match(r"See\b", text)]
    assert only_see == []


def test_sentences_of_docstrings_end() -> None:
    """The first paragraph is a sentence, not a heading."""
    open_ended = [
        place
        for place, text in docstrings()
        if not text.partition("\n\n")[0].rstrip().endswith((".", "?", "!", ":", "``", '"'))
    ]
    assert open_ended == []


def test_the_origin_has_its_long_name() -> None:
    """Readers do not know what "the seed" is: it is the original TypeScript host."""
    said = re.compile(r"\b[Tt]he seed\b|\bseed's\b|^\| seed\b", re.MULTILINE)
    pages = [str(page) for page in PAGES if said.search(page.read_text(encoding="utf-8"))]
    assert pages == []
    assert [place for place, text in docstrings() if said.search(text)] == []
