from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import dotnet_wasm_host as dwh
from tests.nuget.made import put

GREET = """
using System; using System.Text;
public sealed class Greeter : MinimalRuntime.IFunctionHandler {
    public byte[] Execute(ReadOnlySpan<byte> input) {
        Console.WriteLine("greeting");
        return Encoding.UTF8.GetBytes("Hello, " + Encoding.UTF8.GetString(input));
    }
}
"""
FAIL = """
using System;
public sealed class Failing : MinimalRuntime.IFunctionHandler {
    public byte[] Execute(ReadOnlySpan<byte> input) =>
        throw new InvalidOperationException("outer", new FormatException("inner"));
}
"""
SUMMING = """
using System; using System.Text;
public sealed class Summing : MinimalRuntime.IFunctionHandler {
    static long Loop(int n) {
        long sum = 0; for (int i = 0; i < 20000; i++) sum += i * n; return sum;
    }
    public byte[] Execute(ReadOnlySpan<byte> input) =>
        Encoding.UTF8.GetBytes(Loop(int.Parse(Encoding.UTF8.GetString(input))).ToString());
}
"""
LOOP = """
using System;
public sealed class Looping : MinimalRuntime.IFunctionHandler {
    public byte[] Execute(ReadOnlySpan<byte> input) { while (true) { } }
}
"""


