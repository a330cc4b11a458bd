"""What a trimmed image lacks is a typed error that says which image has it, and never a crash."""

from __future__ import annotations

import io
import pickle
import time
from typing import TYPE_CHECKING

import pytest

import dotnet_wasm_host as dwh
from dotnet_wasm_host.abi import RemoteException
from dotnet_wasm_host.artifacts.store import ArtifactStore
from dotnet_wasm_host.base_library.missing_api import (
    ApiReference,
    MissingApiAdvice,
    missing_reference,
)
from dotnet_wasm_host.ecma335.metadata import Metadata
from dotnet_wasm_host.ecma335.rows import CustomAttributeRow, MemberRefRow, TypeDefRow, TypeRefRow
from dotnet_wasm_host.images.frozen import FrozenRuntime
from dotnet_wasm_host.images.image import frozen_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

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


#: Members of a type H and a call of them; Mono asserts about them, or says nothing of the type.
UNSPEAKABLE = {
    "a parameter": ("public static int M(System.IO.FileInfo f) => 1;", "H.M(null!)"),
    "a parameter that is an enum": (
        "public static int M(System.IO.FileAttributes f) => 1;",
        "H.M((System.IO.FileAttributes)3)",
    ),
    "a result": ("public static System.IO.FileInfo M() => null!;", "H.M() is null"),
    "a cast": ("", '(object)"x" is System.IO.FileInfo'),
    "a delegate": (
        """public delegate int D(System.IO.FileInfo f);
        public static int M(System.IO.FileInfo f) => 1;""",
        "((H.D)H.M)(null!)",
    ),
    "a static field": (
        "public static System.Numerics.Vector3 F; public static int G = 4;", "H.G",
    ),
    "an override": (
        """public virtual int M(System.IO.FileInfo f) => 1;
        public sealed class B : H { public override int M(System.IO.FileInfo f) => 2; }""",
        "new H.B().M(null!)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", UNSPEAKABLE)
def test_what_dotnet_has_no_words_for_is_named_all_the_same(
    case: str, load: Load, compiled: CompiledSources
) -> None:
    members, call = UNSPEAKABLE[case]
    function = compiled(SHELL % call + f"public class H {{ {members} }}")
    options = dwh.WasiOptions(stderr=io.BytesIO())
    with dwh.Runtime(load("minimal"), wasi=options, limits=dwh.Limits(crash_limit=2)) as runtime:
        runtime.load_assembly("good", compiled(SHELL % "1 + 1"))
        runtime.load_assembly("f", function)
        with pytest.raises(dwh.MissingApi, match=r"use Runtime\(image='common'\)") as caught:
            runtime.invoke("f")
        error = caught.value
        assert error.api in {
            "System.IO.FileInfo", "System.IO.FileAttributes", "System.Numerics.Vector3"
        }  # fmt: skip
        assert error.dotnet_type in {"System.TypeLoadException", "System.BadImageFormatException"}
        assert error.fatal == bool(runtime.stats().recycles)
        assert pickle.loads(pickle.dumps(error)).fatal == error.fatal
        assert runtime.invoke("good") == b"2"
        with pytest.raises(dwh.MissingApi):
            runtime.invoke("f")
        # One that kills its instance each time is not called for ever.
        expected = dwh.FunctionSuspended if error.fatal else dwh.MissingApi
        with pytest.raises(expected):
            runtime.invoke("f")
    with dwh.Runtime(load("common")) as runtime:
        runtime.load_assembly("f", function)
        assert runtime.invoke("f")


def test_assemblies_are_read_once_however_often_a_function_throws(
    load: Load, compiled: CompiledSources, monkeypatch: pytest.MonkeyPatch
) -> None:
    function = compiled(SHELL % '(input.Length > 0 ? 1 : throw new System.TypeLoadException("?"))')
    read: list[int] = []
    explain = MissingApiAdvice.explain

    def counted(self: MissingApiAdvice, own: Iterable[bytes], added: Iterable[str]) -> object:
        read.append(1)
        return explain(self, own, added)

    monkeypatch.setattr(MissingApiAdvice, "explain", counted)
    with dwh.Runtime(load("minimal")) as runtime:
        for loads in (1, 2):
            runtime.load_assembly("f", function)
            for _ in range(5):
                with pytest.raises(dwh.InvocationError):
                    runtime.invoke("f")
            assert len(read) == loads


@pytest.mark.parametrize(
    "message",
    [
        "Could not load type '" * 100_000,
        "Method not found: " + "a." * 1_000_000,
        "Method not found: void " + "<" * 500_000 + ">" * 500_000,
        "Field not found: " + " " * 2_000_000,
        "(expected class '" + "A" * 2_000_000 + "' in assembly 'B'",
    ],
)
def test_no_message_takes_long_to_understand(message: str) -> None:
    thrown = RemoteException("System.TypeLoadException", message, "")
    started = time.process_time()
    missing_reference(thrown)
    assert time.process_time() - started < 0.05


def test_an_assertion_while_loading_is_the_reason_of_the_load_error(
    load: Load, compiled: CompiledSources
) -> None:
    function = compiled("""
        using System;
        public sealed class Function : MinimalRuntime.IFunctionHandler {
            private readonly int size = Size(null);
            private static int Size(System.IO.FileInfo? file) => file is null ? 0 : 1;
            public byte[] Execute(ReadOnlySpan<byte> input) => [(byte)size];
        }""")
    options = dwh.WasiOptions(stderr=io.BytesIO())
    with dwh.Runtime(load("minimal"), wasi=options) as runtime:
        with pytest.raises(dwh.AssemblyLoadError, match=r"FileInfo.*use Runtime\(image='common'\)"):
            runtime.load_assembly("f", function)
        assert "f" not in runtime.functions
        runtime.load_assembly("g", compiled(SHELL % "1 + 1"))
        assert runtime.invoke("g") == b"2"


def test_a_function_that_ends_itself_is_not_excused(load: Load, compiled: CompiledSources) -> None:
    # Its assembly refers to something that is missing, but that is not what it died of.
    function = compiled(
        SHELL % "H.End()"
        + """public static class H {
            public static int End() { Environment.FailFast("enough"); return 0; }
            public static void Unused(System.IO.FileInfo file) { } }"""
    )
    options = dwh.WasiOptions(stderr=io.BytesIO())
    with dwh.Runtime(load("minimal"), wasi=options) as runtime:
        runtime.load_assembly("f", function)
        with pytest.raises(dwh.GuestTerminated, match="enough") as caught:
            runtime.invoke("f")
        assert type(caught.value) is dwh.GuestTerminated


def test_what_is_added_may_lack_something_too(load: Load, compiled: CompiledSources) -> None:
    function = compiled(SHELL % 'System.Net.IPAddress.Parse("::1").IsIPv6LinkLocal')
    options = dwh.WasiOptions(stderr=io.BytesIO())
    with dwh.Runtime(load("minimal"), wasi=options) as runtime:
        runtime.load_assembly("f", function)
        with pytest.raises(dwh.MissingApi, match=r"use Runtime\(image='common'\)"):
            runtime.invoke("f")


def test_an_image_has_its_assemblies_in_memory(load: Load) -> None:
    image = load("minimal")
    assemblies = image.assemblies()
    assert assemblies.keys() == frozen_of(image).assembly_names
    sizes = {name.rpartition(".")[0]: size for name, size in image.manifest.assemblies.items()}
    assert {name: len(content) for name, content in assemblies.items()} == sizes


def test_an_image_whose_state_lies_about_its_memory_is_refused(load: Load) -> None:
    image = load("minimal")
    parts = frozen_of(image).parts
    places = dict.fromkeys(parts.state.places, (1 << 31) - 8)
    parts = parts._replace(state=parts.state._replace(places=places))
    liar = dwh.RuntimeImage(FrozenRuntime("minimal", image.engine, parts))
    with pytest.raises(dwh.ArtifactError, match=r"does not have \S+ where it should be"):
        liar.assemblies()


def test_what_the_base_library_has_on_its_assemblies_is_in_every_image(load: Load) -> None:
    # They may be added to any image, and Mono asserts if it does not find the attributes.
    store = ArtifactStore.locate()
    wanted = set()
    for path in store.names("framework/"):
        wanted |= set(_assembly_attributes(Metadata(store.read(path))))
    core = Metadata(load("minimal").assemblies()["System.Private.CoreLib"])
    present = {(core.string(row.namespace), core.string(row.name)) for row in core.rows(TypeDefRow)}
    assert len(wanted) > 10
    assert wanted <= present


def _assembly_attributes(metadata: Metadata) -> Iterator[tuple[str, str]]:
    """Namespace and name of those that another assembly defines (ECMA-335 II.22.10)."""
    assembly, member_reference, type_reference = 14, 3, 1
    for parent, constructor, _ in metadata.rows(CustomAttributeRow):
        if parent & 31 == assembly and constructor & 7 == member_reference:
            owner = metadata.row(MemberRefRow, constructor >> 3).parent
            if owner & 7 == type_reference:
                row = metadata.row(TypeRefRow, owner >> 3)
                yield metadata.string(row.namespace), metadata.string(row.name)


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
        with pytest.raises(
            dwh.AssemblyLoadError, match=r"refers to Library.*dependencies="
        ) as caught:
            runtime.load_assembly("f", function)
        assert "minimal" not in str(caught.value)
        runtime.load_assembly("f", function, dependencies=[library])
        assert runtime.invoke("f") == b"2"


def test_the_base_library_is_added_when_a_function_asks(
    load: Load, compiled: CompiledSources
) -> None:
    function = compiled(SHELL % 'System.Xml.Linq.XElement.Parse("<a><b/></a>").FirstNode')
    with dwh.Runtime(load("common")) as runtime:
        assert "System.Private.Xml.Linq" not in frozen_of(runtime.image).assembly_names
        for function_id in ("f", "g"):
            runtime.load_assembly(function_id, function)
            assert runtime.invoke(function_id) == b"<b />"
        runtime.recycle()
        assert runtime.invoke("f") == b"<b />"
    frozen = compiled(SHELL % 'System.Xml.Linq.XElement.Parse("<c/>")')
    with dwh.Runtime(load("common")) as runtime:
        runtime.load_assembly("f", frozen)
        image = runtime.snapshot()
    assert "System.Private.Xml.Linq" in frozen_of(image).assembly_names
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
        ("System.MissingFieldException",
         "Field not found: System.TimeSpan System.A.Limit Due to: Could not load file or assembly",
         ApiReference("", "System.A", "Limit")),
        ("System.BadImageFormatException",
         "... (expected class 'System.Numerics.Vector3' in assembly 'System.Private.CoreLib')",
         ApiReference("System.Private.CoreLib", "System.Numerics.Vector3")),
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
        (ApiReference("MinimalRuntime.Json"), "json"),
    ],
)
def test_the_smallest_image_that_declares_it(reference: ApiReference, image: str) -> None:
    assert MissingApiAdvice("minimal").image_with([reference]) == image
