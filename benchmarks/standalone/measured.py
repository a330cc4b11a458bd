"""Figures, and how files and Node.js give them."""

from __future__ import annotations

import gzip
import json
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import brotli

from runtime_artifacts.pipeline.node import node_command

__all__ = ["HERE", "Measured", "compressed", "node"]

HERE = Path(__file__).parent
_TIMEOUT = 600
#: brotli takes a minute for what is larger.
_SLOW_BYTES = 10_000_000


class Measured(NamedTuple):
    """A figure, and what it may be at most; ``None`` for one without a bar."""

    what: str
    value: float
    unit: str
    most: float | None = None

    @property
    def is_met(self) -> bool:
        """Whether the bar is met."""
        return self.most is None or self.value <= self.most

    def __str__(self) -> str:
        bar = "" if self.most is None else f"   bar {self.most:g}: {'met' if self.is_met else 'NO'}"
        return f"{self.value:10.3f} {self.unit:3} {self.what}{bar}"


def compressed(data: bytes) -> dict[str, float]:
    """Sizes of a file in MB: as it is, and as servers send it."""
    sizes = {"raw": len(data), "gzip": len(gzip.compress(data, 9))}
    if len(data) < _SLOW_BYTES:
        sizes["brotli"] = len(brotli.compress(data))
    return {kind: size / 1e6 for kind, size in sizes.items()}


def node(script: str, *arguments: str) -> Any:  # noqa: ANN401 - JSON
    """What a script of this folder prints."""
    done = subprocess.run(
        [*node_command(), "--no-warnings", str(HERE / script), *arguments],
        stdout=subprocess.PIPE,
        timeout=_TIMEOUT,
        check=True,
    )
    return json.loads(done.stdout)
