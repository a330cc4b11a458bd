"""The tool as a server of the Model Context Protocol. Needs the extra ``mcp``."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from dotnet_wasm_host.errors import ExtraNotInstalled

if TYPE_CHECKING:
    from mcp.server.mcpserver import MCPServer

    from dotnet_wasm_host.agents.tool import CSharpTool

__all__ = ["make_server"]

_INSTRUCTIONS = (
    "Run C# to compute, transform data or try code. Programs run in a sandbox: no network and no "
    "files but those that you give."
)


def make_server(tool: CSharpTool) -> MCPServer[Any]:
    """A server with one tool; ``server.run("stdio")`` serves it.

    Raises:
        ExtraNotInstalled: the package ``mcp`` (2.0 or newer) is missing.
    """
    try:
        from mcp.server.mcpserver import MCPServer
    except ImportError as error:
        raise ExtraNotInstalled("the MCP server needs the package mcp", "mcp") from error
    from dotnet_wasm_host import __version__

    server: MCPServer[Any] = MCPServer(
        "dotnet-wasm-host", instructions=_INSTRUCTIONS, version=__version__
    )

    async def run_csharp(
        code: str,
        args: list[str] | None = None,
        stdin: str = "",
        files: dict[str, str] | None = None,
        packages: list[str] | None = None,
    ) -> dict[str, Any]:
        return await asyncio.to_thread(tool, code, args or (), stdin, files, packages or ())

    server.tool(name=tool.name, description=tool.description)(run_csharp)
    return server
