"""Workloads ``functions``, ``instances`` and ``reload``: what stays in memory."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from benchmarks.cases import MEMORY
from benchmarks.processes import MemoryUse, NotAvailable, Worker

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.session import Notebook, Session

__all__ = ["measure_functions", "measure_instances", "measure_reloads"]

SMALL_LEAK = 4 << 20


def measure_functions(session: Session, notebook: Notebook) -> None:
    """1 to 1,000 loaded functions, each called once."""
    with session.workers(notebook, "ours", "node", "coreclr") as workers:
        for worker in workers:
            _hold(notebook, worker, "hold_functions", session.scale.held, "functions")


def measure_instances(session: Session, notebook: Notebook) -> None:
    """1 to 1,000 isolated instances with a function, each called once."""
    names = ("ours", "node", "coreclr", "extism", "wasmtime")
    with session.workers(notebook, *names) as workers:
        for worker in workers:
            _hold(notebook, worker, "hold_instances", session.scale.held, "instances")


def _hold(
    notebook: Notebook, worker: Worker, operation: str, counts: Sequence[int], what: str
) -> None:
    """Memory at each count. The slope is taken after the first: what is shared is shared then."""
    uses: list[tuple[int, MemoryUse]] = []
    try:
        worker.ask(operation, count=0)
        uses.append((0, worker.memory()))
        for count in counts:
            worker.ask(operation, count=count)
            uses.append((count, worker.memory()))
    except NotAvailable as error:
        notebook.absent(MEMORY.EACH, worker.name, str(error))
        return
    none = uses[0][1]
    for count, use in uses[1:]:
        total = MEMORY.TOTAL.format(count=count)
        notebook.record(total, worker.name, "B", [use.private - none.private])
    (first, before), (last, after) = uses[1], uses[-1]
    span = last - first
    each = (after.private - before.private) / span
    tables = (after.page_tables - before.page_tables) / span
    note = f"slope from {first} to {last}"
    notebook.record(MEMORY.EACH, worker.name, "B", [each], note)
    notebook.record(MEMORY.TABLES, worker.name, "B", [tables], note)
    points = [(float(count), float(use.private - none.private)) for count, use in uses[1:]]
    notebook.draw("private memory above none", worker.name, what, "B", points)


def measure_reloads(session: Session, notebook: Notebook) -> None:
    """Cycles of load, call and unload, with memory after every step of them."""
    for case, growth, names, options in (
        (MEMORY.RELOAD, MEMORY.GROWTH, ("ours", "node", "coreclr"), {}),
        (MEMORY.RELOAD_SMALL, MEMORY.GROWTH_SMALL, ("ours",), {"leaked_bytes": SMALL_LEAK}),
    ):
        with session.workers(notebook, *names) as workers:
            for worker in workers:
                session.progress(f"  {worker.name}: {case}")
                try:
                    _cycle(session, notebook, worker, case, growth, options)
                except NotAvailable as error:
                    notebook.absent(case, worker.name, str(error))


def _cycle(
    session: Session,
    notebook: Notebook,
    worker: Worker,
    case: str,
    growth: str,
    options: dict[str, int],
) -> None:
    scale = session.scale
    points, times, answer = [], [], {}
    for done in range(0, scale.cycles, scale.cycle_step):
        started = time.perf_counter_ns()
        answer = worker.ask("cycle", times=scale.cycle_step, **options)
        times.append((time.perf_counter_ns() - started) // scale.cycle_step)
        points.append((float(done + scale.cycle_step), float(worker.memory().private)))
    notebook.draw(case, worker.name, "cycles", "B", points)
    settled = [value for cycles, value in points if cycles >= scale.cycles / 10]
    recycles = f"{answer['recycles']} recycles" if "recycles" in answer else ""
    notebook.record(growth, worker.name, "B", [max(settled) - settled[0]], recycles)
    notebook.nanoseconds(f"{MEMORY.CYCLE} ({case})", worker.name, times, "mean of each step")
