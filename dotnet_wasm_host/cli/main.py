"""The ``dotnet-wasm-host`` command."""

from __future__ import annotations

import sys

import typer

from dotnet_wasm_host.cli import (
    compiling,
    images,
    information,
    measuring,
    publishing,
    running,
    serving,
    sizes,
)
from dotnet_wasm_host.cli.console import EXIT_CODES, report_error
from dotnet_wasm_host.errors import DotnetHostError

__all__ = ["app", "main"]

app = typer.Typer(
    name="dotnet-wasm-host",
    help="Run C# functions in real .NET 10, sandboxed in WebAssembly, with no .NET installed.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command()(running.demo)
app.command()(running.run)
app.command(name="compile")(compiling.compile_sources)
app.command()(compiling.contract)
app.command(name="publish")(publishing.publish_function)
app.command()(serving.serve)
app.command()(information.info)
app.command()(sizes.sizes)
app.command()(measuring.bench)
app.add_typer(images.app, name="images")


def main() -> None:
    """Entry point: typed errors become a sentence on stderr and an exit code."""
    try:
        app()
    except DotnetHostError as error:
        sys.exit(report_error(error))
