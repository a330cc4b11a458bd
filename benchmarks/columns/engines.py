"""Through Dask and Spark: what a row costs beside the engine's own identity over pandas."""

from __future__ import annotations

import os
import shutil
import sys
import time
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from benchmarks.columns.scores import BATCH, frame, scores

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["measure_dask", "measure_spark"]


def _processes() -> dict[int, float]:
    """CPU time of the processes that this one has started, by id."""
    import psutil  # type: ignore[import-untyped]

    times = {}
    for child in psutil.Process().children(recursive=True):
        try:
            spent = child.cpu_times()
        except psutil.Error:
            continue
        times[child.pid] = spent.user + spent.system
    return times


def _alternate(
    runs: dict[str, Callable[[], object]], rows: int, rounds: int
) -> dict[str, dict[str, list[float]]]:
    """Microseconds a row of each run in turns: by the clock, and of CPU time of all processes."""
    found: dict[str, dict[str, list[float]]] = {name: {"wall": [], "cpu": []} for name in runs}
    for run in runs.values():
        run()
    for _ in range(rounds):
        for name, run in runs.items():
            before, begun = _processes(), time.perf_counter()
            run()
            seconds = time.perf_counter() - begun
            spent = sum(after - before.get(pid, 0.0) for pid, after in _processes().items())
            found[name]["wall"].append(seconds / rows * 1e6)
            found[name]["cpu"].append(spent / rows * 1e6)
    return found


def _same(table: Any) -> Any:  # noqa: ANN401
    return table


def measure_dask(rows: int, rounds: int) -> dict[str, Any]:
    """``map_partitions`` on one worker with one thread; the rows are there before."""
    if find_spec("distributed") is None:
        return {"cannot": "pip install dask[dataframe,distributed]"}
    from dask import dataframe
    from dask.distributed import Client, LocalCluster, wait

    columns, dd = scores(), dataframe
    counts = [BATCH] * max(1, rows // BATCH)
    with (
        LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as cluster,  # type: ignore[no-untyped-call]
        Client(cluster) as client,  # type: ignore[no-untyped-call]
    ):
        meta = frame(1).iloc[:0]
        items: Any = client.persist(dd.from_map(frame, counts, meta=meta))  # type: ignore[no-untyped-call]
        wait(items)  # type: ignore[no-untyped-call]
        scored = meta.assign(Score=0.0)

        def run(function: Any, meta: Any) -> int:  # noqa: ANN401
            mapped = items.map_partitions(function, meta=meta)
            return int(mapped.map_partitions(len).sum().compute(optimize_graph=False))

        runs: dict[str, Callable[[], object]] = {
            "identity of pandas": lambda: run(_same, meta),
            "ours": lambda: run(columns, scored),
        }
        return _alternate(runs, sum(counts), rounds)


@contextmanager
def _spark() -> Iterator[Any]:
    from pyspark.sql import SparkSession

    os.environ["PYSPARK_PYTHON"] = sys.executable
    session = (
        SparkSession.builder.master("local[1]")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.memory", "3g")
        .config("spark.sql.execution.arrow.maxRecordsPerBatch", "65536")
        .config("spark.log.level", "ERROR")
        .getOrCreate()
    )
    try:
        yield session
    finally:
        session.stop()


def measure_spark(rows: int, rounds: int) -> dict[str, Any]:
    """``mapInPandas``, ``mapInArrow`` and a pandas UDF with one thread; the rows are cached."""
    if find_spec("pyspark") is None or shutil.which("java") is None:
        return {"cannot": "pip install pyspark, and apt-get install openjdk-17-jre-headless"}
    import pandas as pd
    from pyspark.sql.functions import pandas_udf

    columns = scores()

    def keep(a: pd.Series, b: pd.Series) -> pd.Series:  # noqa: ARG001
        return a

    def score(a: pd.Series, b: pd.Series) -> pd.Series:
        return columns({"a": a, "b": b})["Score"]

    for udf in (keep, score):
        udf.__annotations__ = dict.fromkeys(("a", "b", "return"), pd.Series)
    two, three = "a double, b double", "a double, b double, Score double"
    with _spark() as spark:
        items = spark.range(rows).selectExpr("rand(1) a", "rand(2) b").repartition(4).cache()
        items.count()
        same, ours = pandas_udf(keep, "double"), pandas_udf(score, "double")

        def run(table: Any) -> None:  # noqa: ANN401
            table.write.format("noop").mode("overwrite").save()

        return _alternate(
            {
                "identity of pandas": lambda: run(items.mapInPandas(_same, two)),
                "ours, mapInPandas": lambda: run(items.mapInPandas(columns, three)),
                "identity of Arrow": lambda: run(items.mapInArrow(_same, two)),
                "ours, mapInArrow": lambda: run(items.mapInArrow(columns, three)),
                "identity as a pandas UDF": lambda: run(items.withColumn("s", same("a", "b"))),
                "ours as a pandas UDF": lambda: run(items.withColumn("s", ours("a", "b"))),
            },
            rows,
            rounds,
        )
