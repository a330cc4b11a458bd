"""Counters and sizes of a pool."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["PoolStats"]


@dataclass(frozen=True, slots=True)
class PoolStats:
    """A moment of a pool.

    Attributes:
        size: calls that can run at the same time.
        running, waiting: calls that run, and that wait for a place.
        runtimes: instances that exist, spares included.
        invocations, failed_invocations: calls since the pool was made.
        recycles: times an instance was replaced, after a crash or because unloaded functions
            left too much behind.
        linear_memory_bytes: linear memory of the idle instances.
        suspended: functions that are not called any more, because they crashed too often.
    """

    size: int
    running: int
    waiting: int
    runtimes: int
    invocations: int
    failed_invocations: int
    recycles: int
    linear_memory_bytes: int
    suspended: int = 0
