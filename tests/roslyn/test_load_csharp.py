from __future__ import annotations

import io
import sys
from contextlib import redirect_stderr, redirect_stdout

import pytest

import dotnet_wasm_host as dwh

SHOUTING = """
public sealed class Shout : IFunctionHandler {
    public byte[] Execute(ReadOnlySpan<byte> input) {
        Console.WriteLine("shouting");
        Console.Error.WriteLine("hoarse");
        return Encoding.UTF8.GetBytes(Encoding.UTF8.GetString(input).ToUpperInvariant());
    }
}
"""
LIBRARY = "namespace Lib; public static class Numbers { public static int Answer() => 42; }"


def test_source_becomes_a_function_that_is_called() -> None:
    with dwh.Runtime(wasi=dwh.WasiOptions(stdout="discard", stderr="discard")) as runtime:
        shout = runtime.load_csharp("using System.Text;" + SHOUTING)
        assert shout(b"hello") == b"HELLO"
        assert shout.function_id == shout.assembly_name
        named = runtime.load_csharp("using System.Text;" + SHOUTING, function_id="shout")
        assert runtime.invoke("shout", b"x") == named(b"x") == b"X"
        assert set(runtime.functions) == {"shout", shout.function_id}


def test_references_are_loaded_with_the_function() -> None:
    library = dwh.compile_csharp(LIBRARY, assembly_name="Lib")
    source = """
        public class First : IFunctionHandler {
            public byte[] Execute(ReadOnlySpan<byte> input) => [0];
        }
        public class Asked : IFunctionHandler {
            public byte[] Execute(ReadOnlySpan<byte> input) => [(byte)Lib.Numbers.Answer()];
        }"""
    with dwh.Runtime() as runtime:
        function = runtime.load_csharp(
            {"f.cs": source}, references=iter([library]), handler_type="Asked", optimize=False
        )
        assert function(b"") == b"\x2a"


def test_what_does_not_compile_changes_nothing() -> None:
    with dwh.Runtime(wasi=dwh.WasiOptions(stdout="discard", stderr="discard")) as runtime:
        runtime.load_csharp("using System.Text;" + SHOUTING, function_id="f")
        with pytest.raises(dwh.CompilationError):
            runtime.load_csharp("class C { int F() => missing; }", function_id="f")
        with pytest.raises(dwh.HandlerNotFound, match="the smallest is"):
            runtime.load_csharp("class C { }", function_id="g")
        with pytest.raises(dwh.MarshallingError):
            runtime.load_csharp("class C { }", function_id="")
        assert runtime.invoke("f", b"still") == b"STILL"
    with pytest.raises(dwh.RuntimeClosed):
        runtime.load_csharp("class C { }")


def test_a_guest_prints_where_python_prints() -> None:
    with dwh.Runtime() as runtime:
        shout = runtime.load_csharp("using System.Text;" + SHOUTING)
        for _ in range(2):
            out, error = io.StringIO(), io.StringIO()
            with redirect_stdout(out), redirect_stderr(error):
                shout(b"")
            assert (out.getvalue(), error.getvalue()) == ("shouting\n", "hoarse\n")


def test_a_pool_logs(capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "dotnet_wasm_host.guest")
    with dwh.RuntimePool(size=1) as pool:
        pool.load_assembly("f", dwh.compile_csharp("using System.Text;" + SHOUTING))
        pool.invoke("f")
    assert capsys.readouterr().out == ""
    assert caplog.messages == ["shouting", "hoarse"]


def test_what_a_stream_raises_comes_out_of_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(io.StringIO):
        def write(self, _text: str) -> int:
            raise BrokenPipeError("nobody reads")

    with dwh.Runtime() as runtime:
        shout = runtime.load_csharp("using System.Text;" + SHOUTING)
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", Broken())
            with pytest.raises(BrokenPipeError, match="nobody reads"):
                shout(b"")


@pytest.mark.parametrize("sink", ["stdout", "inherited", 3, b"x"])
def test_an_end_that_is_none_is_refused(sink: object) -> None:
    with pytest.raises(ValueError, match="'inherit', 'logging', 'discard'"):
        dwh.WasiOptions(stdout=sink)  # type: ignore[arg-type]
