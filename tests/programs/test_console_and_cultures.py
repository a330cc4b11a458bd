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
