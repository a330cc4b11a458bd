"""Capabilities: assembly sets in contexts of their own, shared by the functions that ask."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import dotnet_wasm_host as dwh

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import CompiledSources

    Load = Callable[[str], dwh.RuntimeImage]

JSON_FUNCTION = """
using System; using MinimalRuntime.Json;
public sealed record Person(string Name, int Age);
public sealed class Function : MinimalRuntime.IFunctionHandler {
    public byte[] Execute(ReadOnlySpan<byte> json) {
        if (json[0] == (byte)'[') return JsonCapability.Minify(json);
        var person = JsonCapability.Deserialize<Person>(json)!;
        return JsonCapability.Serialize(person with { Age = person.Age + 1 });
    }
}
"""
COUNTER = "public static class Counter { static int count; public static int Next() => ++count; }"
COUNTING = """
using System; using System.Text;
public sealed class Function : MinimalRuntime.IFunctionHandler {
    public byte[] Execute(ReadOnlySpan<byte> input) => Encoding.UTF8.GetBytes($"{Counter.Next()}");
}
"""


@pytest.fixture
def json_function(compiled: CompiledSources) -> dwh.Assembly:
    return compiled(JSON_FUNCTION, references=(dwh.capability_assembly("json"),))


@pytest.fixture
def counter(compiled: CompiledSources) -> dwh.Assembly:
    return compiled(COUNTER, assembly_name="Counter")


@pytest.fixture
def counting(compiled: CompiledSources, counter: dwh.Assembly) -> dwh.Assembly:
    return compiled(COUNTING, references=(counter,))


@pytest.mark.parametrize("image", ["json", "common", "full"])
def test_json_comes_with_the_package(image: str, load: Load, json_function: dwh.Assembly) -> None:
    with dwh.Runtime(load(image)) as runtime:
        runtime.load_capability("json")
        assert runtime.capabilities == ("json",)
        runtime.load_assembly("f", json_function)
        assert runtime.invoke("f", b'{"name": "Ada", "age": 36}') == b'{"name":"Ada","age":37}'
        assert runtime.invoke("f", b"[1 , 2]") == b"[1,2]"
        runtime.recycle()
        assert runtime.invoke("f", b"[1 , 2]") == b"[1,2]"


def test_an_image_without_what_it_needs_says_which_has_it(load: Load) -> None:
    with dwh.Runtime(load("minimal")) as runtime:
        with pytest.raises(dwh.AssemblyLoadError, match=r"System\.Text\.Json.*image='json'"):
            runtime.load_capability("json")
        assert runtime.capabilities == ()


def test_a_name_that_the_package_does_not_have(runtime: dwh.Runtime) -> None:
    with pytest.raises(ValueError, match="no capability 'telepathy'"):
        runtime.load_capability("telepathy")


@pytest.mark.parametrize("image", ["minimal", "full"])
def test_functions_share_a_capability(
    image: str, load: Load, counter: dwh.Assembly, counting: dwh.Assembly
) -> None:
    with dwh.Runtime(load(image)) as runtime:
        runtime.load_capability("counter", counter)
        runtime.load_assembly("a", counting)
        runtime.load_assembly("b", counting)
        assert [runtime.invoke(f) for f in ("a", "b", "a")] == [b"1", b"2", b"3"]


def test_an_unloaded_capability_stays_with_those_that_have_it(
    runtime: dwh.Runtime, counter: dwh.Assembly, counting: dwh.Assembly
) -> None:
    runtime.load_capability("counter", counter)
    runtime.load_assembly("old", counting)
    assert runtime.invoke("old") == b"1"
    assert runtime.unload_capability("counter")
    assert not runtime.unload_capability("counter")
    assert runtime.invoke("old") == b"2"
    with pytest.raises(dwh.AssemblyLoadError, match="Counter"):
        runtime.load_assembly("new", counting)
    runtime.load_capability("counter", counter)
    runtime.load_assembly("new", counting)
    assert runtime.invoke("new") == b"1"
    assert runtime.invoke("old") == b"3"


@pytest.mark.parametrize("used_directly", [True, False])
def test_a_set_of_assemblies(
    used_directly: bool, runtime: dwh.Runtime, compiled: CompiledSources, counter: dwh.Assembly,
    counting: dwh.Assembly,
) -> None:  # fmt: skip
    wrapper = compiled(
        "public static class Wrapper { public static int Next() => Counter.Next() * 10; }",
        assembly_name="Wrapper", references=(counter,),
    )  # fmt: skip
    runtime.load_capability("set", wrapper, dependencies=[counter])
    if used_directly:
        runtime.load_assembly("f", counting)
        assert runtime.invoke("f") == b"1"
    function = compiled(COUNTING.replace("Counter.", "Wrapper."), references=(wrapper,))
    runtime.load_assembly("g", function)
    assert runtime.invoke("g") == (b"20" if used_directly else b"10")


def test_capabilities_are_part_of_a_snapshot(
    runtime: dwh.Runtime, counter: dwh.Assembly, counting: dwh.Assembly
) -> None:
    runtime.load_capability("counter", counter)
    runtime.load_assembly("f", counting)
    runtime.invoke("f")
    with dwh.Runtime(runtime.snapshot()) as copy:
        assert copy.capabilities == ("counter",)
        assert copy.invoke("f") == b"2"
        copy.load_assembly("g", counting)
        assert copy.invoke("g") == b"3"
