"""A local cluster of Dask."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import dotnet_wasm_host as dwh

pytestmark = pytest.mark.long


@pytest.fixture
def client() -> Iterator[Any]:
    from dask.distributed import Client, LocalCluster

    with (
        LocalCluster(  # type: ignore[no-untyped-call]
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster,
        Client(cluster) as client,  # type: ignore[no-untyped-call]
    ):
        yield client


def call(payload: bytes, function: dwh.DotnetFunction, flag: str) -> bytes:
    """Call a function; the first time for one payload, end the worker instead."""
    if payload == b"die" and not Path(flag).exists():
        Path(flag).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return function(payload)


def test_a_killed_worker_is_replaced(client: Any, echo: dwh.DotnetFunction, tmp_path: Path) -> None:
    payloads = [b"a", b"die", *(b"%d" % n for n in range(20))]
    placed = client.scatter(echo, broadcast=True)
    flag = tmp_path / "died"
    futures = client.map(call, payloads, function=placed, flag=str(flag))
    assert client.gather(futures) == payloads
    assert flag.exists()


@pytest.mark.usefixtures("client")
def test_columns_of_partitions(scores: dwh.CSharpModule) -> None:
    from dask import dataframe

    dd: Any = dataframe

    frame = pd.DataFrame({"a": range(1000), "b": 1.0})
    made = dd.from_pandas(frame, npartitions=4).map_partitions(scores.Score.columns).compute()
    pd.testing.assert_frame_equal(made, frame.assign(Score=frame.a * 2.0 + frame.b))
