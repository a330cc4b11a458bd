""".NET's own library tests inside the guest: ``python -m tests.conformance``.

``fetch`` gets the tests, ``run`` runs units of them and keeps what came of them in a file, ``show``
says what is in such a file, ``compare`` in which cases two of them differ.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import multiprocessing
import sys
import time
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from pathlib import Path

from tests.conformance import results
from tests.conformance.building import key_of, xunit
from tests.conformance.corpus import FOLDER, SOURCE, Unit, fetch, units
from tests.conformance.results import UnitResult
from tests.conformance.running import Settings, prepare_process, run


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    parser.add_argument("--corpus", type=Path, default=FOLDER, help="folder of the tests")
    commands = parser.add_subparsers(dest="command", required=True)
    fetching = commands.add_parser("fetch", help="get the tests")
    fetching.add_argument("source", nargs="?", default=SOURCE, help="Git repository")
    listing = commands.add_parser("list", help="the units, with the number of their files")
    running = commands.add_parser("run", help="compile and run units; say and keep what came of it")
    for command in (listing, running):
        command.add_argument("units", nargs="*", help="parts of names; all units without them")
    running.add_argument("--jit", choices=["off", "auto", "everything"], default="off")
    running.add_argument("--rounds", type=int, help="times a test runs; 2 for everything, else 1")
    running.add_argument("--out", type=Path, help="results; .corpus/JIT.json")
    running.add_argument("--again", action="store_true", help="also what the results have already")
    running.add_argument("--minutes", type=float, default=float("inf"), help="begin no unit later")
    running.add_argument("--timeout", type=float, default=15.0, help="seconds for a test")
    running.add_argument("--unit-seconds", type=float, default=600.0, help="seconds for a unit")
    running.add_argument("--outer", action="store_true", help="also tests marked OuterLoop")
    running.add_argument("--jobs", type=int, default=2, help="processes")
    showing = commands.add_parser("show", help="what is in a file of results")
    showing.add_argument("results", type=Path)
    showing.add_argument("--failures", action="store_true", help="a line for each test that failed")
    showing.add_argument("--cuts", action="store_true", help="what was cut out")
    comparing = commands.add_parser("compare", help="cases that differ; an error if there are any")
    comparing.add_argument("first", type=Path)
    comparing.add_argument("second", type=Path)
    return parser.parse_args()


def _run(options: argparse.Namespace) -> int:
    path: Path = options.out or options.corpus / f"{options.jit}.json"
    rounds = options.rounds or (2 if options.jit == "everything" else 1)
    settings = Settings(
        options.jit,
        rounds,
        options.timeout,
        options.unit_seconds,
        options.outer,
        options.corpus / "built",
    )
    known = {unit.name for unit in units(options.corpus)}
    done = {name: result for name, result in results.read(path).items() if name in known}
    wanted = units(options.corpus, options.units)
    xunit(settings.cache)  # here, so that processes need not make it at the same time
    if not options.again:
        wanted = [one for one in wanted if not _is_known(done.get(one.name), key_of(one))]
    end = time.monotonic() + options.minutes * 60
    try:
        _run_all(wanted, settings, options.jobs, end, done, path)
    except KeyboardInterrupt:
        print("stopped; the same command goes on from here", file=sys.stderr)
    sums = results.totals(done.values())
    print(f"{len(done)} units, {sum(sums.values())} cases: {_counts(sums)}; in {path}")
    return 0


def _is_known(result: UnitResult | None, key: str) -> bool:
    return result is not None and result.is_complete and result.key == key


def _counts(sums: collections.Counter[str]) -> str:
    return ", ".join(f"{sums[outcome]} {outcome}" for outcome in results.OUTCOMES)


def _run_all(
    wanted: list[Unit],
    settings: Settings,
    jobs: int,
    end: float,
    done: dict[str, UnitResult],
    path: Path,
) -> None:
    spawn = multiprocessing.get_context("spawn")
    waiting = collections.deque(wanted)
    running: set[Future[UnitResult]] = set()
    with ProcessPoolExecutor(jobs, mp_context=spawn, initializer=prepare_process) as pool:
        while running or (waiting and time.monotonic() < end):
            while waiting and len(running) < jobs and time.monotonic() < end:
                running.add(pool.submit(run, waiting.popleft(), settings))
            future = next(as_completed(running))
            running.remove(future)
            result = future.result()
            done[result.name] = result
            print(results.summary(result), flush=True)
            results.write(path, done)


def _show(options: argparse.Namespace) -> int:
    found = results.read(options.results)
    for result in found.values():
        print(results.summary(result))
        if options.cuts:
            print(*(f"  cut {what[:300]}" for what in result.removed), sep="\n")
        if options.failures:
            _show_failures(result)
    sums = results.totals(found.values())
    print(f"{len(found)} units, {sum(sums.values())} cases: {_counts(sums)}")
    return 0


def _show_failures(result: UnitResult) -> None:
    methods: dict[str, list[str]] = {}
    for case, outcome in result.outcomes.items():
        if outcome in {"fail", "crash"}:
            methods.setdefault(case.partition("#")[0], []).append(case)
    for method, cases in methods.items():
        message = " ".join(result.messages.get(cases[0], "").split())
        print(f"  {len(cases):4} {method}: {message[:300]}")


def _compare(options: argparse.Namespace) -> int:
    first, second = results.read(options.first), results.read(options.second)
    differing = list(results.differences(first, second))
    for unit, case, one, other in differing:
        print(f"{unit}: {case}: {one}, {other}")
        for result in (first[unit], second[unit]):
            if message := result.messages.get(case):
                print(f"    {' '.join(message.split())[:300]}")
    both = first.keys() & second.keys()
    cases = sum(len(first[name].outcomes) for name in both)
    print(f"{len(both)} units with {cases} cases, of which {len(differing)} differ")
    return int(bool(differing))


def _main() -> int:
    options = _arguments()
    with contextlib.suppress(BrokenPipeError):
        if options.command == "fetch":
            print(f"{fetch(options.source, options.corpus)} files in {options.corpus}")
        elif options.command == "list":
            for unit in units(options.corpus, options.units):
                print(f"{unit.name:24} {len(unit.sources)}")
        elif options.command == "run":
            return _run(options)
        elif options.command == "show":
            return _show(options)
        else:
            return _compare(options)
    return 0


if __name__ == "__main__":
    sys.exit(_main())
