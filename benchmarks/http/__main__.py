"""``python -m benchmarks.http``: how fast the worker is, and how fair."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import dotnet_wasm_host as dwh
from benchmarks.http.load import Outcome, load, own_machine
from benchmarks.http.servers import PAYLOAD, Server, constant_server, worker_server

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

#: The project's bars.
LEAST_SHARE = 0.6
MOST_FACTOR = 3.0

_SOURCE = """
using System; using System.Text;
public sealed class Echo : MinimalRuntime.IFunctionHandler {
    public byte[] Execute(ReadOnlySpan<byte> input) {
        if (input.Length == 4) {
            var text = Encoding.UTF8.GetString(input);
            while (text == "loop") { }
            if (text == "exit") Environment.Exit(3);
        }
        return input.ToArray();
    }
}
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and exit with 1 if a bar was missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.http", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 16, 64])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--only", choices=["throughput", "fairness"])
    options = parser.parse_args(arguments)
    assembly = dwh.compile_csharp(_SOURCE).data
    results: dict[str, object] = {}
    good = True
    with tempfile.TemporaryDirectory(prefix="benchmarks-http-") as folder:
        if options.only != "fairness":
            results["throughput"] = rows = _throughput(Path(folder), assembly, options)
            good &= all(row["share"] >= LEAST_SHARE for row in rows)
        if options.only != "throughput":
            results["fairness"] = fairness = _fairness(Path(folder), assembly, options)
            good &= all(row["factor"] <= MOST_FACTOR for row in fairness.values())
    if options.json:
        print(json.dumps(results, indent=1))
    return 0 if good else 1


def _throughput(
    folder: Path, assembly: bytes, options: argparse.Namespace
) -> list[dict[str, float]]:
    """A warm echo beside a constant answer of the same framework, in turns.

    ``of CPU``: processor time of a constant answer, as a share of what an echo takes. Other work
    on the machine disturbs it less than the rates.
    """
    rows = []
    print(
        f"{'connections':>11}  {'constant/s':>10}  {'echo/s':>10}  {'share':>6}  {'of CPU':>6}  "
        f"{'echo p99':>9}"
    )
    for connections in options.connections:
        with constant_server() as constant, worker_server(folder) as worker:
            _deploy(worker, "echo", assembly)
            urls = {
                constant: f"{constant.address}/constant",
                worker: f"{worker.address}/functions/echo/invoke",
            }
            for url in urls.values():
                load(url, connections, 0.5, payload=PAYLOAD)
            rates: dict[Server, list[float]] = {server: [] for server in urls}
            costs: dict[Server, list[float]] = {server: [] for server in urls}
            tails = []
            for _ in range(options.rounds):
                for server, url in urls.items():
                    before = server.cpu_seconds()
                    outcome = load(url, connections, options.seconds, payload=PAYLOAD)
                    if set(outcome.statuses) != {200}:
                        raise RuntimeError(f"{url} answered {outcome.statuses}")
                    rates[server].append(outcome.rate)
                    costs[server].append((server.cpu_seconds() - before) / len(outcome.latencies))
                    if server is worker:
                        tails.append(outcome.percentile(99))
        row = {
            "connections": connections,
            "constant": median(rates[constant]),
            "echo": median(rates[worker]),
            "share": _ratio(rates[worker], rates[constant]),
            "cpu_share": _ratio(costs[constant], costs[worker]),
            "p99": median(tails),
        }
        rows.append(row)
        print(
            f"{connections:11}  {row['constant']:10.0f}  {row['echo']:10.0f}  "
            f"{row['share']:6.0%}  {row['cpu_share']:6.0%}  {row['p99'] * 1e3:6.2f} ms"
        )
    return rows


def _ratio(numerators: Sequence[float], denominators: Sequence[float]) -> float:
    """Median of the rounds' ratios: what disturbs both of a round is not counted."""
    return median(n / d for n, d in zip(numerators, denominators, strict=True))


def _fairness(
    folder: Path, assembly: bytes, options: argparse.Namespace
) -> dict[str, dict[str, float]]:
    """Latency of tenants who behave, alone and beside one who does not."""
    loops, crashes, floods = ("loop", 8), ("exit", 8), ("x" * 100, 64)
    hostilities = {
        "loops": [loops],
        "crashes": [crashes],
        "floods": [floods],
        "all of it": [loops, crashes, floods],
    }
    print(f"\n{'the neighbour':>13}  {'p50':>9}  {'p99':>9}  {'p99 alone':>9}  {'factor':>6}")
    rows: dict[str, dict[str, float]] = {}
    with worker_server(folder, "--timeout", "2") as worker:
        for name in ("quiet", "hostile"):
            _deploy(worker, name, assembly)
        quiet, hostile = (
            f"{worker.address}/functions/{name}/invoke" for name in ("quiet", "hostile")
        )
        for name, attacks in hostilities.items():
            alone, beside, middle = [], [], []
            for _ in range(options.rounds):
                alone.append(_quiet(quiet, options.seconds).percentile(99))
                with_neighbours = _beside(hostile, attacks, options.seconds + 2)
                next(with_neighbours)
                time.sleep(1.0)
                outcome = _quiet(quiet, options.seconds)
                beside.append(outcome.percentile(99))
                middle.append(outcome.percentile(50))
                for _ in with_neighbours:
                    pass
                _deploy(worker, "hostile", assembly)  # it may be suspended for its crashes
            factor = _ratio(beside, alone)
            rows[name] = {"p99": median(beside), "alone": median(alone), "factor": factor}
            print(
                f"{name:>13}  {median(middle) * 1e3:6.2f} ms  {median(beside) * 1e3:6.2f} ms  "
                f"{median(alone) * 1e3:6.2f} ms  {factor:6.1f}"
            )
    return rows


def _quiet(url: str, seconds: float) -> Outcome:
    """Eight connections, fifty calls a second each at most."""
    with own_machine() as alone:
        if not alone:
            print("(the client shares the processors with the server: that adds to p99)")
        return load(url, 8, seconds, payload=PAYLOAD, every=0.02)


def _beside(url: str, attacks: Sequence[tuple[str, int]], seconds: float) -> Iterator[None]:
    """Payloads and how many connections send them without a pause, each in its own process.

    What making requests costs the attackers is not the server's doing: it is kept apart.
    """
    command = [sys.executable, "-m", "benchmarks.http.load", "--elsewhere", url]
    processes = [
        subprocess.Popen(
            [*command, str(connections), str(seconds), "--payload", payload],
            stdout=subprocess.DEVNULL,
        )
        for payload, connections in attacks
    ]
    yield
    for process in processes:
        process.wait()


def _deploy(server: Server, function_id: str, assembly: bytes) -> None:
    request = urllib.request.Request(
        f"{server.address}/functions/{function_id}", data=assembly, method="PUT",
        headers={"Content-Type": "application/octet-stream"},
    )  # fmt: skip
    urllib.request.urlopen(request).close()


if __name__ == "__main__":
    sys.exit(main())
