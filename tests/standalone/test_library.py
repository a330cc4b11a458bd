"""The exports of the original host's module, in wasmtime with plain WASI."""

from __future__ import annotations

import contextlib
import datetime as dt
from typing import TYPE_CHECKING

import pytest
import wasmtime

import dotnet_wasm_host as dwh
from tests.standalone.conftest import GREETER

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import CompiledSources
    from tests.standalone.hosts import PlainHosts

EXPORTS = (
    *("memory", "_start", "invoke", "load_assembly", "unload_assembly", "free_result"),
    *("malloc", "free", "last_error"),
)
ENDS = ("exit", "fail", "overflow", "memory")


def test_a_module_asks_for_what_the_original_host_gives(probe_module: dwh.StandaloneModule) -> None:
    assert probe_module.exports == EXPORTS
    described = probe_module.description
    assert described is not None
    assert described.image == "auto"
    assert [f.function_id for f in described.functions] == ["probe"]
    assert "System.Private.CoreLib.wasm" in described.assemblies


def test_answers_are_those_of_a_runtime(
    hosts: PlainHosts, probe: dwh.Assembly, probe_module: dwh.StandaloneModule
) -> None:
    host = hosts.started(probe_module.data)
    with dwh.Runtime() as runtime:
        runtime.load_assembly("probe", probe)
        for payload in (
            b"",
            b"Ada",
            "\u00e9\u2713".encode(),
            bytes(range(1, 128)),
            b"x" * 3_000_000,
        ):
            assert host.invoke("probe", payload) == (0, runtime.invoke("probe", payload))
    year = int.from_bytes(host.invoke("probe", b"utc")[1], "little")
    assert year == dt.datetime.now(dt.timezone.utc).year


def test_errors_have_status_1_and_a_record(
    hosts: PlainHosts, probe_module: dwh.StandaloneModule
) -> None:
    host = hosts.started(probe_module.data)
    assert host.invoke("probe", b"throw") == (1, b"")
    assert host.last_error() == ("System.InvalidOperationException", "wrong \u2713")
    assert host.invoke("probe", b"Ada")[0] == 0
    assert host.last_error() is None
    assert host.invoke("other", b"Ada") == (1, b"")
    assert host.last_error() is None


def test_statics_live_as_long_as_the_instance(
    hosts: PlainHosts, probe_module: dwh.StandaloneModule
) -> None:
    host = hosts.started(probe_module.data)
    counts = [int.from_bytes(host.invoke("probe", b"calls")[1], "little") for _ in range(3)]
    assert counts == [1, 2, 3]
    assert hosts.started(probe_module.data).invoke("probe", b"calls")[1] == b"\1\0\0\0"


@pytest.mark.parametrize("payload", [b"random", b"hash"])
def test_instances_differ_where_they_must(
    hosts: PlainHosts, probe_module: dwh.StandaloneModule, payload: bytes
) -> None:
    values = {hosts.started(probe_module.data).invoke("probe", payload) for _ in range(3)}
    assert len(values) == 3


@pytest.mark.parametrize("payload", ENDS)
def test_what_ends_an_instance_ends_it_for_ever(
    hosts: PlainHosts, probe_module: dwh.StandaloneModule, probe: dwh.Assembly, payload: str
) -> None:
    host = hosts.started(probe_module.data)
    host.store.set_limits(memory_size=100 << 20)
    assert host.invoke("probe", b"Ada")[0] == 0
    with contextlib.suppress(wasmtime.Trap, wasmtime.ExitTrap, wasmtime.WasmtimeError):
        status, _ = host.invoke("probe", payload.encode())
        # Who catches an OutOfMemoryException has the rest of the call.
        assert status == (0 if payload == "memory" else 1)
    for _ in range(3):
        assert host.invoke("probe", b"Ada") == (1, b"")
    assert host.load("again", probe.data) == 1
    assert host.unload("probe") == 1


def test_a_host_loads_functions_into_the_base_layer(
    hosts: PlainHosts,
    base_layer: dwh.StandaloneModule,
    compiled: CompiledSources,
    waiting: dwh.Assembly,
) -> None:
    host = hosts.started(base_layer.data)
    assert host.invoke("f", b"Ada") == (1, b"")
    assert host.load("f", compiled(GREETER).data) == 0
    assert host.invoke("f", b"Ada") == (0, b"Hello, Ada!")
    assert host.load("f", waiting.data) == 0
    assert host.invoke("f", b"ab") == (0, b"abab")
    assert host.load("g", b"no assembly") == 1
    assert host.last_error() is not None
    assert host.invoke("f", b"cd") == (0, b"cdcd")
    assert host.load("f", compiled("public static class Nothing { }").data) == 1
    assert host.invoke("f", b"cd") == (1, b"")
    assert host.load("f", waiting.data) == 0
    assert host.unload("f") == 0
    assert host.unload("f") == 0
    assert host.invoke("f", b"Ada") == (1, b"")


def test_a_call_that_waits_is_attended_to(
    hosts: PlainHosts, base_layer: dwh.StandaloneModule, waiting: dwh.Assembly
) -> None:
    host = hosts.started(base_layer.data)
    assert host.load("wait", waiting.data) == 0
    for text in (b"a", b"bc"):
        assert host.invoke("wait", text) == (0, text * 2)
    assert host.invoke("wait", b"throw") == (1, b"")
    assert host.last_error() == ("System.FormatException", "throwthrow")
    assert host.invoke("wait", b"never") == (1, b"")
    assert host.invoke("wait", b"d") == (0, b"dd")


def test_what_boots_at_the_start_answers_the_same(hosts: PlainHosts, probe: dwh.Assembly) -> None:
    module = dwh.build_wasm(probe, function_id="probe", boot="at-start")
    host = hosts.started(module.data)
    assert host.invoke("probe", b"Ada") == (0, b"Hello, Ada!")
    assert host.invoke("probe", b"throw") == (1, b"")
    assert host.invoke("probe", b"calls") == (0, b"\1\0\0\0")


def test_environment_and_output_are_the_hosts(
    hosts: PlainHosts, probe_module: dwh.StandaloneModule, tmp_path: Path
) -> None:
    wasi = wasmtime.WasiConfig()
    wasi.env = [("WHO", "Ada")]
    wasi.stdout_file, wasi.stderr_file = str(tmp_path / "out"), str(tmp_path / "err")
    host = hosts(probe_module.data, wasi)
    host.start()
    assert host.invoke("probe", b"env") == (0, b"Hello, Ada!")
    assert host.invoke("probe", b"print")[0] == 0
    assert (tmp_path / "out").read_bytes() == b"printed\n"
    assert (tmp_path / "err").read_bytes() == b"err\n"
