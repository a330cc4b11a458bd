"""``demo`` and ``run``: functions that run now."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dotnet_wasm_host.cli.console import ProgramExit, progress, running
from dotnet_wasm_host.cli.function_files import (
    Dependencies,
    FunctionFile,
    Handler,
    read_file,
)
from dotnet_wasm_host.errors import InvocationError
from dotnet_wasm_host.images.image import RuntimeImage
from dotnet_wasm_host.options import Limits, WasiOptions
from dotnet_wasm_host.programs.program import read_program
from dotnet_wasm_host.programs.running import run_program
from dotnet_wasm_host.roslyn import CSharpCompiler
from dotnet_wasm_host.runtime import Runtime

if TYPE_CHECKING:
    from dotnet_wasm_host.programs.program import Program

__all__ = ["demo", "run"]

_DEMO = """\
using System;
using System.Linq;
using System.Text;

public sealed class Greeter : MinimalRuntime.IFunctionHandler
{
    public byte[] Execute(ReadOnlySpan<byte> input)
    {
        var name = Encoding.UTF8.GetString(input);
        var backwards = new string(name.Reverse().ToArray());
        return Encoding.UTF8.GetBytes(
            $"Hello, {name} ({backwards}), from .NET {Environment.Version}");
    }
}
"""


def demo() -> None:
    """Compile a C# function from source, load it, call it with bytes, unload it."""
    typer.echo(_DEMO)
    started = time.perf_counter()
    compiler = CSharpCompiler.load(progress=progress)
    _timed("compiler ready", started)

    started = time.perf_counter()
    greeter = compiler.compile(_DEMO)
    _timed(f"compiled to {len(greeter.data)} bytes of .NET assembly", started)

    started = time.perf_counter()
    with Runtime() as runtime:
        _timed("fresh isolated .NET runtime", started)
        started = time.perf_counter()
        function = runtime.load_assembly("greet", greeter)
        _timed(f"loaded {function.handler_type}", started)
        started = time.perf_counter()
        result = runtime.invoke("greet", b"Ada")
        _timed("first call", started)
        started = time.perf_counter()
        for _ in range(1000):
            runtime.invoke("greet", b"Ada")
        _timed("1,000 more calls", started)
        runtime.unload_assembly("greet")
        typer.echo(f"unloaded; functions now: {list(runtime.functions)}\n")
    typer.secho(result.decode(), bold=True)


def _timed(what: str, started: float) -> None:
    milliseconds = (time.perf_counter() - started) * 1e3
    typer.echo(f"{milliseconds:10.2f} ms  {what}")


def run(
    file: FunctionFile,
    args: Annotated[
        list[str] | None, typer.Argument(help="Arguments of a program, after '--'.")
    ] = None,
    payload: Annotated[str | None, typer.Option(help="Payload as text, passed as UTF-8.")] = None,
    payload_file: Annotated[
        Path | None, typer.Option(help="Payload from a file; '-' for standard input.")
    ] = None,
    dependency: Dependencies = None,
    handler: Handler = None,
    timeout: Annotated[float | None, typer.Option(help="Seconds the call may take.")] = None,
) -> None:
    """Run a program or a function.

    A program (top-level statements, Main) has the terminal: its output, errors and exit code
    are those of this command. A function's payload is what is piped in, its result goes to
    stdout, what it prints to stderr.
    """
    if payload is not None and payload_file is not None:
        raise typer.BadParameter("give --payload or --payload-file, not both")
    given = read_program(file, dependency or [], output="detect", progress=progress)
    RuntimeImage.load(progress=progress)
    limits = Limits(timeout=timeout)
    if given.has_entry_point and handler is None:
        if payload is not None or payload_file is not None:
            raise typer.BadParameter(f"{file} is a program and has no payload; pipe its input in")
        raise ProgramExit(_run_program(given, tuple(args or ()), limits))
    if args:
        raise typer.BadParameter(
            f"{file} is a function and takes no arguments; give it a --payload"
        )
    data = _read_payload(payload, payload_file)
    wasi = WasiOptions(stdout=sys.stderr.buffer, stderr=sys.stderr.buffer)
    with Runtime(limits=limits, wasi=wasi) as runtime:
        dependencies = given.dependencies.values()
        runtime.load_assembly(
            file.stem, given.assembly, dependencies=dependencies, handler_type=handler
        )
        with running():
            result = runtime.invoke(file.stem, data)
    sys.stdout.buffer.write(result)
    sys.stdout.buffer.flush()
    if sys.stdout.isatty() and result and not result.endswith(b"\n"):
        typer.echo()


def _run_program(program: Program, args: tuple[str, ...], limits: Limits) -> int:
    wasi = WasiOptions(
        args=args, stdin=sys.stdin.buffer, stdout=sys.stdout.buffer, stderr=sys.stderr.buffer
    )
    completed = run_program(program, args, limits=limits, wasi=wasi)
    sys.stdout.buffer.flush()
    # A .NET exception has been printed by the program itself, as .NET does it.
    if completed.exception and not isinstance(completed.exception, InvocationError):
        typer.secho(f"error: {completed.exception}", err=True, fg=typer.colors.RED)
    return completed.returncode


def _read_payload(payload: str | None, payload_file: Path | None) -> bytes:
    if payload is not None:
        return payload.encode(errors="surrogateescape")
    if payload_file is None:
        return b"" if _is_terminal_or_closed() else sys.stdin.buffer.read()
    if str(payload_file) == "-":
        return sys.stdin.buffer.read()
    return read_file(payload_file)


def _is_terminal_or_closed() -> bool:
    return sys.stdin is None or sys.stdin.closed or sys.stdin.isatty()
