from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from benchmarks import contestants, plots
from benchmarks.bar import judge
from benchmarks.cases import (
    INSTANCE,
    LOAD,
    MEMORY,
    PROCESS,
    echo_case,
    gain_case,
    process_case,
    rate_case,
)
from benchmarks.contestants import CONTESTANTS, Contestant, by_name
from benchmarks.kit import json_payload, regex_payload
from benchmarks.processes import NotAvailable, Worker
from benchmarks.report import PUBLISHED, markdown, print_report
from benchmarks.results import Absence, Figure, Results
from benchmarks.scale import QUICK
from benchmarks.session import Notebook, Session, take_turns
from benchmarks.statistics import percentile, summarise
from benchmarks.units import show
from benchmarks.worker import PEERS
from benchmarks.workloads import WORKLOADS
from benchmarks.workloads.threads import FIB, ONE_CORE, SHARED

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).resolve().parents[2]


def run(output: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks", "--quick", "--output", str(output), *arguments]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, check=False, text=True, timeout=120
    )


def test_quick_run_end_to_end(tmp_path: Path) -> None:
    done = run(tmp_path, "--only", "instance", "load", "--contestants", "ours")
    assert done.returncode == 0, done.stderr
    assert "dotnet_wasm_host" in done.stdout
    results = json.loads((tmp_path / "results.json").read_text())
    check_structure(results)
    measured = {(f["workload"], f["case"]) for f in results["figures"]}
    assert ("instance", INSTANCE.SNAPSHOT) in measured
    assert ("load", LOAD.LOAD) in measured
    check_plots(results, tmp_path)
    assert "### The bar" in (tmp_path / "results.md").read_text()


def check_structure(results: dict[str, Any]) -> None:
    assert results["schema"] == 1
    assert results["quick"] is True
    assert results["seconds"] > 0
    assert {"cpu", "cores", "system", "python"} <= set(results["machine"])
    assert results["versions"]["ours"][".NET"].startswith("10.")
    for figure in results["figures"]:
        assert figure["unit"] in {"s", "calls/s", "B"}
        assert figure["n"] >= 1
        assert 0 < figure["min"] <= figure["p50"] <= figure["p99"]
    lines = {line["text"]: line for line in results["bar"]}
    fresh = next(line for text, line in lines.items() if text.startswith("fresh isolated"))
    assert fresh["met"] in {True, False}
    assert any(line["met"] is None for line in results["bar"])


def check_plots(results: dict[str, Any], folder: Path) -> None:
    missing = [a for a in results["absences"] if a["workload"] == "plots"]
    if missing:
        assert not results["plots"]
        assert "matplotlib" in missing[0]["reason"]
        return
    assert {"startup.svg", "startup.png"} <= set(results["plots"])
    for name in results["plots"]:
        assert (folder / name).stat().st_size > 1000


def test_unknown_name_is_wrong_usage(tmp_path: Path) -> None:
    done = run(tmp_path, "--only", "everything")
    assert done.returncode == 2
    assert "everything" in done.stderr


# -------------------------------------------------------------------- contestants


def test_every_python_contestant_has_a_class() -> None:
    served = {c.name for c in CONTESTANTS if c.command[1:3] == ("-m", "benchmarks.worker")}
    assert served == set(PEERS)


def test_scripts_of_contestants_exist() -> None:
    words = [word for c in CONTESTANTS for word in (*c.command, *c.once)]
    scripts = [word for word in words if word.endswith((".py", ".mjs"))]
    assert scripts
    assert all(Path(script).is_file() for script in scripts)


def test_a_package_that_is_missing_is_named() -> None:
    contestant = Contestant("x", "X", (), needs=("no_such_package",))
    assert "no_such_package" in str(contestant.missing())


def test_without_node_the_reason_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contestants, "node_command", lambda: None)
    assert by_name("node").missing() == "Node.js is not on PATH"


def test_without_coreclr_the_reason_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contestants, "dotnet_root", lambda: None)
    monkeypatch.setattr(contestants, "find_spec", lambda _: object())
    assert "CoreCLR" in str(by_name("coreclr").missing())


def session_of(tmp_path: Path, chosen: Sequence[Contestant]) -> Session:
    return Session(chosen, QUICK, tmp_path, lambda _: None)


def python_program(name: str, program: str) -> Contestant:
    return Contestant(name, name.title(), (sys.executable, "-c", program))


def test_missing_contestant_is_reported_not_dropped(tmp_path: Path) -> None:
    session = session_of(tmp_path, [Contestant("x", "Peer X", (), needs=("no_such_package",))])
    with session.workers(Notebook(session.results, "load"), "x", "not chosen") as workers:
        assert workers == []
    (absence,) = session.results.absences
    assert absence.contestant == "x"
    text = markdown(session.results)
    assert "| Peer X | not available |" in text
    assert "no_such_package" in text


def test_process_that_dies_at_the_start_is_reported(tmp_path: Path) -> None:
    session = session_of(tmp_path, [python_program("x", "raise SystemExit('out of luck')")])
    with session.workers(Notebook(session.results, "load"), "x") as workers:
        assert workers == []
    (absence,) = session.results.absences
    assert "out of luck" in absence.reason


ECHOING = """
import json, sys
for line in sys.stdin:
    request = json.loads(line)
    answer = {"cannot": "too hard"} if request["operation"] == "hard" else {"value": request}
    print(json.dumps(answer), flush=True)
"""


def test_worker_answers_and_declines(tmp_path: Path) -> None:
    with Worker(python_program("x", ECHOING), tmp_path) as worker:
        assert worker.ask("soft", size=1) == {"operation": "soft", "size": 1}
        with pytest.raises(NotAvailable, match="too hard"):
            worker.ask("hard")


