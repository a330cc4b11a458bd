"""Compiled methods that call one another."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

import dotnet_wasm_host as dwh
from dotnet_wasm_host.jit import conventions, emission
from dotnet_wasm_host.runtime.compilation import Compilation
from tests.jit.differential import ask_early

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCE = """
using System; using System.Runtime.CompilerServices; using System.Text;
public sealed class Calls : MinimalRuntime.IFunctionHandler {
    struct Big { public long A, B; public int C; public double D; }
    static int Fibonacci(int n) => n < 2 ? n : Fibonacci(n - 1) + Fibonacci(n - 2);
    [MethodImpl(MethodImplOptions.NoInlining)]
    static int Divide(int a, int b) => a / b;
    [MethodImpl(MethodImplOptions.NoInlining)]
    static int Middle(int a, int b) => a < 0 ? a : Divide(a * 3, b) + 1;
    [MethodImpl(MethodImplOptions.NoInlining)]
    static int Outer(int[] values, int index, int b) {
        int sum = 0;
        for (int i = 0; i < 3; i++) sum += Middle(values[(index + i) % values.Length], b);
        return sum;
    }
    static int Deep(int n) { int local = n * 7; return n == 0 ? 0 : Deep(n - 1) + local - n * 6; }
    [MethodImpl(MethodImplOptions.NoInlining)]
    static Big Mix(Big b, int n) { b.A += n; b.B ^= b.A; b.C -= n; b.D *= 0.5; return b; }
    [MethodImpl(MethodImplOptions.NoInlining)]
    static void Bump(ref int a, out long b) { a += 3; b = a * 5L; }
    [MethodImpl(MethodImplOptions.NoInlining)]
    static sbyte Low(int n) => (sbyte)n;
    [MethodImpl(MethodImplOptions.NoInlining)]
    static ushort Short(int n) => (ushort)n;
    [MethodImpl(MethodImplOptions.NoInlining)]
    static float Half(float x) => x * 0.5f;
    [MethodImpl(MethodImplOptions.NoInlining)]
    static double Third(double x) => x / 3;
    [MethodImpl(MethodImplOptions.NoInlining)]
    static ulong Spread(int n) => (ulong)n * 0x1_0000_0001UL;
    [MethodImpl(MethodImplOptions.NoInlining)]
    static ref long Cell(long[] cells, int n) => ref cells[n & 3];
    [MethodImpl(MethodImplOptions.NoInlining)]
    static string Name(string[] names, int n) => names[n & 1];
    [MethodImpl(MethodImplOptions.NoInlining)]
    static DayOfWeek Day(int n) => (DayOfWeek)(n % 7);
    [MethodImpl(MethodImplOptions.NoInlining)]
    static bool Odd(int n) => (n & 1) != 0;
    interface IShape { long Area(int n); int Deep(int n); }
    abstract class Shape : IShape {
        public virtual long Area(int n) => n; public abstract int Deep(int n);
        public virtual Big Make(int n) => new Big { A = n, C = 3 };
    }
    class Square : Shape {
        public int Side = 3;
        public override long Area(int n) => Side * Side + base.Area(n);
        public override int Deep(int n) => n == 0 ? 0 : 1 + Deep(n - 1);
        public override Big Make(int n) { var made = base.Make(n); made.B = Side; return made; }
    }
    sealed class Cube : Square {
        public override long Area(int n) => 100 / (n % 9 - 4) + base.Area(n);
        public override int Deep(int n) { int keep = n * 3; return base.Deep(n) + keep - n * 3; }
    }
    struct Dot : IShape {
        public int X; public long Area(int n) { X += n; return X; }
        public int Deep(int n) => n + X;
    }
    static string Virtual(int n) {
        IShape[] all = { new Square(), new Cube(), new Dot { X = 5 } }; Shape shape = new Cube();
        long sum = 0; int thrown = 0;
        for (int i = 0; i < n; i++) {
            try {
                sum += all[i % 3].Area(i) ^ all[(i + 1) % 3].Deep(i & 31);
                if (i % 5 == 0) shape = i % 2 == 0 ? new Cube() : new Square();
                sum += shape.Area(i); var made = shape.Make(i); sum ^= made.A + made.B * made.C;
            }
            catch (DivideByZeroException e) { thrown += e.StackTrace.Length; }
        }
        return $"{sum} {thrown} {shape.Deep(n)}";
    }
    static long total;
    static int Count(int n) { total++; return n == 0 ? 0 : 1 + Count(n - 1); }
    static string Counted(int n) {
        total = 0; int sum = 0;
        for (int i = 0; i < n; i++) sum += Count(i & 15);
        return $"{sum} {total}";
    }
    static int Forever(int n) { for (;;) { n = n * 3 + Fibonacci(4); if (n == 4) return n; } }
    static int Endless(int n) => n == int.MinValue ? 0 : 1 + Endless(n + 1);
    static string All(int n) {
        var log = new StringBuilder();
        int[] values = { 5, -3, 1000, 17 }; string[] names = { "a", "bcd" };
        var cells = new long[4];
        int sum = 0; long wide = 0; var big = new Big { A = 1, D = 3 }; float half = 1e9f;
        for (int i = 0; i < n; i++) {
            sum += Outer(values, i, i % 50 + 1); big = Mix(big, i);
            Cell(cells, i) += (long)Spread(i) ^ (long)Third(i * 1e15);
            wide += Name(names, i).Length + (int)Day(i) + (Odd(i) ? 5 : 6) + cells[i & 3];
            Bump(ref sum, out var other); wide ^= other + Low(i) - Short(-i); half = Half(half) + i;
        }
        log.Append(sum).Append(' ').Append(wide).Append(' ').Append(big.A ^ big.B).Append(' ')
           .Append(big.C).Append(' ').Append(BitConverter.DoubleToInt64Bits(big.D)).Append(' ')
           .Append(BitConverter.SingleToInt32Bits(half)).Append(' ').Append(Fibonacci(15));
        return log.ToString();
    }
    public byte[] Execute(ReadOnlySpan<byte> input) {
        var words = Encoding.UTF8.GetString(input).Split(' ');
        int n = int.Parse(words[1]);
        return Encoding.UTF8.GetBytes(words[0] switch {
            "all" => All(n),
            "throw" => Outer(new[] { 1, 2, 3 }, 0, n).ToString(),
            "caught" => Caught(n),
            "virtual" => Virtual(n),
            "count" => Counted(n),
            "deep" => Deep(n).ToString(),
            "forever" => Forever(n).ToString(),
            "endless" => Endless(n).ToString(),
            _ => "",
        });
    }
    static string Caught(int n) {
        int caught = 0, sum = 0;
        for (int i = 0; i < n; i++) {
            try { sum += Outer(new[] { i, 2 }, i, i % 3); }
            catch (DivideByZeroException error) { caught += error.StackTrace.Split('\\n').Length; }
            finally { sum ^= i; }
        }
        return $"{sum} {caught}";
    }
}
"""


@pytest.fixture(scope="module")
def assembly() -> dwh.Assembly:
    return dwh.compile_csharp(SOURCE)


@pytest.fixture(scope="module")
def interpreted(assembly: dwh.Assembly) -> Iterator[dwh.Runtime]:
    with dwh.Runtime(jit="off") as runtime:
        runtime.load_assembly("calls", assembly)
        yield runtime


@pytest.fixture
def compiled(assembly: dwh.Assembly, monkeypatch: pytest.MonkeyPatch) -> Iterator[dwh.Runtime]:
    monkeypatch.setattr(Compilation, "_begin", lambda _: None)
    with dwh.Runtime(jit="auto") as runtime:
        runtime.load_assembly("calls", assembly)
        for _ in range(4):
            runtime.invoke("calls", b"all 9000")
            runtime.invoke("calls", b"deep 900")
            runtime.invoke("calls", b"count 900")
            runtime.invoke("calls", b"virtual 900")
            runtime.invoke("calls", b"caught 900")
            runtime.compile_hot_methods()
        yield runtime


def callees(runtime: dwh.Runtime) -> int:
    compilation = runtime._compilation
    assert compilation is not None
    assert compilation._hot is not None
    return len(compilation._hot._callees)


def records(runtime: dwh.Runtime) -> int:
    compilation = runtime._compilation
    assert compilation is not None
    assert compilation._hot is not None
    return runtime.memory.read_u32(compilation._hot._records)


@pytest.mark.parametrize(
    "payload",
    [
        b"virtual 3000",
        b"virtual 4500",
        b"all 3000",
        b"count 4000",
        b"caught 300",
        b"deep 10",
        b"deep 999",
        b"deep 1001",
        b"deep 3500",
        b"deep 6000",
    ],
)
def test_results(compiled: dwh.Runtime, interpreted: dwh.Runtime, payload: bytes) -> None:
    assert callees(compiled) >= 6
    expected = interpreted.invoke("calls", payload)
    assert {compiled.invoke("calls", payload) for _ in range(3)} == {expected}
    assert records(compiled) == 0


def test_an_exception_has_the_frames_of_all_callers(
    compiled: dwh.Runtime, interpreted: dwh.Runtime
) -> None:
    errors = []
    for runtime in (interpreted, compiled, compiled):
        with pytest.raises(dwh.InvocationError) as caught:
            runtime.invoke("calls", b"throw 0")
        errors.append(caught.value)
    traces = [error.stack_trace for error in errors]
    assert traces[0] == traces[1] == traces[2]
    assert re.search(r"Divide.*\n.*Middle.*\n.*Outer", traces[0] or "")
    assert records(compiled) == 0


@pytest.mark.parametrize("depth", [1, 7])
def test_calls_that_nest_too_deep_are_the_interpreters(
    assembly: dwh.Assembly,
    interpreted: dwh.Runtime,
    monkeypatch: pytest.MonkeyPatch,
    depth: int,
) -> None:
    monkeypatch.setattr(Compilation, "_begin", lambda _: None)
    monkeypatch.setattr(emission, "BUDGET", 8192 + depth * conventions.CALL_COST)
    with dwh.Runtime(jit="auto") as runtime:
        runtime.load_assembly("calls", assembly)
        for _ in range(3):
            for payload in (b"all 3000", b"deep 700", b"caught 300"):
                assert runtime.invoke("calls", payload) == interpreted.invoke("calls", payload)
            runtime.compile_hot_methods()
        assert callees(runtime) >= 6


def test_the_stack_ends_where_it_does_interpreted(
    compiled: dwh.Runtime, interpreted: dwh.Runtime
) -> None:
    found = []
    for runtime in (interpreted, compiled):
        with pytest.raises(dwh.DotnetHostError) as caught:
            runtime.invoke("calls", b"endless 0")
        found.append(type(caught.value))
    assert found[0] is found[1]
    assert compiled.invoke("calls", b"deep 10") == interpreted.invoke("calls", b"deep 10")


def test_a_loop_of_calls_has_a_deadline(compiled: dwh.Runtime) -> None:
    with pytest.raises(dwh.InvocationTimeout):
        compiled.invoke("calls", b"forever 1", timeout=0.2)


def test_a_record_of_another_place_is_found(
    assembly: dwh.Assembly, interpreted: dwh.Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control: where a method goes on decides the result."""
    leave = conventions.Direct.leave
    monkeypatch.setattr(Compilation, "_begin", lambda _: None)
    monkeypatch.setattr(emission, "BUDGET", 8192)
    # Frames that are given up begin again after their entry instruction.
    monkeypatch.setattr(conventions.Direct, "leave", lambda self, _at: leave(self, 4))
    expected = interpreted.invoke("calls", b"count 3000")
    with dwh.Runtime(jit="auto") as runtime:
        runtime.load_assembly("calls", assembly)
        found = set()
        for _ in range(4):
            found.add(runtime.invoke("calls", b"count 3000"))
            runtime.compile_hot_methods()
        assert callees(runtime) > 0
    assert found != {expected}


