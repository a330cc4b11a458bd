"""``python -m benchmarks.http.embedded``: calls in an application of one's own.

A constant answer, ``pool.invoke_async`` and ``serve`` take turns under ``wrk -t1 -c16``,
each server in a process of its own. Rates are disturbed by what else the machine does; the
processor time of a request is less so, and is printed beside them.
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
from benchmarks.http.servers import Server, app_server, worker_server

if TYPE_CHECKING:
    from collections.abc import Sequence

#: The project's bars: shares of a constant answer, and p99 as a multiple of that of ``serve``.
LEAST_SERVED, LEAST_EMBEDDED, MOST_P99 = 0.95, 0.90, 2.0
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
    parser.add_argument("--bytes", type=int, default=100, help="of a payload")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="benchmarks-http-") as name, ExitStack() as stack:
        folder = Path(name)
        assembly = dwh.compile_csharp(ECHO).data
        (folder / "echo.dll").write_bytes(assembly)
        script = folder / "post.lua"
        script.write_text(_SCRIPT % options.bytes)
        cases = _cases(stack, folder, assembly)
        for case in cases:
            _wrk(case.url, 1, script)
        for _ in range(options.rounds):
            for case in cases:
                case.measure(options.seconds, script)
    return _report(cases, as_json=options.json)


def _cases(stack: ExitStack, folder: Path, assembly: bytes) -> list[Case]:
    own = stack.enter_context(app_server("embedding_app", folder / "echo.dll"))
    worker = stack.enter_context(worker_server(folder, "--no-access-log"))
    request = urllib.request.Request(
        f"{worker.address}/functions/echo", data=assembly, method="PUT",
        headers={"Content-Type": "application/octet-stream"},
    )  # fmt: skip
    urllib.request.urlopen(request).close()
    return [
        Case("constant", own, "/constant"),
        Case("embedded", own, "/echo"),
        Case("serve", worker, "/functions/echo/invoke"),
    ]


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


def _report(cases: Sequence[Case], *, as_json: bool) -> int:
    constant, embedded, serve = cases[:3]
    rows = {}
    for case in cases:
        rows[case.name] = {
            "rate": median(case.rates),
            "share": _ratio(case.rates, constant.rates),
            "cpu_us": median(case.costs) * 1e6,
            "cpu_share": _ratio(constant.costs, case.costs),
            "p99_ms": median(case.tails) * 1e3,
        }
    if as_json:
        print(json.dumps(rows, indent=1))
    else:
        print(f"{'':>10}  {'answers/s':>9}  {'share':>6}  {'CPU':>8}  {'share':>6}  {'p99':>8}")
        for name, row in rows.items():
            print(
                f"{name:>10}  {row['rate']:9.0f}  {row['share']:6.0%}  {row['cpu_us']:5.1f} us  "
                f"{row['cpu_share']:6.0%}  {row['p99_ms']:5.2f} ms"
            )
    good = (
        _ratio(serve.rates, constant.rates) >= LEAST_SERVED
        and _ratio(embedded.rates, constant.rates) >= LEAST_EMBEDDED
        and _ratio(embedded.tails, serve.tails) <= MOST_P99
    )
    return 0 if good else 1


def _ratio(numerators: Sequence[float], denominators: Sequence[float]) -> float:
    """Median of the rounds' ratios: what disturbs both of a round is not counted."""
    return median(n / d for n, d in zip(numerators, denominators, strict=True))


if __name__ == "__main__":
    sys.exit(main())
