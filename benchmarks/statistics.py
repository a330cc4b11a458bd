"""What is reported of a series of measurements."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Summary", "percentile", "summarise"]


@dataclass(frozen=True, slots=True)
class Summary:
    """``n`` measurements: the median, the 99th percentile and the smallest."""

    n: int
    p50: float
    p99: float
    min: float


def summarise(samples: Sequence[float]) -> Summary:
    """Summary of at least one measurement."""
    ordered = sorted(samples)
    return Summary(len(ordered), percentile(ordered, 0.5), percentile(ordered, 0.99), ordered[0])


def percentile(ordered: Sequence[float], fraction: float) -> float:
    """Linear interpolation between the two nearest ranks of sorted values."""
    if not ordered:
        raise ValueError("there is nothing to summarise")
    position = (len(ordered) - 1) * fraction
    below, above = math.floor(position), math.ceil(position)
    share = position - below
    return ordered[below] * (1 - share) + ordered[above] * share
