"""A function published with a .NET of its own: small, correct, and refused when damaged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import dotnet_wasm_host as dwh
from dotnet_wasm_host.base_library.publishing import Publication, publish
from tests.cli.test_commands import Command
from tests.nuget import made

if TYPE_CHECKING:
    from tests.conftest import CompiledSources

LIBRARY = """
namespace Library;
public static class Greeting { public static string Of(string name) => $"Hello, {name}"; }
"""
#: Serializes by reflection, throws, formats numbers and dates, sorts: what functions do.
FUNCTION = """
using System; using System.Collections.Generic; using System.Linq; using System.Text;
using System.Text.Json;
public record Item(
    string Name, int Count, decimal Price, DateTime Made, List<string> Tags, Version V);
public sealed class Unrelated : MinimalRuntime.IFunctionHandler {
    public byte[] Execute(ReadOnlySpan<byte> input) => throw new NotSupportedException("wrong one");
}
public sealed class Order : MinimalRuntime.IFunctionHandler {
    public byte[] Execute(ReadOnlySpan<byte> input) {
        var items = JsonSerializer.Deserialize<Item[]>(input)!;
        var best = items.OrderByDescending(i => i.Count * i.Price).ThenBy(i => i.Name).First();
        var answer = new Dictionary<string, object?> {
            ["greeting"] = Library.Greeting.Of(best.Name), ["best"] = best,
            ["total"] = items.Sum(i => i.Price).ToString("N2"),
            ["pair"] = (object)Tuple.Create(1, "a"),
            ["tags"] = items.SelectMany(i => i.Tags).Distinct().Order().ToArray(),
        };
        return JsonSerializer.SerializeToUtf8Bytes(answer);
    }
}
"""
PAYLOAD = json.dumps(
    [
        {"Name": n, "Count": c, "Price": p, "Made": "2026-01-02T03:04:05Z", "Tags": t, "V": "1.2.3"}
        for n, c, p, t in [("b", 2, 1234.5, ["x", "y"]), ("a", 3, 0.25, ["y", "z"])]
    ]
).encode()


@pytest.fixture(scope="module")
def library(compiled: CompiledSources) -> dwh.Assembly:
    return compiled(LIBRARY, assembly_name="Library")


@pytest.fixture(scope="module")
def function(compiled: CompiledSources, library: dwh.Assembly) -> dwh.Assembly:
    return compiled(FUNCTION, assembly_name="Orders", references=(library,))


@pytest.fixture(scope="module")
def published(
    function: dwh.Assembly, library: dwh.Assembly, tmp_path_factory: pytest.TempPathFactory
) -> Publication:
    return publish(
        function.data,
        tmp_path_factory.mktemp("published"),
        function_id="order",
        handler_type="Order",
        dependencies=(library.data,),
    )


def test_it_answers_like_the_whole_runtime(
    published: Publication,
    runtime: dwh.Runtime,
    function: dwh.Assembly,
    library: dwh.Assembly,
) -> None:
    runtime.load_assembly("f", function, handler_type="Order", dependencies=[library])
    answer = runtime.invoke("f", PAYLOAD)
    assert b"1,235" in answer or b"1,234.75" in answer
    with dwh.Runtime(dwh.RuntimeImage.open(published.folder)) as small:
        assert list(small.functions) == ["order"]
        assert small.invoke("order", PAYLOAD) == answer


def test_it_is_small(published: Publication) -> None:
    assert published.total_bytes < 4_600_000
    on_disk = {p.relative_to(published.folder).as_posix() for p in published.folder.rglob("*.*")}
    assert set(published.files) < on_disk


def test_other_functions_are_refused_by_name_wherever_the_image_was_kept(
    published: Publication, compiled: CompiledSources, tmp_path: Path
) -> None:
    image = dwh.RuntimeImage.open(published.folder)
    image.save(tmp_path / "saved.image")
    other = compiled("""
        using System; using System.Text;
        public sealed class Other : MinimalRuntime.IFunctionHandler {
            public byte[] Execute(ReadOnlySpan<byte> input) =>
                Encoding.UTF8.GetBytes(System.Text.RegularExpressions.Regex.Escape("."));
        }""")
    with dwh.Runtime(image) as runtime:
        snapshot = runtime.snapshot()
    for kept in (image, dwh.RuntimeImage.open(tmp_path / "saved.image"), snapshot):
        with dwh.Runtime(kept) as runtime:
            with pytest.raises(dwh.AssemblyLoadError, match=r"RegularExpressions\.Regex"):
                runtime.load_assembly("other", other)
            assert list(runtime.functions) == ["order"]


def test_publishing_again_replaces_the_folder(compiled: CompiledSources, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    for text in ("one", "two"):
        source = (
            "using System; public sealed class F : MinimalRuntime.IFunctionHandler {"
            f' public byte[] Execute(ReadOnlySpan<byte> i) => "{text}"u8.ToArray(); }}'
        )
        publish(compiled(source, assembly_name=text).data, folder, function_id="f")
    assert [path.name for path in (folder / "function").iterdir()] == ["two.dll"]
    with dwh.Runtime(dwh.RuntimeImage.open(folder)) as runtime:
        assert runtime.invoke("f") == b"two"
    (folder / "function" / "two.dll").write_bytes(b"damaged")
    with pytest.raises(dwh.ArtifactError, match=r"function/two\.dll"):
        dwh.RuntimeImage.open(folder)


def test_other_files_are_not_written_over(function: dwh.Assembly, tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("x")
    with pytest.raises(dwh.ArtifactError, match="not empty"):
        publish(function.data, tmp_path, function_id="f")
    assert [path.name for path in tmp_path.iterdir()] == ["precious.txt"]


def test_a_dependency_that_is_missing_is_named(function: dwh.Assembly, tmp_path: Path) -> None:
    with pytest.raises(dwh.AssemblyLoadError, match=r"Library\.Greeting"):
        publish(function.data, tmp_path / "out", function_id="f")
    assert not (tmp_path / "out").exists()


DEPENDENCY = """
namespace Middle;
public static class Names {
    public static string Upper(string name) => name.ToUpperInvariant();
    public static string Greet(string name) => Library.Greeting.Of(name);
}
"""
USES_ONE_OF_TWO = """
using System; using System.Text;
public sealed class F : MinimalRuntime.IFunctionHandler {
    public byte[] Execute(ReadOnlySpan<byte> input) {
        var name = Encoding.UTF8.GetString(input);
        return Encoding.UTF8.GetBytes(
            name == "" ? Middle.Names.Greet(name) : Middle.Names.Upper(name));
    }
}
"""


def test_what_a_dependency_never_reaches_is_a_warning(
    compiled: CompiledSources, library: dwh.Assembly, tmp_path: Path
) -> None:
    middle = compiled(DEPENDENCY, assembly_name="Middle", references=(library,))
    function = compiled(USES_ONE_OF_TWO, assembly_name="OneOfTwo", references=(middle,))
    with pytest.raises(dwh.AssemblyLoadError, match=r"Library\.Greeting"):
        publish(
            function.data,
            tmp_path / "strict",
            function_id="f",
            dependencies=(middle.data,),
            strict=True,
        )
    assert not (tmp_path / "strict").exists()
    command = Command(tmp_path)
    (tmp_path / "f.dll").write_bytes(function.data)
    (tmp_path / "Middle.dll").write_bytes(middle.data)
    done = command("publish", "f.dll", "--dependency", "Middle.dll", "-o", "out", "--json")
    assert done.returncode == 0, done.stderr
    assert b"warning: a dependency refers to" in done.stderr
    assert any("Library.Greeting" in text for text in json.loads(done.stdout)["unresolved"])
    with dwh.Runtime(dwh.RuntimeImage.open(tmp_path / "out")) as runtime:
        assert runtime.invoke("f", b"ada") == b"ADA"
        with pytest.raises(dwh.DotnetHostError, match="Library"):
            runtime.invoke("f", b"")
        assert runtime.invoke("f", b"eve") == b"EVE"


#: What AutoMapper and dnlib have in their metadata of assemblies that programs often lack: base
#: classes, interfaces, constraints, attributes, types of fields and parameters, calls.
ABSENT = """
using System;
namespace Absent;
public class Base { public virtual int Value => 1; }
public interface IThing { int Number { get; } }
public struct Pair { public int A, B; }
public enum Kind { One, Two }
[AttributeUsage(AttributeTargets.All)]
public sealed class MarkAttribute : Attribute {
    public MarkAttribute(Type type) { }
    public Kind Kind { get; set; }
}
public static class Extensions { public static void Add(this object services) { } }
"""
WIDE = """
using System; using System.Collections.Generic;
[assembly: Absent.Mark(typeof(Absent.Base))]
namespace Wide;
public class Derived : Absent.Base { public override int Value => 2; }
public class Thing : Absent.IThing { public int Number => 3; }
public class Generic<T> where T : Absent.IThing { public T? Field; }
public class Holder {
    public Absent.Pair Pair;
    public Generic<Absent.IThing>? G;
    public List<Absent.Pair> List = new();
}
public static class Registration {
    public static void AddWide(object services, Action<Absent.Base> configure) =>
        Absent.Extensions.Add(services);
}
[Absent.Mark(typeof(int))]
public class Useful {
    [Absent.Mark(typeof(Absent.Pair), Kind = Absent.Kind.Two)]
    public string Map(string text) => text.ToUpperInvariant();
    public object Other() => new Derived();
    public Absent.Pair Never(Absent.Kind kind) => default;
}
"""
USES_WIDE = """
using System; using System.Text;
public sealed class F : MinimalRuntime.IFunctionHandler {
    public byte[] Execute(ReadOnlySpan<byte> input) {
        var text = Encoding.UTF8.GetString(input);
        var useful = new Wide.Useful();
        var answer = text == "other" ? useful.Other().ToString()! : useful.Map(text);
        return Encoding.UTF8.GetBytes(answer);
    }
}
"""


def test_a_library_that_refers_to_much_is_published(
    compiled: CompiledSources, runtime: dwh.Runtime, tmp_path: Path
) -> None:
    absent = compiled(ABSENT, assembly_name="Absent.Abstractions")
    wide = compiled(WIDE, assembly_name="Wide", references=(absent,))
    function = compiled(USES_WIDE, assembly_name="UsesWide", references=(wide,))
    runtime.load_assembly("f", function, dependencies=[wide])
    done = publish(function.data, tmp_path / "out", function_id="f", dependencies=(wide.data,))
    assert "type Absent.Base" in done.unresolved
    assert "type Absent.MarkAttribute" in done.unresolved
    with dwh.Runtime(dwh.RuntimeImage.open(tmp_path / "out")) as published:
        for each in (runtime, published):
            assert each.invoke("f", b"ada") == b"ADA"
            with pytest.raises(dwh.InvocationError, match=r"Absent\.Abstractions"):
                each.invoke("f", b"other")
            assert each.invoke("f", b"eve") == b"EVE"


def test_what_is_no_assembly_is_refused(tmp_path: Path) -> None:
    with pytest.raises(dwh.AssemblyLoadError, match=r"not a \.NET assembly"):
        publish(b"MZ", tmp_path / "out", function_id="f")


def test_the_command_publishes_from_source(tmp_path: Path) -> None:
    command = Command(tmp_path)
    source = command.write(
        "hello.cs",
        "using System; public sealed class Hello : MinimalRuntime.IFunctionHandler {"
        " public byte[] Execute(ReadOnlySpan<byte> i) => Environment.Version.Major > 9"
        " ? i.ToArray() : throw new NotSupportedException(); }",
    )
    descriptor = command.write(
        "keep.xml",
        '<linker><assembly fullname="System.Private.CoreLib">'
        '<type fullname="System.Half" preserve="all"/></assembly></linker>',
    )
    done = command(
        *("publish", source, "-o", "out", "--json", "--descriptor", descriptor),
        *("--feature", "System.Resources.UseSystemResourceKeys=true"),
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["total_bytes"] == sum(report["files"].values()) < 3_500_000
    core = report["assemblies"]["System.Private.CoreLib"]
    assert core["bytes"] < core["original_bytes"] / 4
    with dwh.Runtime(dwh.RuntimeImage.open(tmp_path / "out")) as runtime:
        assert runtime.invoke("hello", b"payload") == b"payload"


def test_the_command_says_what_is_wrong_with_a_switch(tmp_path: Path) -> None:
    command = Command(tmp_path)
    source = command.write("f.cs", "")
    done = command("publish", source, "-o", "out", "--feature", "x=maybe")
    assert done.returncode == 2
    assert b"x=maybe" in done.stderr


def test_the_command_publishes_with_packages_and_every_form_of_dependency(tmp_path: Path) -> None:
    command = Command(tmp_path)
    made.put(tmp_path / "feed", "Top", "1.2.0", {"lib/net8.0/Top.dll": made.library("Top", 6)})
    made.put(tmp_path, "Beside", "1.0.0", {"lib/net8.0/Beside.dll": made.library("Beside", 7)})
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "Inside.dll").write_bytes(made.library("Inside", 8))
    source = command.write(
        "sum.cs",
        "#:package Top@1.*\npublic sealed class Sum : IFunctionHandler {"
        " public byte[] Execute(ReadOnlySpan<byte> i) => [(byte)(Top.V + Beside.V + Inside.V)]; }",
    )
    done = command(
        *("publish", source, "-o", "out", "--package-source", "feed"),
        *("-d", "Beside.1.0.0.nupkg", "-d", "folder"),
    )
    assert done.returncode == 0, done.stderr
    with dwh.Runtime(dwh.RuntimeImage.open(tmp_path / "out")) as runtime:
        assert runtime.invoke("sum") == bytes([21])
    refused = command("publish", source, "-o", "other", "-d", "folder")
    assert refused.returncode != 0
    assert b"package Top is wanted" in refused.stderr
