"""One run: who takes part, taking turns, and what was found out."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, TypeVar

from benchmarks.processes import NotAvailable, Worker
from benchmarks.results import Absence, Figure, Results, Series
from benchmarks.statistics import summarise

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from benchmarks.contestants import Contestant
    from benchmarks.results import Unit
    from benchmarks.scale import Scale

__all__ = ["Notebook", "Session", "take_turns"]

T = TypeVar("T")


class Notebook:
    """Where a workload writes down what it finds."""

    def __init__(self, results: Results, workload: str) -> None:
        self._results = results
        self._workload = workload

    def record(
        self, case: str, contestant: str, unit: Unit, samples: Sequence[float], note: str = ""
    ) -> None:
        """Add a figure, unless there is nothing to summarise."""
        if not samples:
            return
        s = summarise(samples)
        self._results.figures.append(
            Figure(self._workload, case, contestant, unit, s.n, s.p50, s.p99, s.min, note)
        )

    def nanoseconds(
        self, case: str, contestant: str, samples: Iterable[int], note: str = ""
    ) -> None:
        """Add a figure of times."""
        self.record(case, contestant, "s", [sample / 1e9 for sample in samples], note)

    def absent(self, case: str, contestant: str, reason: str) -> None:
        """Say that something could not be measured; an empty case is the whole workload."""
        absence = Absence(self._workload, case, contestant, reason)
        if absence not in self._results.absences:
            self._results.absences.append(absence)

    def draw(
        self, case: str, contestant: str, x: str, unit: Unit, points: Iterable[tuple[float, float]]
    ) -> None:
        """Add a series."""
        series = Series(self._workload, case, contestant, x, unit, tuple(points))
        self._results.series.append(series)


class Session:
    """Contestants on this machine, and the results so far.

    Args:
        chosen: who may take part.
        scale: how much is measured.
        folder: what :func:`benchmarks.kit.make_kit` prepared; logs are written there too.
        progress: told what is going on.
    """

    def __init__(
        self,
        chosen: Sequence[Contestant],
        scale: Scale,
        folder: Path,
        progress: Callable[[str], object],
    ) -> None:
        self.scale = scale
        self.folder = folder
        self.progress = progress
        self.results = Results(titles={c.name: c.title for c in chosen})
        self._chosen = {contestant.name: contestant for contestant in chosen}
        self._missing = {contestant.name: contestant.missing() for contestant in chosen}

    def rule_out(self, name: str, reason: str) -> None:
        """Leave a contestant out from now on."""
        self._missing[name] = reason

    def present(self, notebook: Notebook, names: Sequence[str]) -> list[Contestant]:
        """Those of ``names`` that take part; the rest is noted as absent."""
        here = []
        for name in names:
            if name not in self._chosen:
                continue
            if reason := self._missing[name]:
                notebook.absent("", name, reason)
            else:
                here.append(self._chosen[name])
        return here

    @contextmanager
    def workers(self, notebook: Notebook, *names: str) -> Iterator[list[Worker]]:
        """Fresh processes of those that take part."""
        with ExitStack() as stack:
            started = []
            for contestant in self.present(notebook, names):
                worker = stack.enter_context(Worker(contestant, self.folder))
                try:
                    self.results.versions[worker.name] = worker.ask("versions")
                except NotAvailable as error:
                    notebook.absent("", worker.name, str(error))
                    self.rule_out(worker.name, str(error))
                else:
                    started.append(worker)
            yield started


def take_turns(
    notebook: Notebook,
    case: str,
    workers: Sequence[Worker],
    rounds: int,
    ask: Callable[[Worker], T],
) -> dict[str, list[T]]:
    """Ask every worker once a round, each round beginning with another one.

    So whatever else the machine does hits all of them alike. One that cannot answer is noted
    as absent and asked no more.
    """
    answers: dict[str, list[T]] = {worker.name: [] for worker in workers}
    active = list(workers)
    for index in range(rounds):
        turn = index % max(len(active), 1)
        for worker in active[turn:] + active[:turn]:
            try:
                answers[worker.name].append(ask(worker))
            except NotAvailable as error:
                notebook.absent(case, worker.name, str(error))
                active.remove(worker)
    return answers
