"""The servers that are compared, each in a process of its own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import FastAPI, Request, Response

import dotnet_wasm_host as dwh

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = [
    "PAYLOAD",
    "Server",
    "app_server",
    "constant_app",
    "constant_server",
    "embedding_app",
    "worker_server",
]

PAYLOAD = b"x" * 100
#: Where an application finds the function that it embeds.
FUNCTION = "BENCHMARK_FUNCTION"


def constant_app() -> FastAPI:
    """What the framework does at best: as many bytes as the echo, and no work."""
    app = FastAPI()

    @app.post("/constant")
    async def constant() -> Response:
        return Response(PAYLOAD, media_type="application/octet-stream")

    return app


def embedding_app() -> FastAPI:
    """A constant answer, and a function in a pool of this application."""
    app = constant_app()
    pool = dwh.RuntimePool()
    pool.load_assembly("echo", Path(os.environ[FUNCTION]).read_bytes())

    @app.post("/echo")
    async def echo(request: Request) -> Response:
        answer = await pool.invoke_async("echo", await request.body())
        return Response(answer, media_type="application/octet-stream")

    return app


@contextmanager
def app_server(name: str, function: Path) -> Iterator[Server]:
    """A server of an application of this module, without an access log."""
    port = _free_port()
    command = [
        "-m", "uvicorn", "--factory", f"benchmarks.http.servers:{name}", "--port", str(port),
        "--no-access-log", "--log-level", "warning",
    ]  # fmt: skip
    with _process(command, port, {FUNCTION: str(function)}) as server:
        yield server


@contextmanager
def constant_server() -> Iterator[Server]:
    """A server of :func:`constant_app`, without an access log."""
    port = _free_port()
    command = [
        "-m", "uvicorn", "--factory", "benchmarks.http.servers:constant_app", "--port", str(port),
        "--no-access-log", "--log-level", "warning",
    ]  # fmt: skip
    with _process(command, port) as server:
        yield server


@contextmanager
def worker_server(folder: Path, *options: str) -> Iterator[Server]:
    """``dotnet-wasm-host serve`` with its usual settings, but for the options."""
    port = _free_port()
    command = [
        "-c", "from dotnet_wasm_host.cli.main import main; main()", "serve", "--port", str(port),
        "--store", str(folder / "functions.sqlite3"), *options,
    ]  # fmt: skip
    with _process(command, port) as server:
        yield server


@dataclass(frozen=True, slots=True)
class Server:
    """A running server."""

    address: str
    pid: int

    def cpu_seconds(self) -> float:
        """User and system time so far, all threads (proc(5), /proc/pid/stat)."""
        fields = Path(f"/proc/{self.pid}/stat").read_text("ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def _process(
    command: list[str], port: int, more: Mapping[str, str] | None = None
) -> Iterator[Server]:
    address = f"http://127.0.0.1:{port}"
    with subprocess.Popen(
        [sys.executable, *command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **(more or {})},
    ) as process:
        try:
            _wait(address, process)
            yield Server(address, process.pid)
        finally:
            process.terminate()


def _wait(address: str, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 120
    while True:
        try:
            urllib.request.urlopen(f"{address}/ready").close()
        except urllib.error.HTTPError as error:
            if error.code == 404:  # the constant one has no such path
                return
        except OSError:
            pass
        else:
            return
        if process.poll() is not None or time.monotonic() > end:
            raise RuntimeError(f"{process.args!r} did not start")
        time.sleep(0.05)