class Command:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(
        self, *arguments: str, stdin: bytes = b"", cache: Path | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        setting = {"DOTNET_WASM_HOST_CACHE": str(cache)} if cache else {}
        program = "from dotnet_wasm_host.cli.main import main; main()"
        return subprocess.run(
            [sys.executable, "-W", "error", "-c", program, *arguments],
            cwd=self.folder,
            input=stdin,
            capture_output=True,
            timeout=120,
            check=False,
            env={**os.environ, "NO_COLOR": "1", "COLUMNS": "100", **setting},
        )

    def write(self, name: str, text: str) -> str:
        (self.folder / name).write_text(text, encoding="utf-8")
        return name


@pytest.fixture
def command(tmp_path: Path) -> Command:
    return Command(tmp_path)


def test_demo_shows_a_function_from_source_to_result(command: Command) -> None:
    done = command("demo")
    assert done.returncode == 0, done.stderr
    output = done.stdout.decode()
    for step in ("IFunctionHandler", "compiled to", "loaded Greeter", "unloaded"):
        assert step in output
    assert output.rstrip().endswith("Hello, Ada (adA), from .NET 10.0.10")


def test_run_separates_the_result_from_what_is_printed(command: Command) -> None:
    done = command("run", command.write("greet.cs", GREET), "--payload", "Zoë")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "Hello, Zoë".encode()
    assert b"greeting" in done.stderr


def test_run_reads_the_payload_from_a_file_or_stdin(command: Command) -> None:
    source = command.write("greet.cs", GREET)
    command.write("payload.bin", "file")
    assert command("run", source, "--payload-file", "payload.bin").stdout == b"Hello, file"
    assert command("run", source, "--payload-file", "-", stdin=b"pipe").stdout == b"Hello, pipe"


def test_run_takes_an_assembly_with_dependencies_and_a_handler(command: Command) -> None:
    library = dwh.compile_csharp(
        'namespace Lib; public static class L { public static string V => "lib"; }',
        assembly_name="Lib",
    )
    library.save(command.folder)
    dwh.compile_csharp(
        """
        using System; using System.Text;
        public sealed class A : MinimalRuntime.IFunctionHandler {
            public byte[] Execute(ReadOnlySpan<byte> i) => Encoding.UTF8.GetBytes("A"); }
        public sealed class B : MinimalRuntime.IFunctionHandler {
            public byte[] Execute(ReadOnlySpan<byte> i) => Encoding.UTF8.GetBytes(Lib.L.V); }
        """,
        assembly_name="Two",
        references=[library],
    ).save(command.folder)
    assert command("run", "Two.dll", "-d", ".").stdout == b"A"
    done = command("run", "Two.dll", "--handler", "B", "-d", "Lib.dll")
    assert done.stdout == b"lib", done.stderr


@pytest.mark.parametrize(
    ("source", "arguments", "code", "message"),
    [
        (FAIL, (), 1, "System.InvalidOperationException"),
        (LOOP, ("--timeout", "0.2"), 1, "deadline"),
        ("class C { int F() => x; }", (), 123, "error CS0103"),
        ("class C { }", (), 124, "IFunctionHandler"),
        (GREET, ("--handler", "Nobody"), 124, "Nobody"),
        (GREET, ("--payload", "a", "--payload-file", "b"), 122, "not both"),
        (GREET, ("--payload-file", "missing"), 122, "cannot be read"),
    ],
)
def test_failures_have_their_exit_code_and_no_traceback(
    command: Command, source: str, arguments: tuple[str, ...], code: int, message: str
) -> None:
    done = command("run", command.write("function.cs", source), *arguments)
    assert done.returncode == code, done.stderr
    assert message in done.stderr.decode()
    assert b"Traceback" not in done.stderr
    assert done.stdout == b""


PROGRAM = """#!/usr/bin/env dotnet-wasm-host
Console.WriteLine($"{string.Join('|', args)} {Console.In.ReadToEnd()}");
Console.Error.Write("aside");
return 9;
"""


def test_run_passes_a_programs_streams_and_exit_code_on(command: Command) -> None:
    for name in ("app.cs", "app"):
        done = command("run", command.write(name, PROGRAM), "--", "a", "--b", stdin=b"in")
        assert (done.returncode, done.stdout) == (9, b"a|--b in\n"), done.stderr
        assert done.stderr.endswith(b"aside")


@pytest.mark.parametrize(
    ("source", "arguments", "code", "message"),
    [
        ('throw new FormatException("f");', (), 134, "Unhandled exception. System.FormatException"),
        ("while (true) { }", ("--timeout", "1"), 137, "deadline"),
        ("return 2;", ("--payload", "x"), 122, "has no payload"),
        ("return missing;", (), 123, "CS0103"),
        ("#:sdk Web\nreturn 1;", (), 123, "app.cs(1,1): error"),
    ],
)
def test_programs_that_fail(
    command: Command, source: str, arguments: tuple[str, ...], code: int, message: str
) -> None:
    done = command("run", command.write("app.cs", source), *arguments)
    assert done.returncode == code, done.stderr
    assert message in done.stderr.decode()
    assert b"Traceback" not in done.stderr


def test_piped_input_is_the_payload_of_a_function(command: Command) -> None:
    assert command("run", command.write("g.cs", GREET), stdin=b"pipe").stdout == b"Hello, pipe"


def test_what_is_not_csharp_is_said(command: Command) -> None:
    done = command("run", command.write("passwd", "root:x:0"))
    assert done.returncode == 121
    assert b"passwd is not C#" in done.stderr
    done = command("run", command.write("g.cs", GREET), "--", "argument")
    assert done.returncode == 122
    assert b"takes no arguments" in done.stderr


def test_commands_take_packages(command: Command, tmp_path: Path) -> None:
    library = dwh.compile_csharp(
        "public static class Top { public static int V => 6; }", assembly_name="Top"
    )
    put(tmp_path / "feed", "Top", "1.0.0", {"lib/net8.0/Top.dll": library.data})
    app = command.write("app.cs", "#:package Top@1.*\nConsole.Write(Top.V);")
    sources = ("--package-source", "feed")
    done = command("run", app, *sources, "--lock-file", "lock.json")
    assert (done.returncode, done.stdout) == (0, b"6"), done.stderr
    assert (tmp_path / "lock.json").is_file()
    put(tmp_path / "feed", "Top", "1.0.0", {"changed": b""})
    done = command("run", app, *sources, "--lock-file", "lock.json", "--offline")
    assert done.returncode == 124
    assert b"not what the lock file says" in done.stderr
    done = command("run", app, *sources, "--allow-package", "Other.*")
    assert done.returncode == 124
    assert b"app.cs(1) wants package Top, which is not among the allowed" in done.stderr
    done = command("run", app)
    assert done.returncode == 123
    assert b"--package-source" in done.stderr


def test_compile_takes_packages(command: Command, tmp_path: Path) -> None:
    library = dwh.compile_csharp(
        "public static class Top { public static int V => 6; }", assembly_name="Top"
    )
    put(tmp_path / "feed", "Top", "1.0.0", {"lib/net8.0/Top.dll": library.data})
    source = command.write("f.cs", "public class F { public int V => Top.V; }")
    done = command("compile", source, "-p", "Top@1.0", "-s", "feed")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "f.dll").is_file()
    done = command("compile", source, "-p", "Nope", "-s", "feed")
    assert done.returncode == 4
    assert b"packages= wants package Nope" in done.stderr