def test_a_method_that_was_unloaded_is_called_no_more(
    assembly: dwh.Assembly, interpreted: dwh.Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Compilation, "_begin", lambda _: None)
    expected = interpreted.invoke("calls", b"virtual 2000")
    with dwh.Runtime(jit="auto") as runtime:
        ask_early(runtime)
        for _ in range(3):
            runtime.load_assembly("other", assembly)
            for _ in range(3):
                assert runtime.invoke("other", b"virtual 2000") == expected
                runtime.compile_hot_methods()
            assert runtime.invoke("other", b"virtual 2000") == expected
            assert callees(runtime) > 0
            runtime.unload_assembly("other")
            runtime.compile_hot_methods()
        image = runtime.snapshot()
    with dwh.Runtime(image, jit="off") as after:
        after.load_assembly("other", assembly)
        assert after.invoke("other", b"virtual 2000") == expected


#: The test makes ``this`` of ``other`` where it is set, which C# does not let one do.
REPLACED = """
using System; using System.Runtime.CompilerServices; using System.Text;
public sealed class Replaced : MinimalRuntime.IFunctionHandler {
    abstract class Node { public int Value = 7; public abstract int Step(Node other, int n); }
    sealed class Decoy : Node {
        public static Node Shared = new Decoy();
        [MethodImpl(MethodImplOptions.NoInlining)]
        public override int Step(Node other, int n) { return -1 - n / 7; }
    }
    sealed class Real : Node {
        [MethodImpl(MethodImplOptions.NoInlining)]
        public override int Step(Node other, int n) {
            int sum = 0;
            for (int i = 0; i < 3; i++) { sum += Value; other = Decoy.Shared; sum += 90 / (n - i); }
            return sum;
        }
    }
    [MethodImpl(MethodImplOptions.NoInlining)]
    static int Call(Node node, Node other, int n) => node.Step(other, n) + 1;
    static string Run(int n) {
        Node real = new Real(), decoy = new Decoy();
        long sum = 0; int thrown = 0;
        for (int i = 0; i < n; i++) {
            try { sum += Call(real, decoy, i % 11) + Call(i % 2 == 0 ? decoy : real, real, i % 3); }
            catch (DivideByZeroException e) { thrown += e.StackTrace.Contains("Decoy") ? 9999 : 1; }
        }
        return $"{sum} {thrown}";
    }
    public byte[] Execute(ReadOnlySpan<byte> input) =>
        Encoding.UTF8.GetBytes(Run(int.Parse(Encoding.UTF8.GetString(input))));
}
"""


def test_this_is_replaced_before_a_callee_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A virtual call that is made again finds its target in a slot that its callee has written."""
    monkeypatch.setattr(Compilation, "_begin", lambda _: None)
    made = dwh.compile_csharp(REPLACED)
    # ldsfld, starg.s
    patched, count = re.subn(rb"(\x7e..\x00\x04\x10)\x01", b"\\1\x00", made.data, flags=re.DOTALL)
    assert count == 1
    assembly = dwh.Assembly(made.name, patched)
    with dwh.Runtime(jit="off") as runtime:
        runtime.load_assembly("replaced", assembly)
        expected = runtime.invoke("replaced", b"3000")
    with dwh.Runtime(jit="auto") as runtime:
        ask_early(runtime)
        runtime.load_assembly("replaced", assembly)
        found = set()
        for _ in range(4):
            found.add(runtime.invoke("replaced", b"3000"))
            runtime.compile_hot_methods()
        found.add(runtime.invoke("replaced", b"3000"))
        assert callees(runtime) >= 2
        assert records(runtime) == 0
    assert found == {expected}
