"""The base layers of the original design: its table of sizes, times and memory, measured here."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

import dotnet_wasm_host as dwh
from benchmarks.standalone.measured import Measured, compressed, node

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["base_layers"]

IMAGES = ("minimal", "json", "http", "linq", "reflection", "full")
COUNTS = (1, 10, 100)
CALLS = 3000


def base_layers(folder: Path, function: dwh.Assembly, rounds: int) -> list[Measured]:
    """A base layer for each of the original's configurations; they take turns."""
    function.save(folder / "function.dll")
    found = []
    for image in IMAGES:
        data = dwh.build_wasm(image=image).data
        (folder / f"layer-{image}.wasm").write_bytes(data)
        found += [Measured(f"layer {image}, {k}", s, "MB") for k, s in compressed(data).items()]
    runs = dict[str, list[dict[str, float]]]()
    for _ in range(rounds):
        for image in IMAGES:
            file = folder / f"layer-{image}.wasm"
            answer = node("layers.mjs", str(file), str(folder / "function.dll"), str(CALLS))
            runs.setdefault(image, []).append(answer)
    for image, answers in runs.items():
        for what, title in (
            ("compile", "compiling"),
            ("cold", "first result"),
            ("warm", "a warm call"),
        ):
            value = median(answer[what] for answer in answers)
            found.append(Measured(f"layer {image}, Node.js, {title}", value, "ms"))
    memory = node(
        "layers.mjs",
        *(str(folder / "layer-minimal.wasm"), str(folder / "function.dll"), "10"),
        *map(str, COUNTS),
    )["memory"]
    for count, sizes in memory.items():
        for what, size in sizes.items():
            title = f"layer minimal, {count} functions, {what} memory"
            found.append(Measured(title, size / 1e6, "MB"))
    return found
