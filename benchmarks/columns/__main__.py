"""``python -m benchmarks.columns``: a method of two columns, beside others and through engines.

Every figure is a median of rounds in which all take turns. ``--quick`` is to see that it works.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.columns.contestants import CONTESTANTS
from benchmarks.columns.engines import measure_dask, measure_spark
from benchmarks.columns.scaling import measure_scaling
from benchmarks.machine import load_average, machine_facts
from benchmarks.processes import ENVIRONMENT

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

#: Microseconds a row: in process on one CPU, and on top of an engine's identity of pandas.
IN_PROCESS_BAR, ENGINE_BAR = 0.15, 0.3
#: Rows a second of two processes, times those of one.
SCALING_BAR = 1.8
PARTS = ("process", "dask", "spark", "scaling")
#: Below this, an identity and a function differ by less than their rounds do.
_TITLES = {"dask": "Dask, `map_partitions`", "spark": "Spark"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; 1 if a bar is not met."""
    options = _parser().parse_args(arguments)
    rows, rounds = (200_000, 2) if options.quick else (options.rows, options.rounds)
    results: dict[str, Any] = {"machine": machine_facts(), "rows": rows, "rounds": rounds}
    for part in options.only or PARTS:
        print(f"measuring: {part}", file=sys.stderr)
        results[part] = _measure(part, rows, rounds)
    results["machine"]["load average at the end"] = load_average()
    results["missed"] = missed = list(_missed(results))
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "columns.json").write_text(json.dumps(results, indent=1), encoding="utf-8")
    text = "\n".join(_report(results))
    (options.output / "columns.md").write_text(text, encoding="utf-8")
    print(text)
    return 1 if missed and not options.quick else 0


def _measure(part: str, rows: int, rounds: int) -> dict[str, Any]:
    if part == "process":
        return _in_process(rows, rounds)
    if part == "dask":
        return measure_dask(rows, rounds)
    if part == "spark":
        return measure_spark(rows, rounds)
    return measure_scaling(rows, rounds)


def _in_process(rows: int, rounds: int) -> dict[str, Any]:
    """Each contestant in a process of its own, in two turns."""
    found: dict[str, Any] = {}
    for count in (rounds - rounds // 2, rounds // 2):
        for name, contestant in CONTESTANTS.items():
            if count:
                command = ["-m", "benchmarks.columns.contestants", name, str(rows), str(count)]
                answer = _ask(command, contestant.jit)
                if "wall" in answer and "wall" in found.get(name, {}):
                    answer = {k: found[name][k] + answer[k] for k in ("wall", "cpu")} | {
                        "rows": answer["rows"]
                    }
                found[name] = answer
    return found


def _ask(command: list[str], jit: str) -> Any:  # noqa: ANN401 - JSON
    done = subprocess.run(
        [sys.executable, *command],
        env={**ENVIRONMENT, "DOTNET_WASM_HOST_JIT": jit},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        return {"cannot": lines[-1] if lines else f"exit code {done.returncode}"}
    return json.loads(done.stdout.splitlines()[-1])


def _on_top(engine: dict[str, Any]) -> Iterator[tuple[str, float, float]]:
    """What ours costs on top of the identity of pandas, by the clock and of CPU time."""
    base = engine["identity of pandas"]
    for name, times in engine.items():
        own = engine["identity as a pandas UDF"] if name.endswith("a pandas UDF") else base
        if name.startswith("ours"):
            yield (
                name,
                median(times["wall"]) - median(own["wall"]),
                median(times["cpu"]) - median(own["cpu"]),
            )


def _missed(results: dict[str, Any]) -> Iterator[str]:
    ours = results.get("process", {}).get("ours", {})
    if "wall" in ours and (found := median(ours["wall"])) > IN_PROCESS_BAR:
        yield f"in process {found:.3f} us a row, at most {IN_PROCESS_BAR}"
    for name in ("dask", "spark"):
        engine = results.get(name, {})
        for title, wall, _ in _on_top(engine) if engine and "cannot" not in engine else ():
            if wall > ENGINE_BAR:
                yield f"{name}: {title}: {wall:.3f} us a row on top, at most {ENGINE_BAR}"
    if scaling := results.get("scaling"):
        ratio = median(scaling["two"]) / median(scaling["one"])
        if ratio < SCALING_BAR:
            yield f"two processes {ratio:.2f} times one, at least {SCALING_BAR}"


def _report(results: dict[str, Any]) -> Iterator[str]:
    yield from (f"- {name}: {value}" for name, value in results["machine"].items())
    yield f"- {results['rows']:,} rows of two doubles, medians of {results['rounds']} rounds"
    if process := results.get("process"):
        yield "\n| in process, on one CPU | rows | us a row | us of CPU a row |"
        yield "|---|---:|---:|---:|"
        for name, times in process.items():
            yield f"| {CONTESTANTS[name].title} | {_cells(times)} |"
    for name in ("dask", "spark"):
        if (engine := results.get(name)) and "cannot" in engine:
            yield f"\n{_TITLES[name]}: not measured: {engine['cannot']}"
        elif engine:
            yield f"\n| {_TITLES[name]} | us a row | us of CPU a row |\n|---|---:|---:|"
            for title, times in engine.items():
                yield f"| {title} | {median(times['wall']):.3f} | {median(times['cpu']):.3f} |"
            for title, wall, cpu in _on_top(engine):
                yield f"| {title}, on top of the identity | {wall:.3f} | {cpu:.3f} |"
    if scaling := results.get("scaling"):
        yield "\n| processes | rows a second | share of a CPU that gives them work |"
        yield "|---:|---:|---:|"
        for number, name in ((1, "one"), (2, "two")):
            share = median(scaling[f"share_{name}"])
            yield f"| {number} | {median(scaling[name]):,.0f} | {share:.1%} |"
        yield f"\nTwo processes: {median(scaling['two']) / median(scaling['one']):.2f} times one."
    yield from (f"\nNOT MET: {line}" for line in results["missed"])


def _cells(times: dict[str, Any]) -> str:
    if "cannot" in times:
        return f"| | not measured: {times['cannot']}"
    return f"{times['rows']:,} | {median(times['wall']):.4f} | {median(times['cpu']):.4f}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.columns", description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000, help="%(default)s")
    parser.add_argument("--rounds", type=int, default=5, help="medians of so many (%(default)s)")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=[], help=f"of {PARTS}")
    parser.add_argument("--quick", action="store_true", help="200,000 rows, to see that it works")
    parser.add_argument("--output", type=Path, default=Path("build") / "benchmarks")
    return parser


if __name__ == "__main__":
    sys.exit(main())
