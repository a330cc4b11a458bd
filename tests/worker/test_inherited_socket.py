"""A socket that systemd opened: one process after the other listens at it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import dotnet_wasm_host as dwh
from tests.worker.servers import INHERITING, Server
from tests.worker.test_rolling_restart import CLIENTS, Client


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0), backlog=128) as made:
        yield made


@contextmanager
def clients_of(address: str) -> Iterator[list[Client]]:
    """Clients on kept and on new connections, who ask all the time."""
    stop = threading.Event()
    clients = [Client(address, keeps=n % 2 == 0, stop=stop) for n in range(CLIENTS)]
    for client in clients:
        client.start()
    try:
        yield clients
    finally:
        stop.set()
        for client in clients:
            client.join()


def wait_for_answers(clients: list[Client], more: int) -> None:
    """Each gets so many more answers."""
    for client, wanted in [(client, client.answers + more) for client in clients]:
        while client.answers < wanted and not client.failures:
            assert client.is_alive()
            client.join(0.01)


@pytest.mark.long
def test_a_single_process_is_replaced_under_load_and_nothing_is_lost(
    tmp_path: Path, listening: socket.socket, echo: dwh.Assembly
) -> None:
    store, arguments = tmp_path / "store.sqlite3", ("--no-access-log",)
    address = "{}:{}".format(*listening.getsockname())
    first = Server(store, *arguments, listening=listening)
    assert first.put("f", echo.data).status_code == 201
    with clients_of(address) as clients:
        wait_for_answers(clients, 5)
        # Both listen for a while.
        second = Server(store, *arguments, listening=listening)
        second.wait_until_started()
        assert first.terminate() == 0
        wait_for_answers(clients, 5)
        # Nobody does for a while: connections wait in the queue of the socket.
        assert second.terminate() == 0
        third = Server(store, *arguments, listening=listening)
        wait_for_answers(clients, 5)
    assert third.terminate() == 0
    assert [failure for client in clients for failure in client.failures] == []


def test_several_processes_listen_at_it(
    tmp_path: Path, listening: socket.socket, echo: dwh.Assembly
) -> None:
    with Server(tmp_path / "store", "--workers", "2", listening=listening) as server:
        assert server.url.endswith(f":{listening.getsockname()[1]}")
        assert server.put("f", echo.data).status_code == 201
        assert server.invoke("f", b"x").content == b"x"
        assert server.terminate() == 0
        assert '"client":"127.0.0.1"' in "".join(server.access).replace(" ", "")
    # It was not theirs to close: connections wait in its queue.
    with socket.create_connection(listening.getsockname(), timeout=5):
        pass


def said(*arguments: str, fd: int, **variables: str) -> tuple[int, str]:
    """Exit code and errors of a server that is given this descriptor."""
    done = subprocess.run(
        [sys.executable, "-c", INHERITING, str(fd), "serve", *arguments],
        capture_output=True,
        text=True,
        check=False,
        pass_fds=(fd,),
        env={**os.environ, **variables},
    )
    return done.returncode, " ".join(done.stderr.split())


def test_what_is_no_listening_socket_is_refused(tmp_path: Path) -> None:
    store = ("--store", str(tmp_path / "store"))
    with socket.socket() as idle, (tmp_path / "file").open("wb") as file:
        for fd in (idle.fileno(), file.fileno()):
            code, errors = said(*store, fd=fd)
            assert code == 2
            assert "expected an inherited socket" in errors


def test_without_a_token_strangers_may_not_reach_it(tmp_path: Path) -> None:
    with socket.create_server(("0.0.0.0", 0)) as reachable:
        code, errors = said("--store", str(tmp_path / "store"), fd=reachable.fileno())
    assert code == 2
    assert "without a token" in errors


def test_variables_of_another_process_mean_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, echo: dwh.Assembly
) -> None:
    monkeypatch.setenv("LISTEN_FDS", "1")
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
    with Server(tmp_path / "store") as server:
        assert server.put("f", echo.data).status_code == 201
