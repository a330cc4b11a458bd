"""What a session prepares for all contestants: the functions, compiled, and their payloads."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import TYPE_CHECKING

import wasmtime

import dotnet_wasm_host as dwh
from benchmarks.node_framework import EXPORTS
from dotnet_wasm_host.artifacts.store import ArtifactStore

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["COMPUTE", "json_payload", "make_bridge", "make_kit", "regex_payload"]

SOURCES = Path(__file__).parent / "functions"
FUNCTIONS = ("echo", "fib", "sieve", "json", "regex")
MODULES = ("compute", "extism_compute", "extism_echo")
SEED = 10


def make_bridge(folder: Path) -> None:
    """What pythonnet needs to run the functions."""
    bridge = (SOURCES / "bridge.cs").read_text(encoding="utf-8")
    dwh.compile_csharp(bridge, assembly_name="Benchmarks.Bridge").save(folder)
    contract = ArtifactStore.locate().read("guest/contract/MinimalRuntime.dll")
    (folder / "MinimalRuntime.dll").write_bytes(contract)


def make_kit(folder: Path, progress: Callable[[str], object]) -> None:
    """Compile everything into ``folder``."""
    progress("compiling the functions")
    for name in FUNCTIONS:
        source = (SOURCES / f"{name}.cs").read_text(encoding="utf-8")
        dwh.compile_csharp(source, assembly_name=f"Benchmarks.{name}").save(folder / f"{name}.dll")
    make_bridge(folder)
    exports = (SOURCES / "node_exports.cs").read_text(encoding="utf-8")
    dwh.compile_csharp(exports, assembly_name=Path(EXPORTS).stem).save(folder)
    for name in MODULES:
        text = (SOURCES / f"{name}.wat").read_text(encoding="utf-8")
        (folder / f"{name}.wasm").write_bytes(wasmtime.wat2wasm(text))


def json_payload() -> str:
    """100 orders, 24 kB: what ``json.cs`` reads and writes back."""
    chance = random.Random(SEED)
    orders = [
        {
            "Id": number,
            "Customer": f"customer {chance.randrange(10**6)}",
            "Lines": [
                {
                    "Product": f"product {chance.randrange(1000)}",
                    "Count": chance.randrange(1, 100),
                    "Price": chance.randrange(1, 10**5) / 100 + 0.001,
                }
                for _ in range(4)
            ],
        }
        for number in range(100)
    ]
    return json.dumps(orders, separators=(",", ":"))


def regex_payload() -> str:
    """100 kB of words with a mail address every now and then."""
    chance = random.Random(SEED)
    words = []
    for _ in range(16_000):
        word = "".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=chance.randrange(2, 9)))
        words.append(f"{word}@{word[::-1]}.example.org" if chance.random() < 0.01 else word)
    return " ".join(words)


#: Functions that compute, and their payloads.
COMPUTE: dict[str, Callable[[], str]] = {
    "fib": lambda: "27",
    "sieve": lambda: "5000000",
    "json": json_payload,
    "regex": regex_payload,
}
