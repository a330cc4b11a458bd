"""The programs for engines that docs/data.md has."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.clusters.conftest import need
from tests.docs.snippets import CLUSTERS, Snippet, documents, snippets_of

pytestmark = pytest.mark.long

RECIPES = [
    snippet
    for document in documents()
    for snippet in snippets_of(document)
    if snippet.context in CLUSTERS
]


def test_every_engine_has_recipes() -> None:
    assert {snippet.context for snippet in RECIPES} == CLUSTERS


@pytest.mark.parametrize("recipe", RECIPES, ids=str)
def test_a_recipe_runs(recipe: Snippet, tmp_path: Path) -> None:
    if recipe.context == "spark":
        need("pyspark", "java")
    else:
        need("ray")
    program = tmp_path / "recipe.py"
    program.write_text(recipe.text, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(program)],
        cwd=tmp_path,
        env={
            **os.environ,
            "PYSPARK_PYTHON": sys.executable,
            "SPARK_LOCAL_IP": "127.0.0.1",
            "RAY_worker_niceness": "0",
        },
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
