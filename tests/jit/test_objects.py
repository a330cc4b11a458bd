"""Objects in compiled methods: made, constructed, cast, called through delegates, collected."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import dotnet_wasm_host as dwh
from dotnet_wasm_host.jit import emission
from dotnet_wasm_host.runtime.compilation import Compilation
from tests.jit.differential import ask_early, forced_exits

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCE = """
using System; using System.Collections.Generic; using System.Runtime.CompilerServices;
using System.Text;
static class More { public static int Plus(this string text, int n) => text.Length + n; }
public sealed class Objects : MinimalRuntime.IFunctionHandler {
    sealed class Node {
        public Node Next; public int Value; public string Text; public long[] More;
    }
    [MethodImpl(MethodImplOptions.NoInlining)]
    static Node Make(int n, Node next) {
        var more = new long[n & 7]; if (more.Length > 2) more[2] = n;
        var text = new string((char)('a' + n % 26), n & 3);
        var node = new Node { Value = n, Text = text, More = more };
        node.Next = next; return node;
    }
    [MethodImpl(MethodImplOptions.NoInlining)]
    static long Walk(Node node) {
        long sum = 0;
        for (; node != null; node = node.Next) {
            sum = sum * 31 + node.Value + node.Text.Length + node.More.Length;
            if (node.Text.Length > 0) sum += node.Text[0];
            if (node.More.Length > 2) sum ^= node.More[2];
        }
        return sum;
    }
    [MethodImpl(MethodImplOptions.NoInlining)]
    static Node Deep(int depth, int n) {
        // Kept in this frame alone while the callees make garbage.
        var kept = Make(n, null); object boxed = n * 7L;
        var below = depth == 0 ? null : Deep(depth - 1, n + 1);
        for (int i = 0; i < 5; i++) Make(n + i, kept);
        return new Node { Value = kept.Value + (int)(long)boxed, Text = kept.Text, More = kept.More,
            Next = below };
    }
    static string Collect(int n) {
        long sum = 0; Node list = null; int before = GC.CollectionCount(0);
        for (int i = 0; i < n; i++) {
            list = Make(i, i % 50 == 0 ? null : list);
            sum = sum * 17 + Walk(Deep(6, i)) + Walk(list);
        }
        return $"{sum} {GC.CollectionCount(0) - before > 0}";
    }
    // Not compiled: whoever calls it is given up and goes on.
    [MethodImpl(MethodImplOptions.NoInlining)]
    static int OnTheStack(int n) { Span<int> some = stackalloc int[n % 9 + 1]; return some.Length; }
    static List<Thing> things = new(); static int made;
    class Thing {
        public int A, B; public Thing Other; public string Name = "thing";
        [MethodImpl(MethodImplOptions.NoInlining)]
        public Thing(int n) {
            made++; A = n; Other = n % 3 == 0 ? null : new Thing(n / 3 * 3);
            things.Add(this); if (n % 4 == 0) Name += OnTheStack(n);
            B = 1000 / (n % 5 - 2); made += 100; Name += B;
        }
    }
    sealed class Outer : Thing {
        public readonly Thing Inner;
        [MethodImpl(MethodImplOptions.NoInlining)]
        public Outer(int n) : base(n) { Inner = new Thing(n + 1); made += 10_000; }
    }
    static string Construct(int n) {
        things.Clear(); made = 0; int thrown = 0, same = 0; long sum = 0; string traces = "";
        for (int i = 0; i < n; i++) {
            try {
                var it = new Outer(i);
                if (things.Contains(it) && things.Contains(it.Inner)) same++;
                sum += it.A * 3 + it.B + it.Name.Length + it.Inner.B;
            }
            catch (DivideByZeroException e) {
                thrown++; sum ^= things[^1].A + things[^1].B;
                if (i == n - 1 || i % 100 == 0) traces = e.StackTrace;
            }
            if (things.Count > 300) things.Clear();
        }
        return $"{sum} {made} {thrown} {same} {things.Count} {traces}";
    }
    delegate int Step(int n);
    static int Static(int n) => n * 3;
    struct Value { public int X; public int Add(int n) { X += n; return 70 / (n % 7) + X; } }
    [MethodImpl(MethodImplOptions.NoInlining)]
    static int Invoke(Step step, int n) => step(n) + 1;
    static string Delegates(int n) {
        int state = 1, thrown = 0; long sum = 0; string text = "captured";
        Step closed = x => { state += x; return state ^ x; };
        Step throwing = x => { state++; var s = "t" + x; return 100 / (x % 4) + s.Length + state; };
        Step garbage = x => { var all = new object[x & 31]; for (int i = 0; i < all.Length; i++)
            all[i] = new string('x', i); return 50 / (x % 3) + all.Length; };
        Step open = Static, over = new Value { X = 2 }.Add, extension = text.Plus, both = closed;
        both += throwing;
        var steps = new[] { closed, open, over, extension, both, throwing, garbage };
        for (int i = 0; i < n; i++) {
            for (int k = 0; k < steps.Length; k++) {
                try { sum = sum * 3 + Invoke(steps[k], i) + Invoke(x => steps[k](x) + k, i); }
                catch (DivideByZeroException) { thrown++; }
            }
        }
        try { Invoke(null, 3); } catch (NullReferenceException) { thrown += 1000; }
        return $"{sum} {state} {thrown}";
    }
    interface IOne { } interface ITwo<out T> { }
    class Base : IOne { } class Derived : Base, ITwo<string> { } sealed class Last : Derived { }
    [MethodImpl(MethodImplOptions.NoInlining)]
    static int Test(object o) {
        int found = 0;
        if (o is Base) found |= 1; if (o is Derived d) found |= 2; if (o is Last) found |= 4;
        if (o is IOne) found |= 8; if (o is ITwo<object>) found |= 16; if (o is string) found |= 32;
        if (o is int n) found |= 64 + n; if (o is IEnumerable<int>) found |= 128;
        if (o is int[]) found |= 256; if (o is object[]) found |= 512;
        if (o is long?) found |= 1024;
        return found + (o == null ? 0 : o.GetType().Name.Length);
    }
    [MethodImpl(MethodImplOptions.NoInlining)]
    static int Cast(object o, int how) => how switch {
        0 => ((Base)o).GetHashCode() == 0 ? 1 : 2, 1 => ((IOne)o) == null ? 1 : 2,
        2 => (int)o, 3 => ((string)o)?.Length ?? -1, 4 => (int)(long)o,
        5 => ((ITwo<object>)o) != null ? 5 : 4, 6 => ((object[])o).Length,
        _ => ((ICollection<int>)o).Count };
    [ThreadStatic] static int perThread;
    static string Casts(int n) {
        object[] all = { new Base(), new Derived(), new Last(), "text", 5, 7L, new int[3],
            new string[2], null, new List<int> { 1 }, (byte)3, DayOfWeek.Friday };
        long sum = 0; int failed = 0, empty = 0;
        for (int i = 0; i < n; i++) {
            sum = sum * 7 + Test(all[i % all.Length]); perThread += i;
            try { sum += Cast(all[i % all.Length], i / all.Length % 8); }
            catch (InvalidCastException) { failed++; } catch (NullReferenceException) { empty++; }
            object boxed = i % 3 == 0 ? i : (long)i;
            sum ^= boxed.GetHashCode() + (boxed is int ? 1 : 2);
        }
        return $"{sum} {failed} {empty} {perThread}";
    }
    interface ICounter { long Next(int n); string Name { get; set; } ICounter Self(int n); }
    struct Small : ICounter {
        long sum; public string Name { get; set; }
        public long Next(int n) { sum += n; var at = 60 / (n % 4 - 1); sum ^= at; return sum; }
        public ICounter Self(int n) { sum++; return n % 3 == 0 ? this : new Wide<string>(Name, n); }
        public override string ToString() => Name + sum;
        public override int GetHashCode() => (int)sum * 31 + OnTheStack((int)(sum & 7));
        public override bool Equals(object o) => o is Small other && other.sum == sum;
    }
    struct Wide<T> : ICounter where T : class {
        T kept; long a, b, c; List<object> garbage; public string Name { get; set; }
        public Wide(T t, int n) { kept = t; a = n; b = c = 2; garbage = null; Name = "wide"; }
        public long Next(int n) {
            garbage ??= new(); garbage.Add(new long[n & 63]); a += n;
            if (garbage.Count > 20) { garbage = null; throw new InvalidOperationException(Name); }
            b = b * 3 + a; c ^= b; return c + (kept == null ? 1 : 2);
        }
        public ICounter Self(int n) { c += n; return n % 5 == 0 ? default(Small) : this; }
    }
    [MethodImpl(MethodImplOptions.NoInlining)]
    static long Advance(ICounter it, int n) => it.Next(n) * 3 + it.Next(n + 2) + it.Name.Length;
    static string Boxes(int n) {
        var all = new ICounter[] { new Small { Name = "s" }, new Wide<string>("k", 3),
            new Small { Name = "t" }, new Wide<object>(new object(), 4) };
        long sum = 0; int thrown = 0;
        for (int i = 0; i < n; i++) {
            var it = all[i & 3];
            try { sum = sum * 3 + Advance(it, i); sum ^= it.ToString().Length; }
            catch (DivideByZeroException) { thrown++; }
            catch (InvalidOperationException e) { thrown += e.Message.Length; }
            sum += all[0].GetHashCode() + (all[2].Equals(all[0]) ? 1 : 0);
            if (i % 100 == 99) { all[i % 4] = it.Self(i); all[i % 4].Name ??= "new"; }
        }
        return $"{sum} {thrown} {all[0]} {all[2]}";
    }
    static int lateCalls;
    [MethodImpl(MethodImplOptions.NoInlining)]
    static int Late(int n) { lateCalls += n; return lateCalls * 3; }
    [MethodImpl(MethodImplOptions.NoInlining)]
    static int Caller(int n, int rarely) => n % rarely == 0 ? Late(n) + 1 : n;
    static string Lates(int n) {
        lateCalls = 0; long sum = 0;
        for (int i = 1; i < n; i++) sum = sum * 3 + Caller(i, i < n / 2 ? 400 : 2);
        return $"{sum} {lateCalls}";
    }
    public byte[] Execute(ReadOnlySpan<byte> input) {
        var words = Encoding.UTF8.GetString(input).Split(' '); int n = int.Parse(words[1]);
        return Encoding.UTF8.GetBytes(words[0] switch {
            "collect" => Collect(n), "construct" => Construct(n), "delegates" => Delegates(n),
            "casts" => Casts(n), "boxes" => Boxes(n), _ => Lates(n) });
    }
}
"""
PAYLOADS = (
    b"collect 2000", b"construct 900", b"delegates 400", b"casts 3000", b"late 3000",
    b"boxes 3000",
)  # fmt: skip


@pytest.fixture(scope="module")
def assembly() -> dwh.Assembly:
    return dwh.compile_csharp(SOURCE)


@pytest.fixture(scope="module")
def expected(assembly: dwh.Assembly) -> dict[bytes, bytes]:
    found = {}
    for payload in PAYLOADS:
        with dwh.Runtime(jit="off") as runtime:
            runtime.load_assembly("objects", assembly)
            found[payload] = runtime.invoke("objects", payload)
    return found


@pytest.fixture
def in_the_foreground(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Compilation, "_begin", lambda _: None)


def results(assembly: dwh.Assembly, payload: bytes, exits: int | None = None) -> Iterator[bytes]:
    """What a method answers while more and more of it is compiled; statics start afresh."""
    with forced_exits(exits), dwh.Runtime(jit="auto") as runtime:
        ask_early(runtime)
        runtime.load_assembly("objects", assembly)
        for _ in range(5):
            yield runtime.invoke("objects", payload)
            runtime.compile_hot_methods()
        yield runtime.invoke("objects", payload)
        assert runtime.stats().jit.methods > 2


def normal(payload: bytes, answer: bytes) -> bytes:
    # A static of the thread goes on from call to call.
    return answer.rsplit(b" ", 1)[0] if payload.startswith(b"casts") else answer


@pytest.mark.usefixtures("in_the_foreground")
@pytest.mark.parametrize("exits", [None, 1, 2])
@pytest.mark.parametrize("payload", PAYLOADS)
def test_results(
    assembly: dwh.Assembly, expected: dict[bytes, bytes], payload: bytes, exits: int | None
) -> None:
    found = {normal(payload, answer) for answer in results(assembly, payload, exits)}
    assert found == {normal(payload, expected[payload])}
    if payload.startswith(b"collect"):
        assert expected[payload].endswith(b"True"), "the collector did not run"


def differs(assembly: dwh.Assembly, payload: bytes, expected: bytes) -> bool:
    try:
        return any(answer != expected for answer in results(assembly, payload))
    except dwh.DotnetHostError:
        return True


@pytest.mark.usefixtures("in_the_foreground")
def test_frames_that_the_collector_does_not_see_are_found(
    assembly: dwh.Assembly, expected: dict[bytes, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control of ``collect``."""
    monkeypatch.setattr(emission.FunctionEmitter, "collect", lambda _: b"")
    assert differs(assembly, PAYLOADS[0], expected[PAYLOADS[0]])


@pytest.mark.usefixtures("in_the_foreground")
def test_an_object_that_is_made_twice_is_found(
    assembly: dwh.Assembly, expected: dict[bytes, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control of ``construct``."""
    monkeypatch.setattr(emission, "note_object", lambda *_: b"")
    assert differs(assembly, PAYLOADS[1], expected[PAYLOADS[1]])


@pytest.mark.usefixtures("in_the_foreground")
@pytest.mark.parametrize("number", [2, 5])
def test_a_receiver_that_is_not_put_back_is_found(
    assembly: dwh.Assembly,
    expected: dict[bytes, bytes],
    monkeypatch: pytest.MonkeyPatch,
    number: int,
) -> None:
    """The negative control of ``delegates`` and ``boxes``."""
    call = emission.FunctionEmitter._call

    def forget(
        self: emission.FunctionEmitter, base: int, result: int, code: bytes, _given_up: bytes
    ) -> bytes:
        return call(self, base, result, code, b"")

    monkeypatch.setattr(emission.FunctionEmitter, "_call", forget)
    assert differs(assembly, PAYLOADS[number], expected[PAYLOADS[number]])
