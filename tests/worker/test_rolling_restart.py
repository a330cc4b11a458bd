"""Processes are replaced under load, and no request is lost."""

from __future__ import annotations

import http.client
import os
import signal
import threading
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from tests.worker.servers import Server

if TYPE_CHECKING:
    from pathlib import Path

    import dotnet_wasm_host as dwh

CLIENTS, RESTARTS = 8, 2


class Client(threading.Thread):
    """Sends requests, on one connection as long as the server keeps it, or on a new one each."""

    def __init__(self, address: str, *, keeps: bool, stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self._address = address
        self._keeps = keeps
        self._ended = stop
        self.answers = 0
        self.failures: list[str] = []

    def run(self) -> None:
        connection = None
        while not self._ended.is_set():
            if connection is None:
                connection = http.client.HTTPConnection(self._address, timeout=60)
            try:
                connection.request("POST", "/functions/f/invoke", b"x" * 100)
                answer = connection.getresponse()
                content = answer.read()
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(repr(error))
                connection.close()
                connection = None
                continue
            if answer.status != 200 or content != b"x" * 100:
                self.failures.append(f"{answer.status} {content!r}")
            self.answers += 1
            if not self._keeps or answer.headers.get("connection") == "close":
                connection.close()
                connection = None
        if connection is not None:
            connection.close()


def children(pid: int) -> set[int]:
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return set(map(int, file.read().split()))


@pytest.mark.long
def test_a_rolling_restart_under_load_loses_nothing(tmp_path: Path, echo: dwh.Assembly) -> None:
    with Server(tmp_path / "store.sqlite3", "--workers", "2", "--no-access-log") as server:
        assert server.put("f", echo.data).status_code == 201
        stop = threading.Event()
        address = urlsplit(server.url).netloc
        clients = [Client(address, keeps=n % 2 == 0, stop=stop) for n in range(CLIENTS)]
        for client in clients:
            client.start()
        try:
            for _ in range(RESTARTS):
                before = children(server.process.pid)
                os.kill(server.process.pid, signal.SIGHUP)
                end = time.monotonic() + 120
                while len(children(server.process.pid) & before) > len(before) - 2:
                    assert time.monotonic() < end, server.errors
                    time.sleep(0.1)
        finally:
            stop.set()
            for client in clients:
                client.join()
        assert [failure for client in clients for failure in client.failures] == []
        assert all(client.answers > 10 for client in clients)
