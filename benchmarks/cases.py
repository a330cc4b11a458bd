"""Names of what is measured: the report, the bar and the plots find figures by them."""

from __future__ import annotations

__all__ = ["INSTANCE", "LOAD", "PROCESS", "echo_case", "rate_case"]


class PROCESS:
    """Workload ``process``."""

    WALL = "new process to first result and exit"
    BOOT = "inside: interpreter's first line to first result"


class INSTANCE:
    """Workload ``instance``."""

    SNAPSHOT = "snapshot image: fresh instance + first call"
    SNAPSHOT_START = "snapshot image: fresh instance only"
    SNAPSHOT_CALL = "snapshot image: first call only"
    SNAPSHOT_CLOSE = "snapshot image: close"
    BASE = "base image: fresh instance + load + first call"


class LOAD:
    """Workload ``load``."""

    LOAD = "load a function"
    FIRST = "its first call"
    SECOND = "its second call"
    UNLOAD = "unload it"


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
