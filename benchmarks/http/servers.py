"""The servers that are compared, each in a process of its own."""

from __future__ import annotations

import ctypes
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
    "coreclr_app",
    "embedding_app",
    "worker_server",
]

PAYLOAD = b"x" * 100
#: Where an application finds what it embeds, the bytes of its answers, and its first route.
FOLDER, SIZE, FIRST = "BENCHMARK_FOLDER", "BENCHMARK_BYTES", "BENCHMARK_FIRST"


def constant_app() -> FastAPI:
    """What the framework does at best: as many bytes as the echo, and no work."""
    app = FastAPI()
    add_constant(app)
    return app


def add_constant(app: FastAPI) -> None:
    """Give an application a constant answer of as many bytes as requests have."""
    content = PAYLOAD[:1] * int(os.environ.get(SIZE, len(PAYLOAD)))

    @app.post("/constant")
    async def constant() -> Response:
        return Response(content, media_type="application/octet-stream")


def embedding_app() -> FastAPI:
    """A function in a pool of this application, and a constant answer.

    What is measured has the first route: each one before costs a match of its path.
    """
    pool = dwh.RuntimePool()
    pool.load_assembly("echo", (Path(os.environ[FOLDER]) / "echo.dll").read_bytes())
    app = FastAPI()
    if os.environ[FIRST] == "constant":
        add_constant(app)

    @app.post("/echo")
    async def echo(request: Request) -> Response:
        answer = await pool.invoke_async("echo", await request.body())
        return Response(answer, media_type="application/octet-stream")

    if os.environ[FIRST] != "constant":
        add_constant(app)
    return app


def coreclr_app() -> FastAPI:
    """The same function by pythonnet on CoreCLR, the cheapest way: by address and length."""
    from benchmarks.peers.coreclr import start_coreclr

    folder = Path(os.environ[FOLDER])
    bridge = start_coreclr(folder)
    invoke = bridge.Load(bridge.Read(str(folder / "echo.dll"))).InvokeAt
    pointer, address_type = ctypes.c_char_p, ctypes.c_void_p
    app = FastAPI()

    @app.post("/echo")
    async def echo(request: Request) -> Response:
        body = await request.body()
        address = ctypes.cast(pointer(body), address_type).value
        return Response(bytes(invoke(address, len(body))), media_type="application/octet-stream")

    return app


@contextmanager
def app_server(name: str, folder: Path, size: int, first: str = "") -> Iterator[Server]:
    """A server of an application of this module, without an access log.

    Args:
        name: of the function that makes the application.
        folder: where ``echo.dll`` is.
        size: bytes of a constant answer.
        first: which of its routes is the first.
    """
    port = _free_port()
    command = [
        "-m", "uvicorn", "--factory", f"benchmarks.http.servers:{name}", "--port", str(port),
        "--no-access-log", "--log-level", "warning",
    ]  # fmt: skip
    with _process(command, port, {FOLDER: str(folder), SIZE: str(size), FIRST: first}) as server:
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
