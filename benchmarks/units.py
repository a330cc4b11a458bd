"""Values as people read them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.results import Unit

__all__ = ["show", "three_digits"]

_SCALES: dict[str, tuple[tuple[float, str], ...]] = {
    "s": ((1.0, "s"), (1e-3, "ms"), (1e-6, "us"), (1e-9, "ns")),
    "B": ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1.0, "B")),
}


def show(value: float, unit: Unit) -> str:
    """Three digits and a unit: ``6.42 us``, ``1.31 MB``, ``12,300/s``."""
    if unit == "calls/s":
        return f"{three_digits(value)}/s"
    if unit == "x":
        return f"{three_digits(value)} x"
    for size, name in _SCALES[unit]:
        if abs(value) >= size * 0.9995:
            return f"{three_digits(value / size)} {name}"
    size, name = _SCALES[unit][-1]
    return f"{three_digits(value / size)} {name}"


def three_digits(value: float) -> str:
    """A number with three significant digits and no exponent."""
    if abs(value) >= 999.5:
        digits = len(f"{abs(value):.0f}") - 3
        return f"{round(value, -digits):,.0f}"
    if abs(value) >= 99.95:
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 9.995 else f"{value:.2f}"
