"""What a worker counts, for Prometheus."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, final

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from dotnet_wasm_host.pool.stats import PoolStats

__all__ = ["CONTENT_TYPE", "OTHER", "WorkerMetrics", "forget_dead_processes", "multiprocess_folder"]

CONTENT_TYPE = CONTENT_TYPE_LATEST
#: Seconds. A warm call takes some 10 us; most deadlines are below a minute.
BUCKETS = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0, 30.0, 60.0,
)  # fmt: skip
#: Label of functions that came when all labels were taken. No function id is empty.
OTHER = ""


def multiprocess_folder() -> str | None:
    """Where prometheus_client shares values between processes, if it was told to."""
    return os.environ.get("PROMETHEUS_MULTIPROC_DIR")


def forget_dead_processes(folder: Path) -> None:
    """Take the gauges of processes that were killed out of the sums."""
    for file in folder.glob("gauge_live*_*.db"):
        pid = int(file.stem.rpartition("_")[2])
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]


@final
class WorkerMetrics:
    """Counters, gauges and histograms of one app.

    Args:
        labels: functions that get a label of their own, so that a tenant who deploys under ever
            new names does not fill the memory of whoever collects the metrics.
    """

    def __init__(self, labels: int) -> None:
        self._most = labels
        self._labelled: dict[str, Histogram] = {}
        #: Looked up once: outcomes are names of errors, statuses are numbers.
        self._counters: dict[str | int, Counter] = {}
        self.registry: CollectorRegistry = CollectorRegistry()
        registry = None if multiprocess_folder() else self.registry
        self._latency = Histogram(
            "dotnet_worker_call_seconds", "Time of calls, waiting for a place included",
            ["function"], buckets=BUCKETS, registry=registry,
        )  # fmt: skip
        self._outcomes = Counter(
            "dotnet_worker_calls", "Calls by how they ended", ["outcome"], registry=registry
        )
        self._deploys = Counter(
            "dotnet_worker_deploys", "Deploys by how they ended", ["outcome"], registry=registry
        )
        self._requests = Counter(
            "dotnet_worker_requests", "HTTP requests by status", ["status"], registry=registry
        )
        gauges = {
            "functions": "Functions that are served",
            "calls_running": "Calls that run",
            "calls_waiting": "Calls that wait for a place",
            "instances": "WebAssembly instances",
            "instance_recycles": "Instances replaced, after a crash or because of leaks",
            "linear_memory_bytes": "Linear memory of idle instances",
            "resident_memory_bytes": "Memory of the process that is in RAM",
            "functions_suspended": "Functions that crashed so often that they are not called",
            "host_work": "What guests have cost of the budget host_work, in its units",
            "jit_methods": "Methods with machine code",
            "jit_code_bytes": "WebAssembly that was compiled for them",
            "jit_pending_methods": "Methods that ran often and wait to be compiled",
            "jit_rejected_methods": "Methods that stay interpreted",
            "ready": "1 when everything deployed is served",
        }
        self._gauges = {
            name: Gauge(
                f"dotnet_worker_{name}", text, registry=registry, multiprocess_mode="livesum"
            )
            for name, text in gauges.items()
        }
        if registry is not None:
            ProcessCollector(registry=registry)

    def called(self, function_id: str, outcome: str, seconds: float) -> None:
        """A call of a deployed function ended."""
        histogram = self._labelled.get(function_id)
        if histogram is None:
            histogram = self._label(function_id)
        histogram.observe(seconds)
        self._count_outcome(outcome)

    def refused(self, outcome: str) -> None:
        """A call did not get as far as a function."""
        self._count_outcome(outcome)

    def deployed(self, outcome: str) -> None:
        """A deploy ended."""
        self._deploys.labels(outcome).inc()

    def requested(self, status: int) -> None:
        """An HTTP request was answered."""
        counter = self._counters.get(status)
        if counter is None:
            counter = self._counters[status] = self._requests.labels(str(status))
        counter.inc()

    def forget(self, function_ids: Iterable[str]) -> None:
        """Functions were unloaded: their labels are free for others."""
        for function_id in function_ids:
            if self._labelled.pop(function_id, None) is None or multiprocess_folder():
                continue  # The files of several processes keep what was counted.
            self._latency.remove(function_id)

    def set_gauges(self, stats: PoolStats, functions: int, *, ready: bool) -> None:
        """Take over the present state."""
        gauges = self._gauges
        gauges["functions"].set(functions)
        gauges["calls_running"].set(stats.running)
        gauges["calls_waiting"].set(stats.waiting)
        gauges["instances"].set(stats.runtimes)
        gauges["instance_recycles"].set(stats.recycles)
        gauges["linear_memory_bytes"].set(stats.linear_memory_bytes)
        gauges["resident_memory_bytes"].set(_resident_bytes())
        gauges["functions_suspended"].set(stats.suspended)
        gauges["host_work"].set(stats.host_work)
        gauges["jit_methods"].set(stats.jit.methods)
        gauges["jit_code_bytes"].set(stats.jit.code_bytes)
        gauges["jit_pending_methods"].set(stats.jit.pending)
        gauges["jit_rejected_methods"].set(stats.jit.rejected)
        gauges["ready"].set(ready)

    def exposition(self) -> bytes:
        """The text that Prometheus collects: of all processes, if there are several."""
        folder = multiprocess_folder()
        if folder is None:
            return generate_latest(self.registry)
        registry = CollectorRegistry()
        MultiProcessCollector(registry, path=folder)  # type: ignore[no-untyped-call]
        return generate_latest(registry)

    def _count_outcome(self, outcome: str) -> None:
        counter = self._counters.get(outcome)
        if counter is None:
            counter = self._counters[outcome] = self._outcomes.labels(outcome)
        counter.inc()

    def _label(self, function_id: str) -> Histogram:
        label = function_id if len(self._labelled) < self._most else OTHER
        histogram = self._latency.labels(label)
        if label != OTHER:
            self._labelled[function_id] = histogram
        return histogram


def _resident_bytes() -> int:
    """From /proc (Linux); 0 where there is none."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 - asked often
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0
