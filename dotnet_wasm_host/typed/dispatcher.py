"""The C# that stands between the bytes of a call and the methods: generated, then compiled."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, final

from dotnet_wasm_host.typed.shapes import (
    Blob,
    Block,
    Delegate,
    Fixed,
    Handle,
    Sequence,
    Shape,
    Text,
    bare_shape,
)
from dotnet_wasm_host.typed.signatures import Passing, Stream
from dotnet_wasm_host.typed.value_code import ValueCode, writing_with_ticket

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dotnet_wasm_host.diagnostic import Diagnostic
    from dotnet_wasm_host.typed.signatures import Function

__all__ = ["blame", "dispatcher_source"]

_CASE = re.compile(r"case (\d+): \{")
_END_OF_CASES = "default: throw new global::System.MissingMethodException();"
#: ``Writer.Only``: the largest result that has an array for all calls.
_SMALL = 16
_TASKS = "global::System.Threading.Tasks."
_CANCELLATION = "global::System.Threading.CancellationToken"
_SYNCHRONOUS = """#nullable disable
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using MinimalRuntime.Typed;
public sealed class Dispatcher : global::MinimalRuntime.IFunctionHandler {
readonly Writer w = new();
static byte[] Small(ref byte[] kept, int size) => kept ??= new byte[size];
static byte[] s1, s2, s4, s8, s16;
static global::System.IO.InvalidDataException Wrong() =>
new("A typed call's payload has a wrong size.");
public byte[] Execute(global::System.ReadOnlySpan<byte> input) {
if (input.Length < 4) { throw Wrong(); }
ref var b = ref MemoryMarshal.GetReference(input);
var index = Unsafe.ReadUnaligned<int>(ref b);
if (index < 0) { return Own(input); }
var r = new Reader(input[4..]);
switch (index) {
"""
# Calls that wait are in each other's way with one writer, and their results with one array.
_ASYNCHRONOUS = """#nullable disable
using MinimalRuntime.Typed;
public sealed class Dispatcher : global::MinimalRuntime.IAsyncFunctionHandler {
public global::System.Threading.Tasks.ValueTask<byte[]> ExecuteAsync(
global::System.ReadOnlyMemory<byte> input, global::System.Threading.CancellationToken token) {
var r = new Reader(input.Span);
var w = new Writer();
var index = r.Get<int>();
if (index < 0) { return Own(input, token); }
switch (index) {
"""
# What Python asks of objects, whose class they are, and which ones it lets go.
_OBJECTS = """
static readonly Objects objects = new([{0}]);
static bool IsRelease(global::System.ReadOnlySpan<byte> input) =>
Objects.IsRelease(global::System.BitConverter.ToInt32(input));
"""
_OWN = """byte[] Own(global::System.ReadOnlySpan<byte> input) => IsRelease(input)
? Execute(input[objects.Release(input)..]) : objects.Ask(input);
"""
_OWN_ASYNCHRONOUS = """
global::System.Threading.Tasks.ValueTask<byte[]> Own(
global::System.ReadOnlyMemory<byte> input, global::System.Threading.CancellationToken token) =>
IsRelease(input.Span) ? ExecuteAsync(objects.Release(input), token)
: new(objects.Ask(input.Span));
"""
# Streams that have begun, by number. They are gone with the instance.
_STREAMS = """
static readonly global::System.Collections.Generic.Dictionary<long, object> streams = new();
static void Begin(long number, object stream) => streams.Add(number, stream);
static object Stream(long number) => streams.TryGetValue(number, out var stream) ? stream
: throw new global::System.InvalidOperationException(
"The stream has ended, or the instance in which it began was replaced.");
"""


# A stream of results that are wanted together.
_COLLECT = """
static async global::System.Threading.Tasks.Task<global::System.Collections.Generic.List<T>>
Collect<T>(global::System.Collections.Generic.IAsyncEnumerable<T> stream,
global::System.Threading.CancellationToken token) {
if (stream is null) { return null; }
var items = new global::System.Collections.Generic.List<T>();
await foreach (var item in global::System.Threading.Tasks.TaskAsyncEnumerableExtensions
.WithCancellation(stream, token)) { items.Add(item); }
return items;
}
"""


def dispatcher_source(
    functions: Iterable[Function], objects: Iterable[Handle] = (), base: int = 0
) -> str:
    """C# with a handler that calls the functions by their number.

    Args:
        functions: what it calls, in the order of their numbers.
        objects: types whose objects Python has handles of.
        base: the number of the first function, not negative.
    """
    functions = [entry for function in functions for entry in function.entries]
    waits = any(function.is_async for function in functions)
    generator = _Generator(waits=waits)
    types = [f"typeof({shape.csharp})" for shape in sorted(objects, key=lambda o: o.number)]
    cases = [
        f"case {index}: {{\n{generator.call(f)}}}\n" for index, f in enumerate(functions, base)
    ]
    values = generator.dynamic_values()
    return "".join(
        (
            _ASYNCHRONOUS if waits else _SYNCHRONOUS,
            *cases,
            f"{_END_OF_CASES}\n}}\n}}\n",
            *generator.helpers,
            _STREAMS if any(f.stream not in {None, Stream.ALL} for f in functions) else "",
            _COLLECT if any(_is_collected(function) for function in functions) else "",
            _OBJECTS.format(", ".join(["null", *types])),
            values,
            _OWN_ASYNCHRONOUS if waits else _OWN,
            "}\n",
        )
    )


def blame(
    source: str, functions: Iterable[Function], diagnostics: Iterable[Diagnostic]
) -> dict[Function, str]:
    """Functions whose calls the compiler refuses, and its words; none if it refuses other lines."""
    owners = [function for function in functions for _ in function.entries]
    lines = source.splitlines()
    blamed: dict[Function, str] = {}
    for found in diagnostics:
        if found.severity != "error":
            continue
        above = lines[: found.line]
        cases = [m for m in map(_CASE.match, above) if m is not None]
        if not cases or _END_OF_CASES in above:
            return {}
        blamed[owners[int(cases[-1][1])]] = f"the compiler says: {found.message}"
    return blamed


#: A value that lies in the payload as it does in memory.
_GET = re.compile(r"r\.Get<([^()]+)>\(\)")
#: Values that lie one behind the other.
_BLOCK = re.compile(r"r\.((?:Span|Array)<[^<>]+>)\(\)")


#: Before an answer is written that nobody may wait for any more.
_UNLESS_UNWANTED = "token.ThrowIfCancellationRequested();\nobjects.Want(ticket);\n"


def _is_collected(function: Function) -> bool:
    return function.stream is Stream.ALL and function.asynchronous


def _is_plain(function: Function) -> bool:
    """Whether all arguments have a fixed place and size."""
    return _is_direct(function) and all(
        _is_readable(bare_shape(argument.shape)) for argument in function.arguments
    )


def _is_direct(function: Function) -> bool:
    """Whether arguments are values of a fixed size, text and blocks, and the result is no block."""
    result = None if function.result is None else bare_shape(function.result)
    shapes = [bare_shape(argument.shape) for argument in function.arguments]
    return (
        function.stream is None
        and all(argument.passing is Passing.VALUE for argument in function.arguments)
        and all(
            isinstance(shape, Text) or _is_readable(shape) or _is_block(shape) for shape in shapes
        )
        and (
            result is None
            or isinstance(result, Text)
            or (isinstance(result, Fixed) and _is_small(result))
        )
    )


def _is_readable(shape: Shape) -> bool:
    """Whether a value is read where it lies."""
    return (
        isinstance(shape, Fixed)
        and not isinstance(shape, Delegate)
        and _GET.search(shape.read) is not None
    )


def _is_block(shape: Shape) -> bool:
    """Whether it is a span or an array of numbers."""
    return isinstance(shape, (Blob, Block)) and _BLOCK.fullmatch(shape.read) is not None


def _direct_call(function: Function) -> str:
    """The body of a case without reader and writer, of which one place follows from another."""
    lines, given = ["var at = 4;\n"], []
    for number, argument in enumerate(function.arguments):
        shape, name = bare_shape(argument.shape), f"a{number}"
        given.append(name)
        if isinstance(shape, Text):
            lines.append(f"var {name} = Texts.Read(input, ref at);\n")
            continue
        if isinstance(shape, (Blob, Block)):
            read = _BLOCK.sub(r"Blocks.\1(input, ref at)", shape.read)
            lines.append(f"var {name} = {read};\n")
            continue
        assert isinstance(shape, Fixed)
        read = _GET.sub(r"Unsafe.ReadUnaligned<\1>(ref Unsafe.Add(ref b, at))", shape.read)
        lines.append(
            f"if (input.Length - at < {shape.size}) {{ throw Wrong(); }}\n"
            f"var {name} = {read};\nat += {shape.size};\n"
        )
    lines.append("if (input.Length != at) { throw Wrong(); }\n")
    return "".join((*lines, _answer_at_once(function, function.csharp(given))))


def _answer_at_once(function: Function, call: str) -> str:
    """Call, and return a result that is one small value, text or nothing."""
    result = None if function.result is None else bare_shape(function.result)
    if result is None:
        return f"{call};\nreturn global::System.Array.Empty<byte>();\n"
    if isinstance(result, Text):
        return f"return Texts.Answer({call});\n"
    assert isinstance(result, Fixed)
    value = result.write.removeprefix("w.Put(")[:-1].format("v")
    size = result.size
    return (
        f"var v = {call};\nvar s = s{size} ?? Small(ref s{size}, {size});\n"
        f"Unsafe.WriteUnaligned(ref MemoryMarshal.GetArrayDataReference(s), {value});\nreturn s;\n"
    )


def _plain_call(function: Function) -> str:
    """The body of a case without reader and writer, which take as long as the rest of a call."""
    given, offset = [], 4
    for argument in function.arguments:
        shape = bare_shape(argument.shape)
        assert isinstance(shape, Fixed)
        place = f"ref Unsafe.Add(ref b, {offset})"
        given.append(_GET.sub(rf"Unsafe.ReadUnaligned<\1>({place})", shape.read))
        offset += shape.size
    check = f"if (input.Length != {offset}) {{ throw Wrong(); }}\n"
    return f"{check}{_answer_at_once(function, function.csharp(given))}"


def _is_small(shape: Fixed) -> bool:
    return shape.size <= _SMALL and "w.Put(" in shape.write


@final
class _Generator:
    """Writes calls."""

    def __init__(self, *, waits: bool) -> None:
        self.helpers: list[str] = []
        self._waits = waits
        self._awaits = 0
        self._values = ValueCode(self.helpers)

    def dynamic_values(self) -> str:
        """The class that knows what ``object`` may be, if a call has one."""
        return self._values.dynamic_values()

    def call(self, function: Function) -> str:
        """The body of a case."""
        if not self._waits and _is_plain(function):
            return _plain_call(function)
        if not self._waits and _is_direct(function):
            return _direct_call(function)
        lines = ["var ticket = r.Get<long>();\n"] if function.has_ticket else []
        given = []
        for number, argument in enumerate(function.arguments):
            name = f"a{number}"
            if argument.passing is Passing.CANCELLATION:
                given.append("token" if self._waits else "default")
                continue
            given.append(f"{argument.passing.value}{name}")
            if argument.is_given:
                lines.append(f"var {name} = {self._values.read(argument.shape)};\n")
            else:
                lines.append(f"{argument.shape.csharp} {name};\n")
        lines.append("r.End();\n")
        if function.stream not in {None, Stream.ALL}:
            return "".join((*lines, *self._streaming(function, given)))
        call = function.csharp(given)
        if _is_collected(function):
            call = f"Collect({call}, token)"
        if function.is_async:
            ticket = ", ticket" if function.has_ticket else ""
            lines.append(f"return {self._awaiting(function)}(w, {call}, token{ticket});\n")
        else:
            lines += self._answering(function, call)
        return "".join(lines)

    def _answering(self, function: Function, call: str) -> list[str]:
        """Call, write the result and what came back in arguments."""
        result = None if function.result is None else bare_shape(function.result)
        outs = [(a.shape, f"a{n}") for n, a in enumerate(function.arguments) if a.is_returned]
        if isinstance(result, Fixed) and not outs and not self._waits and _is_small(result):
            value = result.write.removeprefix("w.Put(")[:-1].format("v")
            return [f"var v = {call};\nreturn w.Only({value});\n"]
        values = [*([] if result is None else [(result, "v")]), *outs]
        writing = "".join(f"{self._values.write(shape, value)}\n" for shape, value in values)
        return [
            f"{call};\n" if result is None else f"var v = {call};\n",
            "w.Begin();\n",
            writing_with_ticket(writing) if function.has_ticket else writing,
            "return new(w.End());\n" if self._waits else "return w.End();\n",
        ]

    def _streaming(self, function: Function, given: list[str]) -> list[str]:
        """Begin a stream, take what comes next, or end it."""
        ended = "return new(w.End());\n" if self._waits else "return w.End();\n"
        collections = "global::System.Collections.Generic."
        if function.stream is Stream.START:
            get = "GetAsyncEnumerator(token)" if function.asynchronous else "GetEnumerator()"
            begun = f"Begin(a0, {function.csharp(given[1:])}.{get});\n"
            return ["w.Begin();\n", begun, ended]
        wait = "await " if function.asynchronous else ""
        if function.stream is Stream.END:
            dispose = (
                "await ((global::System.IAsyncDisposable)stream).DisposeAsync();"
                if wait
                else "((global::System.IDisposable)stream).Dispose();"
            )
            body = f"if (streams.Remove(a0, out var stream)) {{ {dispose} }}\n"
        else:
            assert isinstance(function.result, Sequence)
            element = function.result.element
            kind = "IAsyncEnumerator" if wait else "IEnumerator"
            move = "MoveNextAsync" if wait else "MoveNext"
            writing = f"w.Put(1); var x = items.Current; {self._values.write(element, 'x')}\n"
            if function.has_ticket:
                unless = _UNLESS_UNWANTED if wait else ""
                writing = f"{unless}{writing_with_ticket(writing)}"
            body = (
                f"var items = ({collections}{kind}<{element.csharp}>)Stream(a0);\n"
                f"if ({wait}items.{move}()) {{\n{writing}}} else {{ w.Put(0); }}\n"
            )
        if not wait:
            return ["w.Begin();\n", body, ended]
        ticket = ", ticket" if function.has_ticket else ""
        return [f"return {self._helper(function, 'long a0', body)}(w, a0, token{ticket});\n"]

    def _awaiting(self, function: Function) -> str:
        """The method that awaits a task and writes its result."""
        result = function.result
        task = function.task if result is None else f"{function.task}<{result.csharp}>"
        body = "await task;\n"
        if result is not None:
            writing = f"{self._values.write(result, 'v')}\n"
            if function.has_ticket:
                writing = f"{_UNLESS_UNWANTED}{writing_with_ticket(writing)}"
            body = f"var v = await task;\n{writing}"
        return self._helper(function, f"{_TASKS}{task} task", body)

    def _helper(self, function: Function, parameter: str, body: str) -> str:
        """The name of an asynchronous method that gives the bytes which ``body`` writes."""
        name = f"Await{self._awaits}"
        self._awaits += 1
        ticket = ""
        if function.has_ticket:
            ticket = ", long ticket"
            body = (
                f"objects.Enter(ticket);\ntry {{\n{body}}} finally {{ objects.Leave(ticket); }}\n"
            )
        self.helpers.append(
            f"static async {_TASKS}ValueTask<byte[]> {name}(Writer w, {parameter}, "
            f"{_CANCELLATION} token{ticket}) {{\n{body}return w.End();\n}}\n"
        )
        return name
