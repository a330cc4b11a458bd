"""The C# between columns on the wire and the methods: generated, then compiled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dotnet_wasm_host.columns.methods import Output

if TYPE_CHECKING:
    from dotnet_wasm_host.columns.methods import ColumnMethod, ColumnParameter
    from dotnet_wasm_host.columns.types import ColumnType

__all__ = ["HANDLER", "kernel_source"]

#: The class that takes calls.
HANDLER = "ColumnKernel"


def kernel_source(method: ColumnMethod) -> str:
    """C# with a handler that calls a method for the rows of a payload."""
    return (
        "#nullable disable\n"
        "using global::MinimalRuntime.Columns;\n"
        f"public sealed class {HANDLER} : global::MinimalRuntime.IFunctionHandler {{\n"
        "public byte[] Execute(global::System.ReadOnlySpan<byte> input) {\n"
        "var r = new Cells(input);\n"
        f"{_body(method)}}}\n}}\n"
    )


def _body(method: ColumnMethod) -> str:
    lines = ["var n = r.Rows;\nvar i = 0;\n"]
    lines += [_column(number, p) for number, p in enumerate(method.parameters)]
    lines.append("r.End();\n")
    skip = [f"m{n}" for n, p in enumerate(method.parameters) if not p.nullable]
    lines.append("global::System.ReadOnlySpan<byte> skip = default;\n")
    lines += [f"skip = Cells.Union(skip, {mask});\n" for mask in skip]
    lines.append(_begin(method))
    lines.append("try {\n")
    lines.append(_loop(method) if method.output is Output.LIFTED else _whole(method))
    lines.append("} catch (global::System.Exception e) { throw new RowError(i, e); }\n")
    lines.append("return w.End();\n")
    return "".join(lines)


def _column(number: int, parameter: ColumnParameter) -> str:
    """Read a column: ``c`` its values, ``m`` its nulls, ``f`` its flags."""
    names = f"out var m{number}, out var f{number}"
    if parameter.type.is_bytes:
        return f"var c{number} = r.Texts({names});\n"
    return f"var c{number} = r.Values<{parameter.type.layout.csharp}>({names});\n"


def _value(number: int, parameter: ColumnParameter, row: str) -> str:
    """An expression for a value that is not null."""
    column, of = f"c{number}", parameter.type
    there = f"{column}[{row}]"
    if of.is_bytes:
        there = f"{column}.{'Text' if of.is_text else 'Bytes'}({row})"
    return of.read.format(there, f"f{number}") if of.read else there


def _nullable(number: int, parameter: ColumnParameter, row: str) -> str:
    """The same, or null where there is null."""
    value = _value(number, parameter, row)
    if not parameter.nullable:
        return value
    there = f"!m{number}.IsEmpty && m{number}[{row}] != 0"
    kind = _kind(parameter.type, nullable=True)
    return f"({there} ? ({kind})null : {value})"


def _kind(of: ColumnType, *, nullable: bool) -> str:
    """The type of a value in C#."""
    return f"{of.csharp}?" if nullable and not of.is_reference else of.csharp


def _begin(method: ColumnMethod) -> str:
    of, nullable = method.result, "true" if method.nullable else "!skip.IsEmpty"
    if of.is_bytes:
        return "var w = new TextAnswer(n);\n"
    size = of.layout.size
    return (
        f"var w = new Answer(n, {size}, {nullable});\n"
        f"var o = w.Values<{of.layout.csharp}>();\nvar nulls = w.Nulls;\n"
    )


def _store(method: ColumnMethod, value: str, row: str) -> str:
    """Statements that keep a result."""
    of = method.result
    if of.is_reference:
        return f"w.Add({value});"
    written = of.write or "{0}"
    keep, null = f"o[{row}] = {written};", f"nulls[{row}] = 1;"
    if of.is_bytes:
        keep, null = f"w.Add({written});", "w.AddNull();"
    if method.nullable:
        return f"if ({value} is {{ }} x) {{ {keep.format('x')} }} else {{ {null} }}"
    return keep.format(value)


def _loop(method: ColumnMethod) -> str:
    given = ", ".join(_nullable(n, p, "i") for n, p in enumerate(method.parameters))
    store = _store(method, f"{method.csharp}({given})", "i")
    null = "w.AddNull();" if method.result.is_bytes else "nulls[i] = 1;"
    return (
        f"if (skip.IsEmpty) {{ for (; i < n; i++) {{ {store} }} }}\n"
        f"else {{ for (; i < n; i++) {{ if (skip[i] != 0) {{ {null} continue; }} {store} }} }}\n"
    )


def _whole(method: ColumnMethod) -> str:
    """Call once for all rows."""
    lines, given = [], []
    for number, parameter in enumerate(method.parameters):
        if not parameter.is_span:
            given.append(_nullable(number, parameter, "0"))
            continue
        if parameter.type.is_plain and not parameter.nullable:
            given.append(f"c{number}")
            continue
        kind = _kind(parameter.type, nullable=parameter.nullable)
        made = kind.replace("[]", "[n][]") if kind.endswith("[]") else f"{kind}[n]"
        value = _nullable(number, parameter, "i")
        if not parameter.nullable:
            value = f"(!m{number}.IsEmpty && m{number}[i] != 0 ? default : {value})"
        lines.append(
            f"var a{number} = new {made};\nfor (i = 0; i < n; i++) {{ a{number}[i] = {value}; }}\n"
        )
        given.append(f"a{number}")
    # From here on an exception is of all rows.
    lines.append("i = -1;\n")
    return "".join((*lines, _call_whole(method, given)))


def _call_whole(method: ColumnMethod, given: list[str]) -> str:
    of = method.result
    kind = _kind(of, nullable=method.nullable)
    direct = of.is_plain and not method.nullable
    arguments = ", ".join(given)
    if method.output is Output.FILLED and direct:
        filled = ", ".join((*given, "o"))
        return f"{method.csharp}({filled});\nw.SetNulls(skip);\n"
    if method.output is Output.FILLED:
        made = kind.replace("[]", "[n][]") if kind.endswith("[]") else f"{kind}[n]"
        filled = ", ".join((*given, "v"))
        lines = [f"var v = new {made};\n{method.csharp}({filled});\n"]
    else:
        span = ".Span" if method.memory else ""
        lines = [
            f"global::System.ReadOnlySpan<{kind}> v = {method.csharp}({arguments}){span};\n",
            "if (v.Length != n) { throw new global::System.InvalidOperationException(",
            f'$"{method.name} returned {{v.Length}} values for {{n}} rows."); }}\n',
        ]
    if direct:
        return "".join((*lines, "v.CopyTo(o);\nw.SetNulls(skip);\n"))
    null = "w.AddNull();" if of.is_bytes else "nulls[j] = 1;"
    lines.append(
        f"for (var j = 0; j < n; j++) {{ if (!skip.IsEmpty && skip[j] != 0) {{ {null} continue; }} "
        f"{_store(method, 'v[j]', 'j')} }}\n"
    )
    return "".join(lines)
