"""What is measured, by the names that ``--only`` takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.workloads import calls, memory, startup, threads

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.session import Notebook, Session

__all__ = ["WORKLOADS", "Workload"]


@dataclass(frozen=True, slots=True)
class Workload:
    """One thing that is measured of everyone who can do it."""

    name: str
    title: str
    run: Callable[[Session, Notebook], None]


WORKLOADS = (
    Workload(
        "process",
        "Process cold start, with warm file and machine code caches",
        startup.measure_processes,
    ),
    Workload("instance", "A fresh, isolated instance", startup.measure_instances),
    Workload("load", "Loading into a running runtime", startup.measure_loads),
    Workload("echo", "A warm call: bytes in, the same bytes out", calls.measure_echoes),
    Workload("threads", "Calls a second", threads.measure_rates),
    Workload("functions", "Many functions in one runtime", memory.measure_functions),
    Workload("instances", "Many isolated instances", memory.measure_instances),
    Workload("reload", "Load, call, unload, again and again", memory.measure_reloads),
    Workload("compute", "Computing inside the guest", calls.measure_computing),
)
