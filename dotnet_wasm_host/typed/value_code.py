"""C# that reads and writes values, by their shapes."""

from __future__ import annotations

from typing import final

from dotnet_wasm_host.typed.shapes import (
    Blob,
    Block,
    Checked,
    Delegate,
    Dynamic,
    Fixed,
    Grid,
    Json,
    Mapping,
    Number,
    Optional,
    Record,
    Sequence,
    Shape,
    Text,
    Tuple,
    Wide,
)

__all__ = ["ValueCode", "writing_with_ticket"]

#: Records and enums of an assembly as values of ``object``.
_DYNAMIC = """
sealed class KnownValues() : Values(objects, {object}) {{
static readonly global::System.Collections.Generic.Dictionary<global::System.Type, int> kinds =
new() {{ {kinds} }};
protected override int NumberOf(global::System.Type type) =>
kinds.TryGetValue(type, out var number) ? number : -1;
protected override object ReadRecord(int number, ref Reader r) {{
switch (number) {{
{reading}default: throw Objects.NotThere();
}}
}}
protected override void WriteRecord(Writer w, int number, object v) {{
switch (number) {{
{writing}default: throw Objects.NotThere();
}}
}}
protected override object MakeEnum(int number, long value) {{
switch (number) {{
{enums}default: throw Objects.NotThere();
}}
}}
}}
static readonly Values values = new KnownValues();
"""
_HOST, _CALLABLES = "global::MinimalRuntime.Host", '"dotnet_wasm_host.callables"'
_CANCELLATION = "global::System.Threading.CancellationToken"
_LIST = "global::System.Collections.Generic.List"


def writing_with_ticket(lines: str) -> str:
    """Lines whose handles are those of the answer with the number ``ticket``, or of none.

    What throws in the middle of an answer leaves no objects that nobody will ever let go.
    """
    return (
        "var before = objects.Begin(ticket);\nvar written = false;\n"
        f"try {{\n{lines}written = true;\n}} "
        "finally { objects.End(ticket, before, written); }\n"
    )


