"""Stack traces have files and lines, though nothing is debugged."""

from __future__ import annotations

import logging
import random
from typing import TYPE_CHECKING

import pytest

import dotnet_wasm_host as dwh
from dotnet_wasm_host.ecma335.debug_directory import embedded_pdb
from tests.ecma335.test_debug_directory import without_embedded

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from typing_extensions import Buffer

SOURCE = """\
namespace Faults;
public sealed class Fails : IFunctionHandler
{
    public byte[] Execute(ReadOnlySpan<byte> input)
    {
        if (input.Length == 0)
        {
            Deep(2);
        }
        else if (input[0] == 'l')
        {
            try { Deep(0); }
            catch (Exception e) { Log.Error(e, "it failed"); }
        }
        else
        {
            Faults.Library.Fail();
        }
        return [];
    }

    private static int Deep(int left)
    {
        if (left == 0)
        {
            throw new InvalidOperationException("boom");
        }
        return Deep(left - 1) + 1;
    }
}
"""
LIBRARY = """\
namespace Faults;
public static class Library
{
    public static void Fail()
    {
        try { int.Parse("x"); }
        catch (FormatException e) { throw new Odd("outer", e); }
    }
    private sealed class Odd(string message, Exception inner) : Exception(message, inner);
}
"""
DEEP = ["function.cs:line 26", "function.cs:line 28", "function.cs:line 28", "function.cs:line 8"]


@pytest.fixture(scope="module")
def library() -> dwh.Assembly:
    return dwh.compile_csharp({"lib/Library.cs": LIBRARY}, assembly_name="Library")


@pytest.fixture(scope="module")
def failing(library: dwh.Assembly) -> dwh.Assembly:
    return dwh.compile_csharp(SOURCE, assembly_name="Failing", references=[library])


def places(call: Callable[[Buffer], bytes], payload: bytes = b"") -> list[str]:
    """What the frames of the user's code say of where they are."""
    with pytest.raises(dwh.InvocationError) as caught:
        call(payload)
    frames = [line for line in caught.value.stack_trace.splitlines() if "Faults." in line]
    return [frame.partition(" in ")[2] for frame in frames]


def test_of_a_runtime_and_its_snapshots(
    image: dwh.RuntimeImage, failing: dwh.Assembly, library: dwh.Assembly, tmp_path: Path
) -> None:
    with dwh.Runtime(image) as runtime:
        function = runtime.load_assembly("f", failing, dependencies=[library])
        assert places(function) == DEEP
        runtime.recycle()
        assert places(function) == DEEP
        snapshot = runtime.snapshot()
    with dwh.Runtime(snapshot) as runtime:
        assert places(runtime.functions["f"]) == DEEP
        assert places(runtime.functions["f"], b"x")[0] == "lib/Library.cs:line 7"
    snapshot.save(tmp_path / "saved")
    with dwh.Runtime(dwh.RuntimeImage.open(tmp_path / "saved")) as runtime:
        assert places(runtime.functions["f"]) == DEEP


@pytest.mark.parametrize("isolation", list(dwh.Isolation))
def test_of_a_pool(
    image: dwh.RuntimeImage,
    failing: dwh.Assembly,
    library: dwh.Assembly,
    isolation: dwh.Isolation,
) -> None:
    with dwh.RuntimePool(image, size=1, isolation=isolation) as pool:
        function = pool.load_assembly("f", failing, dependencies=[library])
        for _ in range(2):
            assert places(function) == DEEP


def test_of_a_function_that_waits() -> None:
    source = """\
        using System.Text;
        public class Waits : IAsyncFunctionHandler
        {
            public async ValueTask<byte[]> ExecuteAsync(
                ReadOnlyMemory<byte> input, CancellationToken token)
            {
                await Task.Delay(1, token);
                await Later();
                return [];
            }

            private static async Task Later()
            {
                await Task.Yield();
                throw new TimeoutException("late");
            }
        }"""
    with dwh.Runtime() as runtime:
        function = runtime.load_csharp({"waits.cs": source})
        with pytest.raises(dwh.InvocationError) as caught:
            function(b"")
    assert "Later() in waits.cs:line 15\n" in caught.value.stack_trace
    assert "in waits.cs:line 8\n" in caught.value.stack_trace


def test_of_inner_exceptions_and_dependencies_with_a_pdb_beside_them(
    failing: dwh.Assembly, library: dwh.Assembly, tmp_path: Path
) -> None:
    pdb = embedded_pdb(library.data)
    assert pdb is not None
    (tmp_path / "Library.dll").write_bytes(without_embedded(library.data))
    with dwh.Runtime() as runtime:
        runtime.load_assembly("bare", failing, dependencies=tmp_path)
        assert places(runtime.functions["bare"], b"x")[0] == ""
        (tmp_path / "Library.pdb").write_bytes(pdb)
        runtime.load_assembly("f", failing, dependencies=tmp_path)
        with pytest.raises(dwh.InvocationError) as caught:
            runtime.invoke("f", b"x")
    assert "Library.Fail() in lib/Library.cs:line 7\n" in caught.value.stack_trace
    assert caught.value.inner is not None
    assert "Library.Fail() in lib/Library.cs:line 6" in caught.value.inner.stack_trace


