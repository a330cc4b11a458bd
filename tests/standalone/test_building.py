"""What ``build_wasm`` makes, and what it refuses before anything is written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import dotnet_wasm_host as dwh
from dotnet_wasm_host.wasm.module import Module

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import CompiledSources

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
    assert b"producers" in probe_module.data
    assert probe_module.sizes["total"] == len(probe_module.data)
    assert str(probe_module.description.dotnet_version if probe_module.description else "") in str(
        Module.parse(probe_module.data).sections[-2][1]
    )


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
