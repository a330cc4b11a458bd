"""Compiler errors that have a reason of their own here say it."""

from __future__ import annotations

import pytest

import dotnet_wasm_host as dwh

GENERATED_REGEX = """
using System.Text.RegularExpressions;
partial class C { [GeneratedRegex("a")] public static partial Regex R(); }
"""
CONTEXT = """
using System.Text.Json.Serialization;
[JsonSerializable(typeof(int))] partial class Ctx : JsonSerializerContext { }
"""


@pytest.mark.parametrize(
    ("source", "identifier", "said"),
    [
        (
            GENERATED_REGEX,
            "CS8795",
            "source generators do not run",
        ),
        (
            CONTEXT,
            "CS0534",
            "source generators do not run",
        ),
        ("class C { public int P { get => field; set => field = value; } }", "CS0103", "C# 13"),
        (
            "static class E {\n extension(string s) { public string Loud() => s + '!'; } }",
            "CS1520",
            "C# 14",
        ),
    ],
)
def test_the_error_says_why(source: str, identifier: str, said: str) -> None:
    with pytest.raises(dwh.CompilationError) as caught:
        dwh.compile_csharp(source)
    messages = [d.message for d in caught.value.diagnostics if d.id == identifier]
    assert messages
    assert all(said in message for message in messages)


@pytest.mark.parametrize(
    "source",
    [
        "class C { int F() { return field; } }",
        "abstract class A { public abstract void F(); } class B : A { }",
    ],
)
def test_other_errors_are_as_they_were(source: str) -> None:
    with pytest.raises(dwh.CompilationError) as caught:
        dwh.compile_csharp(source)
    text = str(caught.value)
    assert "C# 14" not in text
    assert "generators" not in text


def test_a_newer_language_needs_a_newer_compiler() -> None:
    with pytest.raises(dwh.CompilationError, match=r"CS1617.*roslyn="):
        dwh.compile_csharp("class C;", langversion="14")
    with pytest.raises(dwh.CompilationError) as caught:
        dwh.compile_csharp("class C;", langversion="0")
    assert "roslyn=" not in str(caught.value)
