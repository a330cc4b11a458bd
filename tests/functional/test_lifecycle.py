"""The life of a function: load, replace, call, unload; and of the runtime around it."""

from __future__ import annotations

import gc
import hashlib
import weakref
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest

import dotnet_wasm_host as dwh

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import CompiledSources

SEVERAL = """
using System; using System.Text;
namespace Several;
public abstract class Named : MinimalRuntime.IFunctionHandler {
    public byte[] Execute(ReadOnlySpan<byte> input) => Encoding.UTF8.GetBytes(GetType().FullName!);
}
public sealed class First : Named;
public sealed class Second : Named;
public struct Third : MinimalRuntime.IFunctionHandler {
    public byte[] Execute(ReadOnlySpan<byte> input) => "Third"u8.ToArray();
}
internal sealed class Hidden : Named;
public static class Outer { public sealed class Inner : Named; }
public sealed class Both : MinimalRuntime.IFunctionHandler {
    byte[] MinimalRuntime.IFunctionHandler.Execute(ReadOnlySpan<byte> input) =>
        "explicit"u8.ToArray();
}
"""


def constant(compiled: CompiledSources, text: str) -> dwh.Assembly:
    """A handler that always returns the same text."""
    return compiled(
        "public class Constant : MinimalRuntime.IFunctionHandler { public byte[] Execute("
        f'System.ReadOnlySpan<byte> i) => "{text}"u8.ToArray(); }}'
    )


# ---------------------------------------------------------------- loading


def test_a_loaded_function_describes_itself(runtime: dwh.Runtime, moody: dwh.Assembly) -> None:
    before = datetime.now(timezone.utc) - timedelta(seconds=1)
    function = runtime.load_assembly("f", moody)
    after = datetime.now(timezone.utc) + timedelta(seconds=1)

    assert isinstance(function, dwh.LoadedFunction)
    assert function.function_id == "f"
    assert function.generation == 1
    assert before <= function.loaded_at <= after
    assert function.loaded_at.utcoffset() == timedelta(0)
    assert function.state is dwh.FunctionState.LOADED
    assert function.is_alive
    assert function.handler_type == "Programs.Moody"
    assert function.assembly_name == moody.name
    assert function.assembly_sha256 == hashlib.sha256(moody.data).hexdigest() == moody.sha256
    assert function.size == len(moody.data)
    assert function.invoke(b"echo me") == b"me"
    assert "'f'" in repr(function)
    assert "loaded" in repr(function)


def test_loading_time_is_the_guests(image: dwh.RuntimeImage, moody: dwh.Assembly) -> None:
    class Fixed:
        def time(self) -> float:
            return 1_900_000_000.5

        def monotonic(self) -> float:
            return 1.0

    with dwh.Runtime(image, wasi=dwh.WasiOptions(clock=Fixed())) as runtime:
        function = runtime.load_assembly("f", moody)

    assert function.loaded_at == datetime.fromtimestamp(1_900_000_000.5, timezone.utc)


@pytest.mark.parametrize("form", ["assembly", "bytes", "bytearray", "memoryview", "path", "str"])
def test_an_assembly_comes_in_any_form(
    runtime: dwh.Runtime, moody: dwh.Assembly, tmp_path: Path, form: str
) -> None:
    moody.save(tmp_path)
    path = tmp_path / f"{moody.name}.dll"
    forms: dict[str, Any] = {
        "assembly": moody,
        "bytes": moody.data,
        "bytearray": bytearray(moody.data),
        "memoryview": memoryview(moody.data),
        "path": path,
        "str": str(path),
    }
    function = runtime.load_assembly("f", forms[form])

    assert function.assembly_sha256 == moody.sha256
    assert runtime.invoke("f", b"count") == b"1"


def test_the_host_keeps_its_own_copy_of_an_assembly(
    runtime: dwh.Runtime, moody: dwh.Assembly
) -> None:
    data = bytearray(moody.data)
    runtime.load_assembly("f", data)
    data[:] = bytes(len(data))

    runtime.recycle()

    assert runtime.invoke("f", b"count") == b"1"


