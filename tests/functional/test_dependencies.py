"""Libraries: each function sees its own, all see the base library and capabilities."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

import dotnet_wasm_host as dwh
from dotnet_wasm_host.artifacts.store import ArtifactStore

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import CompiledSources

USER = """
using System; using System.Text;
public sealed class User : MinimalRuntime.IFunctionHandler {
    public byte[] Execute(ReadOnlySpan<byte> input) =>
        Encoding.UTF8.GetBytes(Lib.Version.Describe());
}
"""


def library(compiled: CompiledSources, version: str) -> dwh.Assembly:
    """Some version of ``Lib``, which counts its uses in a static."""
    source = f"""
        [assembly: System.Reflection.AssemblyVersion("{version}")]
        namespace Lib;
        public class Version {{
            private static int uses;
            public static string Describe() => $"{version} used {{++uses}}";
        }}
    """
    return compiled(source, assembly_name="Lib")


@pytest.fixture
def lib(compiled: CompiledSources) -> dwh.Assembly:
    return library(compiled, "1.0.0.0")


@pytest.fixture
def user(compiled: CompiledSources, lib: dwh.Assembly) -> dwh.Assembly:
    return compiled(USER, references=(lib,))


def test_two_versions_of_a_library_live_side_by_side(
    runtime: dwh.Runtime, compiled: CompiledSources, lib: dwh.Assembly, user: dwh.Assembly
) -> None:
    newer = library(compiled, "2.0.0.0")
    assert lib.name == newer.name
    runtime.load_assembly("old", user, dependencies=[lib])
    runtime.load_assembly("new", user, dependencies=[newer])

    assert runtime.invoke("old") == b"1.0.0.0 used 1"
    assert runtime.invoke("new") == b"2.0.0.0 used 1"
    assert runtime.invoke("old") == b"1.0.0.0 used 2"


def test_functions_do_not_share_the_statics_of_a_library(
    runtime: dwh.Runtime, lib: dwh.Assembly, user: dwh.Assembly
) -> None:
    for function_id in ("a", "b"):
        runtime.load_assembly(function_id, user, dependencies=[lib])

    assert runtime.invoke_many("a", [b""] * 3)[-1] == b"1.0.0.0 used 3"
    assert runtime.invoke("b") == b"1.0.0.0 used 1"


@pytest.mark.parametrize(
    "form", ["assembly", "bytes", "path", "str", "generator", "file", "folder", "folder as str"]
)
def test_dependencies_come_in_any_form(
    runtime: dwh.Runtime,
    lib: dwh.Assembly,
    user: dwh.Assembly,
    native_dll: bytes,
    tmp_path: Path,
    form: str,
) -> None:
    lib.save(tmp_path)
    (tmp_path / "Native.dll").write_bytes(native_dll)
    (tmp_path / "empty.dll").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("no library")
    (tmp_path / "sub.dll").mkdir()
    forms: dict[str, Any] = {
        "assembly": [lib],
        "bytes": (memoryview(lib.data),),
        "path": {tmp_path / "Lib.dll"},
        "str": [str(tmp_path / "Lib.dll")],
        "generator": (item for item in [lib]),
        "file": tmp_path / "Lib.dll",
        "folder": tmp_path,
        "folder as str": str(tmp_path),
    }
    runtime.load_assembly("f", user, dependencies=forms[form])

    assert runtime.invoke("f") == b"1.0.0.0 used 1"


@pytest.mark.parametrize("form", ["assembly", "nothing", "bytes", "number"])
def test_dependencies_of_another_kind_are_refused(
    runtime: dwh.Runtime, lib: dwh.Assembly, user: dwh.Assembly, form: str
) -> None:
    forms: dict[str, Any] = {"assembly": lib, "nothing": None, "bytes": lib.data, "number": 5}

    with pytest.raises(dwh.MarshallingTypeError, match="dependencies"):
        runtime.load_assembly("f", user, dependencies=forms[form])
    assert not runtime.functions


@pytest.mark.parametrize("name", ["Missing.dll", "missing folder"])
def test_a_dependency_that_cannot_be_read_is_named(
    runtime: dwh.Runtime, user: dwh.Assembly, tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    dependencies: Any = [path] if name.endswith(".dll") else path

    with pytest.raises(dwh.AssemblyLoadError, match=name):
        runtime.load_assembly("f", user, dependencies=dependencies)


def test_a_native_library_is_no_dependency_when_named_outright(
    runtime: dwh.Runtime, user: dwh.Assembly, native_dll: bytes
) -> None:
    with pytest.raises(dwh.AssemblyLoadError, match=r"not a \.NET assembly"):
        runtime.load_assembly("f", user, dependencies=[native_dll])


def test_a_missing_dependency_is_named_when_loading(
    runtime: dwh.Runtime, lib: dwh.Assembly, user: dwh.Assembly
) -> None:
    with pytest.raises(dwh.AssemblyLoadError, match=r"refers to Lib.*dependencies=") as caught:
        runtime.load_assembly("f", user)
    assert caught.value.dotnet_type == "System.IO.FileNotFoundException"
    assert not runtime.functions

    runtime.load_assembly("f", user, dependencies=[lib])
    assert runtime.invoke("f") == b"1.0.0.0 used 1"


def test_what_a_dependency_lacks_is_listed_and_named_when_it_is_reached(
    runtime: dwh.Runtime, compiled: CompiledSources, lib: dwh.Assembly
) -> None:
    middle = compiled(
        "namespace Middle; public class M { public static string Get() => Lib.Version.Describe();"
        ' public static string Other => "other"; }',
        assembly_name="Middle",
        references=(lib,),
    )
    source = """
        using System; using System.Text;
        public sealed class User : MinimalRuntime.IFunctionHandler {
            public byte[] Execute(ReadOnlySpan<byte> input) =>
                Encoding.UTF8.GetBytes(input.IsEmpty ? Middle.M.Other : Middle.M.Get());
        }"""
    user = compiled(source, references=(middle,))

    assert runtime.load_assembly("f", user, dependencies=[middle]).unresolved == ("Lib",)
    assert runtime.invoke("f") == b"other"
    for _ in range(2):
        with pytest.raises(dwh.InvocationError, match=r"'Lib, Version=1\.0\.0\.0") as caught:
            runtime.invoke("f", b"reach it")
        assert caught.value.dotnet_type == "System.IO.FileNotFoundException"

    assert runtime.load_assembly("f", user, dependencies=[middle, lib]).unresolved == ()
    assert runtime.invoke("f", b"reach it") == b"1.0.0.0 used 1"


def test_two_different_dependencies_of_one_name_are_an_error(
    runtime: dwh.Runtime,
    compiled: CompiledSources,
    lib: dwh.Assembly,
    user: dwh.Assembly,
    tmp_path: Path,
) -> None:
    newer = library(compiled, "2.0.0.0")
    (tmp_path / "a.dll").write_bytes(lib.data)
    (tmp_path / "b.dll").write_bytes(newer.data)
    for dependencies in ([lib, newer], tmp_path):
        with pytest.raises(dwh.AssemblyLoadError, match=r"two different assemblies.*'Lib'"):
            runtime.load_assembly("f", user, dependencies=dependencies)
    runtime.load_assembly("f", user, dependencies=[lib, lib.data])
    assert runtime.invoke("f") == b"1.0.0.0 used 1"


def test_dependencies_of_dependencies_are_found(
    runtime: dwh.Runtime, compiled: CompiledSources, lib: dwh.Assembly
) -> None:
    middle = compiled(
        'namespace Middle; public class M { public static string Get() => "via " +'
        " Lib.Version.Describe(); }",
        assembly_name="Middle",
        references=(lib,),
    )
    user = compiled(USER.replace("Lib.Version.Describe", "Middle.M.Get"), references=(middle,))
    runtime.load_assembly("f", user, dependencies=[middle, lib])

    assert runtime.invoke("f") == b"via 1.0.0.0 used 1"


def test_libraries_are_found_by_reflection_too(
    runtime: dwh.Runtime, compiled: CompiledSources, lib: dwh.Assembly
) -> None:
    source = """
        using System; using System.Reflection; using System.Text;
        public class R : MinimalRuntime.IFunctionHandler {
            public byte[] Execute(ReadOnlySpan<byte> input) {
                var type = Assembly.Load("Lib").GetType("Lib.Version")!;
                var text = type.GetMethod("Describe")!.Invoke(null, null)!;
                return Encoding.UTF8.GetBytes((string)text);
            }
        }"""
    runtime.load_assembly("f", compiled(source), dependencies=[lib])

    assert runtime.invoke("f") == b"1.0.0.0 used 1"


def test_dependencies_are_there_again_after_recycling(
    runtime: dwh.Runtime, lib: dwh.Assembly, user: dwh.Assembly, tmp_path: Path
) -> None:
    lib.save(tmp_path)
    runtime.load_assembly("f", user, dependencies=tmp_path)
    (tmp_path / "Lib.dll").unlink()
    runtime.invoke("f")

    runtime.recycle()

    assert runtime.invoke("f") == b"1.0.0.0 used 1"


def test_the_base_library_is_shared_whatever_a_build_copied(
    runtime: dwh.Runtime, moody: dwh.Assembly, tmp_path: Path
) -> None:
    # An SDK's output folder holds the contract, and sometimes parts of the framework.
    store = ArtifactStore.locate()
    (tmp_path / "MinimalRuntime.dll").write_bytes(store.read("guest/MinimalRuntime.dll"))
    (tmp_path / "System.Linq.dll").write_bytes(store.read("framework/System.Linq.webcil"))
    moody.save(tmp_path)

    runtime.load_assembly("f", moody, dependencies=tmp_path)

    assert runtime.invoke("f", b"count") == b"1"


def test_a_real_third_party_library_works(runtime: dwh.Runtime) -> None:
    # Roslyn: 7 MB that were built against .NET Standard by somebody else's SDK.
    store = ArtifactStore.locate()
    roslyn = [store.read(f"roslyn/Microsoft.CodeAnalysis{part}.dll") for part in ("", ".CSharp")]
    source = """
        using System; using System.Linq; using System.Text; using System.Text.Json;
        using Microsoft.CodeAnalysis.CSharp; using Microsoft.CodeAnalysis.CSharp.Syntax;
        public class Outline : MinimalRuntime.IFunctionHandler {
            public byte[] Execute(ReadOnlySpan<byte> input) {
                var tree = CSharpSyntaxTree.ParseText(Encoding.UTF8.GetString(input));
                var methods = tree.GetRoot().DescendantNodes().OfType<MethodDeclarationSyntax>();
                return JsonSerializer.SerializeToUtf8Bytes(new {
                    Methods = methods.Select(m => m.Identifier.Text),
                    Errors = tree.GetDiagnostics().Select(d => d.Id) });
            }
        }"""
    outline = dwh.compile_csharp(source, references=roslyn)
    runtime.load_assembly("outline", outline, dependencies=roslyn)

    answer = json.loads(runtime.invoke("outline", b"class C { void A() {} int B() { return 1 } }"))

    assert answer == {"Methods": ["A", "B"], "Errors": ["CS1002"]}
    with pytest.raises(dwh.AssemblyLoadError, match=r"Microsoft\.CodeAnalysis"):
        runtime.load_assembly("alone", outline)


def test_types_are_found_by_name_in_the_functions_own_libraries(
    runtime: dwh.Runtime, compiled: CompiledSources, lib: dwh.Assembly
) -> None:
    source = """
        using System; using System.Text;
        public sealed class ByName : MinimalRuntime.IFunctionHandler {
            public byte[] Execute(ReadOnlySpan<byte> name) {
                var type = Type.GetType(Encoding.UTF8.GetString(name));
                var text = type?.GetMethod("Describe")?.Invoke(null, null) ?? type?.FullName ?? "-";
                return Encoding.UTF8.GetBytes((string)text);
            }
        }"""
    by_name = compiled(source)
    runtime.load_assembly("none", by_name)
    runtime.load_assembly("old", by_name, dependencies=[lib])
    runtime.load_assembly("new", by_name, dependencies=[library(compiled, "2.0.0.0")])

    assert runtime.invoke("none", b"Lib.Version, Lib") == b"-"
    assert runtime.invoke("old", b"Lib.Version, Lib") == b"1.0.0.0 used 1"
    assert runtime.invoke("new", b"Lib.Version, Lib, Version=9.0.0.0") == b"2.0.0.0 used 1"
    assert runtime.invoke("old", b"Lib.Version, Lib") == b"1.0.0.0 used 2"
    assert runtime.invoke("none", b"Lib.Version, Lib") == b"-"
    assert runtime.invoke("old", b"Lib.Missing, Lib") == b"-"
    stack = b"System.Collections.Generic.Stack`1"
    assert runtime.invoke("old", stack + b", System.Collections") == stack
    runtime.load_capability("versions", lib)
    assert runtime.invoke("none", b"Lib.Version, Lib") == b"1.0.0.0 used 1"


# ---------------------------------------------------------------- capabilities


def test_a_capability_serves_every_function_loaded_later(
    runtime: dwh.Runtime, lib: dwh.Assembly, user: dwh.Assembly
) -> None:
    runtime.load_capability("versions", lib)
    for function_id in ("a", "b"):
        runtime.load_assembly(function_id, user)

    assert runtime.capabilities == ("versions",)
    # One library for all: its statics are shared.
    assert runtime.invoke("a") == b"1.0.0.0 used 1"
    assert runtime.invoke("b") == b"1.0.0.0 used 2"


def test_an_own_dependency_comes_before_a_capability(
    runtime: dwh.Runtime, compiled: CompiledSources, lib: dwh.Assembly, user: dwh.Assembly
) -> None:
    runtime.load_capability("versions", lib)
    runtime.load_assembly("f", user, dependencies=[library(compiled, "2.0.0.0")])

    assert runtime.invoke("f") == b"2.0.0.0 used 1"


def test_an_unloaded_capability_is_kept_by_its_users_only(
    runtime: dwh.Runtime, lib: dwh.Assembly, user: dwh.Assembly
) -> None:
    runtime.load_capability("versions", lib)
    runtime.load_assembly("early", user)
    runtime.invoke("early")

    assert runtime.unload_capability("versions") is True
    assert runtime.unload_capability("versions") is False
    assert runtime.capabilities == ()

    with pytest.raises(dwh.AssemblyLoadError, match="refers to Lib"):
        runtime.load_assembly("late", user)
    assert runtime.invoke("early") == b"1.0.0.0 used 2"


def test_loading_a_capability_again_replaces_it(
    runtime: dwh.Runtime, compiled: CompiledSources, lib: dwh.Assembly, user: dwh.Assembly
) -> None:
    runtime.load_capability("versions", lib)
    runtime.load_capability("versions", library(compiled, "2.0.0.0"))
    runtime.load_assembly("f", user)

    assert runtime.capabilities == ("versions",)
    assert runtime.invoke("f") == b"2.0.0.0 used 1"


def test_capabilities_are_there_again_after_a_crash(
    runtime: dwh.Runtime, lib: dwh.Assembly, user: dwh.Assembly, moody: dwh.Assembly
) -> None:
    runtime.load_capability("versions", lib)
    runtime.load_assembly("f", user)
    runtime.load_assembly("crash", moody)
    runtime.invoke("f")
    with pytest.raises(dwh.GuestTerminated):
        runtime.invoke("crash", b"exit 1")

    assert runtime.capabilities == ("versions",)
    assert runtime.invoke("f") == b"1.0.0.0 used 1"


@pytest.mark.parametrize(
    ("name", "content", "error"),
    [
        ("", b"", dwh.MarshallingError),
        ("a\0b", b"", dwh.MarshallingError),
        ("c", b"junk", dwh.AssemblyLoadError),
        ("c", 5, dwh.MarshallingTypeError),
        ("c", None, ValueError),  # none of that name is shipped
    ],
)
def test_a_bad_capability_changes_nothing(
    runtime: dwh.Runtime, lib: dwh.Assembly, name: str, content: Any, error: type[Exception]
) -> None:
    runtime.load_capability("c", lib)

    with pytest.raises(error) as caught:
        runtime.load_capability(name, content)

    assert "function" not in str(caught.value)
    assert runtime.capabilities == ("c",)


def test_a_capability_of_an_image_can_be_unloaded(
    runtime: dwh.Runtime, lib: dwh.Assembly, user: dwh.Assembly
) -> None:
    runtime.load_capability("versions", lib)

    with dwh.Runtime(runtime.snapshot()) as other:
        assert list(other.capabilities) == ["versions"]
        assert other.unload_capability("versions") is True
        assert list(other.capabilities) == []
        for _ in range(2):
            with pytest.raises(dwh.AssemblyLoadError, match="refers to Lib"):
                other.load_assembly("f", user)
            other.recycle()
