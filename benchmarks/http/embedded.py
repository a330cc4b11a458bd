"""``python -m benchmarks.http.embedded``: calls in an application of one's own.

A constant answer, ``pool.invoke_async`` and ``serve`` take turns under ``wrk -t1 -c16``,
each server in a process of its own; with 1 MB, pythonnet on CoreCLR takes the place of the constant
answer if it is installed (extra ``bench``). Rates are disturbed by what else the machine does; the
processor time of a request is less so, and is printed beside them. The last lines say which bars
were reached.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import dotnet_wasm_host as dwh
from benchmarks.contestants import by_name
from benchmarks.http.servers import Server, app_server, worker_server
from benchmarks.kit import make_bridge

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: The project's bars: shares of a constant answer, p99 as a multiple of that of ``serve``, and with
#: 1 MB the rate as a share of pythonnet's.
LEAST_SERVED, LEAST_EMBEDDED, MOST_P99, LEAST_OF_CORECLR = 0.95, 0.90, 2.0, 1.0
SMALL, LARGE = 100, 1_000_000
ECHO = """
public sealed class Echo : MinimalRuntime.IFunctionHandler {
    public byte[] Execute(System.ReadOnlySpan<byte> input) => input.ToArray();
}
"""
_SCRIPT = """
wrk.method = "POST"
wrk.body = string.rep("x", %d)
wrk.headers["Content-Type"] = "application/octet-stream"
"""
_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}


class Case:
    """A server and what was seen of it."""

    def __init__(self, name: str, server: Server, path: str) -> None:
        self.name: str = name
        self.server: Server = server
        self.url: str = server.address + path
        self.rates: list[float] = []
        self.tails: list[float] = []
        self.costs: list[float] = []

    def measure(self, seconds: int, script: Path) -> None:
        """One turn."""
        before = self.server.cpu_seconds()
        rate, tail = _wrk(self.url, seconds, script)
        self.costs.append((self.server.cpu_seconds() - before) / (rate * seconds))
        self.rates.append(rate)
        self.tails.append(tail)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and exit with 1 if a bar was missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.http.embedded", description=__doc__)
    parser.add_argument("--seconds", type=int, default=5, help="of each turn")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--bytes", type=int, nargs="+", default=[SMALL, LARGE], help="of payloads")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    found: dict[int, dict[str, dict[str, float]]] = {}
    bars: dict[str, bool] = {}
    with tempfile.TemporaryDirectory(prefix="benchmarks-http-") as name:
        folder = Path(name)
        dwh.compile_csharp(ECHO).save(folder / "echo.dll")
        make_bridge(folder)
        for size in options.bytes:
            with ExitStack() as stack:
                cases = _cases(stack, folder, size)
                _measure(cases, folder, size, options)
            found[size] = {case.name: _row(case, cases[0]) for case in cases}
            bars |= _bars(size, {case.name: case for case in cases})
            if not options.json:
                _print(size, found[size])
    if options.json:
        print(json.dumps({"bytes": found, "bars": bars}, indent=1))
    else:
        print()
        for text, reached in bars.items():
            print(f"{'reached' if reached else 'MISSED':>10}  {text}")
    return 0 if all(bars.values()) else 1


def _cases(stack: ExitStack, folder: Path, size: int) -> list[Case]:
    """The servers for payloads of this size; the first is what the others are compared with."""

    def start(name: str, first: str = "") -> Server:
        return stack.enter_context(app_server(name, folder, size, first))

    worker = stack.enter_context(worker_server(folder, "--no-access-log"))
    request = urllib.request.Request(
        f"{worker.address}/functions/echo",
        data=(folder / "echo.dll").read_bytes(),
        method="PUT",
        headers={"Content-Type": "application/octet-stream"},
    )
    urllib.request.urlopen(request).close()
    cases = [
        Case("constant", start("embedding_app", "constant"), "/constant"),
        Case("embedded", start("embedding_app", "echo"), "/echo"),
        Case("serve", worker, "/functions/echo/invoke"),
    ]
    missing = by_name("coreclr").missing()
    if size < LARGE:
        return cases
    if missing is not None:
        print(f"no pythonnet here: {missing}", file=sys.stderr)
        return cases
    return [*cases, Case("pythonnet", start("coreclr_app"), "/echo")]


def _measure(cases: Sequence[Case], folder: Path, size: int, options: argparse.Namespace) -> None:
    script = folder / f"post-{size}.lua"
    script.write_text(_SCRIPT % size)
    for case in cases:
        _wrk(case.url, 1, script)
    for _ in range(options.rounds):
        for case in cases:
            case.measure(options.seconds, script)


def _wrk(url: str, seconds: int, script: Path) -> tuple[float, float]:
    """Answers a second, and the seconds within which 99 of a hundred came."""
    done = subprocess.run(
        ["wrk", "-t1", "-c16", f"-d{seconds}s", "--latency", "-s", str(script), url],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    if "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
        raise RuntimeError(f"{url}: {done.stdout}")
    rate = re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)
    tail = re.search(r"99%\s+([\d.]+)(us|ms|s)", done.stdout)
    assert rate is not None
    assert tail is not None
    return float(rate[1]), float(tail[1]) * _UNITS[tail[2]]


def _row(case: Case, first: Case) -> dict[str, float]:
    return {
        "rate": median(case.rates),
        "share": _ratio(case.rates, first.rates),
        "cpu_us": median(case.costs) * 1e6,
        "cpu_share": _ratio(first.costs, case.costs),
        "p99_ms": median(case.tails) * 1e3,
    }


def _bars(size: int, cases: Mapping[str, Case]) -> dict[str, bool]:
    """What was to be reached with payloads of a size, and whether it was."""
    constant, embedded, serve = cases["constant"], cases["embedded"], cases["serve"]
    if size >= LARGE:
        if "pythonnet" not in cases:
            return {}
        ratio = _ratio(embedded.rates, cases["pythonnet"].rates)
        text = f"{size} B: embedded {ratio:.0%} of pythonnet, at least {LEAST_OF_CORECLR:.0%}"
        return {text: ratio >= LEAST_OF_CORECLR}
    made = {}
    for case, least in ((serve, LEAST_SERVED), (embedded, LEAST_EMBEDDED)):
        share = _ratio(case.rates, constant.rates)
        made[f"{size} B: {case.name} {share:.0%} of a constant answer, at least {least:.0%}"] = (
            share >= least
        )
    factor = _ratio(embedded.tails, serve.tails)
    made[f"{size} B: p99 of embedded {factor:.2f} times that of serve, at most {MOST_P99:g}"] = (
        factor <= MOST_P99
    )
    return made


def _print(size: int, rows: Mapping[str, Mapping[str, float]]) -> None:
    print(f"{size:>8} B  {'answers/s':>9}  {'share':>6}  {'CPU':>10}  {'share':>6}  {'p99':>9}")
    for name, row in rows.items():
        print(
            f"{name:>10}  {row['rate']:9.0f}  {row['share']:6.0%}  {row['cpu_us']:7.1f} us  "
            f"{row['cpu_share']:6.0%}  {row['p99_ms']:6.2f} ms"
        )


def _ratio(numerators: Sequence[float], denominators: Sequence[float]) -> float:
    """Median of the rounds' ratios: what disturbs both of a round is not counted."""
    return median(n / d for n, d in zip(numerators, denominators, strict=True))


if __name__ == "__main__":
    sys.exit(main())
