"""Methods whose callees turn out to be no methods that can be called."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import dotnet_wasm_host as dwh
from dotnet_wasm_host.jit import compiler, conventions
from dotnet_wasm_host.runtime.compilation import Compilation
from dotnet_wasm_host.wasm.assembly import i32, load, numeric, store
from tests.jit.differential import ask_early

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dotnet_wasm_host.wasm.binary import FunctionType, ValueType

SOURCE = """
using System; using System.Runtime.CompilerServices; using System.Text;
public sealed class Callers : MinimalRuntime.IFunctionHandler {
    [MethodImpl(MethodImplOptions.NoInlining)]
    static int Stack(int n) {
        Span<int> some = stackalloc int[(n & 7) + 1];
        some[n & 3] = n; return some[^1] + some[0] + some.Length;
    }
    [MethodImpl(MethodImplOptions.NoInlining)]
    static int Inner(int n) => n < 0 ? -n : n + Stack(n & 3);
    [MethodImpl(MethodImplOptions.NoInlining)]
    static int Middle(int n) { int half = n / 2; return n < 0 ? Inner(n) - half : Inner(n) * half; }
    [MethodImpl(MethodImplOptions.NoInlining)]
    static int Outer(int n) {
        int sum = 0; for (int i = 0; i < 5; i++) sum += Middle(n) ^ i; return sum;
    }
    public byte[] Execute(ReadOnlySpan<byte> input) {
        var words = Encoding.UTF8.GetString(input).Split(' ');
        int sign = int.Parse(words[0]), count = int.Parse(words[1]); long sum = 0;
        for (int i = 1; i <= count; i++) sum = sum * 31 + Outer(sign * i);
        return Encoding.UTF8.GetBytes(sum.ToString());
    }
}
"""


@pytest.fixture(scope="module")
def assembly() -> dwh.Assembly:
    return dwh.compile_csharp(SOURCE)


@pytest.fixture
def runtime(assembly: dwh.Assembly, monkeypatch: pytest.MonkeyPatch) -> Iterator[dwh.Runtime]:
    monkeypatch.setattr(Compilation, "_begin", lambda _: None)
    with dwh.Runtime(jit="auto") as runtime:
        ask_early(runtime)
        runtime.load_assembly("callers", assembly)
        runtime.invoke("callers", b"1 1")  # so that it is known, and not optimised
        for _ in range(3):
            runtime.invoke("callers", b"-1 1000")
            runtime.compile_hot_methods()
        yield runtime


def exits(runtime: dwh.Runtime) -> dict[str, int]:
    """Calls that each method leaves to the interpreter."""
    found = {m.name.split(":")[1].split(" ")[0]: m for m in runtime.hot_methods() if m.compiled}
    return {name: found[name].exits.get("call", 0) for name in ("Inner", "Middle", "Outer")}


def test_callers_of_what_cannot_be_called_are_compiled_again(
    runtime: dwh.Runtime, assembly: dwh.Assembly
) -> None:
    assert exits(runtime) == {"Inner": 0, "Middle": 0, "Outer": 0}
    methods = runtime.stats().jit.methods
    with dwh.Runtime(jit="off") as interpreted:
        interpreted.load_assembly("callers", assembly)
        payloads = (b"1 700", b"-1 700", b"1 9")
        expected = [interpreted.invoke("callers", payload) for payload in payloads]
    for _ in range(6):
        assert [runtime.invoke("callers", payload) for payload in payloads] == expected
        runtime.compile_hot_methods()
    # Inner cannot go on after this call. It still returns where it is not made.
    assert exits(runtime)["Inner"] == 1
    assert runtime.stats().jit.methods >= methods
    assert runtime.stats().jit.pending == 0
    compiling = runtime._compilation
    assert compiling is not None
    assert compiling._hot is not None
    assert runtime.memory.read_u32(compiling._hot._records) == 0  # each was taken


IN_A_CONSTRUCTOR = """
using System; using System.Text;
public sealed class Early : MinimalRuntime.IFunctionHandler {
    static class Table {
        internal static readonly int[] Sums = Make();
        static int[] Make() {
            var sums = new int[60];
            for (int i = 0; i < sums.Length; i++) sums[i] = Count(i * 50);
            return sums;
        }
    }
    static int Count(int n) => n == 0 ? 0 : 1 + Count(n - 1);
    public byte[] Execute(ReadOnlySpan<byte> input) =>
        Encoding.UTF8.GetBytes((Table.Sums[19] + Count(700)).ToString());
}
"""


def test_what_runs_often_in_a_static_constructor_first_makes_calls(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its frames have no parent: whoever looks for the first frame of all finds another there."""
    monkeypatch.setattr(Compilation, "_begin", lambda _: None)
    with dwh.Runtime(jit="auto") as runtime:
        runtime.load_assembly("early", dwh.compile_csharp(IN_A_CONSTRUCTOR))
        for _ in range(4):
            assert runtime.invoke("early") == b"1650"
            runtime.compile_hot_methods()
        found = [m for m in runtime.hot_methods() if "Early:Count" in m.name]
        assert [(m.compiled, m.exits) for m in found] == [(True, {})]


