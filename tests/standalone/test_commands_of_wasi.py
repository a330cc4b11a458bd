"""Commands: functions and programs that WASI hosts run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import wasmtime

import dotnet_wasm_host as dwh

if TYPE_CHECKING:
    from pathlib import Path

    from tests.standalone.hosts import PlainHosts

PROGRAM = """
using System.Linq;
if (args.Length > 0 && args[0] == "throw") throw new InvalidOperationException("wrong");
var lines = new List<string>();
while (Console.ReadLine() is { } line) lines.Add(line);
Console.WriteLine($"{string.Join(",", args)}: {string.Join("|", lines.Order())}");
Console.Error.WriteLine("done");
await Task.Delay(5);
return lines.Count;
"""


def run(
    hosts: PlainHosts, module: dwh.StandaloneModule, folder: Path, stdin: bytes, *args: str
) -> tuple[int, bytes, bytes]:
    """Exit code, output and errors."""
    (folder / "in").write_bytes(stdin)
    wasi = wasmtime.WasiConfig()
    wasi.argv = ["command", *args]
    wasi.stdin_file = str(folder / "in")
    wasi.stdout_file, wasi.stderr_file = str(folder / "out"), str(folder / "err")
    host = hosts(module.data, wasi)
    code = 0
    try:
        host.start()
    except wasmtime.ExitTrap as end:
        code = end.code
    return code, (folder / "out").read_bytes(), (folder / "err").read_bytes()


@pytest.mark.long
def test_a_program_is_a_command(hosts: PlainHosts, tmp_path: Path) -> None:
    module = dwh.build_wasm(PROGRAM, target="command")
    assert module.exports == ("memory", "_start")
    for args, text in (((), b""), (("a", "\u00e9 b"), b"two\none\n")):
        code, output, errors = run(hosts, module, tmp_path, text, *args)
        expected = dwh.run_csharp(PROGRAM, args, input=text, encoding=None)
        assert code == expected.returncode
        assert (output, errors) == (expected.stdout, expected.stderr)
    code, output, errors = run(hosts, module, tmp_path, b"", "throw")
    assert code == 1
    assert errors.startswith(b"Unhandled exception. System.InvalidOperationException: wrong\n")
    assert errors.count(b"wrong") == 1


def test_a_function_is_a_command(hosts: PlainHosts, tmp_path: Path, probe: dwh.Assembly) -> None:
    module = dwh.build_wasm(probe, target="command")
    assert run(hosts, module, tmp_path, b"Ada") == (0, b"Hello, Ada!", b"")
    code, output, errors = run(hosts, module, tmp_path, b"throw")
    assert (code, output) == (1, b"")
    assert b"System.InvalidOperationException: wrong" in errors
    assert run(hosts, module, tmp_path, b"exit")[0] == 3


FILES = """
using System.IO;
Directory.CreateDirectory("/data/new");
File.WriteAllText("/data/new/a.txt", File.ReadAllText("/data/in.txt").ToUpperInvariant());
File.AppendAllText("/data/new/a.txt", "!");
File.Move("/data/new/a.txt", "/data/new/b.txt");
var all = Directory.GetFileSystemEntries("/data", "*", SearchOption.AllDirectories);
foreach (var file in all.Order())
    Console.WriteLine($"{file} {(Directory.Exists(file) ? -1 : new FileInfo(file).Length)}");
try { File.ReadAllText("/data/none"); }
catch (FileNotFoundException) { Console.WriteLine("none"); }
File.Delete("/data/in.txt");
"""


@pytest.mark.long
def test_files_are_those_of_a_preopened_directory(hosts: PlainHosts, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "in.txt").write_text("text")
    wasi = wasmtime.WasiConfig()
    wasi.argv = ["command"]
    wasi.stdout_file, wasi.stderr_file = str(tmp_path / "out"), str(tmp_path / "err")
    wasi.preopen_dir(str(data), "/data")
    module = dwh.build_wasm(FILES, target="command", wasi="full")
    host = hosts(module.data, wasi)
    host.start()
    assert (tmp_path / "err").read_bytes() == b""
    assert (tmp_path / "out").read_text().splitlines() == [
        "/data/in.txt 4",
        "/data/new -1",
        "/data/new/b.txt 5",
        "none",
    ]
    assert (data / "new" / "b.txt").read_text() == "TEXT!"
    assert not (data / "in.txt").exists()


def test_without_files_there_are_none(hosts: PlainHosts, tmp_path: Path) -> None:
    text = """
    using System.IO;
    try { File.ReadAllText("/data/in.txt"); }
    catch (IOException e) { Console.WriteLine(e.GetType().Name); }
    """
    module = dwh.build_wasm(text, target="command")
    assert run(hosts, module, tmp_path, b"")[:2] == (0, b"DirectoryNotFoundException\n")
