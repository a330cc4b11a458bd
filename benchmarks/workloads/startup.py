"""Workloads ``process``, ``instance`` and ``load``: everything before the second call."""

from __future__ import annotations

import subprocess
import sys
import time
from itertools import chain
from typing import TYPE_CHECKING

from benchmarks.cases import INSTANCE, LOAD, PROCESS
from benchmarks.contestants import OURS, node_command
from benchmarks.processes import ENVIRONMENT
from benchmarks.session import take_turns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.session import Notebook, Session

__all__ = ["measure_instances", "measure_loads", "measure_processes"]


def measure_processes(session: Session, notebook: Notebook) -> None:
    """Wall time from starting a process to its end; it answers one call in between."""
    names = (*OURS, "node", "coreclr", "extism", "wasmtime")
    present = session.present(notebook, names)
    commands = {c.name: c.answering_once(session.folder) for c in present}
    empty = {"python": [sys.executable, "-c", "pass"]}
    if "node" in commands:
        empty["node"] = [node_command() or "node", "-e", "0"]
    walls: dict[tuple[str, str], list[int]] = {}
    parts: dict[tuple[str, str], list[int]] = {}
    for index in range(session.scale.processes + 1):
        for case, group in ((PROCESS.EMPTY, empty), (PROCESS.WALL, commands)):
            for name, command in list(group.items()):
                try:
                    wall, inside = _run(command, answers=case == PROCESS.WALL)
                except (OSError, subprocess.CalledProcessError) as error:
                    notebook.absent(case, name, _last_line(error))
                    del group[name]
                    continue
                if index:  # the first one warms the file cache
                    walls.setdefault((case, name), []).append(wall)
                    for part, value in inside.items():
                        parts.setdefault((PROCESS.INSIDE.format(part=part), name), []).append(value)
    for (case, name), samples in {**walls, **parts}.items():
        notebook.nanoseconds(case, name, samples)


def _run(command: Sequence[str], *, answers: bool) -> tuple[int, dict[str, int]]:
    started = time.perf_counter_ns()
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, check=True, text=True)
    wall = time.perf_counter_ns() - started
    if not answers:
        return wall, {}
    result, *parts = done.stdout.split()
    if result != "hello":
        raise subprocess.CalledProcessError(0, command, stderr=f"it answered {result!r}")
    pairs = (part.split("=") for part in parts)
    return wall, {name: int(value) for name, value in pairs}


def _last_line(error: OSError | subprocess.CalledProcessError) -> str:
    said = getattr(error, "stderr", None) or ""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return lines[-1] if lines else str(error)


def measure_instances(session: Session, notebook: Notebook) -> None:
    """A runtime that shares nothing with any other, and its first answer."""
    cases = {
        "start": INSTANCE.SNAPSHOT_START,
        "call": INSTANCE.SNAPSHOT_CALL,
        "both": INSTANCE.SNAPSHOT,
        "close": INSTANCE.SNAPSHOT_CLOSE,
    }
    scale = session.scale
    with session.workers(notebook, *OURS, "node", "coreclr", "extism", "wasmtime") as workers:
        take_turns(notebook, INSTANCE.SNAPSHOT, workers, 1, lambda w: w.ask("start", times=2))
        answers = take_turns(
            notebook, INSTANCE.SNAPSHOT, workers, scale.rounds,
            lambda w: w.ask("start", times=scale.instances if w.name != "extism" else 2),
        )  # fmt: skip
        for name, rounds in answers.items():
            for key, case in cases.items():
                times = [time for answer in rounds for time in answer.get(key, ())]
                notebook.nanoseconds(case, name, times)
        loading = take_turns(
            notebook, INSTANCE.BASE, [w for w in workers if w.name in OURS], scale.rounds,
            lambda w: w.ask("start_and_load", times=scale.instances),
        )  # fmt: skip
        for name, batches in loading.items():
            notebook.nanoseconds(INSTANCE.BASE, name, chain.from_iterable(batches))


def measure_loads(session: Session, notebook: Notebook) -> None:
    """Load a 3 kB assembly, call it twice, unload it."""
    cases = {"load": LOAD.LOAD, "first": LOAD.FIRST, "second": LOAD.SECOND, "unload": LOAD.UNLOAD}
    scale = session.scale
    with session.workers(notebook, *OURS, "node", "coreclr", "extism") as workers:
        take_turns(notebook, LOAD.LOAD, workers, 1, lambda w: w.ask("load", times=3))
        answers = take_turns(
            notebook, LOAD.LOAD, workers, scale.rounds, lambda w: w.ask("load", times=scale.loads)
        )
        for name, rounds in answers.items():
            for key, case in cases.items():
                times = [time for answer in rounds for time in answer[key]]
                notebook.nanoseconds(case, name, times)