@pytest.mark.parametrize(
    ("handler_type", "answer"),
    [
        (None, b"Several.First"),
        ("Several.First", b"Several.First"),
        ("Several.Second", b"Several.Second"),
        ("Several.Third", b"Third"),
        ("Several.Hidden", b"Several.Hidden"),
        ("Several.Outer+Inner", b"Several.Outer+Inner"),
        ("Several.Both", b"explicit"),
    ],
)
def test_handler_type_picks_one_of_several(
    runtime: dwh.Runtime, compiled: CompiledSources, handler_type: str | None, answer: bytes
) -> None:
    function = runtime.load_assembly("f", compiled(SEVERAL), handler_type=handler_type)

    assert runtime.invoke("f") == answer
    assert function.handler_type == (handler_type or "Several.First")


def test_one_assembly_serves_many_ids(runtime: dwh.Runtime, moody: dwh.Assembly) -> None:
    ids = [f"f{i}" for i in range(20)]
    for count, function_id in enumerate(ids):
        runtime.load_assembly(function_id, moody)
        runtime.invoke_many(function_id, [b"count"] * count)

    for count, function_id in enumerate(ids):
        assert runtime.invoke(function_id, b"count") == str(count + 1).encode()


# ---------------------------------------------------------------- replacing


def test_replacing_a_function_starts_a_new_generation(
    runtime: dwh.Runtime, compiled: CompiledSources, moody: dwh.Assembly
) -> None:
    first = runtime.load_assembly("f", moody)
    runtime.load_assembly("other", moody)
    second = runtime.load_assembly("f", constant(compiled, "second"))

    assert (first.generation, second.generation) == (1, 2)
    assert (first.state, second.state) == (dwh.FunctionState.UNLOADED, dwh.FunctionState.LOADED)
    assert not first.is_alive
    assert runtime.functions["f"] is second
    assert runtime.invoke("f") == second.invoke() == b"second"
    assert runtime.functions["other"].generation == 1
    assert second.loaded_at >= first.loaded_at


def test_replacing_by_itself_starts_statics_afresh(
    runtime: dwh.Runtime, moody: dwh.Assembly
) -> None:
    runtime.load_assembly("f", moody)
    runtime.invoke_many("f", [b"count"] * 5)
    runtime.load_assembly("f", moody)

    assert runtime.invoke("f", b"count") == b"1"


def test_a_stale_handle_stays_readable_and_refuses_calls(
    runtime: dwh.Runtime, compiled: CompiledSources, moody: dwh.Assembly
) -> None:
    stale = runtime.load_assembly("f", moody)
    runtime.load_assembly("f", constant(compiled, "new"))

    with pytest.raises(dwh.FunctionNotLoaded, match="generation 1") as caught:
        stale.invoke(b"count")
    assert caught.value.function_id == "f"
    assert stale.size == len(moody.data)

    runtime.unload_assembly("f")
    with pytest.raises(dwh.FunctionNotLoaded, match="generation 1"):
        stale.invoke()


def test_generations_go_on_after_an_unload(runtime: dwh.Runtime, moody: dwh.Assembly) -> None:
    generations = []
    for _ in range(3):
        generations.append(runtime.load_assembly("f", moody).generation)
        runtime.unload_assembly("f")
    runtime.recycle()
    generations.append(runtime.load_assembly("f", moody).generation)

    assert generations == [1, 2, 3, 4]
    assert runtime.load_assembly("g", moody).generation == 1


# ---------------------------------------------------------------- unloading


def test_unloading_is_final_and_no_error_when_repeated(
    runtime: dwh.Runtime, moody: dwh.Assembly
) -> None:
    function = runtime.load_assembly("f", moody)

    assert runtime.unload_assembly("f") is True
    assert runtime.unload_assembly("f") is False
    assert runtime.unload_assembly("never") is False

    assert function.state is dwh.FunctionState.UNLOADED
    assert not function.is_alive
    assert "f" not in runtime.functions
    with pytest.raises(dwh.FunctionNotLoaded, match="'f'"):
        runtime.invoke("f", b"count")
    with pytest.raises(dwh.FunctionNotLoaded):
        function.invoke(b"count")


