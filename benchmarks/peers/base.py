"""What a contestant in a Python process answers to.

Every method without an underscore is an operation that the session may ask for, with JSON
arguments and a JSON answer; ``node_driver.mjs`` answers to the same names. Times are integers
in nanoseconds, taken around single calls; reading the clock twice is part of them (some 0.1 us).
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from contextlib import contextmanager
from functools import lru_cache, partial
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

__all__ = ["NO_LIBRARY", "CannotMeasure", "Payload", "Peer", "payload_of"]

#: A payload is so many bytes, or a text.
Payload = int | str


class CannotMeasure(Exception):
    """The contestant has nothing that corresponds to the operation; the text says why."""


#: Why the peers without .NET take no part in JSON and regular expressions.
NO_LIBRARY = "that would take a library compiled to WebAssembly"


class Peer(ABC):
    """A contestant. ``folder`` holds what the session prepared for all of them."""

    #: Operations that make no sense for this contestant, and why.
    cannot: ClassVar[Mapping[str, str]] = {}

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._calls: dict[str, Callable[[bytes], object]] = {}

    @abstractmethod
    def versions(self) -> dict[str, str]:
        """Name and version of everything that matters."""

    @abstractmethod
    def _open(self, function: str) -> Callable[[bytes], object]:
        """Load a function and give a callable that gives bytes, or has their length."""

    def _call(self, function: str) -> Callable[[bytes], object]:
        if function not in self._calls:
            self._calls[function] = self._open(function)
        return self._calls[function]

    # ---------------------------------------------------------------- operations

    def check(self, function: str, payload: Payload) -> str:
        """The result of one call, as text."""
        result = self._call(function)(payload_of(payload))
        assert isinstance(result, (bytes, bytearray))
        return result.decode()

    def warm(self, function: str, payload: Payload, seconds: float) -> int:
        """Call until the time is over, at least twice. Gives the number of calls."""
        call, data = self._call(function), payload_of(payload)
        end, count = time.perf_counter() + seconds, 0
        while count < 2 or time.perf_counter() < end:
            call(data)
            count += 1
        return count

    def sample(
        self, function: str, payload: Payload, calls: int, seconds: float = 60.0
    ) -> list[int]:
        """Time ``calls`` calls one by one; fewer, but at least one, if they take too long."""
        call, data, clock = self._call(function), payload_of(payload), time.perf_counter_ns
        end = clock() + int(seconds * 1e9)
        times = []
        for _ in range(calls):
            start = clock()
            call(data)
            stop = clock()
            times.append(stop - start)
            if stop > end:
                break
        return times

    def rate(
        self, function: str, payload: Payload, threads: int, seconds: float, mode: str = ""
    ) -> float:
        """Calls a second of all threads together."""
        data = payload_of(payload)
        with self._callers(function, data, threads, mode) as calls:
            for call in calls:
                call(data)
            return _rate([partial(call, data) for call in calls], seconds)

    @contextmanager
    def _callers(
        self,
        function: str,
        payload: bytes,
        threads: int,
        mode: str,
    ) -> Iterator[list[Callable[[bytes], object]]]:
        """A callable for each thread."""
        if mode:
            raise CannotMeasure(f"it has no mode {mode!r}")
        yield self._for_threads(function, threads)

    def _for_threads(self, function: str, threads: int) -> list[Callable[[bytes], object]]:
        return [self._call(function)] * threads


@lru_cache(maxsize=4)
def payload_of(payload: Payload) -> bytes:
    """The bytes to call with.

    Kept: where 16 MB are made and dropped around every two calls, malloc gives them back to the
    system each time, and what is measured is how fast that hands out pages for results.
    """
    if isinstance(payload, str):
        return payload.encode()
    return (bytes(range(256)) * (payload // 256 + 1))[:payload]


def _rate(calls: Sequence[Callable[[], object]], seconds: float) -> float:
    counts = [0] * len(calls)
    start_line = threading.Barrier(len(calls) + 1)
    spans: list[float] = [0.0] * len(calls)

    def run(index: int, call: Callable[[], object]) -> None:
        start_line.wait()
        start = now = time.perf_counter()
        count = 0
        while now - start < seconds:
            call()
            count += 1
            now = time.perf_counter()
        counts[index], spans[index] = count, now - start

    threads = [threading.Thread(target=run, args=item) for item in enumerate(calls)]
    for thread in threads:
        thread.start()
    start_line.wait()
    for thread in threads:
        thread.join()
    return sum(count / span for count, span in zip(counts, spans, strict=True))
