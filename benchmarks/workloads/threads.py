"""Workload ``threads``: calls a second of one and of two threads together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.cases import rate_case
from benchmarks.session import take_turns

if TYPE_CHECKING:
    from benchmarks.session import Notebook, Session

__all__ = ["FIB", "MODES", "ONE_CORE", "measure_rates"]

#: Modes of our own; the peers have one, called "".
MODES = ("runtime", "shared", "per_function", "per_invocation")
ONE_CORE = "per_invocation on one core"
#: 0.4 ms of computing: fib(20).
FIB = "fib(20)"
_PAYLOADS: dict[str, tuple[str, int | str]] = {
    FIB: ("fib", "20"),
    "echo 100 B": ("echo", 100),
}


def measure_rates(session: Session, notebook: Notebook) -> None:
    """Threads of one process that call as fast as they can."""
    scale = session.scale
    names = ("ours", "node", "coreclr", "extism", "wasmtime", "python")
    with session.workers(notebook, *names) as workers:
        for label, (function, payload) in _PAYLOADS.items():
            session.progress(f"  {label}")
            found: dict[tuple[str, str], list[float]] = {}
            for mode, threads in _settings():
                taking_part = [w for w in workers if (w.name == "ours") == bool(mode)]
                case = rate_case(label, mode or "one function", threads)
                answers = take_turns(
                    notebook, case, taking_part, scale.rate_rounds,
                    lambda w, mode=mode, threads=threads: w.ask(
                        "rate", function=function, payload=payload, threads=threads,
                        seconds=scale.rate_seconds, mode=mode,
                    ),
                )  # fmt: skip
                found |= {(case, name): rates for name, rates in answers.items()}
            for (case, name), rates in found.items():
                notebook.record(case, name, "calls/s", rates)


def _settings() -> list[tuple[str, int]]:
    ours = [(mode, threads) for mode in MODES for threads in (1, 2)]
    return [*ours, (ONE_CORE, 1), ("", 1), ("", 2)]