def test_unloading_leaves_others_alone(runtime: dwh.Runtime, moody: dwh.Assembly) -> None:
    for function_id in ("a", "b", "c"):
        runtime.load_assembly(function_id, moody)
    runtime.invoke("c", b"count")

    runtime.unload_assembly("b")

    assert list(runtime.functions) == ["a", "c"]
    assert runtime.invoke("c", b"count") == b"2"
    # The place in the guest that "b" left is taken by another function.
    runtime.load_assembly("d", moody)
    assert runtime.invoke("d", b"count") == b"1"
    assert runtime.invoke("a", b"count") == b"1"


@pytest.mark.parametrize(
    ("body", "recycles"),
    [('throw new Exception("not me");', 0), ("Environment.Exit(3);", 1)],
    ids=["throws", "exits"],
)
def test_a_function_cannot_resist_its_unloading(
    runtime: dwh.Runtime,
    compiled: CompiledSources,
    moody: dwh.Assembly,
    body: str,
    recycles: int,
) -> None:
    stubborn = compiled(f"""
        using System; using System.Runtime.Loader;
        public class Stubborn : MinimalRuntime.IFunctionHandler {{
            public Stubborn() => AssemblyLoadContext.GetLoadContext(typeof(Stubborn).Assembly)!
                .Unloading += _ => {{ {body} }};
            public byte[] Execute(ReadOnlySpan<byte> input) => [];
        }}""")
    function = runtime.load_assembly("f", stubborn)
    assert runtime.unload_assembly("f") is True
    assert function.state is dwh.FunctionState.UNLOADED
    assert runtime.stats().recycles == recycles

    runtime.load_assembly("f", stubborn)
    assert runtime.load_assembly("f", moody).generation == 3
    assert runtime.invoke("f", b"count") == b"1"


def test_a_handle_does_not_keep_the_runtime_open(
    image: dwh.RuntimeImage, moody: dwh.Assembly
) -> None:
    with dwh.Runtime(image) as runtime:
        function = runtime.load_assembly("f", moody)
        gone = weakref.ref(runtime)

    del runtime
    with pytest.raises((dwh.RuntimeClosed, dwh.FunctionNotLoaded)):
        function.invoke()
    del function
    gc.collect()
    assert gone() is None


# ---------------------------------------------------------------- the registry


def test_the_registry_is_a_read_only_mapping(runtime: dwh.Runtime, moody: dwh.Assembly) -> None:
    registry = runtime.functions
    loaded = {i: runtime.load_assembly(i, moody) for i in ("z", "a", "m")}

    assert isinstance(registry, Mapping)
    assert isinstance(registry, dwh.FunctionRegistry)
    assert dict(registry) == loaded
    assert list(registry) == ["z", "a", "m"]
    assert registry.list_functions() == ("z", "a", "m")
    assert list(registry.values()) == list(loaded.values())
    assert len(registry) == 3
    assert "a" in registry
    assert "b" not in registry
    assert registry.get("b") is None
    assert registry["a"] is loaded["a"]
    assert registry.loaded_at("a") == loaded["a"].loaded_at
    assert "'z'" in repr(registry)
    assert not hasattr(registry, "__setitem__")
    assert registry is runtime.functions
    others: list[Any] = ["b", "", None, 5, []]
    for missing in others:
        with pytest.raises(dwh.FunctionNotLoaded):
            registry[missing]
    with pytest.raises(dwh.FunctionNotLoaded, match="'b'"):
        registry.loaded_at("b")


def test_the_registry_may_change_while_it_is_iterated(
    runtime: dwh.Runtime, moody: dwh.Assembly
) -> None:
    for function_id in ("a", "b"):
        runtime.load_assembly(function_id, moody)

    seen = []
    for function_id in runtime.functions:
        seen.append(function_id)
        runtime.unload_assembly(function_id)
        runtime.load_assembly(f"new {function_id}", moody)

    assert seen == ["a", "b"]
    assert list(runtime.functions) == ["new a", "new b"]


def test_the_number_of_functions_is_limited(image: dwh.RuntimeImage, moody: dwh.Assembly) -> None:
    with dwh.Runtime(image, limits=dwh.Limits(function_count=2)) as runtime:
        runtime.load_assembly("a", moody)
        runtime.load_assembly("b", moody)
        with pytest.raises(dwh.LimitExceeded, match="2 functions"):
            runtime.load_assembly("c", moody)
        assert list(runtime.functions) == ["a", "b"]

        assert runtime.load_assembly("b", moody).generation == 2
        runtime.unload_assembly("a")
        assert runtime.load_assembly("c", moody).is_alive


