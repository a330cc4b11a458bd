"""What libraries take for granted: named cultures, a console that outlives a snapshot."""

from __future__ import annotations

import io

import dotnet_wasm_host as dwh


def test_named_cultures_exist_and_behave_as_the_invariant_one() -> None:
    done = dwh.run_csharp(
        'var c = new System.Globalization.CultureInfo("fr-FR");'
        'Console.Write($"{c.Name} {1234.5.ToString("N1", c)}");'
    )
    assert (done.stdout, done.stderr) == ("fr-FR 1,234.5", "")


def test_the_console_works_in_a_snapshot_of_a_function_that_used_it() -> None:
    function = dwh.compile_csharp(
        "public class P : IFunctionHandler { public byte[] Execute(ReadOnlySpan<byte> i) {"
        ' Console.Write("out"); Console.Error.Write("err"); return []; } }'
    )
    with dwh.Runtime(wasi=dwh.WasiOptions(stdout=io.BytesIO(), stderr=io.BytesIO())) as runtime:
        runtime.load_assembly("p", function)
        runtime.invoke("p")
        image = runtime.snapshot()
    stdout, stderr = io.BytesIO(), io.BytesIO()
    with dwh.Runtime(image, wasi=dwh.WasiOptions(stdout=stdout, stderr=stderr)) as runtime:
        runtime.invoke("p")
    assert (stdout.getvalue(), stderr.getvalue()) == (b"out", b"err")


def test_the_console_is_one_whose_streams_are_redirected() -> None:
    done = dwh.run_csharp(
        """
        Console.ForegroundColor = ConsoleColor.Red; Console.BackgroundColor = ConsoleColor.Blue;
        Console.WriteLine($"{Console.ForegroundColor} {Console.BackgroundColor}");
        Console.ResetColor(); Console.Clear(); Console.Beep(); Console.Title = "x";
        Console.CursorVisible = false; Console.SetCursorPosition(3, 4);
        var color = (int)Console.ForegroundColor;
        Console.WriteLine($"{color} {Console.CursorLeft} {Console.CursorTop}");
        Console.WriteLine($"{Console.WindowWidth} {Console.WindowHeight} {Console.BufferWidth}");
        Console.Write(Console.IsInputRedirected && Console.IsOutputRedirected);
        Console.WriteLine(Console.IsErrorRedirected);
        Console.CancelKeyPress += (_, _) => { }; Console.TreatControlCAsInput = false;
        Console.InputEncoding = Console.OutputEncoding = System.Text.Encoding.UTF8;
        foreach (var ask in new Action[] { () => Console.ReadKey(), () => _ = Console.KeyAvailable,
                                           () => Console.ForegroundColor = (ConsoleColor)99 })
            try { ask(); } catch (Exception e) { Console.WriteLine(e.GetType().Name); }
        Console.WriteLine(Console.ReadLine());
        """,
        input="zäh\nrest",
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "Red Blue", "-1 0 0", "80 24 80", "TrueTrue",
        "InvalidOperationException", "InvalidOperationException", "ArgumentException", "zäh",
    ]  # fmt: skip


def test_the_streams_of_the_console_can_be_opened() -> None:
    done = dwh.run_csharp(
        "using var from = Console.OpenStandardInput(); using var to = Console.OpenStandardOutput();"
        "await from.CopyToAsync(to);",
        input=bytes(range(256)) * 100,
        encoding=None,
    )
    assert (done.stdout, done.stderr) == (bytes(range(256)) * 100, b"")
