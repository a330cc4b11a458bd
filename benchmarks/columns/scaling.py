"""One process and two: rows a second, and what the process that gives them work takes itself."""

from __future__ import annotations

import os
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

from benchmarks.columns.scores import BATCH, arrays, scores

if TYPE_CHECKING:
    from multiprocessing.sharedctypes import Synchronized

__all__ = ["measure_scaling"]

_tables: dict[int, Any] = {}


def _keep_to_one_cpu(counter: Synchronized[int]) -> None:
    """A process has one CPU, so that one does not compute with two threads."""
    with counter.get_lock():
        number = counter.value
        counter.value += 1
    if hasattr(os, "sched_setaffinity"):
        cpus = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cpus[number % len(cpus)]})


def _work(columns: Any, rows: int) -> float:  # noqa: ANN401
    """A batch of a process's own rows: nothing but the function and a number travels."""
    if rows not in _tables:
        _tables[rows] = arrays(rows)
    return float(columns(_tables[rows])["Score"][-1])


def _run(processes: int, columns: Any, batches: int) -> tuple[float, float]:  # noqa: ANN401
    """Rows a second, and the share of a CPU that this process took."""
    context = get_context("spawn")
    counter = context.Value("i", 0)
    with ProcessPoolExecutor(processes, context, _keep_to_one_cpu, (counter,)) as pool:
        for _ in range(2):  # all processes are there and warm
            list(pool.map(_work, [columns] * 4 * processes, [BATCH] * 4 * processes))
        begun, spent = time.perf_counter(), time.process_time()
        list(pool.map(_work, [columns] * batches, [BATCH] * batches))
        seconds, own = time.perf_counter() - begun, time.process_time() - spent
    return batches * BATCH / seconds, own / seconds


def measure_scaling(rows: int, rounds: int) -> dict[str, Any]:
    """Both, in turns."""
    columns, batches = scores(), max(8, 2 * rows // BATCH)
    found: dict[str, Any] = {"one": [], "two": [], "share_one": [], "share_two": []}
    for _ in range(rounds):
        for processes, name in ((1, "one"), (2, "two")):
            rate, share = _run(processes, columns, batches)
            found[name].append(rate)
            found[f"share_{name}"].append(share)
    return found
