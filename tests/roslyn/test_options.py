"""Options of ``compile_csharp``, each with a program that behaves differently without it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import dotnet_wasm_host as dwh
from dotnet_wasm_host.ecma335.metadata import referenced_assemblies
from dotnet_wasm_host.roslyn import CSharpCompiler
from dotnet_wasm_host.roslyn.protocol import CompileFlags, CompileRequest

#: ECMA-335 II.6.2.1.3: what mscorlib is signed with.
ECMA_KEY = bytes.fromhex("00000000000000000400000000000000")
GUEST = Path(__file__).parents[2] / "runtime_artifacts/guest"


def diagnostics(source: str, **options: Any) -> list[str]:
    with pytest.raises(dwh.CompilationError) as caught:
        dwh.compile_csharp(source, **options)
    return [d.id for d in caught.value.diagnostics if d.severity == "error"]


def test_usings_of_a_console_project_are_implicit() -> None:
    source = (
        "public class C : IFunctionHandler { public byte[] Execute(ReadOnlySpan<byte> i) => []; }"
    )
    dwh.compile_csharp(source)
    assert "CS0246" in diagnostics(source, implicit_usings=False)


def test_symbols_are_defined() -> None:
    source = "#if !WANTED\n#error missing\n#endif\n#if DEBUG\n#warning debug\n#endif"
    assert dwh.compile_csharp(source, define=["WANTED"]).diagnostics == ()
    assert diagnostics(source, define=["OTHER"]) == ["CS1029"]
    debug = dwh.compile_csharp(source, define=("WANTED",), optimize=False)
    assert [d.id for d in debug.diagnostics] == ["CS1030"]


@pytest.mark.parametrize("define", ["WANTED", [""], ["A B"], ["A=1"], [5], 5])
def test_what_is_no_symbol_is_refused(define: Any) -> None:
    with pytest.raises(dwh.MarshallingError, match="define"):
        dwh.compile_csharp("class C { }", define=define)


def test_the_language_version_is_chosen() -> None:
    source = "class C { int[] F() => [1]; }"
    with pytest.raises(dwh.CompilationError, match=r"language version 12"):
        dwh.compile_csharp(source, langversion="11")
    dwh.compile_csharp(source, langversion="12")
    with pytest.raises(dwh.CompilationError, match=r"'C#'.*7\.3") as caught:
        dwh.compile_csharp(source, langversion="C#")
    assert [d.id for d in caught.value.diagnostics] == ["CS1617"]
    with pytest.raises(dwh.MarshallingTypeError, match="langversion"):
        dwh.compile_csharp(source, langversion=12)  # type: ignore[arg-type]


def test_unsafe_code_can_be_refused() -> None:
    source = "unsafe class C { int* p; }"
    dwh.compile_csharp(source)
    assert diagnostics(source, unsafe=False) == ["CS0227"]


def test_arithmetic_is_checked_when_asked_for(runtime: dwh.Runtime) -> None:
    source = """
        public class C : IFunctionHandler {
            public byte[] Execute(ReadOnlySpan<byte> i) { var n = int.MaxValue; n += i.Length;
                return [(byte)(n < 0 ? 1 : 0)]; } }"""
    runtime.load_assembly("wraps", dwh.compile_csharp(source))
    runtime.load_assembly("throws", dwh.compile_csharp(source, checked=True))
    assert runtime.invoke("wraps", b"1") == b"\1"
    with pytest.raises(dwh.InvocationError, match="OverflowException"):
        runtime.invoke("throws", b"1")


def test_warnings_become_errors() -> None:
    source = "class C { void F() { int unused; } }"
    assert [d.id for d in dwh.compile_csharp(source).diagnostics] == ["CS0168"]
    assert diagnostics(source, warnings_as_errors=True) == ["CS0168"]


def test_a_pdb_is_embedded_unless_it_is_not_wanted() -> None:
    source = "public class C { public int F(int a) => a; }"
    # ECMA-335's directory entry 17 holds the compressed PDB behind this mark.
    assert b"MPDB" in dwh.compile_csharp(source).data
    assert b"MPDB" not in dwh.compile_csharp(source, pdb=False).data
    assert dwh.compile_csharp(source).data == dwh.compile_csharp(source).data


def test_a_compilation_has_a_deadline() -> None:
    with pytest.raises(dwh.InvocationTimeout):
        dwh.compile_csharp("class C { }", timeout=1e-3)
    dwh.compile_csharp("class C { }", timeout=60)


def test_errors_say_where_the_place_ends() -> None:
    with pytest.raises(dwh.CompilationError) as caught:
        dwh.compile_csharp("class C {\n  int F() => missing;\n}")
    (error,) = caught.value.diagnostics
    assert (error.line, error.column, error.end_line, error.end_column) == (2, 14, 2, 21)


def test_libraries_for_other_frameworks_are_compiled_against(runtime: dwh.Runtime) -> None:
    # The pinned Roslyn is built for .NET Standard: its object is netstandard's.
    from dotnet_wasm_host.artifacts.store import ArtifactStore

    store = ArtifactStore.locate()
    roslyn = [store.read(name) for name in store.names("roslyn/")]
    source = """
        using Microsoft.CodeAnalysis.Text;
        public class C : IFunctionHandler {
            public byte[] Execute(ReadOnlySpan<byte> i) =>
                System.Text.Encoding.UTF8.GetBytes(new TextSpan(1, 2).ToString()); }"""
    runtime.load_assembly("f", dwh.compile_csharp(source, references=roslyn), dependencies=roslyn)
    assert runtime.invoke("f") == b"[1..3)"


def test_libraries_for_dotnet_framework_are_compiled_against(runtime: dwh.Runtime) -> None:
    """Their object is mscorlib's, which forwards to assemblies that are not here, too."""
    core = (GUEST / "Contract/SystemRuntime.cs").read_text(encoding="utf-8")
    core = core.replace("8.0.0.0", "4.0.0.0")
    bare = CompileFlags.OPTIMIZE | CompileFlags.NULLABLE | CompileFlags.NO_FRAMEWORK
    compiler = CSharpCompiler.load()
    request = CompileRequest(
        "mscorlib", {"core.cs": core}, (), bare | CompileFlags.UNSAFE, public_key=ECMA_KEY
    )
    mscorlib = ("mscorlib", compiler.run(request).data)
    source = "public class Old { public int F() { return 42; } }"
    old = compiler.run(CompileRequest("Old", {"o.cs": source}, (mscorlib,), bare))
    assert referenced_assemblies(old.data) == ("mscorlib",)
    handler = (
        "public class C : IFunctionHandler { "
        "public byte[] Execute(ReadOnlySpan<byte> i) => [(byte)new Old().F()]; }"
    )
    runtime.load_assembly("f", dwh.compile_csharp(handler, references=[old]), dependencies=[old])
    assert runtime.invoke("f") == b"*"


def test_comments_become_an_xml_file() -> None:
    source = "/// <summary>One & only.</summary>\npublic class C { public int F() => 1; }"
    source = source.replace("&", "&amp;")
    assembly = dwh.compile_csharp(source, assembly_name="Docs", documentation=True)
    assert assembly.documentation is not None
    assert '<member name="T:C">' in assembly.documentation
    assert "<name>Docs</name>" in assembly.documentation
    plain = dwh.compile_csharp(source, assembly_name="Docs")
    assert plain.documentation is None
    assert plain.diagnostics == ()
