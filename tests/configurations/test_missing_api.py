"""What a trimmed image lacks is a typed error that says which image has it, and never a crash."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

import pytest

import dotnet_wasm_host as dwh
from dotnet_wasm_host.abi import RemoteException
from dotnet_wasm_host.missing_api import ApiReference, MissingApiAdvice, missing_reference

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import CompiledSources

    Load = Callable[[str], dwh.RuntimeImage]

SHELL = """
using System; using System.Text;
public sealed class Function : MinimalRuntime.IFunctionHandler {
    public byte[] Execute(ReadOnlySpan<byte> input) => Encoding.UTF8.GetBytes($"{%s}");
}
"""
#: An expression, and the smallest image that has it.
MISSING = [
    ('System.IO.File.Exists("/x")', "common"),
    ("System.Numerics.Vector3.One", "common"),
    ('System.Text.CompositeFormat.Parse("{0}")', "common"),
    ('System.Text.RegularExpressions.Regex.IsMatch("a", "b")', "common"),
    ("System.Linq.Enumerable.Sum(new[] { 1, 2 })", "linq"),
    ("System.Text.Json.JsonSerializer.Serialize(new[] { 1, 2 })", "json"),
    ("new System.Net.Http.HttpClient().Timeout", "http"),
    ('new System.Reflection.Emit.DynamicMethod("x", null, null).Name', "reflection"),
    ('System.Xml.Linq.XElement.Parse("<a/>")', "full"),
]  # fmt: skip


@pytest.mark.parametrize(("expression", "found_in"), MISSING)
def test_the_error_names_the_api_and_the_image(
    expression: str, found_in: str, load: Load, compiled: CompiledSources
) -> None:
    function = compiled(SHELL % expression)
    with dwh.Runtime(load("minimal")) as runtime:
        runtime.load_assembly("f", function)
        with pytest.raises(dwh.MissingApi) as caught:
            runtime.invoke("f")
        error = caught.value
        assert (error.image, error.found_in) == ("minimal", found_in)
        assert error.api in str(error)
        assert str(error).endswith(f"use Runtime(image={found_in!r})")
        assert error.dotnet_type.startswith("System.")
        assert str(pickle.loads(pickle.dumps(error))) == str(error)
        # The runtime is none the worse for it.
        runtime.load_assembly("g", compiled(SHELL % "1 + 1"))
        assert runtime.invoke("g") == b"2"
        assert runtime.stats().recycles == 0
    with dwh.Runtime(load(found_in)) as runtime:
        runtime.load_assembly("f", function)
        assert runtime.invoke("f")


def test_a_load_that_misses_something_says_so(load: Load, compiled: CompiledSources) -> None:
    function = compiled("""
        using System; using System.Runtime.Serialization;
        public sealed class Function : MinimalRuntime.IFunctionHandler, ISerializable {
            public byte[] Execute(ReadOnlySpan<byte> input) => [];
            public void GetObjectData(SerializationInfo info, StreamingContext context) { }
        }""")
    with (
        dwh.Runtime(load("minimal")) as runtime,
        pytest.raises(dwh.AssemblyLoadError, match=r"ISerializable.*use Runtime\(image='common'\)"),
    ):
        runtime.load_assembly("f", function)


def test_what_the_function_forgot_is_not_blamed_on_the_image(
    load: Load, compiled: CompiledSources
) -> None:
    library = compiled("public static class Library { public static int Two => 2; }",
                       assembly_name="Library")  # fmt: skip
    function = compiled(SHELL % "Library.Two", references=(library,))
    with dwh.Runtime(load("minimal")) as runtime:
        runtime.load_assembly("f", function)
        with pytest.raises(dwh.InvocationError) as caught:
            runtime.invoke("f")
        assert type(caught.value) is dwh.InvocationError
        runtime.load_assembly("f", function, dependencies=[library])
        assert runtime.invoke("f") == b"2"


def test_the_base_library_is_added_when_a_function_asks(
    load: Load, compiled: CompiledSources
) -> None:
    function = compiled(SHELL % 'System.Xml.Linq.XElement.Parse("<a><b/></a>").FirstNode')
    with dwh.Runtime(load("common")) as runtime:
        assert "System.Private.Xml.Linq" not in runtime.image.assembly_names
        for function_id in ("f", "g"):
            runtime.load_assembly(function_id, function)
            assert runtime.invoke(function_id) == b"<b />"
        runtime.recycle()
        assert runtime.invoke("f") == b"<b />"
    frozen = compiled(SHELL % 'System.Xml.Linq.XElement.Parse("<c/>")')
    with dwh.Runtime(load("common")) as runtime:
        runtime.load_assembly("f", frozen)
        image = runtime.snapshot()
    assert "System.Private.Xml.Linq" in image.assembly_names
    with dwh.Runtime(image) as runtime:
        assert runtime.invoke("f") == b"<c />"
        runtime.load_assembly("g", function)
        assert runtime.invoke("g") == b"<b />"


@pytest.mark.parametrize(
    ("kind", "message", "expected"),
    [
        ("System.IO.FileNotFoundException",
         "Could not load file or assembly 'System.Linq, Version=10.0.0.0' or one of its ...",
         ApiReference("System.Linq")),
        ("System.TypeLoadException",
         "(expected class 'System.IO.File' in assembly 'System.Private.CoreLib')",
         ApiReference("System.Private.CoreLib", "System.IO.File")),
        ("System.MissingMethodException",
         "Method not found: !0 System.Numerics.INumberBase`1.CreateChecked<!0>(!!0)",
         ApiReference("", "System.Numerics.INumberBase`1", "CreateChecked")),
        ("System.MissingMethodException", "Method not found: void System.A.B..ctor(string)",
         ApiReference("", "System.A.B", ".ctor")),
        ("System.MissingFieldException", "Field not found: string System.A.Field",
         ApiReference("", "System.A", "Field")),
        ("System.MissingMethodException", "Method not found: ?", None),
        ("System.ArgumentException",
         "Could not load file or assembly 'System.Linq, Version=10.0.0.0'", None),
    ],
)  # fmt: skip
def test_messages_are_understood(kind: str, message: str, expected: ApiReference | None) -> None:
    assert missing_reference(RemoteException(kind, message, "")) == expected
    inner = RemoteException(kind, message, "")
    outer = RemoteException("System.TypeInitializationException", "x", "", inner)
    assert missing_reference(outer) == expected


@pytest.mark.parametrize(
    ("reference", "image"),
    [
        (ApiReference("System.Text.Json"), "json"),
        (ApiReference("System.Net.Http", "System.Net.Http.HttpClient", "Send"), "http"),
        (ApiReference("System.Runtime", "System.Reflection.MethodInfo"), "reflection"),
        (ApiReference("System.Runtime", "System.DateTime", "FromBinary"), "common"),
        (ApiReference("System.Private.Xml"), "full"),
    ],
)
def test_the_smallest_image_that_declares_it(reference: ApiReference, image: str) -> None:
    assert MissingApiAdvice("minimal").image_with([reference]) == image
