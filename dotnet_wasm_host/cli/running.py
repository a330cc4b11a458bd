"""``demo`` and ``run``: functions that run now."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from dotnet_wasm_host.assembly import Assembly
from dotnet_wasm_host.cli.console import progress
from dotnet_wasm_host.csharp import CSharpCompiler
from dotnet_wasm_host.image import RuntimeImage
from dotnet_wasm_host.options import Limits, WasiOptions
from dotnet_wasm_host.runtime import Runtime

__all__ = ["demo", "read_function", "run"]

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
    file: Annotated[Path, typer.Argument(help="A .cs source file or a .dll.", exists=True)],
    payload: Annotated[str | None, typer.Option(help="Payload as text, passed as UTF-8.")] = None,
    payload_file: Annotated[
        Path | None, typer.Option(help="Payload from a file; '-' for standard input.")
    ] = None,
    dependency: Annotated[
        list[Path] | None,
        typer.Option("--dependency", "-d", help="A DLL the function uses; repeatable."),
    ] = None,
    handler: Annotated[
        str | None, typer.Option(help="Full name of the handler type, if there are several.")
    ] = None,
    timeout: Annotated[float | None, typer.Option(help="Seconds the call may take.")] = None,
) -> None:
    """Run one function: the result goes to stdout, what it prints to stderr."""
    if payload is not None and payload_file is not None:
        raise typer.BadParameter("give --payload or --payload-file, not both")
    data = _read_payload(payload, payload_file)
    dependencies = dependency or []
    assembly = _assembly(file, dependencies)
    RuntimeImage.load(progress=progress)
    wasi = WasiOptions(stdout=sys.stderr.buffer, stderr=sys.stderr.buffer)
    with Runtime(limits=Limits(timeout=timeout), wasi=wasi) as runtime:
        runtime.load_assembly(file.stem, assembly, dependencies=dependencies, handler_type=handler)
        result = runtime.invoke(file.stem, data)
    sys.stdout.buffer.write(result)
    sys.stdout.buffer.flush()
    if sys.stdout.isatty() and result and not result.endswith(b"\n"):
        typer.echo()


def _read_payload(payload: str | None, payload_file: Path | None) -> bytes:
    if payload is not None:
        return payload.encode(errors="surrogateescape")
    if payload_file is None:
        return b""
    if str(payload_file) == "-":
        return sys.stdin.buffer.read()
    try:
        return payload_file.read_bytes()
    except OSError as error:
        raise typer.BadParameter(f"{payload_file} cannot be read: {error.strerror}") from error


def read_function(file: Path, dependencies: list[Path]) -> bytes:
    """Content of a function's assembly, compiled if the file is C#."""
    assembly = _assembly(file, dependencies)
    if isinstance(assembly, Assembly):
        return assembly.data
    try:
        return assembly.read_bytes()
    except OSError as error:
        raise typer.BadParameter(f"{file} cannot be read: {error.strerror}") from error


def _assembly(file: Path, dependencies: list[Path]) -> Path | Assembly:
    if file.suffix.lower() == ".dll":
        return file
    try:
        source = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{file} cannot be read as UTF-8 text: {error}") from error
    compiler = CSharpCompiler.load(progress=progress)
    return compiler.compile({file.name: source}, references=dependencies)
