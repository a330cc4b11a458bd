"""A standalone module in Node.js, with node:wasi."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.standalone.hosts import HERE, node_json

if TYPE_CHECKING:
    from pathlib import Path

    import dotnet_wasm_host as dwh


def test_node_wasi_runs_it(probe_module: dwh.StandaloneModule, tmp_path: Path) -> None:
    file = tmp_path / "probe.wasm"
    probe_module.save(file)
    answer = node_json(HERE / "node_wasi.mjs", str(file), "probe", "Ada", "env", "throw", "Bob")
    assert answer["answers"] == [
        {"status": 0, "output": "Hello, Ada!"},
        {"status": 0, "output": "Hello, Node!"},
        {"status": 1, "output": None},
        {"status": 0, "output": "Hello, Bob!"},
    ]