def test_of_a_capability(library: dwh.Assembly, failing: dwh.Assembly) -> None:
    with dwh.Runtime() as runtime:
        runtime.load_capability("lib", library)
        function = runtime.load_assembly("f", failing)
        assert places(function, b"x")[0] == "lib/Library.cs:line 7"


def test_of_what_is_logged(
    failing: dwh.Assembly, library: dwh.Assembly, caplog: pytest.LogCaptureFixture
) -> None:
    with dwh.Runtime() as runtime, caplog.at_level(logging.ERROR, "dotnet_wasm_host.guest"):
        runtime.load_assembly("f", failing, dependencies=[library])(b"l")
    assert "Fails.Deep(Int32 left) in function.cs:line 26" in caplog.text


def test_of_a_program() -> None:
    source = """
        Console.WriteLine("begins");
        await Task.Delay(1);
        Inner();

        static void Inner() => throw new Exception("outer", new Exception("inner"));"""
    done = dwh.run_csharp({"app.cs": source})
    assert done.returncode == 134
    assert "Inner|0_0() in app.cs:line 6\n" in done.stderr
    assert "in app.cs:line 4\n" in done.stderr


def test_a_type_with_a_stack_trace_of_its_own_keeps_it() -> None:
    source = """
        public class Own : Exception { public override string StackTrace => "nowhere"; }
        public class H : IFunctionHandler {
            public byte[] Execute(ReadOnlySpan<byte> input) => throw new Own();
        }"""
    with dwh.Runtime() as runtime:
        function = runtime.load_csharp(source)
        with pytest.raises(dwh.InvocationError) as caught:
            function(b"")
    assert caught.value.stack_trace == "nowhere"


def test_what_code_prints_of_an_exception_itself(image: dwh.RuntimeImage) -> None:
    source = """
        using System.Diagnostics;
        public class Faults : IFunctionHandler {
            static void Fail() =>
                throw new InvalidOperationException("no");
            public byte[] Execute(ReadOnlySpan<byte> input) {
                var text = new System.Text.StringBuilder();
                try {
                    try { Fail(); } catch (Exception e) { throw new Exception("outer", e); }
                } catch (Exception e) {
                    text.AppendLine(e.ToString()).AppendLine(e.StackTrace)
                        .Append(new StackTrace(e, true)).Append(new StackTrace(e, false));
                }
                return System.Text.Encoding.UTF8.GetBytes(text.ToString());
            }
        }"""
    with dwh.Runtime(image) as runtime:
        text = runtime.load_csharp({"app.cs": source})(b"").decode()
    lines = [line.strip() for line in text.splitlines() if " at Faults." in line]
    execute = "at Faults.Execute(ReadOnlySpan`1 input)"
    assert lines == [
        "at Faults.Fail() in app.cs:line 5",
        *[f"{execute} in app.cs:line 9"] * 4,
        execute,
    ]


def test_without_a_pdb_there_are_no_lines(library: dwh.Assembly) -> None:
    bare = dwh.compile_csharp(SOURCE, references=[library], pdb=False)
    with dwh.Runtime() as runtime:
        function = runtime.load_assembly("f", bare, dependencies=[library])
        assert places(function) == [""] * len(DEEP)


def test_a_damaged_pdb_harms_nobody(failing: dwh.Assembly, library: dwh.Assembly) -> None:
    good = embedded_pdb(failing.data)
    assert good is not None
    chance = random.Random(14)
    with dwh.Runtime(limits=dwh.Limits(timeout=20, leaked_bytes=64 << 20)) as runtime:
        runtime.load_assembly("bystander", failing, dependencies=[library])
        seen = set()
        for _ in range(150):
            pdb = bytearray(good[: chance.choice([len(good), chance.randrange(len(good))])])
            for _ in range(chance.randrange(6) if pdb else 0):
                pdb[chance.randrange(len(pdb))] = chance.choice([0, 1, 0x7F, 0x80, 0xFF])
            given = dwh.Assembly("Failing", failing.data, pdb=bytes(pdb) or b"\0")
            function = runtime.load_assembly("f", given, dependencies=[library])
            found = places(function)
            assert len(found) == len(DEEP)
            seen.add(tuple(found))
        assert runtime.stats().recycles == 0
        assert len(seen) > 2
        assert places(runtime.functions["bystander"]) == DEEP
