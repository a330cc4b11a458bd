"""How long a neighbour of a hostile function waits: ``python -m tests.attacks.neighbours``.

A worker serves a neighbour and an attacker. The neighbour is called all the time, alone and beside
each attack in turns, and ``/health`` is asked meanwhile. What counts is the ratio of the two 99th
percentiles, the median of several rounds. Names of attacks measure those only.

The machine has to be quiet: a thread that the kernel has put aside while it holds the interpreter
lock holds up all others, which no program can help.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2

import dotnet_wasm_host as dwh
from tests.attacks.attacks import ATTACKS, PROGRAMS
from tests.worker.conftest import ECHO
from tests.worker.servers import Server
from tests.worker.test_compilations import BOMB

HEAD = "| beside | p99, times that without | median, too | longest `/health` |\n|---|--:|--:|--:|\n"
#: Times as long as without the attack that the slowest of 100 calls may take.
MOST_TIMES = 3.0
#: Seconds that an answer of ``/health`` may take.
MOST_HEALTH = 0.25
ROUNDS = 5
#: Seconds of each part of a round, and between two calls of the neighbour.
PART, PAUSE = 1.5, 0.004
#: Connections of the attacker.
ATTACKERS = 2
#: A deploy or call of the attacker may take its time; nobody waits for it.
PATIENCE = 60.0
BINARY = {"content-type": "application/octet-stream"}
CSHARP = {"content-type": "text/x-csharp"}
Requests = Callable[[httpx2.Client], object]


@dataclass(frozen=True)
class Waits:
    """Seconds that answers took.

    Attributes:
        neighbour: of the neighbour's calls.
        health: of ``/health``.
    """

    neighbour: list[float]
    health: list[float]

    def percentile(self, percent: int) -> float:
        """Of the neighbour's calls."""
        return statistics.quantiles(self.neighbour, n=100)[percent - 1]


@dataclass(frozen=True)
class Influence:
    """What an attack does to a neighbour.

    Attributes:
        p99, median: times as long as without, the median of all rounds.
        health: the longest of ``/health``, in seconds; of the median round.
        answers: what the attacker got: status codes, and how often.
    """

    p99: float
    median: float
    health: float
    answers: Mapping[int, int]


def attacks() -> Mapping[str, Requests]:
    """What an attacker asks a worker for, by name."""
    found: dict[str, Requests] = {}
    for attack in ATTACKS.values():
        if attack.run is None and not attack.command.startswith("begin"):
            found[attack.what] = _call(attack.program, attack.command.encode())
    found["sources that keep the compiler busy"] = lambda client: client.put(
        "/functions/bomb", content=BOMB, headers=CSHARP
    )
    found["deploys of an assembly"] = lambda client: _deploy(client, "again", "Attacker")
    found["calls that return at once"] = _call("Attacker", b"")
    found["calls of functions that do not exist"] = lambda client: client.post(
        "/functions/nothing/invoke", content=b"x"
    )
    found["bodies of 16 MB"] = _call("Attacker", bytes(16 << 20))
    return found


def _call(program: str, payload: bytes) -> Requests:
    def call(client: httpx2.Client) -> httpx2.Response:
        answer = client.post(f"/functions/{program}/invoke", content=payload)
        if "suspended" in answer.text[:200]:  # it crashed too often: whoever attacks deploys again
            _deploy(client, program, program)
        return answer

    return call


_ASSEMBLIES: dict[str, bytes] = {}


def _deploy(client: httpx2.Client, function_id: str, program: str) -> httpx2.Response:
    if program not in _ASSEMBLIES:
        source = PROGRAMS[program].read_text("utf-8") if program in PROGRAMS else ECHO
        _ASSEMBLIES[program] = dwh.compile_csharp(source, assembly_name=program).data
    answer = client.put(f"/functions/{function_id}", content=_ASSEMBLIES[program], headers=BINARY)
    answer.raise_for_status()
    return answer


class Neighbourhood:
    """A worker with a neighbour and attackers."""

    def __init__(self, url: str) -> None:
        self._url = url
        with self._client() as client:
            _deploy(client, "neighbour", "Neighbour")
            for program in PROGRAMS:
                _deploy(client, program, program)
            for _ in range(300):
                client.post("/functions/neighbour/invoke", content=b"x").raise_for_status()

    def influence(self, requests: Requests, rounds: int = ROUNDS) -> Influence:
        """Measure an attack."""
        answers: dict[int, int] = {}
        ratios, medians, health = [], [], []
        for _ in range(rounds):
            alone = self._waits()
            with self._under_attack(requests, answers):
                beside = self._waits()
            ratios.append(beside.percentile(99) / alone.percentile(99))
            medians.append(beside.percentile(50) / alone.percentile(50))
            health.append(max(beside.health))
        p99, median, longest = (statistics.median(values) for values in (ratios, medians, health))
        return Influence(p99, median, longest, answers)

    def _client(self) -> httpx2.Client:
        return httpx2.Client(base_url=self._url, timeout=PATIENCE)

    def _waits(self) -> Waits:
        waits = Waits([], [])
        ask = threading.Thread(target=self._ask, args=(waits.health, "GET", "/health", b""))
        ask.start()
        self._ask(waits.neighbour, "POST", "/functions/neighbour/invoke", b"fine")
        ask.join()
        return waits

    def _ask(self, waits: list[float], method: str, path: str, content: bytes) -> None:
        with self._client() as client:
            client.request(method, path, content=content).raise_for_status()
            end = time.perf_counter() + PART
            while (start := time.perf_counter()) < end:
                client.request(method, path, content=content).raise_for_status()
                waits.append(time.perf_counter() - start)
                time.sleep(PAUSE)

    @contextmanager
    def _under_attack(self, requests: Requests, answers: dict[int, int]) -> Iterator[None]:
        over = threading.Event()

        def attack() -> None:
            with self._client() as client:
                while not over.is_set():
                    answer = requests(client)
                    if isinstance(answer, httpx2.Response):
                        answers[answer.status_code] = answers.get(answer.status_code, 0) + 1
                    over.wait(PAUSE)

        threads = [threading.Thread(target=attack) for _ in range(ATTACKERS)]
        for thread in threads:
            thread.start()
        time.sleep(0.2)
        try:
            yield
        finally:
            over.set()
            for thread in threads:
                thread.join()


@contextmanager
def neighbourhood() -> Iterator[Neighbourhood]:
    """A worker of its own."""
    with tempfile.TemporaryDirectory() as folder:
        options = ("--timeout", "0.5", "--compile-seconds", "1", "--refusal-seconds", "0.1")
        with Server(Path(folder) / "store", *options) as server:
            yield Neighbourhood(server.url)


def row(name: str, influence: Influence) -> str:
    """A line of the table."""
    health = f"{influence.health * 1000:,.0f} ms"
    return f"| {name} | {influence.p99:.1f} | {influence.median:.1f} | {health} |\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="attacks, by a part of their names; else all")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    sys.stdout.write(HEAD)
    with neighbourhood() as place:
        for name, requests in attacks().items():
            if options.names and not any(part in name for part in options.names):
                continue
            sys.stdout.write(row(name, place.influence(requests, options.rounds)))
            sys.stdout.flush()


if __name__ == "__main__":
    main()
