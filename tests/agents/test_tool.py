"""C# as a tool: what a model gets to know of its program, and what it cannot reach."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

import dotnet_wasm_host as dwh
from dotnet_wasm_host.agents import CSharpTool, ToolLimits
from tests.nuget.made import put

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def tool() -> CSharpTool:
    return CSharpTool(limits=ToolLimits(timeout=60, output_bytes=1000, files_bytes=1 << 20))


def test_a_program_has_output_and_an_exit_code(tool: CSharpTool) -> None:
    code = "Console.Write(args[0] + Console.In.ReadToEnd()); Console.Error.Write(2); return 3;"
    answer = tool(code, args=["a"], stdin="b")
    assert answer == {"exit_code": 3, "stdout": "ab", "stderr": "2", "errors": [], "files": {}}


def test_files_go_in_and_come_out(tool: CSharpTool) -> None:
    code = """
        var here = Directory.GetCurrentDirectory();
        File.WriteAllText("out.txt", File.ReadAllText("in/a.txt") + here);
        Directory.CreateDirectory("deep");
        File.WriteAllBytes("deep/bytes", [0xff, 0]);
        File.Delete("gone.txt");
        File.WriteAllText("changed.txt", "new");
    """
    given: dict[str, str | bytes] = {
        "in/a.txt": "a",
        "gone.txt": "x",
        "changed.txt": "old",
        "same.bin": b"\xff",
    }
    answer = tool(code, files=given)
    assert answer["errors"] == []
    assert answer["files"] == {
        "out.txt": "a/work", "changed.txt": "new", "deep/bytes": {"base64": "/wA="}
    }  # fmt: skip
    json.dumps(answer)


@pytest.mark.parametrize("name", ["/etc/x", "../x", "a/../../x", "", "a\0b"])
def test_files_stay_in_their_folder(tool: CSharpTool, name: str) -> None:
    with pytest.raises(dwh.MarshallingError, match="inside of the current directory"):
        tool("return 0;", files={name: "x"})


def test_links_are_not_followed(tool: CSharpTool) -> None:
    code = """
        try { File.CreateSymbolicLink("link", "/etc/passwd"); } catch (Exception e) { Console.Write(e.GetType().Name); }
        try { File.CreateSymbolicLink("up", "../../../../etc/passwd"); } catch { }
    """  # noqa: E501
    assert tool(code)["files"] == {}


def test_nothing_of_the_host_is_there(tool: CSharpTool) -> None:
    code = """
        foreach (var p in new[] { "/etc/passwd", "/proc/self/environ", "/root", "/tmp", "/home" })
            if (File.Exists(p) || Directory.Exists(p) && Directory.GetFileSystemEntries(p).Length > 0) Console.Write(p);
        foreach (System.Collections.DictionaryEntry e in Environment.GetEnvironmentVariables()) Console.Write(e.Key + ";");
        try { await new HttpClient().GetStringAsync("http://127.0.0.1/"); } catch (Exception e) { Console.Write(e.GetType().Name); }
    """  # noqa: E501
    answer = tool(code)
    assert answer["exit_code"] == 0, answer
    said = answer["stdout"]
    assert "passwd" not in said
    assert not {name for name in os.environ if len(name) > 4 and f"{name};" in said} - {"HOME"}
    assert "Exception" in said


def test_errors_of_the_compiler_are_in_the_answer(tool: CSharpTool) -> None:
    answer = tool("int x = missing;")
    assert answer["exit_code"] is None
    assert answer["errors"][0].startswith("program.cs(1,9): error CS0103")


def test_an_exception_is_in_the_answer(tool: CSharpTool) -> None:
    answer = tool('throw new InvalidOperationException("boom");')
    assert answer["exit_code"] == 134
    assert answer["errors"][0].startswith("System.InvalidOperationException: boom\n   at Program")


def test_output_is_cut(tool: CSharpTool) -> None:
    answer = tool("Console.Write(new string('x', 5000));")
    assert answer["stdout"] == "x" * 1000 + "\n... (4000 more characters)"


LIMITED: dict[str, tuple[str, dict[str, Any], str]] = {
    "time": ("while (true) Thread.Yield();", {"timeout": 3.0}, "deadline"),
    "memory": (
        "var l = new List<byte[]>(); while (true) l.Add(new byte[1 << 20]);",
        {"memory_bytes": 64 << 20},
        "OutOfMemory",
    ),
    "output": ("while (true) Console.Write(new string('x', 100_000));", {}, "output_bytes"),
    "files": (
        'using var f = File.Create("x"); while (true) f.Write(new byte[100_000]);',
        {"files_bytes": 1 << 20},
        "IOException",
    ),
}


@pytest.mark.parametrize("what", LIMITED)
def test_limits_end_a_run(what: str) -> None:
    code, limits, reason = LIMITED[what]
    answer = CSharpTool(limits=ToolLimits(**{"timeout": 60.0, **limits}))(code)
    assert answer["exit_code"] != 0
    assert reason in " ".join(answer["errors"]) + answer["stderr"], answer


def test_packages_are_those_that_are_allowed(tmp_path: Path) -> None:
    source = "public static class Thing { public static int Number => 7; }"
    for name in ("Good", "Bad"):
        library = dwh.compile_csharp(f"namespace {name};" + source, assembly_name=name)
        put(tmp_path, name, "1.0.0", {f"lib/net8.0/{name}.dll": library.data})
    tool = CSharpTool(package_sources=[tmp_path], allow_packages=["Good"])
    assert "packages" in tool.parameters["properties"]
    assert tool("Console.Write(Good.Thing.Number);", packages=["Good"])["stdout"] == "7"
    refused = tool("#:package Bad@1.0.0\nConsole.Write(Bad.Thing.Number);")
    assert refused["exit_code"] is None
    assert "Bad" in refused["errors"][0]
    without = CSharpTool()("#:package Good@1.0.0\nConsole.Write(Good.Thing.Number);")
    assert "no source of packages" in without["errors"][0]


def test_arguments_are_checked(tool: CSharpTool) -> None:
    with pytest.raises(TypeError, match="code is C# text, not int"):
        tool(3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="files are a dict"):
        tool("", files=["a"])  # type: ignore[arg-type]
    with pytest.raises(dwh.MarshallingError, match="at most 1048576 bytes"):
        tool("", files={"a": "x" * (1 << 21)})
    with pytest.raises(ValueError, match="timeout is 0; give a number above zero"):
        ToolLimits(timeout=0)


def test_the_schema_is_json(tool: CSharpTool) -> None:
    assert json.loads(json.dumps(tool.parameters))["required"] == ["code"]
    assert set(tool.parameters["properties"]) == {"code", "args", "stdin", "files"}
