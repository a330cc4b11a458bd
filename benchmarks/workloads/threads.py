"""Workload ``threads``: calls a second of one and of two threads together."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from benchmarks.cases import gain_case, process_case, rate_case
from benchmarks.contestants import OURS
from benchmarks.session import take_turns

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from benchmarks.processes import Worker
    from benchmarks.session import Notebook, Session

__all__ = ["FIB", "MODES", "ONE_CORE", "SHARED", "measure_rates"]

T = TypeVar("T")

#: Modes of our own; the peers have one, called "".
SHARED = "shared"
ONE_CORE = "per_invocation on one core"
MODES = (
    "runtime",
    SHARED,
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
                rounds = session.scale.rate_rounds
                if (label, mode) == (FIB, SHARED):
                    rounds = session.scale.gain_rounds
                _compare_threads(rounds, notebook, ours, label, {"mode": mode, **asks})
            peers = [w for w in workers if w.name not in OURS]
            _compare_threads(session.scale.rate_rounds, notebook, peers, label, asks)
        with session.workers(notebook, "ours") as others:
            pair = [w for w in (*workers, *others) if w.name == "ours"]
            if len(pair) == 2:
                _compare_processes(session, notebook, pair)


def _compare_processes(session: Session, notebook: Notebook, pair: Sequence[Worker]) -> None:
    """What a second process adds: more than that no second thread can."""
    request = {"seconds": session.scale.rate_seconds, "threads": 1, **_REQUESTS[FIB]}
    rates: dict[int, list[float]] = {1: [], 2: []}
    with ThreadPoolExecutor(2) as threads:
        for index in range(session.scale.gain_rounds):
            for count in _round_robin(rates, index):
                rates[count].append(sum(threads.map(partial(_rate, request), pair[:count])))
    for count, found in rates.items():
        notebook.record(process_case(FIB, count), "ours", "calls/s", found)
    gains = [two / one for one, two in zip(rates[1], rates[2], strict=True)]
    notebook.record(gain_case(process_case(FIB, 2)), "ours", "x", gains)


def _round_robin(items: Iterable[T], index: int) -> list[T]:
    """The items, every other time from the back."""
    ordered = list(items)
    return ordered[::-1] if index % 2 else ordered


def _compare_threads(
    rounds: int,
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
    for index in range(rounds):
        for case, threads in _round_robin(cases.items(), index):
            answers = take_turns(
                notebook, case, workers, 1, partial(_rate, {**request, "threads": threads})
            )
            for name, rates in answers.items():
                found.setdefault((case, name), []).extend(rates)
    for case in cases:
        for worker in workers:
            notebook.record(case, worker.name, "calls/s", found[case, worker.name])
    if len(cases) == 1:
        return
    for worker in workers:
        one, two = (found[case, worker.name] for case in cases)
        # Not if it fell out in the middle.
        if len(one) == len(two):
            gains = [b / a for a, b in zip(one, two, strict=True)]
            notebook.record(gain_case(rate_case(label, mode, 2)), worker.name, "x", gains)


def _rate(request: dict[str, object], worker: Worker) -> float:
    return float(worker.ask("rate", **request))
