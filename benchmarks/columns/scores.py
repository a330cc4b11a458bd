"""The function that everybody computes, and the rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

import dotnet_wasm_host as dwh

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["BATCH", "SCALAR", "SPAN", "arrays", "frame", "scores"]

#: Called for each row.
SCALAR = "public static double Score(double a, double b) => a * 2 + b;"
#: Called for many rows.
SPAN = """
public static void Score(ReadOnlySpan<double> a, ReadOnlySpan<double> b, Span<double> result) {
    for (var i = 0; i < result.Length; i++) { result[i] = a[i] * 2 + b[i]; }
}
"""
#: Rows of a batch that goes through an engine.
BATCH = 500_000


def arrays(rows: int, seed: int = 1) -> dict[str, np.ndarray[Any, Any]]:
    """Two columns of doubles."""
    random = np.random.default_rng(seed)
    return {"a": random.random(rows), "b": random.random(rows)}


def frame(rows: int, seed: int = 1) -> pd.DataFrame:
    """The same for pandas."""
    import pandas as pd

    return pd.DataFrame(arrays(rows, seed))


def scores() -> Any:  # noqa: ANN401 - a method's columns
    """``Score.columns`` of a module that nobody closes."""
    return dwh.csharp(SCALAR).Score.columns
