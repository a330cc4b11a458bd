"""``python -m benchmarks``: measure ours and the peers, print tables, save data and plots."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from benchmarks.bar import judge
from benchmarks.contestants import CONTESTANTS
from benchmarks.kit import make_kit
from benchmarks.machine import load_average, machine_facts
from benchmarks.node_framework import make_node_folder
from benchmarks.plots import PlottingUnavailable, draw_plots
from benchmarks.report import markdown, print_report
from benchmarks.results import Absence
from benchmarks.scale import FULL, QUICK
from benchmarks.session import Notebook, Session
from benchmarks.workloads import WORKLOADS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.contestants import Contestant
    from benchmarks.results import Results

__all__ = ["main"]

#: ``/build/`` is not under version control.
DEFAULT_OUTPUT = Path("build") / "benchmarks"


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out the command line; the exit code."""
    options = _parser().parse_args(arguments)
    console = Console(stderr=options.json, width=None if sys.stdout.isatty() else 160)
    progress = Console(stderr=True)
    results = measure(options, lambda text: progress.print(text, style="dim", highlight=False))
    options.output.mkdir(parents=True, exist_ok=True)
    try:
        results.plots = draw_plots(results, options.output)
    except PlottingUnavailable as error:
        results.absences.append(Absence("plots", "", "plots", str(error)))
    text = json.dumps(results.to_json(), indent=1)
    (options.output / "results.json").write_text(text, encoding="utf-8")
    (options.output / "results.md").write_text(markdown(results), encoding="utf-8")
    print_report(results, console)
    if options.json:
        print(text)
    console.print(f"saved in {options.output}", style="dim", highlight=False)
    return 0


def measure(options: argparse.Namespace, progress: Callable[[str], object]) -> Results:
    """Everything that the options ask for."""
    scale = QUICK if options.quick else FULL
    chosen = [c for c in CONTESTANTS if not options.contestants or c.name in options.contestants]
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as folder:
        session = Session(chosen, scale, Path(folder), progress)
        results = session.results
        results.quick = options.quick
        results.started = datetime.now(timezone.utc).isoformat(timespec="seconds")
        results.machine = machine_facts()
        make_kit(session.folder, progress)
        _prepare_node(session, chosen)
        for workload in WORKLOADS:
            if not options.only or workload.name in options.only:
                progress(f"{workload.name}: {workload.title}")
                workload.run(session, Notebook(results, workload.name))
    results.machine["load average at the end"] = load_average()
    results.bar = judge(results)
    results.seconds = time.perf_counter() - begun
    return results


def _prepare_node(session: Session, chosen: Sequence[Contestant]) -> None:
    if any(c.name.startswith("node") and c.missing() is None for c in chosen):
        session.progress("unpacking the runtime for Node")
        make_node_folder(session.folder / "node", session.folder)


def _parser() -> argparse.ArgumentParser:
    workloads = [workload.name for workload in WORKLOADS]
    contestants = [contestant.name for contestant in CONTESTANTS]
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure dotnet_wasm_host and its peers on the same work, on this machine.",
        epilog="Peers come with the extra 'bench' and with Node.js; those that are missing are "
        "reported as such. docs/performance.md says what is measured how.",
    )
    parser.add_argument(
        "--quick", action="store_true", help="a minute instead of ten; the figures are rough"
    )
    parser.add_argument(
        "--only", nargs="+", choices=workloads, metavar="NAME", default=[],
        help=f"what to measure: {', '.join(workloads)}",
    )  # fmt: skip
    parser.add_argument(
        "--contestants", nargs="+", choices=contestants, metavar="NAME", default=[],
        help=f"who takes part: {', '.join(contestants)}",
    )  # fmt: skip
    parser.add_argument(
        "--output", type=Path, default=DEFAULT_OUTPUT, metavar="DIR",
        help="folder for results.json, results.md and plots (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print the data, tables to stderr")
    return parser


if __name__ == "__main__":
    sys.exit(main())
