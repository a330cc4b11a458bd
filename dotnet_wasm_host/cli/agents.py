"""``mcp``: C# as a tool for agents."""

from __future__ import annotations

from typing import Annotated

import typer

from dotnet_wasm_host.agents import CSharpTool, ToolLimits
from dotnet_wasm_host.agents.mcp_server import make_server
from dotnet_wasm_host.cli.console import progress
from dotnet_wasm_host.cli.package_options import AllowPackages, PackageSources
from dotnet_wasm_host.options import MIB
from dotnet_wasm_host.roslyn import CSharpCompiler

__all__ = ["mcp"]


def mcp(
    timeout: Annotated[float, typer.Option(help="Seconds that a run may take.", min=0.1)] = 30.0,
    memory: Annotated[int, typer.Option(help="MiB of memory that a run may use.", min=32)] = 512,
    output: Annotated[
        int, typer.Option(help="KiB kept of what a run prints.", min=1, max=1 << 20)
    ] = 256,
    files: Annotated[
        int, typer.Option(help="MiB of files that a run may have.", min=1, max=1 << 10)
    ] = 16,
    package_source: PackageSources = None,
    allow_package: AllowPackages = None,
) -> None:
    """Serve a tool that runs C# to an MCP client, on stdin and stdout (extra: mcp)."""
    tool = CSharpTool(
        limits=ToolLimits(
            timeout=timeout,
            memory_bytes=memory * MIB,
            output_bytes=output << 10,
            files_bytes=files * MIB,
        ),
        package_sources=package_source or (),
        allow_packages=allow_package,
    )
    server = make_server(tool)
    # Built before a client waits for its first answer.
    CSharpCompiler.load(progress=progress)
    server.run("stdio")
