"""What ``build_wasm`` makes, and what it refuses before anything is written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import dotnet_wasm_host as dwh
from dotnet_wasm_host.wasm.binary import Reader
from dotnet_wasm_host.wasm.module import Module, SectionId
from tests.standalone.conftest import GREETER

if TYPE_CHECKING:
    from pathlib import Path

    from dotnet_wasm_host.linking.options import Boot, Target
    from tests.conftest import CompiledSources
    from tests.standalone.hosts import PlainHosts

FUNCTION = """
using System;
public sealed class Echo : MinimalRuntime.IFunctionHandler {{
    public byte[] Execute(ReadOnlySpan<byte> input) {{ {0} return input.ToArray(); }}
}}
"""


def test_the_same_input_gives_the_same_bytes(
    probe: dwh.Assembly, probe_module: dwh.StandaloneModule
) -> None:
    assert dwh.build_wasm(probe, function_id="probe").data == probe_module.data


def test_a_module_says_what_is_inside(probe_module: dwh.StandaloneModule, tmp_path: Path) -> None:
    probe_module.save(tmp_path / "probe.wasm")
    again = dwh.StandaloneModule.parse((tmp_path / "probe.wasm").read_bytes())
    assert again == probe_module
    assert again.description == probe_module.description
    assert probe_module.sizes["total"] == len(probe_module.data)
    assert sum(probe_module.components.values()) == len(probe_module.data)


def _producers(wasm: bytes) -> dict[str, dict[str, str]]:
    """The section as tool-conventions' ProducersSection.md has it."""
    for section, body in Module.parse(wasm).sections:
        reader = Reader(body)
        if section == SectionId.CUSTOM and reader.name() == "producers":
            found = {}
            for _ in range(reader.uleb128()):
                field = reader.name()
                found[field] = {reader.name(): reader.name() for _ in range(reader.uleb128())}
            assert reader.pos == len(body)
            return found
    raise AssertionError("no producers section")


def test_the_producers_are_named(probe: dwh.Assembly, probe_module: dwh.StandaloneModule) -> None:
    assert probe_module.description is not None
    assert _producers(probe_module.data) == {
        "language": {"C#": ""},
        "processed-by": {"dotnet_wasm_host": dwh.__version__},
        "sdk": {
            ".NET": probe_module.description.dotnet_version,
            "function probe": probe.sha256[:16],
        },
    }
    assert probe_module.description.dotnet_version.startswith("10.0.")


#: What the original TypeScript host gives.
ORIGINAL = {
    f"wasi_snapshot_preview1.{name}"
    for name in (
        *("args_get", "args_sizes_get", "clock_time_get", "environ_get", "environ_sizes_get"),
        *("fd_close", "fd_read", "fd_write", "proc_exit", "random_get"),
    )
}


@pytest.mark.parametrize("target", ["library", "command", "extism"])
def test_the_original_wasi_is_ten_functions(probe: dwh.Assembly, target: Target) -> None:
    module = dwh.build_wasm(probe, function_id="probe", target=target, boot="at-start", js_log=True)
    others = {name for name in module.imports if not name.startswith("wasi_snapshot_preview1.")}
    assert set(module.imports) - others <= ORIGINAL
    extism = {name for name in others if name.startswith("extism:host/env.")}
    assert others - extism == {"env.js_log"}
    assert bool(extism) == (target == "extism")


def test_the_full_wasi_has_files(probe: dwh.Assembly, probe_module: dwh.StandaloneModule) -> None:
    assert set(probe_module.imports) <= ORIGINAL
    full = dwh.build_wasm(probe, function_id="probe", wasi="full")
    assert "wasi_snapshot_preview1.path_open" in full.imports
    assert set(probe_module.imports) < set(full.imports)


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ('MinimalRuntime.Host.Call("f", input);', "needs host functions"),
        ("new System.Net.Http.HttpClient();", "needs a network"),
        (
            "System.Runtime.InteropServices.JavaScript.JSHost.ImportAsync(null, null);",
            "needs functions of JavaScript",
        ),
    ],
)
def test_what_needs_a_host_is_refused(
    compiled: CompiledSources, statement: str, message: str
) -> None:
    function = compiled(FUNCTION.format(statement))
    with pytest.raises(dwh.StandaloneBuildError, match=message):
        dwh.build_wasm(function)


