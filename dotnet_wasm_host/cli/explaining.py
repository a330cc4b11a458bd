"""``explain``: which methods of a function are compiled, and why others are not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from dotnet_wasm_host.cli.console import print_json, progress
from dotnet_wasm_host.cli.function_files import (
    Dependencies,
    FunctionFile,
    Handler,
    function_assembly,
)
from dotnet_wasm_host.runtime import Runtime

if TYPE_CHECKING:
    from dotnet_wasm_host.jit.reports import JitMethod

__all__ = ["explain"]

_ID = "function"


def explain(
    file: FunctionFile,
    dependencies: Dependencies = None,
    handler: Handler = None,
    payload: Annotated[str, typer.Option(help="Text that each call gets.")] = "",
    calls: Annotated[int, typer.Option(min=1, help="How often to call it.")] = 200,
    image: Annotated[str, typer.Option(help="Image to run it in.")] = "full",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Call a function often with jit="auto", and say which methods became machine code."""
    assembly = function_assembly(file, dependencies or [])
    progress(f"calling it {calls} times")
    with Runtime(image, jit="auto") as runtime:
        runtime.load_assembly(_ID, assembly, dependencies=dependencies or [], handler_type=handler)
        for _ in range(calls):
            runtime.invoke(_ID, payload.encode())
        runtime.compile_hot_methods()
        methods, stats = runtime.hot_methods(), runtime.stats().jit
    if as_json:
        print_json({"methods": [_entry(method) for method in methods]})
        return
    for method in methods:
        typer.echo(_line(method))
    typer.echo(
        f"{stats.methods} methods compiled, {stats.code_bytes} bytes of WebAssembly, "
        f"{stats.rejected} stay interpreted"
    )


def _entry(method: JitMethod) -> dict[str, object]:
    return {
        "name": method.name,
        "compiled": method.compiled,
        "reason": method.reason,
        "exits": dict(method.exits),
    }


def _line(method: JitMethod) -> str:
    if not method.compiled:
        return f"interpreted  {method.name}: {method.reason}"
    exits = ", ".join(f"{name} {count}" for name, count in sorted(method.exits.items()))
    return f"compiled     {method.name}{f' (may leave at: {exits})' if exits else ''}"
