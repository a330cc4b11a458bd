"""C# as a tool for agents: a program runs in a sandbox, and what came of it is plain data."""

from dotnet_wasm_host.agents.tool import CSharpTool, ToolLimits

__all__ = ["CSharpTool", "ToolLimits"]