@pytest.mark.long
def test_run_takes_published_folders_and_says_what_it_found(command: Command) -> None:
    done = command("publish", command.write("greet.cs", GREET), "-o", "out")
    assert done.returncode == 0, done.stderr
    done = command("run", "out", "--verbose", stdin=b"you")
    assert (done.returncode, done.stdout) == (0, b"Hello, you"), done.stderr
    assert b"out: a function published with its own .NET" in done.stderr
    assert b"greeting" in done.stderr
    assert command("run", "out", "--", "argument").returncode == 122
    assert command("run", "out", "--handler", "Greeter").returncode == 122

    source = command.write("app.cs", PROGRAM)
    done = command("run", "-v", source, "--", "a")
    assert (done.returncode, done.stdout) == (9, b"a \n")
    assert b"app.cs: the program app" in done.stderr
    assert b"app.cs:" not in command("run", source).stderr
    assert b"greet.cs: the handler Greeter" in command("run", "-v", "greet.cs").stderr


def test_version(command: Command) -> None:
    assert command("--version").stdout.decode() == f"dotnet-wasm-host {dwh.__version__}\n"
    assert b"Commands" in command().stdout


def test_a_failing_function_shows_its_inner_exception_and_stack(command: Command) -> None:
    stderr = command("run", command.write("f.cs", FAIL)).stderr.decode()
    assert "at Failing.Execute" in stderr
    assert "---> System.FormatException: inner" in stderr


