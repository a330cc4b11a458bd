"""The outcome of a session as data; ``results.json`` is :meth:`Results.to_json`."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

__all__ = ["Absence", "BarLine", "Figure", "Results", "Series", "Unit"]

#: Seconds, calls a second, bytes, times as much.
Unit = Literal["s", "calls/s", "B", "x"]
#: Version of the layout of ``results.json``.
SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured thing.

    Attributes:
        workload, case, contestant: what was measured, and of whom.
        unit: of the values below. Percentiles are those of the values, so the p99 of a rate
            is its fast end.
        n: number of measurements.
        note: what a reader must know to compare it.
    """

    workload: str
    case: str
    contestant: str
    unit: Unit
    n: int
    p50: float
    p99: float
    min: float
    note: str = ""


@dataclass(frozen=True, slots=True)
class Absence:
    """Something that could not be measured here, and why."""

    workload: str
    case: str
    contestant: str
    reason: str


@dataclass(frozen=True, slots=True)
class Series:
    """Values along something that grows, bytes over cycles for example."""

    workload: str
    case: str
    contestant: str
    x: str
    unit: Unit
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class BarLine:
    """A line of the project's performance bar; ``met`` is None if it was not measured."""

    text: str
    measured: str
    met: bool | None


@dataclass(slots=True)
class Results:
    """Everything a session found out."""

    machine: dict[str, str] = field(default_factory=dict)
    versions: dict[str, dict[str, str]] = field(default_factory=dict)
    titles: dict[str, str] = field(default_factory=dict)
    started: str = ""
    seconds: float = 0.0
    quick: bool = False
    figures: list[Figure] = field(default_factory=list)
    absences: list[Absence] = field(default_factory=list)
    series: list[Series] = field(default_factory=list)
    bar: list[BarLine] = field(default_factory=list)
    plots: list[str] = field(default_factory=list)

    def find(self, workload: str, case: str, contestant: str) -> Figure | None:
        """The figure with these names."""
        wanted = (workload, case, contestant)
        return next((f for f in self.figures if (f.workload, f.case, f.contestant) == wanted), None)

    def median(self, workload: str, case: str, contestant: str) -> float | None:
        """The median of a figure, None if it was not measured."""
        figure = self.find(workload, case, contestant)
        return figure.p50 if figure else None

    def title(self, contestant: str) -> str:
        """A contestant's name for people."""
        return self.titles.get(contestant, contestant)

    def to_json(self) -> dict[str, Any]:
        """Plain data, with the layout's version first."""
        return {"schema": SCHEMA, **asdict(self)}
