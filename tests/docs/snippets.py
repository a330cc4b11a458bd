"""The fenced blocks of README.md and docs/, and how each of them is checked.

A block's language says what it is: ``python``, ``csharp``, ``sh`` and the file formats are checked,
``text`` is a drawing or output. A comment in the line before may say more::

    <!-- snippet: run -->          commands are run, not only parsed
    <!-- snippet: context=NAME --> what surrounds a block (see contexts.py)
    <!-- snippet: raises=NAME -->  the block ends in this error
    <!-- snippet: file=NAME -->    a file of a guide, which tests/guides runs with the others
    <!-- snippet: context=ray -->   and spark: a program that `python -m tests.clusters` runs

Every block has a language that the tests know. So none is left out without anybody noticing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["CLUSTERS", "DIRECTIVES", "LANGUAGES", "ROOT", "Snippet", "documents", "snippets_of"]

ROOT = Path(__file__).resolve().parents[2]
LANGUAGES = frozenset(
    ("csharp", "dockerfile", "ini", "json", "nginx", "python", "sh", "text", "toml", "xml")
)
#: Contexts that are programs for an engine of a cluster.
CLUSTERS = frozenset(("ray", "spark"))
#: Directives of the documentation site, which its build checks.
DIRECTIVES = frozenset(("{eval-rst}", "{toctree}"))
_FENCE = re.compile(r"^( *)```([^`\n]*)\n(.*?)^\1```[ ]*$", re.MULTILINE | re.DOTALL)
_MARKER = re.compile(r"<!-- snippet: ([^\n]*?) -->\n\s*$")


@dataclass(frozen=True)
class Snippet:
    """One fenced block."""

    document: Path
    line: int
    language: str
    text: str
    options: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """Where it is, as editors and pytest write it."""
        return f"{self.document.relative_to(ROOT)}:{self.line}"

    @property
    def context(self) -> str:
        """The name of what surrounds it."""
        return self.options.get("context", "")


def documents() -> list[Path]:
    """Everything that people read."""
    return [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


def snippets_of(document: Path) -> Iterator[Snippet]:
    """Yield the fenced blocks of a document, in order."""
    text = document.read_text(encoding="utf-8")
    for fence in _FENCE.finditer(text):
        indent, language, content = fence.groups()
        before = text[: fence.start()]
        marker = _MARKER.search(before)
        options = dict(
            (*word.split("=", 1), "")[:2] for word in (marker.group(1).split() if marker else ())
        )
        lines = (line.removeprefix(indent) for line in content.splitlines())
        yield Snippet(
            document,
            before.count("\n") + 1,
            language.strip(),
            "\n".join(lines) + "\n",
            options,
        )
