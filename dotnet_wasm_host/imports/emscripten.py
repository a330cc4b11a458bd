"""What Emscripten's runtime gives a guest that does nothing: time and memory.

A group for each concern. The contract is the JavaScript that .NET ships beside its module; the
signatures are those of the module's imports.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from dotnet_wasm_host.options import MIB
from dotnet_wasm_host.wasm import PAGE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dotnet_wasm_host.engines.base import HostFunction, LinearMemory
    from dotnet_wasm_host.options import Clock

__all__ = ["Clocks", "Heap"]


@final
class Clocks:
    """The wall clock and the monotonic clock, in milliseconds.

    Args:
        clock: where the time comes from.
    """

    __slots__ = ("_monotonic", "_time")

    def __init__(self, clock: Clock) -> None:
        self._time = clock.time
        self._monotonic = clock.monotonic

    def functions(self) -> Mapping[str, HostFunction]:
        """Import name to bound method."""
        return {
            "_emscripten_get_now_is_monotonic": self.is_monotonic,
            "emscripten_date_now": self.date_now,
            "emscripten_get_now": self.now,
            "emscripten_get_now_res": self.resolution,
        }

    def date_now(self) -> float:
        """Milliseconds since the epoch."""
        return self._time() * 1000.0

    def now(self) -> float:
        """Milliseconds since some fixed point."""
        return self._monotonic() * 1000.0

    def resolution(self) -> float:
        """Nanoseconds between two readings that differ."""
        return 1.0

    def is_monotonic(self) -> int:
        """Whether :meth:`now` never goes back."""
        return 1


@final
class Heap:
    """Growth of linear memory.

    Args:
        linear: the memory.
        limit: size in bytes that it may reach.

    Attributes:
        limit: the same, in whole pages.
        refused: the guest wanted more than that.
    """

    __slots__ = ("_linear", "limit", "refused")

    # Emscripten's defaults for MEMORY_GROWTH_GEOMETRIC_STEP and MEMORY_GROWTH_GEOMETRIC_CAP.
    _STEP = 0.2
    _CAP = 96 * MIB

    def __init__(self, linear: LinearMemory, limit: int) -> None:
        self._linear = linear
        self.limit: int = limit - limit % PAGE
        self.refused: bool = False

    def functions(self) -> Mapping[str, HostFunction]:
        """Import name to bound method."""
        return {
            "emscripten_get_heap_max": self.maximum,
            "emscripten_resize_heap": self.resize,
        }

    def maximum(self) -> int:
        """Bytes that the memory may reach. .NET sizes its garbage collector by it."""
        return self.limit

    def resize(self, requested: int) -> int:
        """Grow to ``requested`` bytes, or some more so that it is not soon asked again.

        Returns 1, or 0 if the limit forbids it.
        """
        size = self._linear.size
        if requested > self.limit:
            self.refused = True
            return 0
        if requested <= size:
            return 1
        for cut in (1, 2, 4):
            generous = min(int(size * (1 + self._STEP / cut)), requested + self._CAP)
            target = min(max(requested, generous), self.limit)
            if self._linear.grow(-(-(target - size) // PAGE)):
                return 1
        self.refused = True
        return 0
