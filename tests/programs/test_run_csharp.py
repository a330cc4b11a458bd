"""Programs: what ``dotnet run app.cs`` runs, and what is left of it afterwards."""

from __future__ import annotations

import pickle
import subprocess
from pathlib import Path
from typing import Any

import pytest

import dotnet_wasm_host as dwh
from dotnet_wasm_host.programs.program import read_program


def run(source: Any, args: tuple[str, ...] = (), **options: Any) -> dwh.CompletedProgram:
    return dwh.run_csharp(source, args, **options)


def test_a_program_has_output_errors_and_an_exit_code() -> None:
    done = run(
        "Console.WriteLine($\"hi {string.Join(',', args)}\"); Console.Error.Write('e'); return 3;",
        ("a", "b c", "", "Zoë"),
    )

    assert isinstance(done, subprocess.CompletedProcess)
    assert (done.returncode, done.stdout, done.stderr) == (3, "hi a,b c,,Zoë\n", "e")
    assert done.args == ["a", "b c", "", "Zoë"]
    assert done.exception is None


MAINS = {
    "void": ("static void Main() => Environment.ExitCode = 5;", 5),
    "void args": ("static void Main(string[] a) => Environment.ExitCode = a.Length;", 2),
    "int": ("static int Main() => 6;", 6),
    "int args": ("public static int Main(string[] a) => a.Length + 5;", 7),
    "negative": ("static int Main() => -1;", -1),
    "task": ("static async Task Main() { await Task.Delay(1); Environment.ExitCode = 8; }", 8),
    "task args": (
        "static async Task Main(string[] a) { await Task.Yield(); Environment.ExitCode = 2; }",
        2,
    ),
    "task int": ("static async Task<int> Main() { await Task.Delay(1); return 9; }", 9),
    "task int args": (
        "static async Task<int> Main(string[] a) { await Task.Delay(1); return a.Length + 8; }",
        10,
    ),
    "overload": (
        "static int Main() => 11; static async Task<int> Main(int a) => await Task.FromResult(a);",
        11,
    ),
}


@pytest.mark.parametrize("form", MAINS)
def test_main_in_all_its_forms(form: str) -> None:
    method, code = MAINS[form]
    done = run(f"class Program {{ {method} }}", ("x", "y"))
    assert (done.returncode, done.stderr, done.exception) == (code, "", None)


def test_top_level_statements_may_await() -> None:
    done = run(
        "await Task.Delay(5); var p = new P(4); Console.Write(await F(p.X)); return 1;\n"
        "async Task<int> F(int x) { await Task.Yield(); return x * 2; } record P(int X);"
    )
    assert (done.returncode, done.stdout) == (1, "8")


def test_input_is_read_to_its_end() -> None:
    source = """
        var sum = 0; string? line;
        while ((line = Console.ReadLine()) != null) sum += int.Parse(line);
        Console.Write(sum + Console.In.ReadToEnd().Length);"""
    assert run(source, input="1\n2\n30").stdout == "33"
    assert run(source, input=b"4\n", encoding=None).stdout == b"4"
    assert run(source).stdout == "0"


def test_several_files_and_the_files_a_program_finds() -> None:
    done = run(
        {
            "app.cs": 'Console.Write(Data.Read("/in/a.csv"));',
            "data.cs": "static class Data { public static string Read(string p) { "
            'File.WriteAllText("/tmp/x", "[" + File.ReadAllText(p) + "]"); '
            'return File.ReadAllText("/tmp/x"); } }',
        },
        files={"/in/a.csv": b"1;2"},
    )
    assert done.stdout == "[1;2]", done.stderr


def test_exit_ends_the_program_at_once() -> None:
    done = run('Console.Write("before"); Environment.Exit(42); Console.Write("after");')
    assert (done.returncode, done.stdout, done.exception) == (42, "before", None)


def test_handlers_of_process_exit_run() -> None:
    done = run(
        'AppDomain.CurrentDomain.ProcessExit += (_, _) => Console.Write("bye");'
        "Console.Write(System.Reflection.Assembly.GetEntryAssembly()!.GetName().Name + ' ');",
    )
    assert done.stdout == "app bye"


def test_an_unhandled_exception_is_reported_as_dotnet_does() -> None:
    done = run(
        'Console.WriteLine("before");\n'
        'throw new InvalidOperationException("outer", new FormatException("inner"));'
    )
    assert (done.returncode, done.stdout) == (134, "before\n")
    first, second, *rest = done.stderr.splitlines()
    assert first == "Unhandled exception. System.InvalidOperationException: outer"
    assert second == " ---> System.FormatException: inner"
    assert "   at Program.<Main>$(String[] args) in app.cs:line 2" in rest
    assert "MinimalRuntime" not in done.stderr
    assert isinstance(done.exception, dwh.InvocationError)
    assert done.exception.dotnet_type == "System.InvalidOperationException"


def test_an_exception_that_cannot_be_read_is_reported_by_its_type() -> None:
    done = run(
        "throw new Hostile();\n"
        "class Hostile : Exception {\n"
        "    public override string Message => throw new TimeoutException(); }"
    )
    assert done.returncode == 134
    expected = "Unhandled exception. Hostile (its ToString threw System.TimeoutException)\n"
    assert done.stderr == expected
    assert isinstance(done.exception, dwh.InvocationError)
    assert done.exception.dotnet_type == "Hostile"


def test_an_exception_after_an_await_is_reported_too() -> None:
    done = run('await Task.Delay(1); throw new FormatException("late");')
    assert done.returncode == 134
    assert done.stderr.startswith("Unhandled exception. System.FormatException: late\n   at ")
    assert "MinimalRuntime" not in done.stderr


