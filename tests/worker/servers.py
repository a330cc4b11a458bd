"""``dotnet-wasm-host serve`` as a process, for tests."""

from __future__ import annotations

import os
import queue
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO

import httpx2
from typing_extensions import Self

COMMAND = "from dotnet_wasm_host.cli.main import main; main()"
#: The same with a socket, as systemd passes it: the first argument is its descriptor.
INHERITING = (
    "import os, sys; os.dup2(int(sys.argv.pop(1)), 3); os.environ['LISTEN_FDS'] = '1'; "
    "os.environ['LISTEN_PID'] = str(os.getpid()); "
    f"os.execv(sys.executable, [sys.executable, '-c', {COMMAND!r}, *sys.argv[1:]])"
)


class Server:
    """A running worker. Use it as a context manager.

    It listens at a port of its own, or at a ``listening`` socket that it inherits.
    """

    def __init__(
        self,
        store: Path,
        *arguments: str,
        token: str | None = None,
        listening: socket.socket | None = None,
    ) -> None:
        environment = {**os.environ, "NO_COLOR": "1", "PYTHONUNBUFFERED": "1"}
        if token is not None:
            environment["DOTNET_WASM_HOST_TOKEN"] = token
        program = [COMMAND] if listening is None else [INHERITING, str(listening.fileno())]
        self.process = subprocess.Popen(
            [
                sys.executable, "-c", *program, "serve", "--port", "0", "--store", str(store),
                *arguments,
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            start_new_session=True,
            pass_fds=() if listening is None else (listening.fileno(),),
        )  # fmt: skip
        self.errors: list[str] = []
        self.access: list[str] = []
        self._url: queue.Queue[str] = queue.Queue()
        assert self.process.stderr is not None
        assert self.process.stdout is not None
        self._readers = [
            threading.Thread(target=self._read_errors, args=(self.process.stderr,)),
            threading.Thread(target=self._read_access, args=(self.process.stdout,)),
        ]
        for reader in self._readers:
            reader.start()
        try:
            self.url = self._url.get(timeout=60)
            self.client = httpx2.Client(base_url=self.url, timeout=30)
            self.wait_until_ready()
        except BaseException:
            self.kill()
            raise

    def wait_until_ready(self, seconds: float = 60) -> None:
        end = time.monotonic() + seconds
        while True:
            try:
                if self.client.get("/ready").status_code == 200:
                    return
            except httpx2.TransportError:
                pass
            assert self.process.poll() is None, self.errors
            assert time.monotonic() < end, self.errors
            time.sleep(0.02)

    def wait_until_started(self, seconds: float = 60) -> None:
        """Until it accepts connections, also where others answer at its address."""
        end = time.monotonic() + seconds
        while not any("startup complete" in line for line in self.errors):
            assert self.process.poll() is None, self.errors
            assert time.monotonic() < end, self.errors
            time.sleep(0.02)

    def invoke(self, function_id: str, payload: bytes) -> httpx2.Response:
        return self.client.post(f"/functions/{function_id}/invoke", content=payload)

    def put(self, function_id: str, assembly: bytes, **headers: str) -> httpx2.Response:
        return self.client.put(f"/functions/{function_id}", content=assembly, headers=headers)

    def terminate(self) -> int:
        """SIGTERM; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def kill(self) -> int:
        """SIGKILL to it and its children."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        return self.wait()

    def wait(self) -> int:
        """Until it has ended by itself; the exit code."""
        code = self.process.wait(60)
        for reader in self._readers:
            reader.join(60)
        assert self.process.stderr is not None
        assert self.process.stdout is not None
        self.process.stderr.close()
        self.process.stdout.close()
        if hasattr(self, "client"):
            self.client.close()
        return code

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.stdout is not None and not self.process.stdout.closed:
            self.kill()

    def _read_errors(self, stream: IO[bytes]) -> None:
        for line in stream:
            text = line.decode(errors="replace").rstrip()
            self.errors.append(text)
            found = re.search(r"running on (http://\S+)", text)
            if found:
                self._url.put(found[1])
            found = re.search(r"at the inherited socket \('([\d.]+)', (\d+)\)", text)
            if found:
                self._url.put(f"http://{found[1]}:{found[2]}")
        self._url.put("http://ended")

    def _read_access(self, stream: IO[bytes]) -> None:
        for line in stream:
            self.access.append(line.decode(errors="replace").rstrip())
