"""Counters and sizes of a pool."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

from dotnet_wasm_host.jit.reports import JitStats

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["PoolStats", "total"]


def total(parts: Iterable[JitStats | None]) -> JitStats:
    """Machine code of several instances."""
    known = [part for part in parts if part is not None]
    return JitStats(*(sum(getattr(p, each.name) for p in known) for each in fields(JitStats)))


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
        host_work: what the host did on behalf of guests since the pool was made, in the units of
            ``Limits.host_work``.
        jit: machine code of the present instances.
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
    host_work: int = 0
    jit: JitStats = field(default_factory=JitStats)
