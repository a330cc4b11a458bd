"""Tell the person at the terminal what takes time."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["note", "step"]


def note(text: str) -> None:
    """Write a line to stderr, where build front ends pass it on and pipes stay clean."""
    print(f"[artifacts] {text}", file=sys.stderr, flush=True)


@contextmanager
def step(what: str) -> Iterator[None]:
    """Say that ``what`` begins, and how long it took."""
    note(f"{what} ...")
    started = time.perf_counter()
    yield
    note(f"{what}: {time.perf_counter() - started:.1f} s")
