"""Names of what is measured: the report, the bar and the plots find figures by them."""

from __future__ import annotations

__all__ = [
    "INSTANCE",
    "LOAD",
    "MANY",
    "MEMORY",
    "PROCESS",
    "TRIVIAL",
    "echo_case",
    "gain_case",
    "process_case",
    "rate_case",
]


class PROCESS:
    """Workload ``process``."""

    WALL = "start, load, answer once, exit"
    EMPTY = "empty program"
    INSIDE = "inside: {part}"


class INSTANCE:
    """Workload ``instance``."""

    SNAPSHOT = "instance + first call"
    SNAPSHOT_START = "instance alone"
    SNAPSHOT_CALL = "first call alone"
    SNAPSHOT_CLOSE = "close"
    BASE = "instance + load + first call"


class LOAD:
    """Workload ``load``."""

    LOAD = "load a function"
    FIRST = "its first call"
    SECOND = "its second call"
    UNLOAD = "unload it"


class MEMORY:
    """Workloads ``functions``, ``instances`` and ``reload``: private memory."""

    EACH = "each further one"
    TABLES = "each further one, page tables"
    TOTAL = "{count} above none"
    RELOAD = "default limits"
    RELOAD_LARGE = "leaked_bytes = 64 MiB"
    GROWTH = "growth after the first tenth, {case}"
    GROWTH_CLEAN = "the same with clean pages, {case}"
    CYCLE = "time of a cycle, {case}"
    IDLE = "a runtime and nothing loaded"
    ABOVE_NONE = "private memory above none"


#: Workload ``echo``.
TRIVIAL = "trivial call, no payload"
MANY = "100 B, in one batch of 1,000"


def echo_case(size: int) -> str:
    """Case of workload ``echo``."""
    for unit, factor in (("MB", 1_000_000), ("kB", 1_000)):
        if size >= factor:
            return f"{size // factor} {unit}"
    return f"{size} B"


def rate_case(function: str, mode: str, threads: int) -> str:
    """Case of workload ``threads``."""
    return f"{function}, {mode}, {threads} thread{'s' if threads > 1 else ''}"


def process_case(function: str, processes: int) -> str:
    """Case of workload ``threads`` that shows what the machine allows."""
    return f"{function}, {processes} process{'es' if processes > 1 else ''}"


def gain_case(two: str) -> str:
    """Case of workload ``threads``: what two of something are worth, each time next to one."""
    return f"{two} / 1"
