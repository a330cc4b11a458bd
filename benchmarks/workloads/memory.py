"""Workloads ``functions``, ``instances`` and ``reload``: what stays in memory."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from benchmarks.cases import MEMORY
from benchmarks.contestants import OURS
from benchmarks.processes import MemoryUse, NotAvailable, Worker
from benchmarks.session import take_turns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.session import Notebook, Session

__all__ = ["measure_functions", "measure_instances", "measure_reloads"]

LARGE_LEAK = 64 << 20
_FUNCTIONS, _INSTANCES = "hold_functions", "hold_instances"


def measure_functions(session: Session, notebook: Notebook) -> None:
    """1 to 1,000 loaded functions, each called once."""
    with session.workers(notebook, *OURS, "node", "coreclr") as workers:
        for worker in workers:
            _hold(notebook, worker, _FUNCTIONS, session.scale.held)


def measure_instances(session: Session, notebook: Notebook) -> None:
    """1 to 1,000 isolated instances with a function, each called once."""
    names = (*OURS, "node", "coreclr", "extism", "wasmtime")
    with session.workers(notebook, *names) as workers:
        for worker in workers:
            _hold(notebook, worker, _INSTANCES, session.scale.held)


def _hold(notebook: Notebook, worker: Worker, operation: str, counts: Sequence[int]) -> None:
    """Memory at each count. The slope is taken after the first: what is shared is shared then."""
    uses: dict[int, MemoryUse] = {}
    try:
        for count in (0, *counts):
            worker.ask(operation, count=count)
            uses[count] = worker.memory()
    except NotAvailable as error:
        notebook.absent(MEMORY.EACH, worker.name, str(error))
        return
    none = uses.pop(0)
    if operation == _FUNCTIONS:
        notebook.record(MEMORY.IDLE, worker.name, "B", [none.private], "the whole process")
    for count, use in uses.items():
        total = MEMORY.TOTAL.format(count=count)
        notebook.record(total, worker.name, "B", [use.private - none.private])
    # The first ones pay for what all share, and pages that only one maps count as private.
    _, first, *_, last = uses
    for case, grown in (
        (MEMORY.EACH, uses[last].private - uses[first].private),
        (MEMORY.TABLES, uses[last].page_tables - uses[first].page_tables),
    ):
        slope = grown / (last - first)
        notebook.record(case, worker.name, "B", [slope], f"slope from {first} to {last}")
    points = [(float(count), float(use.private - none.private)) for count, use in uses.items()]
    notebook.draw(MEMORY.ABOVE_NONE, worker.name, operation.removeprefix("hold_"), "B", points)


@dataclass(frozen=True, slots=True)
class _Step:
    """What one turn of cycles took and left behind."""

    seconds: float
    memory: MemoryUse
    recycles: int | None


def measure_reloads(session: Session, notebook: Notebook) -> None:
    """Cycles of load, call and unload, with memory after every step of them."""
    scale = session.scale
    for case, names, options in (
        (MEMORY.RELOAD, (*OURS, "node", "coreclr"), {}),
        (MEMORY.RELOAD_LARGE, ("ours",), {"leaked_bytes": LARGE_LEAK}),
    ):
        session.progress(f"  {case}")
        with session.workers(notebook, *names) as workers:
            answers = take_turns(
                notebook, case, workers, scale.cycles // scale.cycle_step,
                partial(_step, scale.cycle_step, options),
            )  # fmt: skip
        for name, steps in answers.items():
            _report_steps(notebook, name, case, steps, scale.cycle_step)


def _step(cycles: int, options: dict[str, int], worker: Worker) -> _Step:
    started = time.perf_counter()
    answer = worker.ask("cycle", times=cycles, **options)
    seconds = (time.perf_counter() - started) / cycles
    return _Step(seconds, worker.memory(), answer.get("recycles"))


def _report_steps(
    notebook: Notebook, name: str, case: str, steps: Sequence[_Step], size: int
) -> None:
    if not steps:
        return
    points = [(float((i + 1) * size), float(s.memory.private)) for i, s in enumerate(steps)]
    notebook.draw(case, name, "cycles", "B", points)
    settled = [step.memory for step in steps[max(len(steps) // 10 - 1, 0) :]]
    recycles = steps[-1].recycles
    note = f"over {len(steps) * size:,} cycles"
    if recycles is not None:
        note += f", {recycles} instances replaced"
    for growth, values in (
        (MEMORY.GROWTH, [memory.dirty for memory in settled]),
        (MEMORY.GROWTH_CLEAN, [memory.private for memory in settled]),
    ):
        notebook.record(growth.format(case=case), name, "B", [max(values) - values[0]], note)
    notebook.record(
        MEMORY.CYCLE.format(case=case), name, "s", [s.seconds for s in steps], "means of steps"
    )
