"""Workload ``threads``: calls a second of one and of two threads together."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

from benchmarks.cases import process_case, rate_case
from benchmarks.contestants import OURS
from benchmarks.session import take_turns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.processes import Worker
    from benchmarks.session import Notebook, Session

__all__ = ["FIB", "MODES", "ONE_CORE", "measure_rates"]

#: Modes of our own; the peers have one, called "".
ONE_CORE = "per_invocation on one core"
MODES = (
    "runtime",
    "shared",
    "per_function",
    "per_invocation",
    "per_invocation warmed up",
    ONE_CORE,
)
#: 0.4 ms of computing: fib(20).
FIB = "fib(20)"
_REQUESTS: dict[str, dict[str, object]] = {
    FIB: {"function": "fib", "payload": "20"},
    "echo 100 B": {"function": "echo", "payload": 100},
}


def measure_rates(session: Session, notebook: Notebook) -> None:
    """Threads of one process that call as fast as they can."""
    names = (*OURS, "node", "coreclr", "extism", "wasmtime", "python")
    with session.workers(notebook, *names) as workers:
        for label, request in _REQUESTS.items():
            session.progress(f"  {label}")
            asks = {"seconds": session.scale.rate_seconds, **request}
            for mode in MODES:
                ours = [w for w in workers if w.name in OURS]
                _compare_threads(session, notebook, ours, label, {"mode": mode, **asks})
            peers = [w for w in workers if w.name not in OURS]
            _compare_threads(session, notebook, peers, label, asks)
        with session.workers(notebook, "ours") as others:
            pair = [w for w in (*workers, *others) if w.name == "ours"]
            if len(pair) == 2:
                _compare_processes(session, notebook, pair)


def _compare_processes(session: Session, notebook: Notebook, pair: Sequence[Worker]) -> None:
    """What a second process adds: more than that no second thread can."""
    request = {"seconds": session.scale.rate_seconds, "threads": 1, **_REQUESTS[FIB]}
    rates: dict[int, list[float]] = {1: [], 2: []}
    with ThreadPoolExecutor(2) as threads:
        for _ in range(session.scale.rate_rounds):
            for count, found in rates.items():
                found.append(sum(threads.map(partial(_rate, request), pair[:count])))
    for count, found in rates.items():
        notebook.record(process_case(FIB, count), "ours", "calls/s", found)


def _compare_threads(
    session: Session,
    notebook: Notebook,
    workers: Sequence[Worker],
    label: str,
    request: dict[str, object],
) -> None:
    """One and two threads, taking turns with each other too."""
    mode = str(request.get("mode", "one function"))
    cases = {rate_case(label, mode, threads): threads for threads in (1, 2)}
    if mode == ONE_CORE:
        cases = {rate_case(label, mode, 1): 1}
    found: dict[tuple[str, str], list[float]] = {}
    for _ in range(session.scale.rate_rounds):
        for case, threads in cases.items():
            answers = take_turns(
                notebook, case, workers, 1, partial(_rate, {**request, "threads": threads})
            )
            for name, rates in answers.items():
                found.setdefault((case, name), []).extend(rates)
    for case in cases:
        for worker in workers:
            notebook.record(case, worker.name, "calls/s", found[case, worker.name])


def _rate(request: dict[str, object], worker: Worker) -> float:
    return float(worker.ask("rate", **request))
