"""``dotnet-wasm-host build`` and ``inspect``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

import dotnet_wasm_host as dwh
from tests.cli.test_commands import FAIL, GREET, Command
from tests.standalone.conftest import GREETER

if TYPE_CHECKING:
    from dotnet_wasm_host.linking.options import Boot
    from tests.conftest import CompiledSources

ECHO = """
using System;
public sealed class Echo : MinimalRuntime.IFunctionHandler {
    public byte[] Execute(ReadOnlySpan<byte> input) { BODY; return input.ToArray(); }
}
"""


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Command:
    return Command(tmp_path_factory.mktemp("build"))


def test_build_writes_a_file_that_inspect_reads(command: Command) -> None:
    greet = command.write("greet.cs", GREET)
    done = command("build", greet, "-o", "greet.wasm", "--boot", "at-start", "--max-size", "3M")
    assert done.returncode == 0, done.stderr
    module = dwh.StandaloneModule.parse((command.folder / "greet.wasm").read_bytes())
    assert f"{len(module.data):,} bytes".encode() in done.stdout
    shown = command("inspect", "greet.wasm")
    assert shown.returncode == 0, shown.stderr
    for text in (
        b".NET 10.",
        b"  greet: ",
        b"wasi_snapshot_preview1.fd_write",
        b"load_assembly",
        b"System.Private.CoreLib.wasm",
        b"  data",
        b"  machine code",
        b"boot at-start, image auto",
    ):
        assert text in shown.stdout
    report = json.loads(command("inspect", "greet.wasm", "--json").stdout)
    assert report["inside"]["functions"][0]["id"] == "greet"
    assert report["sizes"]["total"] == len(module.data)
    assert sum(report["components"].values()) == len(module.data)
    assert report["components"]["assemblies"] > 1_000_000
    assert report["imports"] == list(module.imports)


def test_inspect_says_that_a_file_is_older_than_the_installation(
    command: Command, probe_module: dwh.StandaloneModule
) -> None:
    assert probe_module.description is not None
    version = probe_module.description.dotnet_version
    now, then = f'"dotnet_version":"{version}"', '"dotnet_version":"10.0.1"'
    old = probe_module.data.replace(now.encode(), then.ljust(len(now)).encode())
    (command.folder / "old.wasm").write_bytes(old)
    (command.folder / "new.wasm").write_bytes(probe_module.data)
    advice = f"this installation has .NET {version}: build the file again".encode()
    assert advice in command("inspect", "old.wasm").stdout
    assert advice not in command("inspect", "new.wasm").stdout


@pytest.mark.long
@pytest.mark.parametrize("boot", ["inside", "at-start"])
def test_another_process_writes_the_same_bytes(
    command: Command, probe: dwh.Assembly, compiled: CompiledSources, boot: Boot
) -> None:
    greeter = compiled(GREETER, assembly_name="Greeter")
    probe.save(command.folder / "probe.dll")
    greeter.save(command.folder / "greeter.dll")
    ids = ("--function-id", "probe", "--function-id", "greet")
    done = command("build", "probe.dll", "greeter.dll", *ids, "--boot", boot, "-o", "two.wasm")
    assert done.returncode == 0, done.stderr
    here = dwh.build_wasm([probe, greeter], function_id=["probe", "greet"], boot=boot)
    assert (command.folder / "two.wasm").read_bytes() == here.data


def test_what_cannot_be_built_is_not_written(command: Command) -> None:
    fail = command.write("fail.cs", FAIL)
    for name, body, code, message in (
        ("host", 'MinimalRuntime.Host.Call("f", input)', 1, b"needs host functions"),
        ("json", 'System.Text.Json.JsonDocument.Parse("1")', 4, b"'minimal'"),
    ):
        source = command.write(f"{name}.cs", ECHO.replace("BODY", body))
        done = command("build", source, "--image", "minimal", "-o", "no.wasm")
        assert done.returncode == code, done.stderr
        assert message in b" ".join(done.stderr.split())
        assert not (command.folder / "no.wasm").exists()
    for options, code, message in (
        (("--max-memory", "8M"), 1, b"memory of at most 8,388,608 bytes"),
        (("--function-id", "a", "--function-id", "b"), 2, b"a list of 1, one for each function"),
        (("--max-size", "1M"), 1, b"at most 1,048,576 bytes"),
        (("--max-size", "much"), 2, b"expected a size like"),
        (("--target", "page"), 2, b"expected target to be one of"),
        (("--target", "extism", "--function-id", "memory"), 1, b"expected another id"),
    ):
        done = command("build", fail, "-o", "no.wasm", *options)
        assert done.returncode == code, done.stderr
        assert message in b" ".join(done.stderr.replace("\u2502".encode(), b"").split())
        assert not (command.folder / "no.wasm").exists()


def test_inspect_refuses_what_is_no_module(command: Command) -> None:
    text = command.write("text.wasm", "no module")
    done = command("inspect", text)
    assert done.returncode == 2
    assert b"found no WebAssembly" in done.stderr


def test_inspect_reads_modules_of_others(command: Command) -> None:
    (command.folder / "other.wasm").write_bytes(b"\0asm\1\0\0\0")
    done = command("inspect", "other.wasm", "--json")
    assert json.loads(done.stdout)["inside"] is None
