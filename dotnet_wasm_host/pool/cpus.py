"""How many CPUs this process may use."""

from __future__ import annotations

import math
import os
from pathlib import Path

__all__ = ["usable_cpus"]

_CGROUPS = Path("/sys/fs/cgroup")
_MEMBERSHIP = Path("/proc/self/cgroup")


def usable_cpus(groups: Path = _CGROUPS, membership: Path = _MEMBERSHIP) -> int:
    """CPUs of the machine that affinity and the quota of the process's cgroups leave, at least 1.

    Args:
        groups: where cgroups are mounted.
        membership: file that says which ones this process is in (``cgroups(7)``).
    """
    try:
        count = len(os.sched_getaffinity(0))  # type: ignore[attr-defined,unused-ignore]
    except (AttributeError, OSError):  # not Linux, or not allowed
        count = os.cpu_count() or 1
    return max(1, min(count, math.ceil(min(_quotas(groups, membership), default=count))))


def _quotas(groups: Path, membership: Path) -> list[float]:
    """CPUs that each cgroup from the process's own to the root grants."""
    files = [(groups / "cpu", "cpu.cfs_quota_us")]  # version 1, as containers see it
    for line in _read(membership).splitlines():
        number, _, name = line.split(":", 2) if line.count(":") > 1 else ("", "", "")
        if number == "0":  # version 2
            own = groups / name.strip().lstrip("/")
            files += [(folder, "cpu.max") for folder in (own, *own.parents)]
    quotas = []
    for folder, name in files:
        words = _read(folder / name).split()
        if name == "cpu.cfs_quota_us":
            words += _read(folder / "cpu.cfs_period_us").split()
        if len(words) == 2 and all(map(str.isdecimal, words)) and int(words[1]) > 0:
            quotas.append(int(words[0]) / int(words[1]))
    return quotas


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii", errors="replace")
    except OSError:  # there is none
        return ""
