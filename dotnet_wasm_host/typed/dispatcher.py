"""The C# that stands between the bytes of a call and the methods: generated, then compiled."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, final

from dotnet_wasm_host.typed.shapes import (
    Blob,
    Block,
    Checked,
    Delegate,
    Fixed,
    Handle,
    Json,
    Mapping,
    Optional,
    Record,
    Sequence,
    Shape,
    Text,
    Tuple,
    Wide,
    bare_shape,
    has_handles,
)
from dotnet_wasm_host.typed.signatures import Passing, Stream

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dotnet_wasm_host.diagnostic import Diagnostic
    from dotnet_wasm_host.typed.signatures import Function

__all__ = ["blame", "dispatcher_source"]

_CASE = re.compile(r"case (\d+): \{")
_END_OF_CASES = "default: throw new global::System.MissingMethodException();"
#: ``Writer.Only``: the largest result that has an array for all calls.
_SMALL = 16
_LIST = "global::System.Collections.Generic.List"
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
static readonly global::System.Collections.Generic.Dictionary<int, object> streams = new();
static int lastStream;
static int Begin(object stream) { streams[++lastStream] = stream; return lastStream; }
static object Stream(int number) => streams.TryGetValue(number, out var stream) ? stream
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
    return "".join(
        (
            _ASYNCHRONOUS if waits else _SYNCHRONOUS,
            *cases,
            f"{_END_OF_CASES}\n}}\n}}\n",
            *generator.helpers,
            _STREAMS if any(f.stream not in {None, Stream.ALL} for f in functions) else "",
            _COLLECT if any(_is_collected(function) for function in functions) else "",
            _OBJECTS.format(", ".join(["null", *types])),
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


def _unless_unwanted(result: Shape) -> str:
    """Lines before a result is written: objects whose handles nobody reads would stay for ever."""
    return "token.ThrowIfCancellationRequested();\n" if has_handles(result) else ""


def _is_collected(function: Function) -> bool:
    return function.stream is Stream.ALL and function.asynchronous


def _is_plain(function: Function) -> bool:
    """Whether arguments and result are values of a fixed place and size, and nothing else."""
    result = None if function.result is None else bare_shape(function.result)
    arguments = [(a.passing, bare_shape(a.shape)) for a in function.arguments]
    return (
        function.stream is None
        and all(
            passing is Passing.VALUE
            and isinstance(shape, Fixed)
            and not isinstance(shape, Delegate)
            and _GET.search(shape.read)
            for passing, shape in arguments
        )
        and (result is None or (isinstance(result, Fixed) and _is_small(result)))
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
    call = function.csharp(given)
    result = None if function.result is None else bare_shape(function.result)
    if result is None:
        return f"{check}{call};\nreturn global::System.Array.Empty<byte>();\n"
    assert isinstance(result, Fixed)
    value = result.write.removeprefix("w.Put(")[:-1].format("v")
    size = result.size
    return (
        f"{check}var v = {call};\nvar s = s{size} ?? Small(ref s{size}, {size});\n"
        f"Unsafe.WriteUnaligned(ref MemoryMarshal.GetArrayDataReference(s), {value});\nreturn s;\n"
    )


def _is_small(shape: Fixed) -> bool:
    return shape.size <= _SMALL and "w.Put(" in shape.write


@final
class _Generator:
    """Writes calls, and a static method for each shape that is more than an expression."""

    def __init__(self, *, waits: bool) -> None:
        self.helpers: list[str] = []
        self._waits = waits
        self._awaits = 0
        self._readers: dict[int, str] = {}
        self._delegates: set[int] = set()
        self._writers: dict[int, str] = {}
        self._kept: list[Shape] = []

    def call(self, function: Function) -> str:
        """The body of a case."""
        if not self._waits and _is_plain(function):
            return _plain_call(function)
        lines, given = [], []
        for number, argument in enumerate(function.arguments):
            name = f"a{number}"
            if argument.passing is Passing.CANCELLATION:
                given.append("token" if self._waits else "default")
                continue
            given.append(f"{argument.passing.value}{name}")
            if argument.is_given:
                lines.append(f"var {name} = {self.read(argument.shape)};\n")
            else:
                lines.append(f"{argument.shape.csharp} {name};\n")
        lines.append("r.End();\n")
        if function.stream not in {None, Stream.ALL}:
            return "".join((*lines, *self._streaming(function, given)))
        call = function.csharp(given)
        if _is_collected(function):
            call = f"Collect({call}, token)"
        if function.is_async:
            lines.append(f"return {self._awaiting(function)}(w, {call}, token);\n")
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
        lines = [f"{call};\n" if result is None else f"var v = {call};\n", "w.Begin();\n"]
        values = [*([] if result is None else [(result, "v")]), *outs]
        lines += [f"{self.write(shape, value)}\n" for shape, value in values]
        lines.append("return new(w.End());\n" if self._waits else "return w.End();\n")
        return lines

    def _streaming(self, function: Function, given: list[str]) -> list[str]:
        """Begin a stream, take what comes next, or end it."""
        ended = "return new(w.End());\n" if self._waits else "return w.End();\n"
        collections, tasks = (
            "global::System.Collections.Generic.",
            "global::System.Threading.Tasks.",
        )
        if function.stream is Stream.START:
            get = "GetAsyncEnumerator(token)" if function.asynchronous else "GetEnumerator()"
            begun = f"w.Put(Begin({function.csharp(given)}.{get}));\n"
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
            unless = _unless_unwanted(element) if wait else ""
            body = (
                f"var items = ({collections}{kind}<{element.csharp}>)Stream(a0);\n"
                f"if ({wait}items.{move}()) {{ {unless}w.Put(1); var x = items.Current; "
                f"{self.write(element, 'x')} }} else {{ w.Put(0); }}\n"
            )
        if not wait:
            return ["w.Begin();\n", body, ended]
        name = f"Await{self._awaits}"
        self._awaits += 1
        self.helpers.append(
            f"static async {tasks}ValueTask<byte[]> {name}(Writer w, int a0, "
            f"{_CANCELLATION} token) {{\n{body}return w.End();\n}}\n"
        )
        return [f"return {name}(w, a0, token);\n"]

    def _awaiting(self, function: Function) -> str:
        """The method that awaits a task and writes its result."""
        name = f"Await{self._awaits}"
        self._awaits += 1
        tasks, result = "global::System.Threading.Tasks.", function.result
        task = function.task if result is None else f"{function.task}<{result.csharp}>"
        body = "await task;\n"
        if result is not None:
            body = f"var v = await task;\n{_unless_unwanted(result)}{self.write(result, 'v')}\n"
        self.helpers.append(
            f"static async {tasks}ValueTask<byte[]> {name}(Writer w, {tasks}{task} task, "
            f"{_CANCELLATION} token) {{\n{body}return w.End();\n}}\n"
        )
        return name

    # ---------------------------------------------------------------- reading

    def read(self, shape: Shape) -> str:  # noqa: PLR0911 - one for each kind of shape
        """An expression that reads a value."""
        if isinstance(shape, Checked):
            return self.read(shape.value)
        if isinstance(shape, Delegate):
            self._delegate(shape)
        if isinstance(shape, (Fixed, Blob, Json)):
            return shape.read
        if isinstance(shape, Text):
            return "r.Text()"
        if isinstance(shape, Wide):
            return "r.BigInteger()"
        if isinstance(shape, Optional):
            return f"(r.Has() ? ({shape.csharp}){self.read(shape.value)} : null)"
        if isinstance(shape, Tuple):
            return f"{shape.make}({', '.join(map(self.read, shape.items))})"
        if isinstance(shape, Block) and " is {" not in shape.read:
            return shape.read
        return f"{self._reader(shape)}(ref r)"

    def _delegate(self, shape: Delegate) -> None:
        """The method that makes a delegate of a handle, or of the number of a callable."""
        if shape.number in self._delegates:
            return
        self._delegates.add(shape.number)
        given = ", ".join(f"{p.csharp} a{n}" for n, p in enumerate(shape.parameters))
        writing = " ".join(self.write(p, f"a{n}") for n, p in enumerate(shape.parameters))
        call = 'global::MinimalRuntime.Host.Call("dotnet_wasm_host.callables", w.Written)'
        answer = f"{call};\n"
        if shape.result is not None:
            answer = (
                f"var r = new Reader({call});\nr.Get<int>();\n"
                f"var v = {self.read(shape.result)};\nr.End();\nreturn v;\n"
            )
        self.helpers.append(
            f"static {shape.csharp} Delegate{shape.number}(long handle) {{\n"
            f"if (handle >= 0) {{ return ({shape.csharp})objects.Get(handle); }}\n"
            f"return ({shape.csharp})(objects.Delegate(handle) ?? objects.Keep(handle, "
            f"({shape.csharp})(({given}) => {{\n"
            f"var w = new Writer();\nw.Put(handle);\n{writing}\n{answer}}})));\n}}\n"
        )

    def _reader(self, shape: Shape) -> str:
        name = self._readers.get(id(shape))
        if name is None:
            name = self._readers[id(shape)] = f"Read{len(self._readers)}"
            self._kept.append(shape)
            body = self._reading(shape)
            self.helpers.append(f"static {shape.csharp} {name}(ref Reader r) {{\n{body}}}\n")
        return name

    def _reading(self, shape: Shape) -> str:
        if isinstance(shape, Block):
            return f"return {shape.read};\n"
        if isinstance(shape, Sequence):
            return (
                "var n = r.Count();\nif (n < 0) { return null; }\n"
                f"var items = new {_LIST}<{shape.element.csharp}>(n);\n"
                f"while (n-- > 0) {{ items.Add({self.read(shape.element)}); }}\n"
                f"return {shape.build};\n"
            )
        if isinstance(shape, Mapping):
            made = shape.csharp.replace(".IDictionary<", ".Dictionary<")
            made = made.replace(".IReadOnlyDictionary<", ".Dictionary<")
            return (
                f"var n = r.Count();\nif (n < 0) {{ return null; }}\nvar items = new {made}();\n"
                f"while (n-- > 0) {{ var k = {self.read(shape.key)}; "
                f"items.Add(k, {self.read(shape.value)}); }}\nreturn items;\n"
            )
        assert isinstance(shape, Record)
        return self._reading_record(shape)

    def _reading_record(self, shape: Record) -> str:
        lines = ["if (!r.Has()) { return null; }\n"] if shape.is_class else []
        enter, leave = ("r.Enter();\n", "r.Leave();\n") if shape.recursive else ("", "")
        given = [f for f in shape.fields if f.in_constructor]
        rest = [f for f in shape.fields if not f.in_constructor]
        arguments = ", ".join(self.read(f.shape) for f in given)
        setting = ", ".join(f"@{f.name} = {self.read(f.shape)}" for f in rest)
        initializer = f" {{ {setting} }}" if rest else ""
        lines.append(f"{enter}var v = new {shape.csharp}({arguments}){initializer};\n{leave}")
        if not shape.fields and not shape.is_class:
            lines.append("r.Has();\n")
        return "".join((*lines, "return v;\n"))

    # ---------------------------------------------------------------- writing

    def write(self, shape: Shape, value: str) -> str:  # noqa: PLR0911 - likewise
        """A statement that writes ``value``, an expression without effects."""
        if isinstance(shape, Checked):
            return self.write(shape.value, value)
        if isinstance(shape, (Fixed, Json, Blob, Block)):
            return f"{shape.write.format(value)};"
        if isinstance(shape, Text):
            return f"w.Text({value});"
        if isinstance(shape, Wide):
            return f"w.BigInteger({value});"
        if isinstance(shape, Optional):
            inner = self.write(shape.value, f"{value}.Value")
            return f"if (w.Has({value}.HasValue)) {{ {inner} }}"
        if isinstance(shape, Tuple):
            members = zip(shape.items, shape.members, strict=True)
            return " ".join(self.write(item, f"{value}.{member}") for item, member in members)
        return f"{self._writer(shape)}(w, {value});"

    def _writer(self, shape: Shape) -> str:
        name = self._writers.get(id(shape))
        if name is None:
            name = self._writers[id(shape)] = f"Write{len(self._writers)}"
            self._kept.append(shape)
            body = self._writing(shape)
            self.helpers.append(f"static void {name}(Writer w, {shape.csharp} v) {{\n{body}}}\n")
        return name

    def _writing(self, shape: Shape) -> str:
        if isinstance(shape, Sequence):
            count = "var items = v is null ? null : global::System.Linq.Enumerable.ToList(v);\n"
            return (
                f"{count}if (items is null) {{ w.Put(-1); return; }}\nw.Put(items.Count);\n"
                f"foreach (var x in items) {{ {self.write(shape.element, 'x')} }}\n"
            )
        if isinstance(shape, Mapping):
            return (
                "if (v is null) { w.Put(-1); return; }\nw.Put(v.Count);\n"
                f"foreach (var x in v) {{ {self.write(shape.key, 'x.Key')} "
                f"{self.write(shape.value, 'x.Value')} }}\n"
            )
        assert isinstance(shape, Record)
        lines = ["if (!w.Has(v is not null)) { return; }\n"] if shape.is_class else []
        if shape.recursive:
            lines.append("w.Enter();\n")
        lines += [f"{self.write(f.shape, f'v.@{f.name}')}\n" for f in shape.fields]
        if not shape.fields and not shape.is_class:
            lines.append("w.Has(true);\n")
        if shape.recursive:
            lines.append("w.Leave();\n")
        return "".join(lines)
