"""Hosts of standalone modules that know nothing of this project: plain wasmtime, and Node.js."""

from __future__ import annotations

import json
import struct
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import wasmtime

from runtime_artifacts.pipeline.node import node_command

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

HERE = Path(__file__).parent
_PAIR = struct.Struct("<II")


@final
class PlainHost:
    """wasmtime's Python package, with its own WASI and nothing else."""

    def __init__(
        self, module: wasmtime.Module, engine: wasmtime.Engine, wasi: wasmtime.WasiConfig
    ) -> None:
        linker = wasmtime.Linker(engine)
        linker.define_wasi()
        self.store = wasmtime.Store(engine)
        self.store.set_wasi(wasi)
        self.exports = linker.instantiate(self.store, module).exports(self.store)
        memory = self.exports["memory"]
        assert isinstance(memory, wasmtime.Memory)
        self.memory = memory

    def call(self, name: str, *arguments: int) -> Any:
        function = self.exports[name]
        assert isinstance(function, wasmtime.Func)
        return function(self.store, *arguments)

    def start(self) -> None:
        self.call("_start")

    def _put(self, content: bytes) -> int:
        pointer = int(self.call("malloc", max(len(content), 1)))
        self.memory.write(self.store, content, pointer)
        return pointer

    def _read(self, pointer: int, length: int) -> bytes:
        return bytes(self.memory.read(self.store, pointer, pointer + length))

    def invoke(self, function_id: str, payload: bytes = b"") -> tuple[int, bytes]:
        """Status and result, as the original TypeScript host asks for them."""
        name = function_id.encode()
        blocks = (self._put(name), self._put(payload), self._put(bytes(8)))
        result, length = blocks[2], blocks[2] + 4
        status = self.call("invoke", blocks[0], len(name), blocks[1], len(payload), result, length)
        output = b""
        if status == 0:
            pointer, size = _PAIR.unpack(self._read(result, 8))
            output = self._read(pointer, size)
            self.call("free_result", pointer)
        for block in blocks:
            self.call("free", block)
        return status, output

    def load(self, function_id: str, assembly: bytes) -> int:
        name = function_id.encode()
        blocks = (self._put(name), self._put(assembly))
        status = int(self.call("load_assembly", blocks[0], len(name), blocks[1], len(assembly)))
        for block in blocks:
            self.call("free", block)
        return status

    def unload(self, function_id: str) -> int:
        name = function_id.encode()
        block = self._put(name)
        status = int(self.call("unload_assembly", block, len(name)))
        self.call("free", block)
        return status

    def last_error(self) -> tuple[str, str] | None:
        """Type and message of the last error."""
        block = self._put(bytes(8))
        there = self.call("last_error", block, block + 4)
        pointer, size = _PAIR.unpack(self._read(block, 8))
        record = self._read(pointer, size) if there else b""
        self.call("free", block)
        if not record:
            return None
        texts, position = [], 4
        for _ in range(2):
            (length,) = struct.unpack_from("<I", record, position)
            texts.append(record[position + 4 : position + 4 + length].decode())
            position += 4 + length
        return texts[0], texts[1]


@dataclass
class PlainHosts:
    """Compiles each module once."""

    engine: wasmtime.Engine = field(default_factory=wasmtime.Engine)
    modules: dict[bytes, wasmtime.Module] = field(default_factory=dict)

    def module(self, content: bytes) -> wasmtime.Module:
        if content not in self.modules:
            self.modules[content] = wasmtime.Module(self.engine, content)
        return self.modules[content]

    def __call__(self, content: bytes, wasi: wasmtime.WasiConfig | None = None) -> PlainHost:
        return PlainHost(self.module(content), self.engine, wasi or wasmtime.WasiConfig())

    def started(self, content: bytes) -> PlainHost:
        host = self(content)
        host.start()
        return host


def run_node(
    script: Path, *arguments: str, options: Sequence[str] = (), stdin: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    """Run a script in Node.js."""
    return subprocess.run(
        [*node_command(), "--no-warnings", *options, str(script), *arguments],
        input=stdin,
        capture_output=True,
        timeout=300,
        check=False,
    )


def node_json(script: Path, *arguments: str) -> Mapping[str, Any]:
    """What a script writes in JSON."""
    done = run_node(script, *arguments)
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer
