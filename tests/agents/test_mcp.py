"""The MCP server, asked by the protocol's own client."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from typing import Any

import pytest
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client

from dotnet_wasm_host.agents import CSharpTool
from dotnet_wasm_host.agents.mcp_server import make_server

SERVER = StdioServerParameters(
    command=sys.executable,
    args=["-c", "from dotnet_wasm_host.cli.main import main; main()", "mcp", "--timeout", "60"],
)


async def ask(*calls: dict[str, Any]) -> tuple[list[Any], list[Any]]:
    async with (
        stdio_client(SERVER) as (reading, writing),
        ClientSession(reading, writing) as session,
    ):
        await session.initialize()
        tools = (await session.list_tools()).tools
        answers = await asyncio.gather(
            *(session.call_tool("run_csharp", arguments) for arguments in calls)
        )
        return list(tools), list(answers)


def test_a_client_runs_csharp() -> None:
    tools, answers = asyncio.run(
        ask(
            {"code": "Console.Write(6 * 7);"},
            {
                "code": 'Console.Write(File.ReadAllText("a") + args[0]);',
                "files": {"a": "x"},
                "args": ["y"],
            },
            {"code": "missing;"},
            {"code": 'Console.Write(File.Exists("/etc/passwd")); Environment.Exit(4);'},
            {"nothing": 1},
        )
    )  # fmt: skip
    (tool,) = tools
    assert tool.name == "run_csharp"
    assert "sandbox" in tool.description
    assert "code" in tool.input_schema["required"]
    said = [json.loads(answer.content[0].text) for answer in answers[:4]]
    assert said[0]["stdout"] == "42"
    assert said[1]["stdout"] == "xy"
    assert "CS0103" in said[2]["errors"][0]
    assert (said[3]["stdout"], said[3]["exit_code"]) == ("False", 4)
    assert answers[4].is_error


def test_the_extra_is_named_when_it_is_missing() -> None:
    program = (
        "import sys; sys.modules['mcp'] = None\n"
        "from dotnet_wasm_host.cli.main import main\n"
        "sys.argv[1:] = ['mcp']; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "pip install dotnet-wasm-host[mcp]" in done.stderr


def test_a_server_can_be_made_of_a_tool() -> None:
    server = make_server(CSharpTool())
    (tool,) = asyncio.run(server.list_tools())
    assert tool.name == "run_csharp"
    with pytest.raises(Exception, match="code"):
        asyncio.run(server.call_tool("run_csharp", {}))
