from __future__ import annotations

import hashlib
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dotnet_wasm_host as dwh
from dotnet_wasm_host.artifacts.store import ArtifactStore
from dotnet_wasm_host.ecma335.metadata import Metadata, Table, has_public_types, identify
from dotnet_wasm_host.roslyn import CompilerOptions
from dotnet_wasm_host.roslyn.compiler import PROGRAM_NAME, CSharpCompiler
from dotnet_wasm_host.roslyn.protocol import CompileFlags, CompileRequest

EMPTY = "public class Empty { }"
ECHO = """
using System;
public class Echo : MinimalRuntime.IFunctionHandler {
    public byte[] Execute(ReadOnlySpan<byte> input) => input.ToArray();
}
"""


def errors(source: str) -> list[dwh.Diagnostic]:
    with pytest.raises(dwh.CompilationError) as caught:
        dwh.compile_csharp(source)
    return [d for d in caught.value.diagnostics if d.severity == "error"]


def test_an_assembly_knows_what_it_is() -> None:
    assembly = dwh.compile_csharp(ECHO, assembly_name="My.Echo")
    assert assembly.name == "My.Echo"
    assert assembly.diagnostics == ()
    assert assembly.sha256 == hashlib.sha256(assembly.data).hexdigest()
    assert identify(assembly.data).name == "My.Echo"


def test_the_same_source_gives_the_same_bytes() -> None:
    assert dwh.compile_csharp(ECHO) == dwh.compile_csharp(ECHO)
    assert dwh.compile_csharp(ECHO).name != dwh.compile_csharp(ECHO + " ").name


def test_diagnostics_have_their_position() -> None:
    source = "class C {\n    int F() => missing;\n    void G() { int unused = 1; }\n}\n"
    with pytest.raises(dwh.CompilationError) as caught:
        dwh.compile_csharp({"dir/some file.cs": source})
    error, warning = caught.value.diagnostics
    assert (error.id, error.severity, error.file) == ("CS0103", "error", "dir/some file.cs")
    assert (error.line, error.column) == (2, 16)
    assert (warning.id, warning.severity, warning.line) == ("CS0219", "warning", 3)
    assert str(caught.value).startswith("dir/some file.cs(2,16): error CS0103: The name 'missing'")


def test_all_errors_are_told() -> None:
    assert [d.id for d in errors("class C { int A => x; int B => y; }")] == ["CS0103"] * 2
    assert errors("class C {")[0].id == "CS1513"
    assert errors("using Nothing.Here; class C { }")[0].id == "CS0246"


def test_warnings_do_not_stop_the_assembly() -> None:
    assembly = dwh.compile_csharp("#warning look here\n" + EMPTY)
    (warning,) = assembly.diagnostics
    assert (warning.id, warning.severity, warning.line) == ("CS1030", "warning", 1)
    assert "look here" in warning.message


def test_nullable_types_are_on_unless_turned_off() -> None:
    source = "public class C { public string F() => null; }"
    assert [d.id for d in dwh.compile_csharp(source).diagnostics] == ["CS8603"]
    assert dwh.compile_csharp(source, nullable=False).diagnostics == ()


def test_debug_code_differs_from_release_code() -> None:
    source = "public class C { public int F(int a) { var b = a; var c = b; return c; } }"
    release, debug = dwh.compile_csharp(source), dwh.compile_csharp(source, optimize=False)
    assert release.data != debug.data


def test_several_files_are_one_assembly(runtime: dwh.Runtime) -> None:
    assembly = dwh.compile_csharp(
        {
            "handler.cs": """
                using System; using System.Text;
                public class Handler : MinimalRuntime.IFunctionHandler {
                    public byte[] Execute(ReadOnlySpan<byte> input) =>
                        Encoding.UTF8.GetBytes(Text.Value);
                }""",
            "text.cs": 'static partial class Text { public static string Value => Part + "b"; }',
            "part.cs": 'static partial class Text { static string Part => "a"; }',
        }
    )
    runtime.load_assembly("f", assembly)
    assert runtime.invoke("f") == b"ab"


