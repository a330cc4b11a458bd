"""``python -m benchmarks.standalone``: what ``build`` writes, against the project's bars."""

from __future__ import annotations

import argparse
import json
import struct
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import wasmtime

import dotnet_wasm_host as dwh
from benchmarks.kit import make_kit
from benchmarks.node_framework import make_node_folder
from benchmarks.standalone.layers import base_layers
from benchmarks.standalone.measured import HERE, Measured, compressed, node

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

GREET = """
using System; using System.Text;
public sealed class Greeter : MinimalRuntime.IFunctionHandler {
    public byte[] Execute(ReadOnlySpan<byte> input) => Encoding.UTF8.GetBytes(
        $"Hello, {Encoding.UTF8.GetString(input)}, from .NET {Environment.Version}");
}
"""
_PAIR = struct.Struct("<II")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure everything; 1 if a bar is not met."""
    options = _parser().parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="standalone-") as name:
        folder = Path(name)
        found = [*_sizes(folder)]
        if not options.sizes:
            found += _node_starts(folder, options.rounds)
            found += _node_calls(folder, options.rounds)
            found += _wasmtime_starts(folder, options.rounds)
        if options.layers:
            function = dwh.compile_csharp(GREET, assembly_name="greet")
            found += base_layers(folder, function, options.rounds)
    if options.json:
        print(json.dumps([each._asdict() for each in found], indent=1))
    else:
        print("\n".join(map(str, found)))
    return 0 if all(each.is_met for each in found) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.standalone", description=__doc__)
    parser.add_argument("--sizes", action="store_true", help="sizes only, no times")
    parser.add_argument(
        "--layers", action="store_true", help="base layers, too, as the original design had them"
    )
    parser.add_argument("--rounds", type=int, default=15, help="medians of so many (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print the data")
    return parser


def _sizes(folder: Path) -> list[Measured]:
    """Build the files; MB of each, raw and compressed."""
    greet = dwh.compile_csharp(GREET, assembly_name="greet")
    orders = dwh.compile_csharp((HERE / "orders.cs").read_text(), assembly_name="orders")
    build = dwh.build_wasm
    files: dict[str, Callable[[], dwh.StandaloneModule]] = {
        "at-start": lambda: build(greet, boot="at-start"),
        "inside": lambda: build(greet),
        "dense": lambda: build(greet, layout="dense", warm={"greet": b"Ada"}),
        "minimal": lambda: build(image="minimal"),
        "orders": lambda: build(orders, boot="at-start"),
    }
    bars = {
        ("at-start", "raw"): 2.8,
        ("at-start", "brotli"): 0.88,
        ("inside", "raw"): 5.3,
        ("inside", "brotli"): 1.5,
        ("minimal", "raw"): 6.1,
        ("orders", "gzip"): 3.0,
    }
    found = []
    for name, make in files.items():
        data = make().data
        (folder / f"{name}.wasm").write_bytes(data)
        for kind, size in compressed(data).items():
            found.append(Measured(f"{name}, {kind}", size, "MB", bars.get((name, kind))))
    return found


def _node_starts(folder: Path, rounds: int) -> list[Measured]:
    """First results in Node.js; the files take turns, each in a process of its own."""
    times: dict[str, list[dict[str, float]]] = {"inside": [], "at-start": []}
    for _ in range(rounds):
        for name, runs in times.items():
            runs.append(node("starts.mjs", str(folder / f"{name}.wasm"), "greet"))
    first = {name: median(run["first"] for run in runs) for name, runs in times.items()}
    compiled = {name: median(run["compile"] for run in runs) for name, runs in times.items()}
    return [
        *(Measured(f"Node.js, compiling, {n}", t, "ms") for n, t in compiled.items()),
        *(Measured(f"Node.js, first result, {n}", t, "ms") for n, t in first.items()),
        Measured("of it, inside by at-start", first["inside"] / first["at-start"], "x", 0.3),
    ]


def _node_calls(folder: Path, rounds: int) -> list[Measured]:
    """Warm calls in Node.js, beside the same .NET through its own JavaScript."""
    kit = folder / "kit"
    kit.mkdir()
    make_kit(kit, lambda _: None)
    make_node_folder(folder / "node", kit)
    dwh.build_wasm(kit / "echo.dll").save(folder / "echo.wasm")
    arguments = (folder / "echo.wasm", "echo", folder / "node", kit / "echo.dll", rounds * 4)
    times = node("calls.mjs", *map(str, arguments))
    ours, glue = median(times["standalone"]), median(times["glue"])
    return [
        Measured("Node.js, a warm call, standalone", ours, "us"),
        Measured("Node.js, a warm call, .NET's own JavaScript", glue, "us"),
        Measured("of it, standalone by JavaScript", ours / glue, "x", 2.0),
    ]


def _wasmtime_starts(folder: Path, rounds: int) -> list[Measured]:
    """First results in wasmtime, of modules that were compiled before and are mapped."""
    engine = wasmtime.Engine()
    modules = {}
    for name in ("dense", "inside"):
        compiled = folder / f"{name}.cwasm"
        compiled.write_bytes(wasmtime.Module.from_file(engine, folder / f"{name}.wasm").serialize())
        modules[name] = wasmtime.Module.deserialize_file(engine, str(compiled))
    linker = wasmtime.Linker(engine)
    linker.define_wasi()
    times: dict[str, list[float]] = {name: [] for name in modules}
    for _ in range(rounds * 4):
        for name, module in modules.items():
            before = time.perf_counter()
            answer = _first_answer(engine, linker, module)
            times[name].append((time.perf_counter() - before) * 1000)
            assert answer.startswith(b"Hello, Ada")
    bars = {"dense": 1.0}
    return [
        Measured(f"wasmtime, first result, {name}", median(runs), "ms", bars.get(name))
        for name, runs in times.items()
    ]


def _first_answer(
    engine: wasmtime.Engine, linker: wasmtime.Linker, module: wasmtime.Module
) -> bytes:
    store = wasmtime.Store(engine)
    store.set_wasi(wasmtime.WasiConfig())
    exports: Any = linker.instantiate(store, module).exports(store)
    memory = exports["memory"]
    name, payload = b"greet", b"Ada"
    block = exports["malloc"](store, 8 + len(name) + len(payload))
    memory.write(store, name + payload, block + 8)
    at = block + 8
    status = exports["invoke"](store, at, len(name), at + len(name), len(payload), block, block + 4)
    assert status == 0
    result, length = _PAIR.unpack(memory.read(store, block, block + 8))
    return bytes(memory.read(store, result, result + length))


if __name__ == "__main__":
    sys.exit(main())
