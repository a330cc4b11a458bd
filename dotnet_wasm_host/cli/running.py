"""``demo`` and ``run``: functions that run now."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from dotnet_wasm_host.base_library.publishing import is_publication
from dotnet_wasm_host.cli.console import ProgramExit, progress, running, style
from dotnet_wasm_host.cli.function_files import (
    Dependencies,
    Handler,
    read_file,
)
from dotnet_wasm_host.cli.package_options import (
    AllowPackages,
    LockFile,
    Offline,
    Packages,
    PackageSources,
)
from dotnet_wasm_host.errors import InvocationError
from dotnet_wasm_host.images.image import RuntimeImage
from dotnet_wasm_host.options import Limits, WasiOptions
from dotnet_wasm_host.packages.references import parse_packages
from dotnet_wasm_host.programs.packages import package_resolver
from dotnet_wasm_host.programs.program import read_program
from dotnet_wasm_host.programs.running import run_program
from dotnet_wasm_host.roslyn import CSharpCompiler
from dotnet_wasm_host.runtime import Runtime

if TYPE_CHECKING:
    from dotnet_wasm_host.programs.program import Program
    from dotnet_wasm_host.runtime.registry import LoadedFunction

__all__ = ["demo", "run"]

ProgramFile = Annotated[
    Path,
    typer.Argument(help="A .cs or .dll file, or a folder that was published.", exists=True),
]

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
    file: ProgramFile,
    args: Annotated[
        list[str] | None, typer.Argument(help="Arguments of a program, after '--'.")
    ] = None,
    payload: Annotated[str | None, typer.Option(help="Payload as text, passed as UTF-8.")] = None,
    payload_file: Annotated[
        Path | None, typer.Option(help="Payload from a file; '-' for standard input.")
    ] = None,
    dependency: Dependencies = None,
    package: Packages = None,
    package_source: PackageSources = None,
    allow_package: AllowPackages = None,
    lock_file: LockFile = None,
    offline: Offline = False,
    handler: Handler = None,
    timeout: Annotated[
        float | None, typer.Option(min=0.001, help="Seconds the call may take.")
    ] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Print on stderr what was found.")
    ] = False,
) -> None:
    """Run a program or a function: C# source, an assembly, or a folder that was published.

    A program (top-level statements, Main) has the terminal: its output, errors and exit code
    are those of this command. A function's payload is what is piped in, its result goes to
    stdout, what it prints to stderr.
    """
    if payload is not None and payload_file is not None:
        raise typer.BadParameter("give --payload or --payload-file, not both")
    call = _Call(tuple(args or ()), payload, payload_file, Limits(timeout=timeout))
    if is_publication(file):
        _say(verbose, f"{file}: a function published with its own .NET")
        _run_published(file, handler, call)
        return
    given = read_program(
        file,
        dependency or [],
        output="detect",
        progress=progress,
        packages=parse_packages(package or []),
        resolver=package_resolver(
            package_source or [],
            allow_packages=allow_package,
            lock_file=lock_file,
            offline=offline,
            progress=progress,
        ),
    )
    RuntimeImage.load(progress=progress)
    if given.has_entry_point and handler is None:
        _say(verbose, f"{file}: the program {given.assembly.name}")
        if payload is not None or payload_file is not None:
            raise typer.BadParameter(f"{file} is a program and has no payload; pipe its input in")
        raise ProgramExit(_run_program(given, call.args, call.limits))
    with Runtime(limits=call.limits, wasi=_aside()) as runtime:
        function = runtime.load_assembly(
            file.stem,
            given.assembly,
            dependencies=given.dependencies.values(),
            handler_type=handler,
        )
        _say(verbose, f"{file}: the handler {function.handler_type}")
        _invoke(function, call)


class _Call(NamedTuple):
    """How something is called, as far as it can be called that way."""

    args: tuple[str, ...]
    payload: str | None
    payload_file: Path | None
    limits: Limits


def _aside() -> WasiOptions:
    """What a function prints goes to stderr; its result has stdout."""
    return WasiOptions(stdout=sys.stderr.buffer, stderr=sys.stderr.buffer)


def _say(verbose: bool, what: str) -> None:
    """Print what was found: on a terminal always, elsewhere with ``--verbose``."""
    if verbose or sys.stderr.isatty():
        progress(what)


def _run_published(folder: Path, handler: str | None, call: _Call) -> None:
    if handler is not None:
        raise typer.BadParameter(f"{folder} was published with its handler; leave --handler out")
    image = RuntimeImage.open(folder)
    with Runtime(image, limits=call.limits, wasi=_aside()) as runtime:
        (function,) = runtime.functions.values()
        _invoke(function, call)


def _invoke(function: LoadedFunction, call: _Call) -> None:
    if call.args:
        raise typer.BadParameter(
            f"{function.handler_type} is a handler and takes no arguments; give it a --payload"
        )
    data = _read_payload(call.payload, call.payload_file)
    with running():
        result = function.invoke(data)
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
    if isinstance(completed.exception, InvocationError):
        if completed.exception.advice:
            typer.echo(style(f"note: {completed.exception.advice}", dim=True), err=True)
    elif completed.exception:
        typer.echo(style(f"error: {completed.exception}", fg=typer.colors.RED), err=True)
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