@pytest.mark.parametrize("form", ["assembly", "bytes", "path", "str"])
def test_references_in_every_form(form: str, tmp_path: Path, runtime: dwh.Runtime) -> None:
    library = dwh.compile_csharp(
        "namespace Lib; public static class L { public static byte V => 42; }", assembly_name="Lib"
    )
    library.save(tmp_path)
    path = tmp_path / "Lib.dll"
    forms: dict[str, dwh.Assembly | bytes | Path | str] = {
        "assembly": library,
        "bytes": library.data,
        "path": path,
        "str": str(path),
    }
    reference = forms[form]
    assembly = dwh.compile_csharp(
        """
        using System;
        public class User : MinimalRuntime.IFunctionHandler {
            public byte[] Execute(ReadOnlySpan<byte> input) => [Lib.L.V];
        }""",
        references=[reference],
    )
    runtime.load_assembly("f", assembly, dependencies=[reference])
    assert runtime.invoke("f") == bytes([42])


def test_csharp_12_is_understood_and_13_is_not() -> None:
    dwh.compile_csharp(
        """
        using Pair = (int, string);
        public class Primary(int n) { public int[] Values => [n, .. new[] { 1 }]; }
        public class Uses { public Pair P => (1, "a"); public int D(int a = 2) => a; }
        """
    )
    assert errors("public class C { public string P { get => field; set; } }")


def test_the_whole_base_library_can_be_referenced() -> None:
    dwh.compile_csharp(
        """
        using System; using System.Collections.Immutable; using System.IO.Compression;
        using System.Linq.Expressions; using System.Net.Http; using System.Numerics;
        using System.Reflection.Emit; using System.Security.Cryptography; using System.Text.Json;
        using System.Text.RegularExpressions; using System.Threading.Channels;
        using System.Threading.Tasks.Dataflow; using System.Xml.Linq; using System.Data;
        public class C {
            ImmutableArray<int> a; GZipStream b; Expression c; HttpClient d; BigInteger e;
            DynamicMethod f; SHA256 g; JsonElement h; Regex i; Channel<int> j; XDocument l;
            DataTable m;
        }
        """,
        nullable=False,
    )


def test_internals_of_the_runtime_are_not_accessible() -> None:
    assert errors("class C { object F() => typeof(MinimalRuntime.FunctionDispatcher); }")


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        ({}, dwh.MarshallingError, "no source"),
        (b"class C { }", dwh.MarshallingTypeError, "bytes"),
        (None, dwh.MarshallingTypeError, "NoneType"),
        ({"a.cs": b"class C { }"}, dwh.MarshallingTypeError, "text"),
        ({5: "class C { }"}, dwh.MarshallingTypeError, "text"),
        ("class C { } // \ud800", dwh.MarshallingError, "UTF-8"),
    ],
)
def test_what_is_no_source_is_refused(source: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        dwh.compile_csharp(source)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["", " ", "a/b", "a\\b", "a\0b", "a,b", "a=b", "\n", "a:b", ".."])
def test_what_is_no_assembly_name_is_refused(name: str) -> None:
    with pytest.raises(dwh.MarshallingError, match="simple name"):
        dwh.compile_csharp(EMPTY, assembly_name=name)


@pytest.mark.parametrize("reference", [b"", b"junk", b"MZ" + bytes(200), "missing.dll"])
def test_what_is_no_reference_is_refused(reference: bytes | str) -> None:
    with pytest.raises(dwh.MarshallingError, match="a reference"):
        dwh.compile_csharp(EMPTY, references=[reference])


def test_compilations_share_nothing() -> None:
    dwh.compile_csharp("public class Left { }", assembly_name="Same")
    assert errors("class C { Left l; }")[0].id == "CS0246"


def test_threads_compile_at_the_same_time() -> None:
    def compile_one(number: int) -> bool:
        assembly = dwh.compile_csharp(f"public class C{number} {{ }}")
        return f"C{number}".encode() in assembly.data

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(compile_one, range(12)))


def test_errors_can_be_pickled() -> None:
    with pytest.raises(dwh.CompilationError) as caught:
        dwh.compile_csharp("class C { int F() => x; }")
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.diagnostics) == (str(caught.value), caught.value.diagnostics)


