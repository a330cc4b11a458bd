from __future__ import annotations

import base64
import inspect
import io
import multiprocessing
import pickle
import warnings
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import dotnet_wasm_host as dwh
from dotnet_wasm_host import DotnetFunction
from dotnet_wasm_host.pool import portable

SOURCE = """
using System; using System.Text;
namespace Handlers {
    public sealed class Upper : MinimalRuntime.IFunctionHandler {
        public byte[] Execute(ReadOnlySpan<byte> input) {
            var text = Encoding.UTF8.GetString(input);
            while (text == "loop") { }
            if (text == "throw") throw new InvalidOperationException("thrown");
            return Encoding.UTF8.GetBytes(text.ToUpperInvariant());
        }
    }
    public sealed class Length : MinimalRuntime.IFunctionHandler {
        public byte[] Execute(ReadOnlySpan<byte> input) =>
            Encoding.UTF8.GetBytes($"{input.Length} {Text.Library.Suffix}");
    }
}
"""
ASKING = """
using System; using System.IO; using System.Text;
public sealed class Asking : MinimalRuntime.IFunctionHandler {
    public byte[] Execute(ReadOnlySpan<byte> input) {
        var there = MinimalRuntime.Host.Call("encode", input.ToArray());
        var back = MinimalRuntime.Host.Call("decode", there);
        var text = $"{Encoding.UTF8.GetString(there)} {Encoding.UTF8.GetString(back)}";
        return Encoding.UTF8.GetBytes(
            $"{text} {Environment.GetEnvironmentVariable("WHO")} {File.ReadAllText("/a")}");
    }
}
"""
LIBRARY = """
namespace Text { public static class Library { public static string Suffix => "bytes"; } }
"""


@pytest.fixture(scope="module")
def library() -> dwh.Assembly:
    return dwh.compile_csharp(LIBRARY, assembly_name="Text.Library")


@pytest.fixture(scope="module")
def assembly(library: dwh.Assembly) -> dwh.Assembly:
    return dwh.compile_csharp(SOURCE, references=[library])


@pytest.fixture(autouse=True)
def released() -> Iterator[None]:
    yield
    DotnetFunction.release()


@pytest.fixture
def upper(assembly: dwh.Assembly, library: dwh.Assembly) -> DotnetFunction:
    return DotnetFunction(assembly, dependencies=[library])


def test_it_is_a_callable_from_bytes_to_bytes(upper: DotnetFunction) -> None:
    assert upper(b"ada") == b"ADA"
    assert upper(memoryview(b"grace")) == b"GRACE"
    assert upper() == b""
    with pytest.raises(dwh.InvocationError, match="thrown"):
        upper(b"throw")
    with pytest.raises(dwh.InvocationTimeout):
        upper(b"loop", timeout=0.1)


def test_a_copy_is_equal_and_shares_what_is_loaded(upper: DotnetFunction) -> None:
    copy = pickle.loads(pickle.dumps(upper))
    assert copy == upper
    assert hash(copy) == hash(upper)
    assert copy != "upper"
    assert (upper(b"a"), copy(b"b")) == (b"A", b"B")
    (pool,) = portable._pools._pools.values()
    assert list(pool.functions) == [upper.function_id]
    assert pool.functions[upper.function_id].generation == 1


def test_what_makes_it_different_makes_it_unequal(
    assembly: dwh.Assembly, library: dwh.Assembly
) -> None:
    options: list[dict[str, object]] = [
        {},
        {"dependencies": [library]},
        {"dependencies": [library], "handler_type": "Handlers.Length"},
        {"dependencies": [library], "limits": dwh.Limits(timeout=1)},
    ]
    functions = {DotnetFunction(assembly, **values) for values in options}  # type: ignore[arg-type]
    assert len(functions) == len(options)
    length = DotnetFunction(assembly, **options[2])  # type: ignore[arg-type]
    assert pickle.loads(pickle.dumps(length))(b"four") == b"4 bytes"


def test_what_is_no_assembly_is_refused_at_once() -> None:
    with pytest.raises(dwh.AssemblyLoadError, match=r"not a \.NET assembly"):
        DotnetFunction(b"junk")
    with pytest.raises(dwh.AssemblyLoadError, match="cannot be read"):
        DotnetFunction("missing.dll")


def test_options_travel(compiled: Any) -> None:
    asking = compiled(ASKING)
    function = DotnetFunction(
        asking,
        wasi=dwh.WasiOptions(env={"WHO": "Ada"}, files={"/a": b"file"}),
        host_functions={"encode": "base64:b64encode", "decode": base64.b64decode},
    )
    copy = pickle.loads(pickle.dumps(function))
    assert copy == function
    assert copy(b"x") == b"eA== x Ada file"
    assert DotnetFunction(asking) != function
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as processes:
        assert processes.submit(function, b"x").result() == b"eA== x Ada file"