GENERIC = """
using System; using System.Runtime.CompilerServices; using System.Text;
public sealed class Generic : MinimalRuntime.IFunctionHandler {
    abstract class Part<T> { public abstract int Size(int n); public virtual T Same(T item) => item; }
    sealed class Text : Part<string> {
        public override int Size(int n) => n * 3 + 1; public override string Same(string s) => s + "";
    }
    sealed class Number : Part<int> {
        public override int Size(int n) => n ^ 5; public override int Same(int n) => n - 1;
    }
    sealed class Other : Part<int> { public override int Size(int n) => n >> 1; }
    [MethodImpl(MethodImplOptions.NoInlining)]
    static int Call(Part<string> text, Part<int> number, int n) =>
        text.Size(n) + number.Size(n) + number.Same(n) + text.Same("abc").Length;
    public byte[] Execute(ReadOnlySpan<byte> input) {
        int sum = 0; var text = new Text(); Part<int>[] numbers = { new Number(), new Other() };
        for (int i = 0; i < 3000; i++) sum = sum * 7 + Call(text, numbers[i & 1], i);
        return Encoding.UTF8.GetBytes(sum.ToString());
    }
}
"""  # noqa: E501 - C#


def test_virtual_methods_of_generic_types_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not where others are: the runtime keeps a list for each of their slots."""
    monkeypatch.setattr(Compilation, "_begin", lambda _: None)
    given_up = 12  # a word of the records that nothing uses

    def count(records: int) -> tuple[FunctionType, tuple[ValueType], bytes]:
        kind, variables, code = conventions.give_up(records)
        place = i32(records)
        more = place + place + load("i32", given_up) + i32(1) + numeric("i32.add")
        return kind, variables, more + store("i32", given_up) + code

    monkeypatch.setattr(compiler, "give_up", count)
    assembly = dwh.compile_csharp(GENERIC)
    with dwh.Runtime(jit="off") as runtime:
        runtime.load_assembly("generic", assembly)
        expected = runtime.invoke("generic")
    with dwh.Runtime(jit="auto") as runtime:
        ask_early(runtime)
        runtime.load_assembly("generic", assembly)
        for _ in range(5):
            assert runtime.invoke("generic") == expected
            runtime.compile_hot_methods()
        compiling = runtime._compilation
        assert compiling is not None
        assert compiling._hot is not None
        place = compiling._hot._records + given_up
        before = runtime.memory.read_u32(place)
        assert runtime.invoke("generic") == expected
        assert runtime.memory.read_u32(place) - before < 10
        called = [m for m in runtime.hot_methods() if "Generic:Call" in m.name and m.compiled]
        assert called