@settings(max_examples=20, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
def test_any_text_compiles_or_is_a_compilation_error(text: str) -> None:
    try:
        dwh.compile_csharp(text)
    except dwh.CompilationError as error:
        assert any(d.severity == "error" for d in error.diagnostics)


def test_a_program_of_the_usual_name_compiles_to_the_same_bytes_in_every_order() -> None:
    # Without a PDB, which lists the references.
    compiler, options = CSharpCompiler.load(), CompilerOptions(pdb=False)
    library = dwh.compile_csharp("public class L { }", assembly_name="L")
    program = "class P { public int F(System.Xml.Linq.XElement e) => e.ToString().Length; }"
    bare = compiler.compile(program, assembly_name=PROGRAM_NAME, options=options)
    other = compiler.compile(
        program, assembly_name=PROGRAM_NAME, references=[library], options=options
    )
    assert bare.data == other.data


@pytest.mark.parametrize(
    ("name", "has_types"), [("System.Buffers", False), ("System.Linq", True), ("mscorlib", False)]
)
def test_assemblies_that_only_forward_have_no_public_types(name: str, has_types: bool) -> None:
    image = ArtifactStore.locate().read(f"framework/{name}.webcil")
    assert has_public_types(image) is has_types


#: The least that a library needs of its framework.
CORE = """
namespace System {
    public class Object { } public struct Void { } public class ValueType { }
    public class Enum { } public struct Int32 { } public struct Boolean { } public class String { }
    public class Attribute { } public enum AttributeTargets { All = 32767 }
    public class AttributeUsageAttribute : Attribute {
        public AttributeUsageAttribute(AttributeTargets targets) { }
        public bool AllowMultiple { get; set; } public bool Inherited { get; set; } } }
"""


def test_references_may_be_built_against_assemblies_that_only_forward() -> None:
    # Assemblies of these names and this key stand for the framework's; the second only forwards.
    compiler = CSharpCompiler.load()
    flags = CompileFlags.NO_FRAMEWORK | CompileFlags.METADATA_ONLY
    framework = Metadata(ArtifactStore.locate().read("framework/System.Runtime.webcil"))
    key = framework.blob(framework.row(Table.ASSEMBLY, 1)[6])
    known: list[tuple[str, bytes]] = []
    for name, text in (
        ("System.Runtime", CORE),
        ("System.Threading.Tasks", "namespace System.Threading.Tasks { public class Task { } }"),
        ("L", "public class L { public static System.Threading.Tasks.Task T() => null; }"),
    ):
        request = CompileRequest(name, {"a.cs": text}, tuple(known), flags, public_key=key)
        known.append((name, compiler.run(request).data))
    user = compiler.compile("class P { Task G() => L.T(); }", references=[known[-1][1]])
    assert user.diagnostics == ()


def test_diagnostics_have_the_line_where_they_begin() -> None:
    first = "class A { int F() => 1 }\r\nclass B {}"
    second = 'class C\u2028{ // \u00e9\n\tstring s = "x" + missing;\n}'
    with pytest.raises(dwh.CompilationError) as caught:
        dwh.compile_csharp({"a.cs": first, "b.cs": second})
    lines = {(d.file, d.line): d.source_line for d in caught.value.diagnostics}
    assert lines[("a.cs", 1)] == "class A { int F() => 1 }"
    assert lines.get(("b.cs", 3), '\tstring s = "x" + missing;') == '\tstring s = "x" + missing;'
    with pytest.raises(dwh.CompilationError) as caught:
        dwh.compile_csharp({"b.cs": second})
    (found,) = [d for d in caught.value.diagnostics if d.severity == "error"]
    assert (found.line, found.source_line) == (3, '\tstring s = "x" + missing;')
    with pytest.raises(dwh.CompilationError) as caught:
        dwh.compile_csharp({"b.cs": '#line 9 "b.cs"\nclass C { int F() => missing; }\n'})
    assert [(d.line, d.source_line) for d in caught.value.diagnostics] == [(9, "")]
