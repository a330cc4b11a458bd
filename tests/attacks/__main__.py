"""The table of docs/security.md: ``python -m tests.attacks`` prints it, ``--write`` renews it."""

from __future__ import annotations

import sys
from pathlib import Path

import dotnet_wasm_host as dwh
from tests.attacks.attacks import ATTACKS, PROGRAMS, Attack, Outcome, carry_out

DOCUMENT = Path(__file__).parents[2] / "docs" / "security.md"
BEGIN, END = "<!-- attacks: begin -->\n", "<!-- attacks: end -->\n"
HEAD = (
    "| attack | error | time to it | CPU | next calls | linear memory after it "
    "| peak of the process | process afterwards |\n"
    "|---|---|---|---|---|---|---|---|\n"
)


def measure() -> dict[str, Outcome]:
    """Every attack, each in a runtime of its own, after one that warms the process up."""
    image = dwh.RuntimeImage.load()
    assemblies = {
        name: dwh.compile_csharp(path.read_text("utf-8"), assembly_name=name)
        for name, path in PROGRAMS.items()
    }
    outcomes = {}
    for name, attack in [("exit", ATTACKS["exit"]), *ATTACKS.items()]:
        outcomes[name] = carry_out(attack, image, assemblies[attack.program])
    return outcomes


def row(attack: Attack, outcome: Outcome) -> str:
    """A line of the table."""
    fine = "fine" if outcome.next_call and outcome.bystander else "FAILS"
    error = outcome.error.partition(" (")
    shown = "none" if error[0] == "-" else f"`{error[0]}`{error[1]}{error[2]}"
    time = f"{_milliseconds(outcome.seconds)} | {_milliseconds(outcome.cpu_seconds)}"
    linear, peak = outcome.linear_bytes / 1e6, outcome.peak_bytes / 1e6
    memory = f"{linear:.0f} MB | {peak:+.0f} MB | {outcome.grown_bytes / 1e6:+.0f} MB"
    return f"| {attack.what} | {shown} | {time} | {fine} | {memory} |\n"


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:,.0f} ms" if seconds >= 0.001 else "< 1 ms"


def table(outcomes: dict[str, Outcome]) -> str:
    """The table in Markdown."""
    return HEAD + "".join(row(ATTACKS[name], outcomes[name]) for name in ATTACKS)


def main() -> None:
    text = table(measure())
    if sys.argv[1:] == ["--write"]:
        document = DOCUMENT.read_text("utf-8")
        head, _, rest = document.partition(BEGIN)
        DOCUMENT.write_text(head + BEGIN + text + END + rest.partition(END)[2], "utf-8")
    else:
        sys.stdout.write(text)


if __name__ == "__main__":
    main()