# ---------------------------------------------------------------- many calls


def test_invoke_many_keeps_the_order(runtime: dwh.Runtime, moody: dwh.Assembly) -> None:
    runtime.load_assembly("f", moody)
    payloads = [f"echo {i}".encode() for i in range(200)]

    assert runtime.invoke_many("f", iter(payloads)) == [str(i).encode() for i in range(200)]
    assert runtime.invoke_many("f", []) == []


def test_invoke_many_ends_at_the_first_error(runtime: dwh.Runtime, moody: dwh.Assembly) -> None:
    runtime.load_assembly("f", moody)

    with pytest.raises(dwh.InvocationError, match="stop"):
        runtime.invoke_many("f", [b"count", b"count", b"throw stop", b"count"])

    assert runtime.stats().invocations == 3
    assert runtime.stats().failed_invocations == 1
    assert runtime.invoke("f", b"count") == b"4"


def test_invoke_many_of_nothing_still_needs_a_function(runtime: dwh.Runtime) -> None:
    with pytest.raises(dwh.FunctionNotLoaded, match="'missing'"):
        runtime.invoke_many("missing", [])


# ---------------------------------------------------------------- statistics


def test_counters_count_what_their_names_say(runtime: dwh.Runtime, moody: dwh.Assembly) -> None:
    assert runtime.stats().loads == runtime.stats().invocations == 0

    runtime.load_assembly("f", moody)
    runtime.load_assembly("f", moody)
    runtime.load_assembly("g", moody)
    runtime.unload_assembly("g")
    runtime.unload_assembly("missing")
    runtime.invoke_many("f", [b"count"] * 3)
    for payload in (b"throw x", b"exit 1"):
        with pytest.raises(dwh.DotnetHostError):
            runtime.invoke("f", payload)

    stats = runtime.stats()
    assert stats.loads == 3
    assert stats.unloads == 2
    assert stats.invocations == 5
    assert stats.failed_invocations == 2
    assert stats.recycles == 1


def test_sizes_are_those_of_the_instance(runtime: dwh.Runtime, moody: dwh.Assembly) -> None:
    runtime.load_assembly("f", moody)
    before = runtime.stats()
    assert before.linear_memory_bytes == runtime.memory.size
    assert 0 < before.gc_heap_bytes < before.linear_memory_bytes

    runtime.invoke("f", b"keep 20000000")

    after = runtime.stats()
    assert after.gc_heap_bytes - before.gc_heap_bytes >= 20_000_000
    assert after.linear_memory_bytes == runtime.memory.size > before.linear_memory_bytes


def test_leaks_are_counted_and_given_back_by_recycling(
    runtime: dwh.Runtime, moody: dwh.Assembly
) -> None:
    for _ in range(10):
        runtime.load_assembly("f", moody)

    assert runtime.stats().leaked_bytes_estimate >= 9 * len(moody.data)
    runtime.recycle()
    assert runtime.stats().leaked_bytes_estimate == 0


def test_unloading_and_loading_for_ever_recycles_by_itself(
    image: dwh.RuntimeImage, moody: dwh.Assembly
) -> None:
    with dwh.Runtime(image, limits=dwh.Limits(leaked_bytes=1 << 20)) as runtime:
        runtime.load_assembly("steady", moody)
        start = runtime.memory.size
        for _ in range(300):
            runtime.load_assembly("f", moody)
            assert runtime.invoke("f", b"count") == b"1"
            assert runtime.invoke("steady", b"echo x") == b"x"

        stats = runtime.stats()
        assert 5 <= stats.recycles <= 30
        assert stats.leaked_bytes_estimate <= 1 << 20
        assert runtime.memory.size - start < 16 << 20
        assert list(runtime.functions) == ["steady", "f"]
        assert runtime.functions["steady"].generation == 1


