"""The project's performance bar: what it promises itself, and whether this run met it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.cases import (
    INSTANCE,
    MEMORY,
    PROCESS,
    echo_case,
    gain_case,
    process_case,
    rate_case,
)
from benchmarks.results import BarLine
from benchmarks.units import show, three_digits
from benchmarks.workloads.threads import FIB, ONE_CORE, SHARED

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.results import Results, Unit

    Value = Callable[[Results], float | None]

__all__ = ["judge"]


@dataclass(frozen=True, slots=True)
class _Line:
    """A promise: a value that must not be above (or below) a limit."""

    text: str
    value: Value
    limit: float
    unit: Unit | None = None
    at_least: bool = False
    #: The same of something that shows what the machine allowed, and its name.
    control: tuple[str, Value] | None = None

    def judge(self, results: Results) -> BarLine:
        value = self.value(results)
        if value is None:
            return BarLine(self.text, "not measured", None)
        met = value >= self.limit if self.at_least else value <= self.limit
        shown = show(value, self.unit) if self.unit else f"{three_digits(value)} x"
        if self.control and (compared := self.control[1](results)) is not None:
            shown += f" ({self.control[0]} here: {three_digits(compared)} x)"
        return BarLine(self.text, shown, met)


def judge(results: Results) -> list[BarLine]:
    """Every line of the bar with what was measured."""
    return [line.judge(results) for line in _LINES]


def _median(workload: str, case: str, contestant: str = "ours") -> Value:
    return lambda results: results.median(workload, case, contestant)


def _ratio(above: Value, *below: Value) -> Value:
    """``above`` divided by the smallest of ``below`` that was measured."""

    def value(results: Results) -> float | None:
        top = above(results)
        bottoms = [found for item in below if (found := item(results)) is not None]
        return top / min(bottoms) if top is not None and bottoms else None

    return value


_FRESH = _median("instance", INSTANCE.SNAPSHOT)
_ECHO = _median("echo", echo_case(100))
_LARGE = echo_case(16_000_000)

_LINES = (
    _Line("fresh isolated instance with its first call: at most 0.7 ms", _FRESH, 0.7e-3, "s"),
    _Line(
        "the same, in units of a new process of `python -c pass`: at most 0.1",
        _ratio(_FRESH, _median("process", PROCESS.EMPTY, "python")),
        0.1,
    ),
    _Line(
        "new process to first result and exit, warm cache: at most 150 ms",
        _median("process", PROCESS.WALL),
        0.150,
        "s",
    ),
    _Line("warm echo of 100 B: at most 6 us", _ECHO, 6e-6, "s"),
    _Line(
        "the same, in units of Extism's faster echo: below 1",
        _ratio(
            _ECHO,
            _median("echo", echo_case(100), "extism"),
            _median("echo", echo_case(100), "extism-hand-back"),
        ),
        1.0,
    ),
    _Line(
        "the same, in units of the same runtime in Node ([JSExport]): at most 2",
        _ratio(_ECHO, _median("echo", echo_case(100), "node")),
        2.0,
    ),
    _Line(
        "echo of 16 MB, in units of memcpy: at most 4",
        _ratio(_median("echo", _LARGE), _median("echo", _LARGE, "memcpy")),
        4.0,
    ),
    _Line(
        "private memory of each further isolated instance: at most 1.5 MB",
        _median("instances", MEMORY.EACH),
        1.5e6,
        "B",
    ),
    _Line(
        "100 functions in one runtime, above none: at most 10 MB",
        _median("functions", MEMORY.TOTAL.format(count=100)),
        10e6,
        "B",
    ),
    _Line(
        "10,000 cycles of load, call, unload: growth after the first 1,000 at most 5 MB",
        _median("reload", MEMORY.GROWTH.format(case=MEMORY.RELOAD)),
        5e6,
        "B",
    ),
    _Line(
        "PER_INVOCATION: at least 1,000 calls a second on one core",
        _median("threads", rate_case("echo 100 B", ONE_CORE, 1)),
        1000,
        "calls/s",
        at_least=True,
    ),
    _Line(
        "two threads, in units of one, CPU-bound: at least 1.7",
        _median("threads", gain_case(rate_case(FIB, SHARED, 2))),
        1.7,
        at_least=True,
        control=("two processes", _median("threads", gain_case(process_case(FIB, 2)))),
    ),
)
