"""Processes of joblib."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import dotnet_wasm_host as dwh

pytestmark = pytest.mark.long


def test_processes(echo: dwh.DotnetFunction, scores: dwh.CSharpModule) -> None:
    import joblib
    from joblib.externals.loky.backend.reduction import dumps

    payloads = [b"%d" % n for n in range(10)]
    parallel = joblib.Parallel(2)
    assert parallel(joblib.delayed(echo)(payload) for payload in payloads) == payloads
    table = {"a": np.arange(5.0), "b": np.ones(5)}
    made = parallel(joblib.delayed(scores.Score.columns)(table) for _ in range(3))
    assert [t["Score"].tolist() for t in made] == [[1.0, 3.0, 5.0, 7.0, 9.0]] * 3
    # What goes with a task names a file.
    assert len(dumps(echo)) < 1_000 < len(pickle.dumps(echo))
    joblib.externals.loky.get_reusable_executor().shutdown(wait=True)
