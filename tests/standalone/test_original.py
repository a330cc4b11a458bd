"""The original TypeScript host, word for word, with modules that ``build`` writes.

``original/dotnet-runtime.ts`` and ``MinimalRuntimeDO.ts`` are those of the design; the other files
beside them drive it.
"""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import dotnet_wasm_host as dwh
from tests.standalone.hosts import HERE, node_json
from tests.standalone.npm_programs import esbuild, workerd

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import CompiledSources

ORIGINAL = HERE / "original"
LIBRARY = """
using System; using System.Collections.Generic; using System.Linq; using System.Text.Json;
using System.Text.Json.Nodes;
public sealed class Sums : MinimalRuntime.IFunctionHandler {
    public byte[] Execute(ReadOnlySpan<byte> input) {
        var items = JsonNode.Parse(input)!.AsArray();
        var sums = items.GroupBy(i => (string)i!["Name"]!).Select(g =>
            (g.Key, Sum: g.SelectMany(i => i!["Prices"]!.AsArray()).Sum(p => (double)p!)));
        var answer = new JsonObject();
        foreach (var (name, sum) in sums.OrderBy(s => s.Key)) answer[name] = sum;
        return System.Text.Encoding.UTF8.GetBytes(answer.ToJsonString());
    }
}
"""
FAILED = "Error: Function execution failed"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The original's files, and a base layer that has what the scenario needs."""
    folder = tmp_path_factory.mktemp("original")
    for file in ORIGINAL.iterdir():
        shutil.copy(file, folder)
    module = dwh.build_wasm(image="common", js_log=True)
    module.save(folder / "minimal-runtime.wasm")
    return folder


def bundle(folder: Path, source: str, *options: str) -> Path:
    target = folder / Path(source).with_suffix(".js").name
    subprocess.run(
        [
            *(esbuild(folder), source, "--bundle", "--format=esm", f"--outfile={target}"),
            *("--log-level=warning", *options),
        ],
        cwd=folder,
        check=True,
        timeout=120,
    )
    return target


def test_its_host_runs_unchanged_in_node(
    folder: Path, compiled: CompiledSources, probe: dwh.Assembly, waiting: dwh.Assembly
) -> None:
    script = bundle(
        folder, "drive.ts", "--platform=node", "--loader:.wasm=binary", "--target=node20"
    )
    script = script.rename(folder / "drive.mjs")
    files = []
    for name, assembly in (
        ("probe", probe),
        ("waiting", waiting),
        ("library", compiled(LIBRARY, assembly_name="Sums")),
    ):
        assembly.save(folder / f"{name}.dll")
        files.append(str(folder / f"{name}.dll"))
    answer = node_json(script, *files)
    assert answer["answers"] == [
        FAILED,
        *(True, "Hello, Ada!", FAILED, "Hello, print!", (5 << 20) + 8),
        *(True, "abab"),
        *(False, FAILED),
        *(True, '{"a":7.5,"b":3}'),
        True,
    ]
    assert [line for line in answer["printed"] if line] == ["[.NET] printed", "[.NET] err"]


@pytest.fixture(scope="module")
def worker(folder: Path) -> Iterator[tuple[str, int]]:
    """workerd, with the original's Durable Object."""
    bundle(
        folder, "worker.ts", "--external:cloudflare:workers", "--external:./minimal-runtime.wasm"
    )
    script = folder / "worker.js"
    # workerd names modules without a dot before them.
    script.write_text(script.read_text().replace("./minimal-runtime.wasm", "minimal-runtime.wasm"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        str(workerd(folder)),
        "serve",
        "worker.capnp",
        f"--socket-addr=http=127.0.0.1:{port}",
    ]
    with subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE) as process:
        try:
            _wait_for(port, process)
            yield "127.0.0.1", port
        finally:
            process.terminate()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    process.terminate()
    pytest.fail(f"workerd did not start: {process.stderr and process.stderr.read()!r}")


def request(worker: tuple[str, int], method: str, path: str, body: object = None) -> Any:
    connection = http.client.HTTPConnection(*worker, timeout=120)
    try:
        connection.request(method, path, json.dumps(body) if body is not None else None)
        return json.loads(connection.getresponse().read())
    finally:
        connection.close()


def test_its_durable_object_runs_in_workerd(worker: tuple[str, int], probe: dwh.Assembly) -> None:
    assert request(worker, "GET", "/health")["status"] == "ok"
    load = {"functionId": "greet", "assembly": list(probe.data)}
    assert request(worker, "POST", "/load", load) == {"success": True}
    for name in ("Ada", "Cloudflare"):
        call = {"functionId": "greet", "payload": list(name.encode())}
        answer = request(worker, "POST", "/invoke", call)
        assert answer["success"]
        assert bytes(answer["result"]) == f"Hello, {name}!".encode()
    call = {"functionId": "greet", "payload": list(b"throw")}
    answer = request(worker, "POST", "/invoke", call)
    assert answer == {"success": False, "error": FAILED.removeprefix("Error: ")}
