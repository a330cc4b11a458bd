"""Directives of file-based apps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import dotnet_wasm_host as dwh
from dotnet_wasm_host.packages.references import PackageLibraries, PackageReference
from dotnet_wasm_host.programs.directives import read_directives
from dotnet_wasm_host.programs.program import read_program
from dotnet_wasm_host.roslyn import CompilerOptions

if TYPE_CHECKING:
    from collections.abc import Sequence


def options_of(text: str) -> CompilerOptions:
    return read_directives("app.cs", text).applied_to(CompilerOptions())


def test_text_without_directives_stays_as_it_is() -> None:
    text = "#nullable enable\nConsole.WriteLine();\n"
    assert read_directives("app.cs", text).text == text


@pytest.mark.parametrize(
    "start", ["\ufeff", "\ufeff#!/usr/bin/env dotnet\n", "\ufeff#:property Nullable=enable\n"]
)
def test_a_byte_order_mark_is_no_part_of_the_text(start: str) -> None:
    assert dwh.run_csharp(f'{start}Console.Write("x");').stdout == "x"
    assert dwh.run_csharp({"a.cs": f'{start}Console.Write("x");'}).stdout == "x"


def test_directives_with_spaces_and_carriage_returns() -> None:
    read = read_directives("app.cs", "#! x\r\n#:  property   Nullable = disable \r\nx;\r\n")
    assert read.text == "\n\nx;\r\n"
    assert read.properties == {"Nullable": ("disable", 2)}


def test_directives_leave_blank_lines() -> None:
    read = read_directives(
        "app.cs",
        "#!/usr/bin/env run\n// note\n#:property LangVersion=11\n/* a\n b */\n"
        "#:property Nullable=disable\nx;\n#:property nothing\n",
    )
    assert read.text == "\n// note\n\n/* a\n b */\n\nx;\n#:property nothing\n"
    assert read.properties == {"LangVersion": ("11", 3), "Nullable": ("disable", 6)}


@pytest.mark.parametrize(
    ("line", "field", "value"),
    [
        ("Nullable=disable", "nullable", False),
        ("nullable = Enable", "nullable", True),
        ("ImplicitUsings=false", "implicit_usings", False),
        ("LangVersion=preview", "langversion", "preview"),
        ("AllowUnsafeBlocks=false", "unsafe", False),
        ("DefineConstants=$(DefineConstants);A;B", "define", ("A", "B")),
        ("CheckForOverflowUnderflow=true", "checked", True),
        ("NoWarn=$(NoWarn);CS0168, 219", "no_warn", ("CS0168", "219")),
        ("TreatWarningsAsErrors=true", "warnings_as_errors", True),
        ("RootNamespace=Any", "define", ()),
    ],
)
def test_properties_are_options_of_the_compiler(line: str, field: str, value: object) -> None:
    assert getattr(options_of(f"#:property {line}\nx;"), field) == value


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("#:property Nope=1", "AllowUnsafeBlocks"),
        ("#:property Nullable", "Name=Value"),
        ("#:property Nullable=perhaps", "neither of true"),
        ("#:property DefineConstants=1A", "preprocessor symbol"),
        ("#:property NoWarn=!", "diagnostic"),
        ("#:property Nullable=true\n#:property nullable=false", "twice"),
        ("#:sdk Microsoft.NET.Sdk.Web", "is not a directive"),
        ("#:project ../lib", "is not a directive"),
        ("#:", "is not a directive"),
        ("#:package", "id of a package"),
        ("#:package Humanizer@", "id of a package"),
        ("#:package ../x@1", "id of a package"),
    ],
)
def test_what_it_does_not_have_is_an_error_at_its_line(line: str, message: str) -> None:
    with pytest.raises(dwh.CompilationError, match=message) as caught:
        options_of(f"// first\n{line}\nx;")
    (diagnostic,) = caught.value.diagnostics
    assert (diagnostic.file, diagnostic.line) == ("app.cs", 2 + line.count("\n"))


def test_packages_are_asked_for_with_their_place() -> None:
    read = read_directives("a.cs", "#:package Humanizer.Core@2.14.*\n#:package Markdig\nx;")
    assert read.packages == [
        PackageReference("Humanizer.Core", "2.14.*"),
        PackageReference("Markdig"),
    ]
    assert [(p.file, p.line) for p in read.packages] == [("a.cs", 1), ("a.cs", 2)]
    with pytest.raises(
        dwh.CompilationError, match=r"app.cs\(2,1\).*no source of packages"
    ) as caught:
        dwh.run_csharp("// x\n#:package Humanizer@2.14.1\nreturn;")
    assert "no source of packages" in str(caught.value)


def test_packages_are_compiled_against_and_there_at_run_time() -> None:
    library = dwh.compile_csharp(
        "public static class L { public static int V => 42; }", assembly_name="L"
    )

    def resolve(wanted: Sequence[PackageReference]) -> PackageLibraries:
        assert wanted == [PackageReference("L", "1.0")]
        return PackageLibraries({"L": library.data}, {"L": library.data})

    program = read_program("#:package L@1.0\nreturn L.V;", resolver=resolve)
    assert list(program.dependencies) == ["L"]


def test_a_program_with_directives_runs_and_keeps_its_line_numbers() -> None:
    source = (
        "#!/usr/bin/env dotnet-wasm-host\n"
        "#:property AssemblyName=named\n"
        "#:property DefineConstants=SPECIAL\n"
        "#:property CheckForOverflowUnderflow=true\n"
        "#:property ImplicitUsings=disable\n"
        "using System;\n"
        "#if SPECIAL\n"
        "Console.Write(System.Reflection.Assembly.GetEntryAssembly().GetName().Name);\n"
        "#endif\n"
        "var big = int.MaxValue; try { big++; } catch (OverflowException) { return 4; }\n"
        "return 0;"
    )
    done = dwh.run_csharp(source)
    assert (done.returncode, done.stdout) == (4, "named")
    with pytest.raises(dwh.CompilationError) as caught:
        dwh.run_csharp(source + "\nmissing();")
    assert [d.line for d in caught.value.diagnostics if d.severity == "error"] == [12]


def test_an_unknown_language_version_lists_those_there_are() -> None:
    with pytest.raises(dwh.CompilationError, match=r"CS1617.*12"):
        dwh.run_csharp("#:property LangVersion=99\nreturn;")
