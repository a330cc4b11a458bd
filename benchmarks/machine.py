"""Facts about the machine and its software that a reader of the figures needs."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path

__all__ = ["load_average", "machine_facts"]


def machine_facts() -> dict[str, str]:
    """What is measured on; no names, no paths."""
    return {
        "cpu": _cpu(),
        "cores": str(os.cpu_count()),
        "memory": _memory(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "load average at the start": load_average(),
        "clock": f"{_clock_cost() * 1e9:.0f} ns for each reading",
    }


def _cpu() -> str:
    for line in _lines("/proc/cpuinfo"):
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.processor() or "unknown"


def _memory() -> str:
    for line in _lines("/proc/meminfo"):
        name, _, value = line.partition(":")
        if name == "MemTotal":
            return f"{int(value.split()[0]) / 2**20:.0f} GiB"
    return "unknown"


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8").splitlines()
    except OSError:
        return []


def load_average() -> str:
    """Processes that ran or waited to run during the last minute."""
    return f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"


def _clock_cost() -> float:
    count = 10_000
    started = time.perf_counter()
    for _ in range(count):
        time.perf_counter_ns()
    return (time.perf_counter() - started) / count
