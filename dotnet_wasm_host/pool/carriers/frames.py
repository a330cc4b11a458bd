"""Who calls."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["PICKLERS", "callers", "is_within"]

#: Modules between who pickles and what is pickled.
PICKLERS = (
    "pickle", "cloudpickle", "ray.cloudpickle", "pyspark.cloudpickle", "pyspark.serializers",
    "dotnet_wasm_host",
)  # fmt: skip


def callers() -> Iterator[tuple[str, str]]:
    """Module and function of each frame, from the caller outwards."""
    frame = sys._getframe(1)
    while frame is not None:
        yield str(frame.f_globals.get("__name__", "")), frame.f_code.co_name
        frame = frame.f_back  # type: ignore[assignment]


def is_within(module: str, packages: Sequence[str]) -> bool:
    """Whether a module is one of these, or inside of one."""
    return any(module == package or module.startswith(f"{package}.") for package in packages)
