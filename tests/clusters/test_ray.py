"""A local cluster of Ray."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import dotnet_wasm_host as dwh
from tests.clusters.conftest import need

need("ray")

pytestmark = [
    pytest.mark.long,
    # Ray leaves sockets and files to the collector.
    pytest.mark.filterwarnings("default"),
]


@pytest.fixture(scope="module")
def ray() -> Iterator[Any]:
    import ray

    # Workers of Ray have a niceness of 15, and start for minutes on a machine that is busy.
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112 - its name
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield ray
    ray.shutdown()


def test_remote_functions(ray: Any, echo: dwh.DotnetFunction) -> None:
    remote = ray.remote(echo.__call__)
    payloads = [b"%d" % n for n in range(10)]
    assert ray.get([remote.remote(payload) for payload in payloads]) == payloads


def test_a_killed_worker_is_replaced(
    ray: Any, large: dwh.DotnetFunction, dying: Callable[[Any], Any], tmp_path: Path
) -> None:
    remote = ray.remote(max_retries=2)(dying(large))
    payloads = [b"%d" % n for n in range(10)]
    assert ray.get([remote.remote(payload) for payload in payloads]) == payloads
    assert (tmp_path / "died").exists()


def data() -> Any:
    import ray.data

    return ray.data


def holder() -> type:
    class Holder:
        """Has a function. Made here, so that it is pickled by value."""

        def __init__(self, function: Any) -> None:
            self._function = function

        def __call__(self, argument: Any) -> Any:
            return self._function(argument)

        def run(self, argument: Any) -> Any:
            return self._function(argument)

    return Holder


def test_actors(ray: Any, echo: dwh.DotnetFunction, scores: dwh.CSharpModule) -> None:
    remote = ray.remote(holder())
    actor = remote.remote(echo)
    assert ray.get([actor.run.remote(b"%d" % n) for n in range(3)]) == [b"0", b"1", b"2"]
    table = {"a": np.arange(3.0), "b": np.ones(3)}
    other = remote.remote(scores.Score.columns)
    assert ray.get(other.run.remote(table))["Score"].tolist() == [1.0, 3.0, 5.0]


def test_a_killed_actor_is_replaced(
    ray: Any, echo: dwh.DotnetFunction, dying: Callable[[Any], Any], tmp_path: Path
) -> None:
    remote = ray.remote(max_restarts=1, max_task_retries=1)(holder())
    actor = remote.remote(dying(echo))
    assert ray.get([actor.run.remote(b"%d" % n) for n in range(3)]) == [b"0", b"1", b"2"]
    assert (tmp_path / "died").exists()


def test_assemblies_travel_once(ray: Any, large: dwh.DotnetFunction) -> None:
    from dotnet_wasm_host.pool.carriers import ray_objects

    context = ray._private.worker.global_worker.get_serialization_context()
    assert len(pickle.dumps(large)) > 2_500_000
    assert context.serialize(large).total_bytes < 3_000
    sent = dict(ray_objects.RAY._sent)  # type: ignore[attr-defined]
    remote = ray.remote(lambda function, payload: function(payload))
    assert ray.get([remote.remote(large, b"%d" % n) for n in range(4)]) == [b"0", b"1", b"2", b"3"]
    assert ray.get(ray.remote(large.__call__).remote(b"x")) == b"x"
    # Nothing was put a second time.
    assert ray_objects.RAY._sent == sent  # type: ignore[attr-defined]
    # In a function of a worker, too.
    again = ray.get(ray.remote(lambda function: (function, function(b"x"))).remote(large))
    assert again == (large, b"x")
    assert again[0]._content.engine == "ray"


@pytest.mark.parametrize("kind", ["numpy", "pandas", "pyarrow"])
@pytest.mark.usefixtures("ray")
def test_batches(scores: dwh.CSharpModule, kind: str) -> None:
    frame = pd.DataFrame({"a": np.arange(1000.0), "b": 1.0})
    made = (
        data()
        .from_pandas(frame)
        .repartition(4)
        .map_batches(scores.Score.columns, batch_format=kind, batch_size=100)
        .to_pandas()
        .sort_values("a", ignore_index=True)
    )
    expected = frame.assign(Score=frame.a * 2.0 + frame.b)
    pd.testing.assert_frame_equal(made, expected, check_dtype=False)


@pytest.mark.usefixtures("ray")
def test_batches_in_actors(scores: dwh.CSharpModule) -> None:
    frame = pd.DataFrame({"a": np.arange(100.0), "b": 1.0})
    made = (
        data()
        .from_pandas(frame)
        .map_batches(
            holder(),
            fn_constructor_args=(scores.Score.columns,),
            batch_format="numpy",
            batch_size=30,
            concurrency=1,
        )
    )
    assert sorted(made.to_pandas().Score) == [2.0 * n + 1 for n in range(100)]


@pytest.mark.usefixtures("ray")
def test_batches_of_a_killed_worker_are_done_again(
    scores: dwh.CSharpModule, dying: Callable[[Any], Any], tmp_path: Path
) -> None:
    columns = scores.Score.columns
    frame = pd.DataFrame({"a": np.arange(100.0), "b": 1.0})
    made = data().from_pandas(frame).map_batches(dying(columns), batch_format="pandas")
    assert sorted(made.to_pandas().Score) == [2.0 * n + 1 for n in range(100)]
    assert (tmp_path / "died").exists()