def test_damaged_artifacts_have_exit_code_5(tmp_path: Path) -> None:
    program = (
        "import dotnet_wasm_host.artifacts.store as s, pathlib; "
        f"s._WHEEL_DATA = s._CHECKOUT = pathlib.Path({str(tmp_path)!r}); "
        "from dotnet_wasm_host.cli.main import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "info"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 5
    assert "run '" in done.stderr


def test_compile_writes_an_assembly_and_diagnostics(command: Command) -> None:
    warned = GREET.replace("Console.WriteLine", "string? unused = null; Console.WriteLine")
    done = command("compile", command.write("greet.cs", warned), "-o", "out.dll", "--name", "G")
    assert done.returncode == 0, done.stderr
    assert "greet.cs(5,17): warning CS0219" in done.stderr.decode()
    with dwh.Runtime() as runtime:
        runtime.load_assembly("g", command.folder / "out.dll")
        assert runtime.functions["g"].assembly_name == "G"
        assert runtime.invoke("g", b"you") == b"Hello, you"


def test_compile_joins_files_and_uses_references(command: Command) -> None:
    command.write("lib.cs", "namespace Lib; public class Thing { public int N => 7; }")
    assert command("compile", "lib.cs").returncode == 0
    command.write("a.cs", "public partial class P { public int A => new Lib.Thing().N; }")
    command.write("b.cs", "public partial class P { public int B => A; }")
    done = command("compile", "a.cs", "b.cs", "-r", "lib.dll", "-o", ".")
    assert done.returncode == 0, done.stderr
    assert (command.folder / "a.dll").is_file()


def test_contract_is_written(command: Command) -> None:
    done = command("contract")
    assert done.returncode == 0
    assert b"<Reference Include=" in done.stdout
    assert (command.folder / "MinimalRuntime.dll").read_bytes()[:2] == b"MZ"


def test_info_as_json(command: Command) -> None:
    facts = json.loads(command("info", "--json").stdout)
    assert facts["dotnet"] == "10.0.10"
    assert facts["version"] == dwh.__version__
    assert facts["engine"].startswith("wasmtime ")
    assert b"10.0.10" in command("info").stdout


def test_images_are_listed_and_cleared(command: Command, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir(mode=0o700)
    assert json.loads(command("images", "list", "--json", cache=cache).stdout)["entries"] == []
    (cache / "key.json").write_text(
        '{"sha256": "00", "size": 5, "description": {}, "what": "an image"}'
    )
    listed = json.loads(command("images", "list", "--json", cache=cache).stdout)
    (entry,) = listed["entries"]
    assert (entry["key"], entry["bytes"], entry["what"]) == ("key", 5, "an image")
    assert listed["bytes"] == sum(path.stat().st_size for path in cache.iterdir())
    text = command("images", "list", cache=cache).stdout
    assert b"an image (key)" in text
    assert b"of 1074 MB at most" in text
    assert b"MB freed" in command("images", "clear", cache=cache).stdout
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize(
    "arguments", [(), ("demo",), ("run",), ("compile",), ("contract",), ("info",), ("images",)]
)
def test_every_command_explains_itself(command: Command, arguments: tuple[str, ...]) -> None:
    done = command(*arguments, "--help")
    assert done.returncode == 0
    assert b"Usage:" in done.stdout


def test_bench_measures_this_machine(command: Command) -> None:
    done = command("bench", "--json")
    assert done.returncode == 0, done.stderr
    seconds = json.loads(done.stdout)["median_seconds"]
    assert set(seconds) == {
        "warm echo of 100 B",
        "warm echo of 10 kB",
        "warm echo of 1 MB",
        "fresh isolated instance: start, first call, close",
    }
    assert all(value > 0 for value in seconds.values())
    assert seconds["warm echo of 100 B"] < seconds["warm echo of 1 MB"]


def test_explain_says_what_is_compiled_and_why_not(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "summing.cs"
    file.write_text(SUMMING, encoding="utf-8")
    done = command("explain", str(file), "--payload", "7", "--calls", "30", "--json")
    assert done.returncode == 0, done.stderr
    methods = {it["name"]: it for it in json.loads(done.stdout)["methods"]}
    (loop,) = [it for name, it in methods.items() if "Loop" in name]
    assert loop == {"name": loop["name"], "compiled": True, "reason": "", "exits": {}}
    done = command("explain", str(file), "--payload", "7", "--calls", "30")
    assert b"compiled     " + loop["name"].encode() in done.stdout
    assert b"methods compiled" in done.stdout


def test_shells_complete_commands_and_options(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("_DOTNET_WASM_HOST_COMPLETE", "complete_bash")
    for words, position, expected in (
        ("dotnet-wasm-host ru", 1, b"run"),
        ("dotnet-wasm-host images cl", 2, b"clear"),
        ("dotnet-wasm-host compile --ref", 2, b"--reference"),
    ):
        monkeypatch.setenv("COMP_WORDS", words)
        monkeypatch.setenv("COMP_CWORD", str(position))
        assert command().stdout.split() == [expected]


@pytest.mark.parametrize("no_color", ["", "1"])
def test_a_terminal_shows_the_place_of_an_error(command: Command, no_color: str) -> None:
    pty = pytest.importorskip("pty")
    command.write("wrong.cs", "var a = 1;\n\tConsole.WriteLine(bee);\n")
    arguments = ["run", "wrong.cs"]
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", "from dotnet_wasm_host.cli.main import main; main()", *arguments],
        cwd=command.folder,
        stdin=subprocess.DEVNULL,
        stderr=slave,
        env={**os.environ, "NO_COLOR": no_color, "COLUMNS": "100"},
    )
    assert process.wait(timeout=120) == 123
    os.close(slave)
    seen = os.read(master, 65536).decode().replace("\r\n", "\n")
    os.close(master)
    assert ("\x1b[31m" in seen) is (not no_color)
    plain = re.sub(r"\x1b\[[0-9;]*m", "", seen)
    assert "wrong.cs(2,20): error CS0103: The name 'bee' does not exist" in plain
    assert "    2 |     Console.WriteLine(bee);\n" in plain
    assert "      |                       ^^^\n" in plain
    assert command("run", "wrong.cs").stderr.count(b"\n") == 2