@pytest.mark.parametrize("kind", ["no handler", "throwing constructor", "capability"])
def test_what_fails_to_load_or_is_replaced_leaks_no_more_than_allowed(
    image: dwh.RuntimeImage, compiled: CompiledSources, kind: str
) -> None:
    # Mono keeps the assembly of a failed load as it keeps that of an unloaded function.
    members = "".join(f'public const string M{i} = "{"x" * 60}{i}"; ' for i in range(500))
    handler = (
        " : MinimalRuntime.IFunctionHandler { public Bulky() => throw new System.Exception(); "
        "public byte[] Execute(System.ReadOnlySpan<byte> i) => []; "
    )
    bulky = compiled(
        f"public class Bulky {handler if kind == 'throwing constructor' else '{'} {members} }}"
    )
    assert len(bulky.data) > 50_000
    with dwh.Runtime(image, limits=dwh.Limits(leaked_bytes=2 << 20)) as runtime:
        start = runtime.memory.size
        for _ in range(200):
            if kind == "capability":
                runtime.load_capability("c", bulky)
            else:
                with pytest.raises(dwh.AssemblyLoadError):
                    runtime.load_assembly("f", bulky)

        assert runtime.stats().recycles > 0
        assert runtime.stats().leaked_bytes_estimate <= 2 << 20
        assert runtime.memory.size - start < 16 << 20


def test_replacing_a_function_never_runs_out_of_memory(
    image: dwh.RuntimeImage, compiled: CompiledSources
) -> None:
    # What the unloaded ones leave behind must be given back before memory is full, however
    # small memory is: no more than one of them is loaded at any time.
    bulky = compiled(
        "public class Bulky : MinimalRuntime.IFunctionHandler {"
        "public byte[] Execute(System.ReadOnlySpan<byte> i) => [7];"
        + "".join(f'public const string M{i} = "{"x" * 60}{i}"; ' for i in range(2500))
        + "}"
    )
    with dwh.Runtime(image, limits=dwh.Limits(memory_bytes=80 << 20)) as runtime:
        for _ in range(150):
            runtime.load_assembly("f", bulky)
            assert runtime.invoke("f") == b"\7"


@pytest.mark.parametrize("ending", ["returns", "throws", "returns too much", "many"])
def test_objects_with_finalizers_are_freed(
    image: dwh.RuntimeImage, compiled: CompiledSources, ending: str
) -> None:
    # Finalizers are background work of the runtime; without them 600 MB would pile up here.
    forgetful = compiled("""
        using System; using System.Text;
        public class Large {
            public static int Finalized;
            public readonly byte[] Content = new byte[1 << 20];
            ~Large() { Finalized++; }
        }
        public class Forgetful : MinimalRuntime.IFunctionHandler {
            public byte[] Execute(ReadOnlySpan<byte> input) {
                for (var i = 0; i < 10; i++) { new Large().Content[0] = 1; }
                return Encoding.UTF8.GetString(input) switch {
                    "returns" => Encoding.ASCII.GetBytes(Large.Finalized.ToString()),
                    "throws" => throw new InvalidOperationException("on request"),
                    _ => new byte[2000],
                };
            }
        }""")
    errors = {"throws": dwh.InvocationError, "returns too much": dwh.LimitExceeded}
    with dwh.Runtime(image, limits=dwh.Limits(result_bytes=1000)) as runtime:
        runtime.load_assembly("f", forgetful)
        if ending == "many":
            runtime.invoke_many("f", [b"returns"] * 60)
        for _ in range(0 if ending == "many" else 60):
            if ending in errors:
                with pytest.raises(errors[ending], match=r"on request|2000 bytes"):
                    runtime.invoke("f", ending.encode())
            else:
                runtime.invoke("f", ending.encode())

        assert int(runtime.invoke("f", b"returns")) > 300
        assert runtime.memory.size < 200 << 20
        assert runtime.stats().recycles == 0


# ---------------------------------------------------------------- closing

CALLS: dict[str, Callable[[dwh.Runtime], object]] = {
    "load_assembly": lambda r: r.load_assembly("g", dwh.compile_csharp("class C;")),
    "invoke": lambda r: r.invoke("f"),
    "invoke_many": lambda r: r.invoke_many("f", [b""]),
    "invoke_many of nothing": lambda r: r.invoke_many("f", []),
    "unload_assembly": lambda r: r.unload_assembly("f"),
    "load_capability": lambda r: r.load_capability("c", dwh.compile_csharp("class C;")),
    "unload_capability": lambda r: r.unload_capability("c"),
    "memory": lambda r: r.memory,
    "snapshot": lambda r: r.snapshot(),
    "recycle": lambda r: r.recycle(),
    "stats": lambda r: r.stats(),
    "with": lambda r: r.__enter__(),
}


