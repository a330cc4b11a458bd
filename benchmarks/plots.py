"""Plots of the results, as SVG and PNG, with matplotlib if it is there."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from benchmarks.cases import INSTANCE, MEMORY, PROCESS, echo_case, rate_case
from benchmarks.contestants import OURS
from benchmarks.kit import COMPUTE
from benchmarks.units import show
from benchmarks.workloads.threads import FIB, MODES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from benchmarks.results import Results, Unit

__all__ = ["PlottingUnavailable", "draw_plots"]

_WIDTH, _HEIGHT = 7.5, 3.6
_COLOURS = {
    "ours": "#5b2d90",
    "ours-wasmer": "#a98ac9",
    "node": "#3c873a",
    "coreclr": "#0078d4",
    "coreclr-array": "#7fbbe9",
    "extism": "#e07b00",
    "extism-hand-back": "#f2bd7a",
    "wasmtime": "#8a8a8a",
    "python": "#c9a800",
    "memcpy": "#000000",
}
_SETTINGS = {
    "svg.hashsalt": "dotnet_wasm_host",  # the same data gives the same file
    "svg.fonttype": "none",
    "font.family": ["DejaVu Sans", "sans-serif"],
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
}


class PlottingUnavailable(Exception):
    """matplotlib is not here."""


def draw_plots(results: Results, folder: Path) -> list[str]:
    """Draw what the results allow; gives the names of the files."""
    try:
        matplotlib: Any = import_module("matplotlib")
        figures: Any = import_module("matplotlib.figure")
    except ImportError as error:
        raise PlottingUnavailable(f"{error} (extra 'bench')") from error
    names = []
    with matplotlib.rc_context(_SETTINGS):
        for name, draw in _PLOTS.items():
            figure = figures.Figure(figsize=(_WIDTH, _HEIGHT), layout="constrained")
            if not draw(results, figure):
                continue
            for extension, metadata in (("svg", {"Date": None}), ("png", {})):
                figure.savefig(folder / f"{name}.{extension}", dpi=150, metadata=metadata)
                names.append(f"{name}.{extension}")
    return names


def _bars(
    axes: Any,  # noqa: ANN401 - matplotlib is imported when it is needed
    results: Results,
    title: str,
    wanted: Iterable[tuple[str, str, str, str]],
) -> bool:
    """Horizontal bars: (workload, case, contestant, label), with gaps for what is missing."""
    rows = list(reversed(list(wanted)))
    drawn = False
    for position, (workload, case, contestant, _) in enumerate(rows):
        figure = results.find(workload, case, contestant)
        if figure:
            drawn = True
            axes.barh(position, figure.p50, color=_COLOURS[contestant])
            axes.text(figure.p50, position, f" {show(figure.p50, figure.unit)}", va="center")
    axes.set_yticks(range(len(rows)), [label for *_, label in rows])
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.set_title(title, loc="left")
    axes.set_xscale("log")
    _label_ticks(axes.xaxis, "s")
    axes.margins(x=0.3)
    axes.tick_params(axis="y", length=0)
    return drawn


def _startup(results: Results, figure: Any) -> bool:  # noqa: ANN401
    left, right = figure.subplots(1, 2)
    process = [
        ("process", PROCESS.EMPTY, "python", "python -c pass"),
        *(
            ("process", PROCESS.WALL, name, results.title(name))
            for name in (*OURS, "node", "coreclr", "extism", "wasmtime")
        ),
    ]
    instance = [
        ("instance", INSTANCE.SNAPSHOT, "ours", "dotnet_wasm_host"),
        ("instance", INSTANCE.BASE, "ours", "... and load"),
        *(
            ("instance", INSTANCE.SNAPSHOT, name, results.title(name))
            for name in ("extism", "wasmtime")
        ),
        ("process", PROCESS.WALL, "node", "same .NET in Node\n(a process)"),
    ]
    drawn = _bars(left, results, "New process to exit", process)
    return _bars(right, results, "Fresh instance, first call", instance) or drawn


def _echo(results: Results, figure: Any) -> bool:  # noqa: ANN401
    axes = figure.subplots()
    sizes = (100, 10_000, 1_000_000, 16_000_000)
    for name, colour in _COLOURS.items():
        found = [(s, results.median("echo", echo_case(s), name)) for s in sizes]
        points = [(size, value) for size, value in found if value is not None]
        if points:
            style = "--" if name in {"memcpy", "python"} else "o-"
            axes.plot(
                *zip(*points, strict=True), style,
                color=colour, label=results.title(name), markersize=4,
            )  # fmt: skip
    return _finish(axes, "Warm echo: median time of a call", "payload, bytes", "", "s")


def _compute(results: Results, figure: Any) -> bool:  # noqa: ANN401
    panels = figure.subplots(1, len(COMPUTE))
    names = (*OURS, "node", "coreclr", "wasmtime", "python")
    drawn = False
    for axes, function in zip(panels, COMPUTE, strict=True):
        wanted = [("compute", function, name, results.title(name)) for name in names]
        drawn = _bars(axes, results, function, wanted) or drawn
        if axes is not panels[0]:
            axes.set_yticklabels([])
    return drawn


def _threads(results: Results, figure: Any) -> bool:  # noqa: ANN401
    axes = figure.subplots()
    rows = [("ours", mode, f"{results.title('ours')}, {mode}") for mode in MODES]
    rows += [
        (name, "one function", results.title(name))
        for name in ("coreclr", "extism", "wasmtime", "python")
    ]
    labels: list[str] = []
    for name, mode, label in reversed(rows):
        one, two = (results.median("threads", rate_case(FIB, mode, t), name) for t in (1, 2))
        if one is None or two is None:
            continue
        for offset, value, alpha in ((0.2, one, 0.55), (-0.2, two, 1.0)):
            position = len(labels) + offset
            axes.barh(position, value, height=0.38, color=_COLOURS[name], alpha=alpha)
            axes.text(value, position, f" {show(value, 'calls/s')}", va="center", fontsize=7)
        labels.append(label)
    axes.set_yticks(range(len(labels)), labels)
    axes.set_xscale("log")
    _label_ticks(axes.xaxis, "calls/s")
    axes.margins(x=0.15)
    axes.set_title(f"{FIB}, calls a second: 1 thread (light) and 2 (dark)", loc="left")
    return bool(labels)


def _memory(results: Results, figure: Any) -> bool:  # noqa: ANN401
    panels = figure.subplots(1, 2)
    drawn = False
    for axes, (workload, title) in zip(
        panels, (("functions", "Functions in one runtime"), ("instances", "Isolated instances")),
        strict=True,
    ):  # fmt: skip
        for series in results.series:
            if series.workload == workload:
                points = [(x, y) for x, y in series.points if y > 0]
                axes.plot(
                    *zip(*points, strict=True), "o-", markersize=4,
                    color=_COLOURS[series.contestant], label=results.title(series.contestant),
                )  # fmt: skip
        drawn = _finish(axes, title, workload, "private memory above none", "B") or drawn
    return drawn


def _reload(results: Results, figure: Any) -> bool:  # noqa: ANN401
    axes = figure.subplots()
    for series in results.series:
        if series.workload == "reload":
            special = series.case == MEMORY.RELOAD_LARGE
            label = results.title(series.contestant) + (f", {series.case}" if special else "")
            axes.plot(
                [x for x, _ in series.points], [y / 1e6 for _, y in series.points],
                ":" if special else "-", color=_COLOURS[series.contestant], label=label,
            )  # fmt: skip
    axes.set_ylim(bottom=0)
    title = "Load, call, unload: private memory of the process"
    return _finish(axes, title, "cycles", "MB")


def _finish(
    axes: Any,  # noqa: ANN401
    title: str,
    x: str,
    y: str,
    logarithmic: Unit | None = None,
) -> bool:
    """Titles, grid and legend; logarithmic axes if the unit of the vertical one is given."""
    if not axes.lines:
        return False
    if logarithmic:
        axes.set_xscale("log")
        axes.set_yscale("log")
        _label_ticks(axes.xaxis, None)
        _label_ticks(axes.yaxis, logarithmic)
    axes.set_title(title, loc="left")
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(visible=True, alpha=0.3)
    axes.legend(frameon=False, fontsize=8)
    return True


def _label_ticks(axis: Any, unit: Unit | None) -> None:  # noqa: ANN401
    """Powers of ten as people write them."""

    def text(value: float, _position: int) -> str:
        shown = show(value, unit) if unit else f"{value:,.0f}"
        return shown.replace(".00", "").replace(".0", "")

    axis.set_major_formatter(text)
    axis.set_minor_formatter(lambda _value, _position: "")


_PLOTS: dict[str, Callable[[Results, Any], bool]] = {
    "startup": _startup,
    "echo": _echo,
    "compute": _compute,
    "threads": _threads,
    "memory": _memory,
    "reload": _reload,
}
