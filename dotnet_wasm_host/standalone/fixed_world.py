"""What .NET sees while a file is made: the same for everybody, so that the bytes are."""

from __future__ import annotations

import hashlib
import io
from typing import final

from dotnet_wasm_host.options import WasiOptions

__all__ = ["fixed_world"]

#: 2026-01-01T00:00:00Z.
_NOW = 1_767_225_600.0
#: Seconds that pass from one look at a clock to the next.
_STEP = 0.001


@final
class _FixedClock:
    """Clocks that move when they are read."""

    def __init__(self) -> None:
        self._reads = 0

    def time(self) -> float:
        """Seconds since 1970."""
        return _NOW + self.monotonic()

    def monotonic(self) -> float:
        """Seconds since the start."""
        self._reads += 1
        return self._reads * _STEP


@final
class _FixedRandom:
    """Bytes without entropy."""

    def __init__(self) -> None:
        self._calls = 0

    def __call__(self, count: int) -> bytes:
        self._calls += 1
        blocks = range(-(-count // 32))
        seeds = (f"{self._calls} {block}".encode() for block in blocks)
        return b"".join(hashlib.sha256(seed).digest() for seed in seeds)[:count]


def fixed_world() -> WasiOptions:
    """Clocks and randomness that are the same in every run; what is printed is dropped."""
    return WasiOptions(
        stdout=io.BytesIO(), stderr=io.BytesIO(), clock=_FixedClock(), random=_FixedRandom()
    )
