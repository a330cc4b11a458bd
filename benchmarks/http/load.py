"""A load generator that costs a fraction of what the servers do.

Run as a program it is a neighbour whose own event loop does not delay the one that measures; with
``--elsewhere`` its own work does not either (Linux), as if it came from another machine::

    python -m benchmarks.http.load URL CONNECTIONS SECONDS [--payload TEXT] [--every SECONDS]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast, final
from urllib.parse import urlsplit

import uvloop

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["Outcome", "load", "own_machine"]


@dataclass(slots=True)
class Outcome:
    """What a load saw.

    Attributes:
        seconds: how long it lasted.
        latencies: seconds of each answer with status 200.
        statuses: answers by status.
    """

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """Good answers a second."""
        return len(self.latencies) / self.seconds

    def percentile(self, percent: float) -> float:
        """Seconds within which so many of a hundred good answers came."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


@final
class _Connection(asyncio.Protocol):
    """Sends a request, waits for the whole answer, sends the next one."""

    def __init__(self, request: bytes, outcome: Outcome, every: float | None) -> None:
        self._request = request
        self._outcome = outcome
        self._every = every
        self._buffer = b""
        self._sent = 0.0
        self._transport: asyncio.Transport | None = None
        self.over = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass
        self._send()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, body = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        _, _, rest = head.lower().partition(b"content-length: ")
        if len(body) < int(rest.partition(b"\r\n")[0]):
            return
        self._buffer = b""
        now = time.perf_counter()
        status = int(head[9:12])
        statuses = self._outcome.statuses
        statuses[status] = statuses.get(status, 0) + 1
        if status == 200:
            self._outcome.latencies.append(now - self._sent)
        if self._every is None:
            self._send()
        else:
            pause = max(0.0, self._sent + self._every - now)
            asyncio.get_running_loop().call_later(pause, self._send)

    def end(self) -> None:
        """Send nothing any more."""
        self.over = True
        if self._transport is not None:
            self._transport.close()

    def _send(self) -> None:
        if not self.over and self._transport is not None:
            self._sent = time.perf_counter()
            self._transport.write(self._request)


def load(
    url: str,
    connections: int,
    seconds: float,
    *,
    payload: bytes = b"",
    every: float | None = None,
) -> Outcome:
    """POST over and over.

    Args:
        url: where to.
        connections: requests under way at the same time.
        seconds: how long.
        payload: body of each request.
        every: seconds from one request of a connection to its next; without it the next one
            follows the answer at once.
    """

    async def main() -> Outcome:
        parts = urlsplit(url)
        assert parts.hostname is not None
        assert parts.port is not None
        request = (
            f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
            f"Content-Type: application/octet-stream\r\nContent-Length: {len(payload)}\r\n\r\n"
        ).encode() + payload
        outcome = Outcome()
        loop = asyncio.get_running_loop()
        made = []
        started = time.perf_counter()
        for number in range(connections):
            if every is not None and number:
                await asyncio.sleep(every / connections)  # not all at the same moment
            _, connection = await loop.create_connection(
                lambda: _Connection(request, outcome, every), parts.hostname, parts.port
            )
            made.append(connection)
        await asyncio.sleep(seconds - (time.perf_counter() - started))
        outcome.seconds = time.perf_counter() - started
        for connection in made:
            connection.end()
        await asyncio.sleep(0.05)
        return outcome

    return uvloop.run(main())


@contextmanager
def own_machine() -> Iterator[bool]:
    """Run this process whenever it wants to, as if on a machine of its own; False if it may not.

    What clients lose on a machine that they share with the server, because it is their turn for
    the processor some milliseconds later, is not the server's latency. (Linux, as root.)
    """
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except (AttributeError, PermissionError):
        yield False
        return
    try:
        yield True
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.http.load")
    parser.add_argument("url")
    parser.add_argument("connections", type=int)
    parser.add_argument("seconds", type=float)
    parser.add_argument("--payload", default="x" * 100)
    parser.add_argument("--every", type=float)
    parser.add_argument("--elsewhere", action="store_true")
    options = parser.parse_args(arguments)
    if options.elsewhere and sys.platform == "linux":
        # It gets the time that nobody else wants, and gives it up at once.
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    outcome = load(
        options.url,
        options.connections,
        options.seconds,
        payload=options.payload.encode(),
        every=options.every,
    )
    print(json.dumps({"rate": outcome.rate, "statuses": outcome.statuses}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
