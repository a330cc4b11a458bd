"""Looks after runtimes in which calls wait: few threads for any number of calls."""

from __future__ import annotations

import heapq
import logging
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from dotnet_wasm_host.engines.thread_pool import ThreadPool
from dotnet_wasm_host.engines.threads import start
from dotnet_wasm_host.errors import LimitExceeded

if TYPE_CHECKING:
    from collections.abc import Callable

    from dotnet_wasm_host.runtime import Runtime

__all__ = ["PumpScheduler"]

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Watch:
    """One runtime: whether a visit is under way, and when the next one is due."""

    busy: bool = False
    again: bool = False
    at: float | None = None


@final
class PumpScheduler:
    """Threads that let guests do what is due, each guest by one of them at a time.

    A runtime is visited when it is notified (something arrived, a call began) and when the time
    comes that the last visit found. Nothing polls.

    Args:
        threads: visits at the same time.
        when_idle: called after a visit that left no call waiting, outside of any lock.
        thread_start: called in each thread first.
    """

    def __init__(
        self,
        threads: int,
        when_idle: Callable[[Runtime], object],
        thread_start: Callable[[], object] | None = None,
    ) -> None:
        self._visits = ThreadPool(threads, "dotnet_wasm_host attendant", thread_start)
        self._when_idle = when_idle
        self._watches: dict[Runtime, _Watch] = {}
        self._appointments: list[tuple[float, int, Runtime]] = []
        self._counter = 0
        self._changed = threading.Condition(threading.Lock())
        self._clock: threading.Thread | None = None
        self._closed = False

    def watch(self, runtime: Runtime) -> None:
        """Look after a runtime from now on; every notification brings a visit."""
        with self._changed:
            self._watches.setdefault(runtime, _Watch())
            if self._clock is None and not self._closed:
                # Now, when somebody can still be told that there is no thread for it.
                clock = threading.Thread(
                    target=self._keep_appointments, name="dotnet_wasm_host timer", daemon=True
                )
                start(clock)
                self._clock = clock
        runtime._port.event_count.on_notify = lambda: self.visit(runtime)

    def forget(self, runtime: Runtime) -> None:
        """The runtime goes away."""
        runtime._port.event_count.on_notify = None
        with self._changed:
            self._watches.pop(runtime, None)

    def visit(self, runtime: Runtime) -> None:
        """Ask for a visit to a runtime soon. From any thread; never waits for a visit."""
        with self._changed:
            watch = self._watches.get(runtime)
            if watch is None or self._closed:
                return
            if watch.busy:
                watch.again = True
                return
            watch.busy = True
            # Under the lock: after close() there is nobody to submit to.
            try:
                self._visits.submit(self._attend, runtime, watch)
            except LimitExceeded:
                watch.busy = False
                raise

    def close(self) -> None:
        """Wait for the visits that are under way and make no more."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._clock is not None:
            self._clock.join()
        self._visits.shutdown()
        for runtime in self._watches:
            runtime._port.event_count.on_notify = None
        self._watches.clear()
        self._appointments.clear()

    def _attend(self, runtime: Runtime, watch: _Watch) -> None:
        while True:
            try:
                due = runtime._port.attend()
            except Exception:  # noqa: BLE001 - logged; nobody waits for this thread
                _log.exception("%r could not be looked after", runtime)
                due = None
            with self._changed:
                if watch.again and not self._closed:
                    watch.again = False
                    continue
                watch.busy = False
                watch.at = None if due is None else time.monotonic() + max(0.0, due)
                if watch.at is not None and not self._closed:
                    self._make_appointment(watch.at, runtime)
            break
        if runtime._port.calls_waiting == 0:
            self._when_idle(runtime)

    def _make_appointment(self, at: float, runtime: Runtime) -> None:
        self._counter += 1
        heapq.heappush(self._appointments, (at, self._counter, runtime))
        if self._appointments[0][2] is runtime:
            self._changed.notify()

    def _keep_appointments(self) -> None:
        while True:
            due: list[Runtime] = []
            with self._changed:
                if self._closed:
                    return
                now = time.monotonic()
                while self._appointments and self._appointments[0][0] <= now:
                    at, _, runtime = heapq.heappop(self._appointments)
                    watch = self._watches.get(runtime)
                    if watch is not None and watch.at == at:
                        due.append(runtime)
                if not due:
                    first = self._appointments[0][0] - now if self._appointments else None
                    self._changed.wait(first)
            for runtime in due:
                self.visit(runtime)
