"""The files that a guide shows, written where they can be run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.docs.snippets import ROOT, snippets_of

__all__ = ["GUIDES", "files_of", "run", "write_guide"]

GUIDES = ROOT / "docs" / "guides"


def files_of(guide: str) -> dict[str, str]:
    """File name to text of the blocks that say ``file=``."""
    found = {}
    for snippet in snippets_of(GUIDES / f"{guide}.md"):
        name = snippet.options.get("file")
        if name:
            # Errors in it lead to the line of the guide.
            assert name not in found, f"{snippet}: there are two files {name}"
            found[name] = snippet.text
    return found


def write_guide(guide: str, folder: Path, *names: str) -> None:
    """Write its files into a folder; they must be these."""
    files = files_of(guide)
    assert set(files) == set(names), f"the guide {guide} shows {sorted(files)}"
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")


def run(folder: Path, *arguments: str, **environment: str) -> str:
    """Run Python there; what it printed, both streams."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout
