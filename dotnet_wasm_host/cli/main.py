"""The ``dotnet-wasm-host`` command."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from dotnet_wasm_host import __version__
from dotnet_wasm_host.cli import (
    agents,
    building,
    compiling,
    deploying,
    explaining,
    images,
    information,
    interactive,
    measuring,
    publishing,
    running,
    serving,
    sizes,
    stubs,
)
from dotnet_wasm_host.cli.console import BEFORE_RUNNING, EXIT_CODES, ProgramExit, report_error
from dotnet_wasm_host.cli.grouped_command import GroupedCommand
from dotnet_wasm_host.errors import DotnetHostError

__all__ = ["app", "main"]

app: typer.Typer = typer.Typer(
    name="dotnet-wasm-host",
    help="Run C# functions in real .NET 10, sandboxed in WebAssembly, with no .NET installed.",
    epilog=EXIT_CODES,
    invoke_without_command=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command()(running.demo)
app.command()(running.run)
app.command(name="compile")(compiling.compile_sources)
app.command()(compiling.contract)
app.command(name="publish")(publishing.publish_function)
app.command()(building.build)
app.command()(building.inspect)
app.command(cls=GroupedCommand)(serving.serve)
app.command()(deploying.deploy)
app.command()(stubs.stubs)
app.command()(agents.mcp)
app.command()(interactive.repl)
app.command()(information.info)
app.command()(sizes.sizes)
app.command()(measuring.bench)
app.command()(explaining.explain)
app.add_typer(images.app, name="images")


@app.callback()
def options(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", is_eager=True)
    ] = False,
) -> None:
    """Run C# functions and programs in real .NET 10, sandboxed in WebAssembly."""
    if version:
        typer.echo(f"dotnet-wasm-host {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(2)


def main() -> None:
    """Entry point: typed errors become a sentence on stderr and an exit code."""
    try:
        app(prog_name="dotnet-wasm-host")
    except ProgramExit as end:
        sys.exit(end.code)
    except DotnetHostError as error:
        sys.exit(_own(report_error(error)))
    except OSError as error:
        if error.filename is None:
            raise
        # A path that was given on the command line, most likely.
        typer.echo(f"Error: {error.filename}: {error.strerror}", err=True)
        sys.exit(_own(2))
    except SystemExit as end:
        sys.exit(_own(end.code) if isinstance(end.code, int) else end.code)


def _own(code: int) -> int:
    """An exit code of this command; ``run`` keeps its own apart from the program's."""
    return code + BEFORE_RUNNING if code and sys.argv[1:2] == ["run"] else code