def test_taking_turns_starts_with_another_one_each_round(tmp_path: Path) -> None:
    order: list[str] = []

    def ask(worker: Worker) -> int:
        order.append(worker.name)
        return len(order)

    notebook = Notebook(Results(), "load")
    with (
        Worker(python_program("a", ECHOING), tmp_path) as a,
        Worker(python_program("b", ECHOING), tmp_path) as b,
    ):
        answers = take_turns(notebook, "case", [a, b], 3, ask)
    assert order == ["a", "b", "b", "a", "a", "b"]
    assert answers == {"a": [1, 4, 5], "b": [2, 3, 6]}


def test_who_cannot_answer_is_noted_and_asked_no_more(tmp_path: Path) -> None:
    results = Results()
    with Worker(python_program("x", ECHOING), tmp_path) as worker:
        answers = take_turns(
            Notebook(results, "load"), "case", [worker], 3, lambda w: w.ask("hard")
        )
    assert answers == {"x": []}
    assert results.absences == [Absence("load", "case", "x", "too hard")]


# -------------------------------------------------------------------- numbers


def test_percentiles_interpolate() -> None:
    assert percentile([1.0, 2.0, 3.0, 4.0], 0.5) == 2.5
    assert percentile([7.0], 0.99) == 7.0
    with pytest.raises(ValueError, match="nothing"):
        percentile([], 0.5)


def test_summary_sorts_first() -> None:
    summary = summarise([3.0, 1.0, 2.0])
    assert (summary.n, summary.p50, summary.min) == (3, 2.0, 1.0)
    assert 2.9 < summary.p99 <= 3.0


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (6.5e-6, "s", "6.50 us"),
        (0.0123, "s", "12.3 ms"),
        (0.9999, "s", "1.00 s"),
        (2.0, "s", "2.00 s"),
        (1_310_000, "B", "1.31 MB"),
        (-4096, "B", "-4.10 kB"),
        (0, "B", "0.00 B"),
        (12345.6, "calls/s", "12,300/s"),
        (999.7, "calls/s", "1,000/s"),
        (123.4, "calls/s", "123/s"),
    ],
)
def test_values_for_people(value: float, unit: Any, text: str) -> None:
    assert show(value, unit) == text


def test_payloads_are_the_same_every_time() -> None:
    assert json_payload() == json_payload()
    assert len(json.loads(json_payload())) == 100
    assert regex_payload().count("@") > 50


# -------------------------------------------------------------------- the bar and the report


def results_with(*values: tuple[str, str, str, Any, float]) -> Results:
    figures = [Figure(w, c, who, unit, 3, value, value, value) for w, c, who, unit, value in values]
    return Results(figures=figures)


MEETING = (
    ("instance", INSTANCE.SNAPSHOT, "ours", "s", 0.5e-3),
    ("process", PROCESS.EMPTY, "python", "s", 10e-3),
    ("process", PROCESS.WALL, "ours", "s", 0.1),
    ("echo", echo_case(100), "ours", "s", 5e-6),
    ("echo", echo_case(100), "extism", "s", 15e-6),
    ("echo", echo_case(100), "extism-hand-back", "s", 12e-6),
    ("echo", echo_case(100), "node", "s", 3e-6),
    ("echo", echo_case(16_000_000), "ours", "s", 8e-3),
    ("echo", echo_case(16_000_000), "memcpy", "s", 3e-3),
    ("instances", MEMORY.EACH, "ours", "B", 1e6),
    ("functions", MEMORY.TOTAL.format(count=100), "ours", "B", 5e6),
    ("reload", MEMORY.GROWTH.format(case=MEMORY.RELOAD), "ours", "B", 1e6),
    ("threads", rate_case("echo 100 B", ONE_CORE, 1), "ours", "calls/s", 1200),
    ("threads", gain_case(rate_case(FIB, SHARED, 2)), "ours", "x", 1.9),
)


def test_bar_is_met_line_by_line() -> None:
    lines = judge(results_with(*MEETING))
    assert [line.met for line in lines] == [True] * len(lines)


def test_bar_shows_what_the_machine_allowed() -> None:
    processes = ("threads", gain_case(process_case(FIB, 2)), "ours", "x", 2.0)
    line = judge(results_with(*MEETING, processes))[-1]
    assert line.measured == "1.90 x (two processes here: 2.00 x)"


def test_bar_says_what_is_not_met() -> None:
    slow = [(w, c, who, u, v * 100 if who == "ours" and u not in {"calls/s", "x"} else v / 100)
            for w, c, who, u, v in MEETING]  # fmt: skip
    lines = judge(results_with(*slow))
    assert [line.met for line in lines] == [False] * len(lines)
    assert all(line.measured for line in lines)


def test_bar_of_nothing_is_not_measured() -> None:
    assert {line.met for line in judge(Results())} == {None}


def test_report_shows_seed_figures_and_reasons() -> None:
    results = results_with(*MEETING)
    results.titles = {"ours": "dotnet_wasm_host"}
    results.absences = [
        Absence("echo", echo_case(100), "coreclr", "no CoreCLR"),
        Absence("plots", "", "plots", "no matplotlib"),
    ]
    results.bar = judge(results)
    output = io.StringIO()
    print_report(results, Console(width=200, file=output))
    text = output.getvalue()
    for expected in (
        "the original TypeScript host (published)",
        "450 ms",
        "no CoreCLR",
        "no matplotlib",
        "The bar",
    ):
        assert expected in text
    assert "not available" in text


def test_seed_figures_belong_to_workloads() -> None:
    assert {workload for workload, _ in PUBLISHED} <= {workload.name for workload in WORKLOADS}


def test_plots_need_matplotlib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(plots.PlottingUnavailable, match="matplotlib"):
        plots.draw_plots(Results(), tmp_path)
