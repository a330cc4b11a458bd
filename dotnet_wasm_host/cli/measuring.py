"""``bench``: what this machine makes of it, in a few seconds and without peers."""

from __future__ import annotations

import time
from functools import partial
from statistics import median
from typing import TYPE_CHECKING, Annotated

import typer

from dotnet_wasm_host.cli.console import print_json, progress
from dotnet_wasm_host.images.image import RuntimeImage
from dotnet_wasm_host.programs.compiling import compile_csharp
from dotnet_wasm_host.runtime import Runtime

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["bench"]

_ECHO = """
public sealed class Echo : MinimalRuntime.IFunctionHandler {
    public byte[] Execute(System.ReadOnlySpan<byte> input) => input.ToArray();
}"""
_INSTANCES = 50
_SIZES = {"100 B": (100, 5000), "10 kB": (10_000, 2000), "1 MB": (1_000_000, 50)}


def bench(
    image: Annotated[str, typer.Option(help="Image to measure.")] = "full",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON: seconds.")] = False,
) -> None:
    """Measure fresh instances and warm calls on this machine: medians, in a few seconds.

    `python -m benchmarks` in a checkout measures much more, and peers beside it.
    """
    progress("compiling an echo, and measuring")
    echo = compile_csharp(_ECHO)
    seconds: dict[str, float] = {}
    with Runtime(RuntimeImage.load(image, progress=progress)) as runtime:
        runtime.load_assembly("echo", echo)
        for name, (size, calls) in _SIZES.items():
            payload = bytes(range(256)) * (size // 256) + bytes(size % 256)
            call = partial(runtime.invoke, "echo", payload)
            seconds[f"warm echo of {name}"] = _time(call, calls)
        frozen = runtime.snapshot()

    def answer_once() -> None:
        with Runtime(frozen) as fresh:
            fresh.invoke("echo", b"hello")

    seconds["fresh isolated instance: start, first call, close"] = _time(answer_once, _INSTANCES)
    if as_json:
        print_json({"image": image, "median_seconds": seconds})
        return
    for name, value in seconds.items():
        typer.echo(f"{value * 1e6:12,.1f} us  {name}")


def _time(call: Callable[[], object], times: int) -> float:
    for _ in range(max(times // 10, 3)):
        call()
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        call()
        taken.append(time.perf_counter() - started)
    return median(taken)
