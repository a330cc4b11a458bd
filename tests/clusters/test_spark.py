"""A local cluster of Spark."""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import dotnet_wasm_host as dwh
from tests.clusters.conftest import need

need("pyspark", "java")

pytestmark = [
    pytest.mark.long,
    # Spark leaves sockets and files to the collector.
    pytest.mark.filterwarnings("default"),
]
SCHEMA = "a double, b double, Score double"


@pytest.fixture(scope="module")
def spark() -> Iterator[Any]:
    from pyspark.sql import SparkSession

    os.environ["PYSPARK_PYTHON"] = sys.executable
    session = (
        SparkSession.builder.master("local[2,3]")  # two threads, three attempts
        .config("spark.ui.enabled", "false")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.sql.shuffle.partitions", "2")
        .config("spark.log.level", "ERROR")
        .getOrCreate()
    )
    yield session
    session.stop()


@pytest.fixture
def rows(spark: Any) -> Any:
    return spark.range(1000).selectExpr("cast(id as double) a", "1.0D b").repartition(4)


def expected() -> pd.DataFrame:
    a = np.arange(1000.0)
    return pd.DataFrame({"a": a, "b": 1.0, "Score": a * 2.0 + 1.0})


def check(frame: Any) -> None:
    made = frame.toPandas().sort_values("a", ignore_index=True)
    pd.testing.assert_frame_equal(made, expected())


def test_map_in_arrow(rows: Any, scores: dwh.CSharpModule) -> None:
    check(rows.mapInArrow(scores.Score.columns, SCHEMA))


def test_map_in_pandas(rows: Any, scores: dwh.CSharpModule) -> None:
    check(rows.mapInPandas(scores.Score.columns, SCHEMA))


def test_pandas_udfs(spark: Any, rows: Any, scores: dwh.CSharpModule) -> None:
    from pyspark.sql.functions import pandas_udf

    columns = scores.Score.columns

    def score(a: pd.Series, b: pd.Series) -> pd.Series:
        made: pd.Series = columns({"a": a, "b": b})["Score"]
        return made

    score.__annotations__ = dict.fromkeys(("a", "b", "return"), pd.Series)
    udf: Any = pandas_udf(score, "double")
    check(rows.withColumn("Score", udf("a", "b")))
    spark.udf.register("score", udf)
    rows.createOrReplaceTempView("items")
    check(spark.sql("select a, b, score(a, b) as Score from items"))


def test_functions_over_an_rdd(spark: Any, echo: dwh.DotnetFunction) -> None:
    payloads = [b"%d" % n for n in range(10)]
    assert spark.sparkContext.parallelize(payloads, 3).map(echo).collect() == payloads
    # As data it is whole.
    (back,) = spark.sparkContext.parallelize([echo], 1).map(lambda f: f).collect()
    assert back(b"x") == b"x"


def test_a_killed_worker_is_replaced(
    spark: Any, large: dwh.DotnetFunction, dying: Callable[[Any], Any], tmp_path: Path
) -> None:
    payloads = [b"%d" % n for n in range(10)]
    assert spark.sparkContext.parallelize(payloads, 3).map(dying(large)).collect() == payloads
    assert (tmp_path / "died").exists()


@pytest.mark.parametrize("how", ["mapInArrow", "mapInPandas"])
def test_batches_of_a_killed_worker_are_done_again(
    rows: Any, scores: dwh.CSharpModule, dying: Callable[[Any], Any], tmp_path: Path, how: str
) -> None:
    each = dying(scores.Score.columns)

    def batches(given: Iterator[Any]) -> Iterator[Any]:
        for batch in given:
            yield each(batch)

    check(getattr(rows, how)(batches, SCHEMA))
    assert (tmp_path / "died").exists()


def test_assemblies_travel_once_to_a_worker(spark: Any, large: dwh.DotnetFunction) -> None:
    from pyspark.core.rdd import _prepare_for_python_RDD

    from dotnet_wasm_host.pool.carriers import spark_broadcasts

    assert len(pickle.dumps(large)) > 2_500_000
    command, broadcasts, *_ = _prepare_for_python_RDD(spark.sparkContext, large)
    assert len(command) < 2_000
    parts = large._read()
    assert len(broadcasts) == len(parts)
    sent = spark_broadcasts.SPARK._sent  # type: ignore[attr-defined]
    assert {sent[digest].value for digest in large._digests} == set(parts)
    payloads = [b"%d" % n for n in range(20)]
    before = dict(sent)
    assert spark.sparkContext.parallelize(payloads, 10).map(large).collect() == payloads
    assert sent == before


def test_errors_come_back_with_their_text(spark: Any) -> None:
    from pyspark.errors import PythonException

    with dwh.csharp("public static int Parsed(string s) => int.Parse(s);") as m:
        rows = spark.createDataFrame([("1",), ("two",)], "s string").coalesce(1)
        with pytest.raises(PythonException, match=r"FormatException|was not in a correct format"):
            rows.mapInArrow(m.Parsed.columns, "s string, Parsed int").collect()
