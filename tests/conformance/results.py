"""What came of the cases of units: a file, sums, and the difference of two runs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

__all__ = ["OUTCOMES", "UnitResult", "differences", "read", "summary", "totals", "write"]

OUTCOMES = ("pass", "fail", "crash", "skip", "unrun")


@dataclass(slots=True)
class UnitResult:
    """What came of a unit.

    Attributes:
        name: the unit's.
        key: of its sources, and of what they were compiled with.
        methods: tests that were found.
        outcomes: case to one of ``OUTCOMES``. ``crash``: the call of the case ended in an error
            of the host, a deadline among them.
        messages: case to what was said of it.
        removed: what was cut out because it does not compile.
        error: why nothing was run.
        compiled_methods: .NET methods with machine code in the instance that ran last.
        compile_seconds, run_seconds: that it took.
    """

    name: str
    key: str
    methods: int = 0
    outcomes: dict[str, str] = field(default_factory=dict)
    messages: dict[str, str] = field(default_factory=dict)
    removed: list[str] = field(default_factory=list)
    error: str = ""
    compiled_methods: int = 0
    compile_seconds: float = 0.0
    run_seconds: float = 0.0

    def add(self, case: str, outcome: str, message: str) -> None:
        """Note a case. Overloads have the same name, so a second one gets a mark behind it."""
        while case in self.outcomes:
            case += "'"
        self.outcomes[case] = outcome
        if message:
            self.messages[case] = message

    @property
    def is_complete(self) -> bool:
        """Whether no time was missing."""
        return not self.error and "unrun" not in self.outcomes.values()


def read(path: Path) -> dict[str, UnitResult]:
    """The results in a file, by name of unit; none if there is no file."""
    if not path.exists():
        return {}
    found = json.loads(path.read_text(encoding="utf-8"))
    return {name: UnitResult(**unit) for name, unit in found.items()}


def write(path: Path, results: Mapping[str, UnitResult]) -> None:
    """Replace a file of results."""
    text = json.dumps({name: asdict(results[name]) for name in sorted(results)}, indent=0)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".part")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def totals(results: Iterable[UnitResult]) -> Counter[str]:
    """Cases by outcome."""
    return Counter(outcome for unit in results for outcome in unit.outcomes.values())


def summary(unit: UnitResult) -> str:
    """A line about a unit."""
    sums = totals([unit])
    counts = " ".join(f"{outcome} {sums[outcome]:6}" for outcome in OUTCOMES)
    times = f"built in {unit.compile_seconds:.0f} s, ran {unit.run_seconds:.0f} s"
    jit = f", {unit.compiled_methods} methods compiled" if unit.compiled_methods else ""
    cut = f"cut {len(unit.removed):3}"
    return f"{unit.name:24} {counts}  {cut}  {times}{jit} {unit.error[:200]}".rstrip()


def differences(
    first: Mapping[str, UnitResult], second: Mapping[str, UnitResult]
) -> Iterator[tuple[str, str, str, str]]:
    """Unit, case and both outcomes, of cases of units that both have and that differ.

    What one of them did not run for lack of time is no difference.
    """
    for name in sorted(first.keys() & second.keys()):
        one, other = first[name].outcomes, second[name].outcomes
        for case in sorted(one.keys() | other.keys()):
            outcomes = (one.get(case, "absent"), other.get(case, "absent"))
            if outcomes[0] != outcomes[1] and "unrun" not in outcomes:
                yield name, case, *outcomes