@final
class ValueCode:
    """Writes expressions and statements, and a static method for each shape that is more than one.

    Args:
        helpers: source of the static methods is added here.
    """

    def __init__(self, helpers: list[str]) -> None:
        self.helpers = helpers
        self._readers: dict[int, str] = {}
        self._delegates: set[int] = set()
        self._writers: dict[int, str] = {}
        self._kept: list[Shape] = []
        self._dynamic: Dynamic | None = None

    def dynamic_values(self) -> str:
        """The class that reads and writes values of ``object``, if there are any."""
        shape = self._dynamic
        if shape is None:
            return ""
        kinds, reading, writing, enums = [], [], [], []
        for number, record in enumerate(shape.records):
            kinds.append(f"{{ typeof({record.csharp}), {number} }}")
            reading.append(f"case {number}: return {self._reader(record)}(ref r);\n")
            call = f"{self._writer(record)}(w, ({record.csharp})v)"
            writing.append(f"case {number}: {call}; break;\n")
        for number, one in enumerate(shape.enums):
            kinds.append(f"{{ typeof({one.csharp}), {number} }}")
            enums.append(f"case {number}: return ({one.csharp})value;\n")
        return _DYNAMIC.format(
            object=shape.handle.number,
            kinds=", ".join(kinds),
            reading="".join(reading),
            writing="".join(writing),
            enums="".join(enums),
        )

    # ---------------------------------------------------------------- reading

    def read(self, shape: Shape) -> str:  # noqa: C901, PLR0911 - one for each kind of shape
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
        if isinstance(shape, Dynamic):
            self._dynamic = shape
            return f"({shape.csharp})values.Read(ref r)"
        if isinstance(shape, Grid) and isinstance(shape.element, Number):
            return f"({shape.csharp})Grids.Numbers<{shape.element.csharp}>(ref r, {shape.rank})"
        return f"{self._reader(shape)}(ref r)"

    def _delegate(self, shape: Delegate) -> None:
        """The method that makes a delegate of a handle, or of the number of a callable."""
        if shape.number in self._delegates:
            return
        self._delegates.add(shape.number)
        given = [f"{p.csharp} a{n}" for n, p in enumerate(shape.parameters)]
        for place in shape.tokens:
            given.insert(place, f"{_CANCELLATION} token{place}")
        writing = "".join(f"{self.write(p, f'a{n}')}\n" for n, p in enumerate(shape.parameters))
        if shape.has_ticket:
            writing = (
                f"var ticket = objects.NewTicket();\nw.Put(ticket);\n{writing_with_ticket(writing)}"
            )
        call = f"{_HOST}.Call({_CALLABLES}, w.Written)"
        if shape.task:
            token = f", token{shape.tokens[0]}" if shape.tokens else ""
            call = f"await {_HOST}.CallAsync({_CALLABLES}, w.End(){token})"
        answer = f"{call};\n"
        if shape.result is not None:
            # A method of its own: a reader cannot be in an asynchronous one.
            answer = f"return Answer{shape.number}({call});\n"
            self.helpers.append(
                f"static {shape.result.csharp} Answer{shape.number}(byte[] answer) {{\n"
                "var r = new Reader(answer);\nr.Get<int>();\n"
                f"var v = {self.read(shape.result)};\nr.End();\nreturn v;\n}}\n"
            )
        self.helpers.append(
            f"static {shape.csharp} Delegate{shape.number}(long handle) {{\n"
            f"if (handle >= 0) {{ return ({shape.csharp})objects.Get(handle); }}\n"
            f"return ({shape.csharp})(objects.Delegate(handle) ?? objects.Keep(handle, "
            f"({shape.csharp})({'async ' if shape.task else ''}({', '.join(given)}) => {{\n"
            f"var w = new Writer();\nw.Put(handle);\n{writing}{answer}}})));\n}}\n"
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
        if isinstance(shape, Grid):
            element = shape.element.csharp
            return (
                f"var made = Grids.Make<{element}>(ref r, {shape.rank});\n"
                "if (made is null) { return null; }\n"
                f"var items = Grids.Items<{element}>(made);\n"
                "for (var i = 0; i < items.Length; i++) "
                f"{{ items[i] = {self.read(shape.element)}; }}\n"
                f"return ({shape.csharp})made;\n"
            )
        assert isinstance(shape, Record)
        return self._reading_record(shape)

    def _reading_record(self, shape: Record) -> str:
        lines = self._reading_variants(shape)
        if shape.is_abstract:
            return "".join(lines)
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

    def _reading_variants(self, shape: Record) -> list[str]:
        """What a record begins with: whether it is there, and which of those it may be."""
        if not shape.is_open:
            return ["if (!r.Has()) { return null; }\n"] if shape.is_class else []
        cases = [
            f"case {number}: return {self._reader(other)}(ref r);\n"
            for number, other in enumerate(shape.derived, 2)
        ]
        own = "" if shape.is_abstract else "case 1: break;\n"
        return [
            f"switch (r.Get<byte>()) {{\ncase 0: return null;\n{own}",
            *cases,
            "default: throw Objects.NotThere();\n}\n",
        ]

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
        if isinstance(shape, Dynamic):
            self._dynamic = shape
            return f"values.Write(w, {value});"
        if isinstance(shape, Grid) and isinstance(shape.element, Number):
            return f"Grids.Write<{shape.element.csharp}>(w, {value});"
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
        if isinstance(shape, Grid):
            return (
                "if (!Grids.Begin(w, v)) { return; }\n"
                f"foreach (var x in v) {{ {self.write(shape.element, 'x')} }}\n"
            )
        assert isinstance(shape, Record)
        lines = self._writing_variants(shape)
        if shape.recursive:
            lines.append("w.Enter();\n")
        lines += [f"{self.write(f.shape, f'v.@{f.name}')}\n" for f in shape.fields]
        if not shape.fields and not shape.is_class:
            lines.append("w.Has(true);\n")
        if shape.recursive:
            lines.append("w.Leave();\n")
        return "".join(lines)

    def _writing_variants(self, shape: Record) -> list[str]:
        if not shape.is_open:
            return ["if (!w.Has(v is not null)) { return; }\n"] if shape.is_class else []
        cases = [
            f"if (type == typeof({other.csharp})) {{ w.Put((byte){number}); "
            f"{self._writer(other)}(w, ({other.csharp})v); return; }}\n"
            for number, other in enumerate(shape.derived, 2)
        ]
        return [
            "if (v is null) { w.Put((byte)0); return; }\nvar type = v.GetType();\n",
            *cases,
            (
                f"if (type != typeof({shape.csharp})) {{ throw Objects.Unknown(type, "
                f"typeof({shape.csharp})); }}\nw.Put((byte)1);\n"
            ),
        ]