@pytest.fixture
def closed(image: dwh.RuntimeImage, moody: dwh.Assembly) -> dwh.Runtime:
    runtime = dwh.Runtime(image)
    runtime.load_assembly("f", moody)
    runtime.close()
    return runtime


@pytest.mark.parametrize("call", CALLS)
def test_a_closed_runtime_refuses(closed: dwh.Runtime, call: str) -> None:
    with pytest.raises(dwh.RuntimeClosed, match="closed"):
        CALLS[call](closed)


def test_a_closed_runtime_is_empty_and_says_so(closed: dwh.Runtime) -> None:
    assert closed.closed
    assert list(closed.functions) == []
    assert "closed" in repr(closed)
    closed.close()
    closed.close()


def test_closing_ends_functions_and_memory(image: dwh.RuntimeImage, moody: dwh.Assembly) -> None:
    with dwh.Runtime(image) as runtime:
        function = runtime.load_assembly("f", moody)
        memory = runtime.memory

    assert runtime.closed
    assert function.state is dwh.FunctionState.UNLOADED
    with pytest.raises(dwh.RuntimeClosed):
        function.invoke()
    with pytest.raises(dwh.RuntimeClosed):
        memory.read(0, 1)


def test_leaving_by_an_exception_closes_too(image: dwh.RuntimeImage) -> None:
    with pytest.raises(KeyError, match="mine"), dwh.Runtime(image) as runtime:
        raise KeyError("mine")

    assert runtime.closed


def test_a_forgotten_runtime_warns_and_is_freed(image: dwh.RuntimeImage) -> None:
    runtime = dwh.Runtime(image)
    memory = runtime.memory

    with pytest.warns(ResourceWarning, match="never closed"):  # noqa: PT031
        del runtime
        gc.collect()

    with pytest.raises(dwh.RuntimeClosed):
        memory.read(0, 1)


def test_a_runtime_that_could_not_start_leaves_no_trace(image: dwh.RuntimeImage) -> None:
    with pytest.raises(dwh.LimitExceeded):
        dwh.Runtime(
            image,
            limits=dwh.Limits(files_bytes=0),
            wasi=dwh.WasiOptions(files={"/x": b"x"}),
        ).close()
    gc.collect()  # A half-made runtime must not complain that it was never closed.


# ---------------------------------------------------------------- recycling


def test_recycling_keeps_functions_and_forgets_statics(
    runtime: dwh.Runtime, moody: dwh.Assembly
) -> None:
    function = runtime.load_assembly("f", moody)
    runtime.load_assembly("g", moody)
    runtime.invoke_many("f", [b"count"] * 3)

    runtime.recycle()

    assert runtime.functions["f"] is function
    assert function.is_alive
    assert function.generation == 1
    assert function.invoke(b"count") == b"1"
    assert runtime.invoke("g", b"count") == b"1"
    assert runtime.stats().recycles == 1
    assert runtime.stats().loads == 2


def test_recycling_gives_linear_memory_back(runtime: dwh.Runtime, moody: dwh.Assembly) -> None:
    runtime.load_assembly("f", moody)
    start = runtime.memory.size
    old = runtime.memory
    runtime.invoke("f", b"keep 50000000")
    assert runtime.memory.size > start

    runtime.recycle()

    assert runtime.memory.size == start
    with pytest.raises(dwh.RuntimeClosed):
        old.read(0, 1)


def test_files_are_given_again_after_recycling(image: dwh.RuntimeImage) -> None:
    # The guest's world starts afresh with its statics.
    with dwh.Runtime(image, wasi=dwh.WasiOptions(files={"/x": b"given"})) as runtime:
        source = (
            "using System; using System.IO; public class F : MinimalRuntime.IFunctionHandler {"
            " public byte[] Execute(ReadOnlySpan<byte> i) { var old = File.ReadAllBytes("
            '"/x"); File.WriteAllText("/x", "written"); return old; } }'
        )
        runtime.load_assembly("f", dwh.compile_csharp(source))
        assert [runtime.invoke("f"), runtime.invoke("f")] == [b"given", b"written"]

        runtime.recycle()

        assert runtime.invoke("f") == b"given"
