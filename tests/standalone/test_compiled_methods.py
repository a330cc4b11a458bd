"""Compiled methods in a file: the same answers as interpreted ones, where nobody compiles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import wasmtime

import dotnet_wasm_host as dwh
from dotnet_wasm_host.linking.compiled_code import CompiledCode, Helper, append_code
from dotnet_wasm_host.wasm.assembly import END, I32, UNREACHABLE, call, call_indirect, i32
from dotnet_wasm_host.wasm.binary import (
    ExternKind,
    FunctionType,
    MalformedModule,
    MemoryLimits,
    ValueType,
    vector,
)
from dotnet_wasm_host.wasm.builder import ModuleBuilder
from dotnet_wasm_host.wasm.module import Export, Global, Module, SectionId
from tests.standalone.hosts import HERE, node_json

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import CompiledSources
    from tests.standalone.hosts import PlainHosts

#: Loops, calls, objects, strings, generics, interfaces, delegates, exceptions, floats, recursion.
WORK = """
using System; using System.Collections.Generic; using System.Linq; using System.Text;
public interface IShape { double Area(); }
public sealed record Square(double Side) : IShape { public double Area() => Side * Side; }
public sealed record Circle(double Radius) : IShape { public double Area() => Math.PI * Radius; }
public sealed class Work : MinimalRuntime.IFunctionHandler {
    static int calls;
    static int Fib(int n) => n < 2 ? n : Fib(n - 1) + Fib(n - 2);
    static int Deep(int n) => n == 0 ? 0 : 1 + Deep(n - 1);
    static int Sieve(int n) {
        var composite = new bool[n + 1]; int found = 0;
        for (int i = 2; i <= n; i++) {
            if (composite[i]) continue;
            found++;
            for (long j = (long)i * i; j <= n; j += i) composite[j] = true;
        }
        return found;
    }
    static string Words(int n) {
        var counts = new Dictionary<string, int>();
        for (int i = 0; i < n; i++) {
            var word = "w" + i % 7;
            counts[word] = counts.GetValueOrDefault(word) + i;
        }
        return string.Join(",", counts.OrderBy(x => x.Key).Select(x => $"{x.Key}={x.Value}"));
    }
    static double Shapes(int n) {
        var shapes = new List<IShape>();
        for (int i = 0; i < n; i++) shapes.Add(i % 2 == 0 ? new Square(i) : new Circle(i));
        double sum = 0; foreach (var shape in shapes) sum += shape.Area();
        return sum;
    }
    static int Failing(int n) {
        int caught = 0;
        for (int i = 0; i < n; i++) {
            try { if (i % 3 == 0) throw new FormatException("bad " + i); caught += checked(i * n); }
            catch (FormatException e) { caught += e.Message.Length; }
        }
        return caught;
    }
    public byte[] Execute(ReadOnlySpan<byte> input) {
        var parts = Encoding.UTF8.GetString(input).Split(' ');
        var n = int.Parse(parts[1]);
        calls++;
        object answer = parts[0] switch {
            "fib" => Fib(n), "deep" => Deep(n), "sieve" => Sieve(n), "words" => Words(n),
            "shapes" => Shapes(n), "failing" => Failing(n), "calls" => calls,
            "throw" => throw new InvalidOperationException("wrong " + n),
            _ => (new int[n])[parts.Length + n],
        };
        return Encoding.UTF8.GetBytes(FormattableString.Invariant($"{answer}"));
    }
}
"""
WARM = [b"fib 9", b"deep 3", b"sieve 90", b"words 30", b"shapes 12", b"failing 7"]
ASKED = [
    *("fib 17", "deep 5", "deep 5000", "sieve 20000", "words 300", "words 0", "shapes 101"),
    *("failing 40", "failing 100000", "throw 3", "index 2", "fib 17", "words 300", "calls 0"),
]
CALLS = 2400


@pytest.fixture(scope="module")
def work(compiled: CompiledSources) -> dwh.Assembly:
    return compiled(WORK, assembly_name="Work")


@pytest.fixture(scope="module")
def compiled_module(work: dwh.Assembly) -> dwh.StandaloneModule:
    return dwh.build_wasm(work, function_id="work", warm={"work": WARM}, jit=True, jit_calls=CALLS)


def _expected(work: dwh.Assembly) -> list[tuple[int, bytes, tuple[str, str] | None]]:
    """What an interpreter answers that has been asked as often."""
    answers = list[tuple[int, bytes, tuple[str, str] | None]]()
    with dwh.Runtime("full", jit="off") as runtime:
        runtime.load_assembly("work", work)
        for number in range(CALLS):
            runtime.invoke("work", WARM[number % len(WARM)])
        for question in ASKED:
            try:
                answers.append((0, runtime.invoke("work", question.encode()), None))
            except dwh.InvocationError as error:
                answers.append((1, b"", (error.dotnet_type, error.dotnet_message)))
    return answers


def _answers(hosts: PlainHosts, content: bytes) -> list[tuple[int, bytes, tuple[str, str] | None]]:
    host = hosts.started(content)
    answers = list[tuple[int, bytes, tuple[str, str] | None]]()
    for question in ASKED:
        status, output = host.invoke("work", question.encode())
        answers.append((status, output, host.last_error() if status else None))
    return answers


def _broken(module: dwh.StandaloneModule) -> bytes:
    """The same file, whose compiled methods trap."""
    assert module.description is not None
    parsed = Module.parse(module.data)
    bodies, left = parsed.bodies(), module.description.compiled_bytes
    for number in reversed(range(len(bodies))):
        left -= len(vector(bodies[number]))
        bodies[number] = b"\0" + UNREACHABLE + END
        if left <= 0:
            break
    parsed.set_section(SectionId.CODE, [vector(body) for body in bodies])
    return parsed.emit()


@pytest.mark.long
def test_compiled_methods_answer_the_same(
    hosts: PlainHosts, work: dwh.Assembly, compiled_module: dwh.StandaloneModule
) -> None:
    assert _answers(hosts, compiled_module.data) == _expected(work)
    # They are executed: where they trap nothing is answered.
    with pytest.raises(wasmtime.Trap, match="unreachable"):
        _answers(hosts, _broken(compiled_module))


@pytest.mark.long
def test_they_answer_the_same_in_node(
    work: dwh.Assembly, compiled_module: dwh.StandaloneModule, tmp_path: Path
) -> None:
    compiled_module.save(tmp_path / "work.wasm")
    found = node_json(HERE / "node_wasi.mjs", str(tmp_path / "work.wasm"), "work", *ASKED)
    answers = [(answer["status"], answer["output"]) for answer in found["answers"]]
    expected = [(s, None if s else output.decode()) for s, output, _ in _expected(work)]
    assert answers == expected


@pytest.mark.long
def test_the_same_input_gives_the_same_methods(
    work: dwh.Assembly, compiled_module: dwh.StandaloneModule
) -> None:
    assert compiled_module.description is not None
    assert compiled_module.description.compiled_methods > 50
    assert compiled_module.components["compiled methods"] > 50_000
    assert sum(compiled_module.components.values()) == len(compiled_module.data)
    again = dwh.build_wasm(work, function_id="work", warm={"work": WARM}, jit=True, jit_calls=CALLS)
    assert again.data == compiled_module.data


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"warm": {"probe": b""}, "boot": "at-start"}, "boot='inside' with jit, found 'at-start'"),
        ({}, "expected warm with jit, found none"),
        ({"warm": {"probe": []}}, "expected payloads for 'probe' in warm, found none"),
        ({"warm": {"other": b""}}, "expected warm to name functions"),
        ({"warm": {"probe": b""}, "jit_calls": 0}, "jit_calls from 1 to 1,000,000, found 0"),
        ({"warm": {"probe": b""}, "jit_calls": 10**7}, "found 10000000"),
    ],
)
def test_what_cannot_be_is_refused(
    probe: dwh.Assembly, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        dwh.build_wasm(probe, function_id="probe", jit=True, **options)


# The linker of batches.

_NOTHING = FunctionType()
_NUMBER = FunctionType((), (I32,))


def _file(helper: bytes) -> tuple[Module, dict[str, Helper]]:
    """A module with a memory, a table of one slot, a flag, and a helper that raises it."""
    builder = ModuleBuilder()
    number = builder.add_function(_NUMBER, (), helper + i32(7))
    through = call_indirect(builder.type(_NUMBER))
    builder.export_function("run", builder.add_function(_NUMBER, (), i32(1) + through))
    module = Module.parse(builder.emit())
    table = bytes([ValueType.FUNCREF]) + MemoryLimits(1).encode()
    module.set_section(SectionId.TABLE, [table])
    module.set_section(SectionId.GLOBAL, [Global(0, mutable=True).encode()])
    flag = Export("unwinding", ExternKind.GLOBAL, 0)
    module.set_section(SectionId.EXPORT, [e.encode() for e in (*module.exports(), flag)])
    return module, {name: Helper(number, _NUMBER) for name in ("mono_helper", "sin")}


def _batch(helper: str, kind: FunctionType = _NUMBER) -> bytes:
    """A batch whose function calls a helper, directly and by a function of its own."""
    builder = ModuleBuilder()
    builder.type(_NOTHING)  # numbers of types are others than in the file
    imported = builder.import_function("env", helper, kind)
    inner = builder.add_function(_NUMBER, (), call(imported) + i32(35) + b"\x6a")
    builder.add_elements(1, [builder.add_function(_NUMBER, (), call(inner))])
    return builder.emit()


def _run(module: Module) -> int:
    store = wasmtime.Store()
    instance = wasmtime.Instance(store, wasmtime.Module(store.engine, module.emit()), [])
    run = instance.exports(store)["run"]
    assert isinstance(run, wasmtime.Func)
    return int(run(store))


def test_a_batch_becomes_a_part_of_the_file() -> None:
    module, helpers = _file(b"")
    before = len(b"".join(module.bodies()))
    added = append_code(module, CompiledCode([_batch("mono_helper")], 1, 1, 1), helpers, 0)
    assert _run(module) == 42
    assert added == len(b"".join(map(vector, module.bodies()))) - before - 2


def test_an_exception_of_the_runtime_ends_compiled_code() -> None:
    raising = i32(1) + b"\x24\0"
    module, helpers = _file(raising)
    append_code(module, CompiledCode([_batch("mono_helper")], 1, 1, 1), helpers, 0)
    with pytest.raises(wasmtime.Trap, match="unreachable"):
        _run(module)
    # Functions of numbers throw nothing, and nothing is looked at.
    module, helpers = _file(raising)
    append_code(module, CompiledCode([_batch("sin")], 1, 1, 1), helpers, 0)
    assert _run(module) == 42


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (CompiledCode([_batch("mono_other")], 1, 1, 1), "has no mono_other"),
        (CompiledCode([_batch("sin", _NOTHING)], 1, 1, 1), "has no sin as"),
        (CompiledCode([_batch("sin")], 5, 1, 1), "has 1 entries, not 5"),
    ],
)
def test_what_does_not_fit_is_not_linked(code: CompiledCode, message: str) -> None:
    module, helpers = _file(b"")
    with pytest.raises(MalformedModule, match=message):
        append_code(module, code, helpers, 0)