def test_a_program_that_never_ends_is_stopped(tmp_path: Path) -> None:
    program = read_program('Console.Write("on"); while (true) { }')
    program.assembly.save(tmp_path / "loop.dll")

    done = run(tmp_path / "loop.dll", timeout=1.0)

    assert (done.returncode, done.stdout) == (137, "on")
    assert isinstance(done.exception, dwh.InvocationTimeout)


def test_a_program_stays_within_its_limits() -> None:
    done = run(
        "while (true) Console.Write(new string('x', 1000));",
        limits=dwh.Limits(output_bytes=10_000),
    )
    assert done.returncode == 137
    assert isinstance(done.exception, dwh.LimitExceeded)
    assert len(done.stdout) <= 10_000


def test_check_raises_what_subprocess_raises() -> None:
    with pytest.raises(subprocess.CalledProcessError) as caught:
        run('Console.Write("o"); Console.Error.Write("e"); return 2;', check=True)
    error = caught.value
    assert isinstance(error, dwh.ProgramFailed)
    assert (error.returncode, error.stdout, error.stderr) == (2, "o", "e")
    assert str(error) == "the program ended with exit code 2"
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    assert run("return;", check=True).returncode == 0


def test_references_are_there_at_run_time(tmp_path: Path) -> None:
    library = dwh.compile_csharp(
        "namespace Lib; public static class L { public static int V => 42; }", assembly_name="Lib"
    )
    library.save(tmp_path)
    for references in ([library], tmp_path, tmp_path / "Lib.dll"):
        assert run("Console.Write(Lib.L.V);", references=references).stdout == "42"


def test_a_program_reaches_host_functions() -> None:
    done = run(
        'Console.Write(System.Text.Encoding.UTF8.GetString(Host.Call("up", "abc"u8)));',
        host_functions={"up": bytes.upper},
    )
    assert done.stdout == "ABC", done.stderr


def test_source_files_and_assemblies_run_by_path(tmp_path: Path) -> None:
    source = tmp_path / "app.cs"
    source.write_text('Console.Write("ü");', encoding="utf-8-sig")
    assert run(source).stdout == "ü"
    read_program(source).assembly.save(tmp_path / "app.dll")
    assert run(tmp_path / "app.dll").stdout == "ü"


@pytest.mark.parametrize(
    ("name", "content", "error", "message"),
    [
        ("notes.txt", b"hello", dwh.MarshallingError, "not C#"),
        ("latin.cs", b"\xff\xfe", dwh.MarshallingError, "UTF-8"),
        ("nul.cs", b"int a;\0", dwh.MarshallingError, "NUL"),
        ("junk.dll", b"MZjunk", dwh.AssemblyLoadError, r"not a \.NET assembly"),
    ],
)
def test_what_is_no_program_is_said(
    tmp_path: Path, name: str, content: bytes, error: type[Exception], message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(error, match=message):
        run(tmp_path / name)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"args": "text"}, "list of texts"),
        ({"args": [5]}, "every argument is text"),
        ({"args": ["a\0b"]}, "NUL"),
        ({"input": 5}, "text or bytes"),
        ({"input": "text", "encoding": None}, "give bytes"),
    ],
)
def test_wrong_arguments_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(dwh.MarshallingError, match=message):
        dwh.run_csharp("return;", **options)


def test_source_of_another_type_is_refused() -> None:
    with pytest.raises(dwh.MarshallingTypeError, match="C# text, a Path"):
        run(b"return;")


def test_errors_of_the_source_are_those_of_the_compiler() -> None:
    with pytest.raises(dwh.CompilationError) as caught:
        run("var a = 1;\nConsole.WriteLine(b);")
    (error,) = [d for d in caught.value.diagnostics if d.severity == "error"]
    assert (error.id, error.file, error.line, error.column) == ("CS0103", "app.cs", 2, 19)
    assert (error.end_line, error.end_column) == (2, 20)
    with pytest.raises(dwh.CompilationError) as caught:
        run("class NoMain { }")
    assert "CS5001" in {d.id for d in caught.value.diagnostics}


def test_programs_share_nothing() -> None:
    source = 'Console.Write(File.Exists("/tmp/once")); File.WriteAllText("/tmp/once", "");'
    assert [run(source).stdout for _ in range(2)] == ["False", "False"]


def test_a_program_that_dotnet_gives_up_is_aborted() -> None:
    deep = run("int Deep(int n) => 1 + Deep(n + 1); Console.Write(Deep(0));")
    assert deep.returncode == 134
    assert "StackOverflow" in str(deep.exception)
    failed = run('Environment.FailFast("enough");')
    assert (failed.returncode, type(failed.exception)) == (134, dwh.GuestTerminated)
    assert "enough" in str(failed.exception)


def test_what_a_program_prints_makes_no_exit_of_it_a_crash() -> None:
    done = run('Console.Error.Write("Unhandled Exception: none"); Environment.Exit(1);')
    assert (done.returncode, done.exception) == (1, None)


def test_handlers_of_unhandled_exceptions_run() -> None:
    done = run(
        "AppDomain.CurrentDomain.UnhandledException += (_, e) => {"
        '  Console.Write(((Exception)e.ExceptionObject).Message); throw new Exception("again"); };'
        'throw new Exception("first");'
    )
    assert (done.returncode, done.stdout) == (134, "first")
    assert done.stderr.startswith("Unhandled exception. System.Exception: first")