def test_options_that_cannot_travel(assembly: dwh.Assembly) -> None:
    import ssl

    refused: list[tuple[dict[str, Any], str]] = [
        (
            {"host_functions": {"f": lambda payload: payload}},
            "host function 'f': expected one that",
        ),
        ({"host_functions": {"f": "base64"}}, "expected 'module:name', found 'base64'"),
        ({"wasi": dwh.WasiOptions(stdout=io.BytesIO())}, "for stdout, found BytesIO"),
        ({"wasi": dwh.WasiOptions(random=bytes)}, "expected the system's clock and entropy"),
        ({"http": dwh.HttpPolicy(tls=ssl.create_default_context())}, "without tls"),
    ]
    for options, message in refused:
        with pytest.raises(dwh.MarshallingTypeError, match=message):
            DotnetFunction(assembly, **options)


def test_another_version_is_an_error_of_the_call(
    upper: DotnetFunction, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = pickle.dumps(upper)
    monkeypatch.setattr(dwh, "__version__", "9.9.9")
    copy = pickle.loads(data)
    with pytest.raises(
        dwh.VersionMismatch, match=r"pickled by dotnet-wasm-host 9\.9\.9, .* one of"
    ):
        copy(b"a")


def test_its_call_is_a_function(upper: DotnetFunction) -> None:
    import cloudpickle

    assert inspect.isfunction(upper.__call__)
    assert upper.__call__(b"a") == b"A"
    copy = cloudpickle.loads(cloudpickle.dumps(upper.__call__))
    assert copy(b"b", timeout=5) == b"B"


def test_processes_of_one_machine_share_a_file(upper: DotnetFunction) -> None:
    from multiprocessing.reduction import ForkingPickler

    whole = pickle.dumps(upper)
    shared = bytes(ForkingPickler.dumps(upper))
    assert len(whole) > 5_000
    assert len(shared) < 1_000
    copy = pickle.loads(shared)
    assert copy == upper
    assert bytes(ForkingPickler.dumps(copy)) == shared
    assert copy(b"a") == b"A"
    # Whole again for whoever is elsewhere.
    assert pickle.dumps(copy) == whole
    DotnetFunction.release()
    path = Path(copy._content)
    content = path.read_bytes()
    path.write_bytes(pickle.dumps((b"other",)))
    with pytest.raises(dwh.AssemblyLoadError, match="has changed since"):
        copy(b"a")
    path.unlink()
    with pytest.raises(dwh.AssemblyLoadError, match="is on another machine"):
        copy(b"a")
    path.write_bytes(content)


def test_threads_share_it(upper: DotnetFunction) -> None:
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(upper, [b"x%d" % n for n in range(100)]))
    assert answers == [b"X%d" % n for n in range(100)]


def test_the_first_is_unloaded(monkeypatch: pytest.MonkeyPatch, library: dwh.Assembly) -> None:
    monkeypatch.setattr(portable, "MOST_LOADED", 2)
    sources = [SOURCE.replace("ToUpperInvariant()", f'ToUpperInvariant() + "{n}"') for n in "123"]
    functions = [
        DotnetFunction(dwh.compile_csharp(s, references=[library]), dependencies=[library])
        for s in sources
    ]
    assert [f(b"a") for f in functions] == [b"A1", b"A2", b"A3"]
    (pool,) = portable._pools._pools.values()
    assert list(pool.functions) == [f.function_id for f in functions[1:]]
    assert functions[0](b"a") == b"A1"


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_map_it(upper: DotnetFunction, method: str) -> None:
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this system cannot {method}")
    assert upper(b"here first") == b"HERE FIRST"
    with warnings.catch_warnings():
        # Python 3.12 warns of forks beside threads, which is what this is about.
        warnings.filterwarnings("ignore", category=DeprecationWarning, message=".*fork")
        with ProcessPoolExecutor(2, multiprocessing.get_context(method)) as processes:
            answers = list(processes.map(upper, [b"x%d" % n for n in range(20)]))
    assert answers == [b"X%d" % n for n in range(20)]
    assert upper(b"and here again") == b"AND HERE AGAIN"


def test_a_dask_cluster_maps_it(upper: DotnetFunction) -> None:
    from dask.distributed import Client, LocalCluster

    with (
        LocalCluster(  # type: ignore[no-untyped-call]
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0"
        ) as cluster,
        Client(cluster) as client,  # type: ignore[no-untyped-call]
    ):
        futures = client.map(upper, [b"x%d" % n for n in range(40)])
        assert client.gather(futures) == [b"X%d" % n for n in range(40)]
        assert len(set(client.who_has(futures).values())) == 2
        failing = client.submit(upper, b"throw")
        with pytest.raises(dwh.InvocationError, match="thrown") as caught:
            failing.result()
        assert caught.value.dotnet_type == "System.InvalidOperationException"
        assert upper(b"meanwhile") == b"MEANWHILE"
