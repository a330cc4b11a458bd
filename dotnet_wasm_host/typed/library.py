"""Types of the base library that have a shape."""

from __future__ import annotations

import datetime as dt
import re
import uuid
from decimal import Decimal
from typing import Any

from dotnet_wasm_host.ecma335.signatures import INSTANCE, OBJECT, VOID
from dotnet_wasm_host.typed.nullability import said_of
from dotnet_wasm_host.typed.shapes import (
    Blob,
    Block,
    Fixed,
    Json,
    Kind,
    Number,
    Text,
    Wide,
    alias,
)

__all__ = [
    "BYTE",
    "EVENT_ARGUMENTS",
    "FIXED",
    "NAMED",
    "PRIMITIVES",
    "SEQUENCES",
    "TOKEN",
    "block",
    "delegate_signature",
    "is_delegate",
    "task_of",
]


def _number(csharp: str, code: str, python: type = int) -> Number:
    kind = Kind.FLOAT if python is float else Kind.BOOL if python is bool else Kind.INTEGER
    pack = "truth({0})" if python is bool else "{0}"
    return Number(csharp, python, kind, code, pack, "{0}", f"r.Get<{csharp}>()", "w.Put({0})")


def _wide_number(csharp: str, *, signed: bool) -> Fixed:
    return Fixed(
        csharp,
        int,
        Kind.INTEGER,
        "16s",
        f"({{0}}).to_bytes(16, 'little', signed={signed})",
        f"from_bytes({{0}}, 'little', signed={signed})",
        f"r.Get<{csharp}>()",
        "w.Put({0})",
    )


def _own(csharp: str, python: type, kind: Kind, code: str, pack: str, unpack: str) -> Fixed:
    name = (
        csharp.rpartition(".")[2].capitalize() if csharp == "decimal" else csharp.rpartition(".")[2]
    )
    return Fixed(csharp, python, kind, code, pack, unpack, f"r.{name}()", f"w.{name}({{0}})")


#: Base of what handlers of events get.
EVENT_ARGUMENTS = "System.EventArgs"
#: A token, as the reader has it.
TOKEN = ("T", "System.Threading.CancellationToken")
BYTE = _number("byte", "B")
_CHAR = Fixed("char", str, Kind.CHAR, "H", "ord({0})", "chr({0})", "r.Get<char>()", "w.Put({0})")
STRING = Text("string", str)
#: II.23.1.16: by element type.
PRIMITIVES: dict[int, Fixed | Text] = {
    0x02: _number("bool", "?", bool),
    0x03: _CHAR,
    0x04: _number("sbyte", "b"),
    0x05: BYTE,
    0x06: _number("short", "h"),
    0x07: _number("ushort", "H"),
    0x08: _number("int", "i"),
    0x09: _number("uint", "I"),
    0x0A: _number("long", "q"),
    0x0B: _number("ulong", "Q"),
    0x0C: _number("float", "f", float),
    0x0D: _number("double", "d", float),
    0x0E: STRING,
    # A pointer's size in the guest is 32 bits.
    0x18: Fixed(
        "nint", int, Kind.INTEGER, "i", "{0}", "{0}", "(nint)r.Get<int>()", "w.Put((int){0})"
    ),
    0x19: Fixed(
        "nuint", int, Kind.INTEGER, "I", "{0}", "{0}", "(nuint)r.Get<uint>()", "w.Put((uint){0})"
    ),
}
FIXED: dict[str, Fixed] = {
    "System.Half": Fixed(
        "global::System.Half", float, Kind.FLOAT, "e", "{0}", "{0}",
        "r.Get<global::System.Half>()", "w.Put({0})",
    ),
    "System.Int128": _wide_number("global::System.Int128", signed=True),
    "System.UInt128": _wide_number("global::System.UInt128", signed=False),
    "System.Guid": Fixed(
        "global::System.Guid", uuid.UUID, Kind.UUID, "16s", "({0}).bytes_le",
        "UUID(bytes_le={0})", "r.Get<global::System.Guid>()", "w.Put({0})",
    ),
    "System.Decimal": _own(
        "decimal", Decimal, Kind.DECIMAL, "16s", "decimal_bytes({0})", "decimal_of({0})"
    ),
    "System.DateTime": _own(
        "global::System.DateTime", dt.datetime, Kind.DATETIME, "9s",
        "datetime_bytes({0})", "datetime_of({0})",
    ),
    "System.DateTimeOffset": _own(
        "global::System.DateTimeOffset", dt.datetime, Kind.MOMENT, "10s",
        "moment_bytes({0})", "moment_of({0})",
    ),
    "System.DateOnly": _own(
        "global::System.DateOnly", dt.date, Kind.DATE, "i",
        "day_number({0})", "day_of({0})",
    ),
    "System.TimeOnly": _own(
        "global::System.TimeOnly", dt.time, Kind.TIME, "q",
        "time_ticks({0})", "time_of({0})",
    ),
    "System.TimeSpan": _own(
        "global::System.TimeSpan", dt.timedelta, Kind.DURATION, "q",
        "ticks_of({0})", "duration_of({0})",
    ),
}  # fmt: skip
_JSON = "global::System.Text.Json."
NAMED: dict[str, Wide | Json] = {
    "System.Numerics.BigInteger": Wide("global::System.Numerics.BigInteger", int),
    "System.Text.Json.JsonElement": Json(
        f"{_JSON}JsonElement",
        Any,
        f'{_JSON}JsonSerializer.Deserialize<{_JSON}JsonElement>(r.Text() ?? "null")',
        "w.Text({0}.ValueKind == " + _JSON + "JsonValueKind.Undefined ? null : {0}.GetRawText())",
    ),
    "System.Text.Json.Nodes.JsonNode": Json(
        f"{_JSON}Nodes.JsonNode",
        Any,
        f'{_JSON}Nodes.JsonNode.Parse(r.Text() ?? "null")',
        "w.Text({0}?.ToJsonString())",
    ),
}
_LINQ = "global::System.Linq.Enumerable."
_COLLECTIONS = "global::System.Collections.Generic."
_LIST = f"{_COLLECTIONS}List<{{0}}>"
_SET = f"{_COLLECTIONS}HashSet<{{0}}>"
#: Generic types of one argument: C#'s name with the argument, what Python gets, and how C# makes
#: it of ``items``: an array for blocks, a list for other elements.
SEQUENCES: dict[str, tuple[str, str, str]] = {
    f"System.Collections.Generic.{name}": (f"{_COLLECTIONS}{name[:-2]}<{{0}}>", result, build)
    for name, result, build in (
        ("List`1", "list", f"new {_LIST}(items)"),
        ("IList`1", "list", f"new {_LIST}(items)"),
        ("ICollection`1", "list", f"new {_LIST}(items)"),
        ("IEnumerable`1", "list", "items"),
        ("IReadOnlyList`1", "list", "items"),
        ("IReadOnlyCollection`1", "list", "items"),
        ("HashSet`1", "set", f"new {_SET}(items)"),
        ("ISet`1", "set", f"new {_SET}(items)"),
        ("IReadOnlySet`1", "set", f"new {_SET}(items)"),
        ("Queue`1", "list", f"new {_COLLECTIONS}Queue<{{0}}>(items)"),
        ("LinkedList`1", "list", f"new {_COLLECTIONS}LinkedList<{{0}}>(items)"),
    )
}
#: ... whose items lie one behind the other in memory.
_SPANS = {
    "System.ReadOnlySpan`1": ("ReadOnlySpan", "r.Span<{0}>()", "{0}"),
    "System.Span`1": ("Span", "r.Array<{0}>()", "{0}"),
    "System.ReadOnlyMemory`1": ("ReadOnlyMemory", "r.Array<{0}>()", "{0}.Span"),
    "System.Memory`1": ("Memory", "r.Array<{0}>()", "{0}.Span"),
}
BYTES = Blob("byte[]", bytes, "r.Array<byte>()", "w.Array<byte>({0})")