def test_what_an_image_lacks_is_refused(compiled: CompiledSources) -> None:
    function = compiled(FUNCTION.format('System.Text.Json.JsonDocument.Parse("1");'))
    with pytest.raises(dwh.AssemblyLoadError, match=r"JsonDocument.*'minimal'"):
        dwh.build_wasm(function, image="minimal")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"target": "plugin"}, ValueError, "expected target to be one of"),
        ({"boot": "later"}, ValueError, "expected boot to be one of"),
        ({"image": "huge"}, ValueError, "expected image to be one of"),
        ({"wasi": "none"}, ValueError, "expected wasi to be one of"),
        ({"layout": "thin"}, ValueError, "expected layout to be one of"),
        ({"max_memory_bytes": 5}, ValueError, "1 MiB to 2 GiB"),
        ({"max_bytes": 0}, ValueError, "max_bytes above 0"),
        ({"max_bytes": 1 << 20}, dwh.LimitExceeded, "a module of at most 1,048,576 bytes"),
        ({"max_memory_bytes": 8 << 20}, dwh.LimitExceeded, "memory of at most 8,388,608 bytes"),
        ({"function_id": ""}, dwh.MarshallingError, "cannot be empty"),
        ({"handler_type": "Nobody"}, dwh.HandlerNotFound, "Nobody"),
        ({"target": "extism", "function_id": "memory"}, dwh.StandaloneBuildError, "'memory'"),
    ],
)
def test_what_cannot_be_is_refused(
    probe: dwh.Assembly, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        dwh.build_wasm(probe, **options)


def test_a_program_is_a_command_only() -> None:
    with pytest.raises(dwh.StandaloneBuildError, match="target='command'"):
        dwh.build_wasm('Console.WriteLine("x");')


def test_a_target_without_a_function_is_refused() -> None:
    with pytest.raises(dwh.StandaloneBuildError, match="one function for a command, found 0"):
        dwh.build_wasm(target="command")
    with pytest.raises(dwh.StandaloneBuildError, match="functions for an Extism plugin"):
        dwh.build_wasm(target="extism")


def test_no_module_cannot_be_read() -> None:
    with pytest.raises(ValueError, match="found no WebAssembly"):
        dwh.StandaloneModule.parse(b"text")
    with pytest.raises(ValueError, match="found a module"):
        dwh.StandaloneModule.parse(b"\0asm\1\0\0\0\x63")


MANY = """
using System; using System.Text;
public sealed class Upper : MinimalRuntime.IFunctionHandler {
    public byte[] Execute(ReadOnlySpan<byte> input) =>
        Encoding.UTF8.GetBytes(Encoding.UTF8.GetString(input).ToUpperInvariant());
}
public sealed class Reverse : MinimalRuntime.IFunctionHandler {
    public byte[] Execute(ReadOnlySpan<byte> input) {
        var result = input.ToArray(); Array.Reverse(result); return result;
    }
}
"""


@pytest.mark.long
@pytest.mark.parametrize("boot", ["inside", "at-start"])
def test_a_file_has_several_functions(
    hosts: PlainHosts, compiled: CompiledSources, tmp_path: Path, boot: Boot
) -> None:
    (tmp_path / "greet.cs").write_text(GREETER)
    many = compiled(MANY, assembly_name="Many")
    module = dwh.build_wasm(
        [tmp_path / "greet.cs", many, many],
        function_id=[None, "upper", "reverse"],
        handler_type=[None, None, "Reverse"],
        boot=boot,
    )
    assert module.description is not None
    assert [f.function_id for f in module.description.functions] == ["greet", "upper", "reverse"]
    host = hosts.started(module.data)
    for _ in range(2):
        assert host.invoke("greet", b"Ada") == (0, b"Hello, Ada!")
        assert host.invoke("upper", b"Ada") == (0, b"ADA")
        assert host.invoke("reverse", b"Ada") == (0, b"adA")
    assert host.unload("upper") == 0
    assert host.invoke("upper", b"Ada") == (1, b"")
    assert host.invoke("reverse", b"Ada") == (0, b"adA")


@pytest.mark.long
def test_a_function_is_warm(hosts: PlainHosts, probe: dwh.Assembly, waiting: dwh.Assembly) -> None:
    module = dwh.build_wasm(probe, function_id="probe", warm={"probe": b"calls"})
    assert hosts.started(module.data).invoke("probe", b"calls") == (0, b"\2\0\0\0")
    again = dwh.build_wasm(probe, function_id="probe", warm={"probe": b"calls"})
    assert again.data == module.data
    with pytest.raises(dwh.InvocationError, match="wrong"):
        dwh.build_wasm(probe, warm={"Probe": b"throw"})
    with pytest.raises(ValueError, match="expected warm to name functions"):
        dwh.build_wasm(probe, warm={"other": b""})
    with pytest.raises(ValueError, match="boot='inside' with warm"):
        dwh.build_wasm(probe, warm={"Probe": b""}, boot="at-start")
    with pytest.raises(dwh.StandaloneBuildError, match="answer at once"):
        dwh.build_wasm(waiting, warm={"Waiting": b"a"})


def test_functions_have_to_go_together(compiled: CompiledSources, probe: dwh.Assembly) -> None:
    with pytest.raises(dwh.StandaloneBuildError, match="found 'Probe' twice"):
        dwh.build_wasm([probe, probe])
    other = compiled(GREETER, assembly_name="Probe")
    with pytest.raises(dwh.StandaloneBuildError, match="one assembly Probe, found two"):
        dwh.build_wasm([probe, other], function_id=["a", "b"])
    with pytest.raises(ValueError, match=r"function_id to be a list of 2, .* found 1"):
        dwh.build_wasm([probe, probe], function_id="a")
    with pytest.raises(ValueError, match=r"handler_type to be a list of 1, .* found 2"):
        dwh.build_wasm(probe, handler_type=["A", "B"])
    with pytest.raises(dwh.StandaloneBuildError, match="one function for a command, found 2"):
        dwh.build_wasm([probe, probe], function_id=["a", "b"], target="command")
    nowhere = compiled("public static class Nowhere { public static void It() { } }")
    needy = compiled(FUNCTION.format("Nowhere.It();"), references=(nowhere,))
    with pytest.raises(dwh.AssemblyLoadError, match="Nowhere") as caught:
        dwh.build_wasm([probe, needy], function_id=["a", "b"])
    assert caught.value.function_id == "b"
