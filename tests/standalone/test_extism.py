"""An Extism plugin, in Extism's own Python SDK."""

from __future__ import annotations

from typing import TYPE_CHECKING

import extism
import pytest

import dotnet_wasm_host as dwh
from tests.standalone.conftest import GREETER

if TYPE_CHECKING:
    from tests.conftest import CompiledSources


@pytest.fixture(scope="module")
def plugin(probe: dwh.Assembly) -> extism.Plugin:
    module = dwh.build_wasm(probe, function_id="greet", target="extism")
    assert module.exports == ("memory", "greet")
    manifest = {"wasm": [{"data": module.data}]}
    return extism.Plugin(manifest, wasi=True, config={"WHO": "Extism"})


def test_a_plugin_answers(plugin: extism.Plugin) -> None:
    for text in (b"", b"Ada", "\u00e9\u2713".encode(), b"x" * 100_001):
        assert plugin.call("greet", text, parse=bytes) == b"Hello, " + text + b"!"


def test_exceptions_are_errors_of_extism(plugin: extism.Plugin) -> None:
    with pytest.raises(extism.Error, match=r"System\.InvalidOperationException: wrong \u2713"):
        plugin.call("greet", b"throw")
    assert plugin.call("greet", b"Bob", parse=bytes) == b"Hello, Bob!"


def test_each_function_is_an_export(probe: dwh.Assembly, compiled: CompiledSources) -> None:
    greeter = compiled(GREETER, assembly_name="Greeter")
    module = dwh.build_wasm([greeter, probe], function_id=["greet", "probe"], target="extism")
    assert module.exports == ("memory", "greet", "probe")
    plugin = extism.Plugin({"wasm": [{"data": module.data}]}, wasi=True)
    assert plugin.call("greet", b"Ada", parse=bytes) == b"Hello, Ada!"
    assert plugin.call("probe", b"calls", parse=bytes) == b"\1\0\0\0"
    assert plugin.call("probe", b"calls", parse=bytes) == b"\2\0\0\0"
    assert plugin.call("greet", b"Bob", parse=bytes) == b"Hello, Bob!"