_BOOL, _INT, _VOID = 0x02, 0x08, 0x01
_TASKS = {
    f"System.Threading.Tasks.{name}{arity}": name
    for name in ("Task", "ValueTask")
    for arity in ("", "`1")
}
_DELEGATE = re.compile(
    r"System\.(?:Func`\d+|Action(?:`\d+)?|Predicate`1|Comparison`1|Converter`2"
    r"|EventHandler(?:`1)?)"
)


def is_delegate(name: str) -> bool:
    """Whether a type of .NET is a delegate that Python can give."""
    return _DELEGATE.fullmatch(name) is not None


def delegate_signature(name: str, arguments: list[Any]) -> tuple[list[Any], Any]:
    """Types of the parameters and of the result of one, with these type arguments."""
    kind = name.removeprefix("System.").partition("`")[0]
    if kind in {"Func", "Converter"}:
        return arguments[:-1], arguments[-1]
    if kind == "EventHandler":
        return [OBJECT, arguments[0] if arguments else ("T", EVENT_ARGUMENTS)], _VOID
    if kind == "Comparison":
        return [arguments[0], arguments[0]], _INT
    return arguments, _BOOL if kind == "Predicate" else _VOID


def task_of(type_: Any) -> tuple[Any, str]:  # noqa: ANN401 - as the reader has it
    """What a type is when it was awaited, and the kind of task that it is; ``""`` for others."""
    task = type_[2] if said_of(type_) else type_
    if isinstance(task, tuple):
        if task[0] == "T" and task[1] in _TASKS:
            return VOID, _TASKS[task[1]]
        if task[0] == INSTANCE and task[1][1] in _TASKS:
            return task[2], _TASKS[task[1][1]]
    return type_, ""


def block(name: str, element: Number) -> Block | Blob | None:
    """The shape of a span or collection of numbers, ``None`` if the name is none of them."""
    inner = element.csharp
    if name in _SPANS:
        csharp, read, write = _SPANS[name]
        type_ = f"global::System.{csharp}<{inner}>"
        reading = read.format(inner)
        writing = f"w.Span<{inner}>({write})"
        if element is BYTE:
            return Blob(type_, bytes, reading, writing)
        return Block(type_, memoryview, element, "memoryview", reading, writing)
    if name == "[]":
        if element is BYTE:
            return BYTES
        read = f"r.Array<{inner}>()"
        return Block(
            f"{inner}[]",
            alias(list, element.python),
            element,
            "list",
            read,
            f"w.Array<{inner}>({{0}})",
        )
    if name not in SEQUENCES:
        return None
    csharp, result, build = SEQUENCES[name]
    python = set if result == "set" else list
    made = build.replace("items", "a").format(inner)
    return Block(
        csharp.format(inner),
        alias(python, element.python),
        element,
        result,
        f"(r.Array<{inner}>() is {{ }} a ? {made} : null)",
        f"w.Array<{inner}>({{0}} is null ? null : {_LINQ}ToArray({{0}}))",
    )
