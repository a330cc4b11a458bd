"""Results as tables: in the terminal, and as Markdown for the documentation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table

from benchmarks.cases import INSTANCE, MEMORY, PROCESS, echo_case
from benchmarks.units import show, three_digits
from benchmarks.workloads import WORKLOADS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console

    from benchmarks.results import Figure, Results

__all__ = ["PUBLISHED", "markdown", "print_report"]

#: Figures that were published for the design this project began with. They were never
#: reproducible (its module cannot exist); they are here for reference only.
PUBLISHED = {
    ("process", PROCESS.WALL): "450 ms",
    ("instance", INSTANCE.BASE): "450 ms",
    ("echo", echo_case(100)): "5 ms",
    ("functions", MEMORY.IDLE): "8 MB",
    ("functions", MEMORY.TOTAL.format(count=100)): "77 MB (85 - 8)",
}
_PUBLISHED_HEADER = "the original TypeScript host (published)"
_MET = {True: "met", False: "NOT MET", None: "not measured"}


@dataclass(frozen=True, slots=True)
class _Sheet:
    """A table before it is drawn."""

    title: str
    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    #: Columns that hold numbers.
    numbers: range = range(0)


def print_report(results: Results, console: Console) -> None:
    """Every table, and what could not be measured."""
    for sheet in _sheets(results):
        table = Table(title=sheet.title, title_justify="left", box=box.SIMPLE_HEAD)
        for index, header in enumerate(sheet.headers):
            table.add_column(header, justify="right" if index in sheet.numbers else "left")
        for row in sheet.rows:
            table.add_row(*row)
        console.print(table)


def markdown(results: Results) -> str:
    """The same tables in Markdown."""
    return "\n".join(_markdown_table(sheet) for sheet in _sheets(results))


def _markdown_table(sheet: _Sheet) -> str:
    rules = ["--:" if i in sheet.numbers else "---" for i in range(len(sheet.headers))]
    lines = [sheet.headers, rules, *sheet.rows]
    body = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    return f"### {sheet.title}\n\n{body}\n"


def _sheets(results: Results) -> Iterator[_Sheet]:
    yield _about(results)
    for workload in WORKLOADS:
        figures = [figure for figure in results.figures if figure.workload == workload.name]
        if figures or any(a.workload == workload.name for a in results.absences):
            yield _measured(results, workload.name, workload.title, figures)
    if results.bar:
        rows = tuple((line.text, line.measured, _MET[line.met]) for line in results.bar)
        yield _Sheet("The bar", ("line", "measured", ""), rows, range(1, 2))
    missing = [a for a in results.absences if not _is_workload(a.workload)]
    if missing:
        reasons = tuple((a.contestant, f"not available: {a.reason}") for a in missing)
        yield _Sheet("Output", ("what", ""), reasons)


def _is_workload(name: str) -> bool:
    return any(workload.name == name for workload in WORKLOADS)


def _about(results: Results) -> _Sheet:
    rows: list[tuple[str, ...]] = [*results.machine.items(), ("run", _run_line(results))]
    for name, versions in results.versions.items():
        said = ", ".join(f"{what} {version}" for what, version in versions.items())
        rows.append((results.title(name), said))
    return _Sheet("Machine and versions", ("", ""), tuple(rows))


def _run_line(results: Results) -> str:
    kind = "quick run: figures are rough" if results.quick else "full run"
    return f"{results.started}, {results.seconds:.0f} s, {kind}"


def _measured(results: Results, name: str, title: str, figures: Sequence[Figure]) -> _Sheet:
    published_too = any(workload == name for workload, _ in PUBLISHED)
    published_header = (_PUBLISHED_HEADER,) if published_too else ()
    headers = ("case", "who", "p50", "p99", "min", "n", "p50 / ours", *published_header, "note")
    rows: list[tuple[str, ...]] = [
        (*_figure_row(results, f), *([_published(f)] if published_too else []), f.note)
        for f in _sorted(figures)
    ]
    for absence in results.absences:
        if absence.workload == name:
            start = (absence.case, results.title(absence.contestant), "not available")
            padding = [""] * (len(headers) - len(start) - 1)
            rows.append((*start, *padding, absence.reason))
    return _Sheet(title, headers, tuple(rows), range(2, len(headers) - 1))


def _sorted(figures: Sequence[Figure]) -> list[Figure]:
    """Cases in the order of their measurement; within a case by value."""
    order = list(dict.fromkeys(figure.case for figure in figures))
    return sorted(figures, key=lambda f: (order.index(f.case), f.p50))


def _figure_row(results: Results, figure: Figure) -> tuple[str, ...]:
    ours = results.median(figure.workload, figure.case, "ours")
    ratio = "" if not ours or figure.contestant == "ours" else three_digits(figure.p50 / ours)
    single = figure.n == 1
    return (
        figure.case,
        results.title(figure.contestant),
        show(figure.p50, figure.unit),
        "" if single else show(figure.p99, figure.unit),
        "" if single else show(figure.min, figure.unit),
        f"{figure.n:,}",
        ratio,
    )


def _published(figure: Figure) -> str:
    published = PUBLISHED.get((figure.workload, figure.case), "")
    return published if figure.contestant == "ours" else ""
