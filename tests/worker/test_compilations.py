"""Sources that keep the compiler busy hold up nobody else's deploys, nor the end."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx2
import pytest

import dotnet_wasm_host as dwh
from dotnet_wasm_host.worker import WorkerOptions
from tests.worker.conftest import ECHO, MakeClient
from tests.worker.servers import Server
from tests.worker.test_functions import problem
from tests.worker.test_operation import wait_until

#: Seconds that a test waits on a machine that is busy with other things, too.
PATIENCE = 120.0
CSHARP = {"content-type": "text/x-csharp"}
#: Every lambda is bound once for each overload, and so are those in it: 4 to the power of 16.
BOMB = (
    "class C { static int M(System.Func<int,int> f)=>1; static string M(System.Func<string,string>"
    " f)=>null; static long M(System.Func<long,long> f)=>1; static object M(System.Func<object,"
    "object> f)=>1; static void X(){ "
    + "".join(f"M(a{number} => " for number in range(16))
    + "a0.Foo"
    + ")" * 16
    + "; } }"
)


@pytest.fixture(scope="module", autouse=True)
def compiler() -> None:
    """The compiler's image is there, so that nobody waits for it below."""
    dwh.compile_csharp("class C { }")


def cpu_seconds(server: Server) -> float:
    fields = Path(f"/proc/{server.process.pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def send_bomb(server: Server, function_id: str) -> socket.socket:
    """A connection on which a client waits until its bomb is compiled."""
    connection = socket.create_connection(("127.0.0.1", httpx2.URL(server.url).port or 0))
    connection.sendall(
        f"PUT /functions/{function_id} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Content-Type: text/x-csharp\r\nContent-Length: {len(BOMB)}\r\n\r\n{BOMB}".encode()
    )
    return connection


@contextmanager
def bombs(server: Server, count: int) -> Iterator[None]:
    """Clients that deploy bombs, of which one is compiled in each thread; they leave at the end."""
    before = cpu_seconds(server)
    with ExitStack() as stack:
        for number in range(count):
            stack.enter_context(send_bomb(server, f"bomb{number}"))
        wait_until(lambda: cpu_seconds(server) > before + 2, PATIENCE)
        yield


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    # Longer than the tests would wait for it.
    with Server(tmp_path / "store", "--compile-seconds", "300", "--grace", "1") as server:
        server.client.timeout = PATIENCE
        yield server


def test_bombs_do_not_hold_up_others(server: Server, echo: dwh.Assembly) -> None:
    with bombs(server, 6):
        assert server.put("f", echo.data).status_code == 201
        assert server.client.put("/functions/g", content=ECHO, headers=CSHARP).status_code == 201
        assert server.invoke("g", b"fine").content == b"fine"
        assert server.client.delete("/functions/f").status_code == 204


def test_compilations_end_with_their_clients(server: Server) -> None:
    with bombs(server, 4):
        pass

    def idle() -> bool:
        before = cpu_seconds(server)
        time.sleep(0.5)
        return cpu_seconds(server) - before < 0.1

    wait_until(idle, PATIENCE)


def test_compilations_end_with_the_worker(server: Server) -> None:
    with bombs(server, 4):
        assert server.terminate() == 0  # the client of the tests waits for 60 s at most


def test_a_source_has_a_deadline(make_client: MakeClient) -> None:
    client = make_client(WorkerOptions(compile_seconds=1.5))
    answer = client.put("/functions/f", content=BOMB, headers=CSHARP)
    detail = problem(answer, 422, "compilation-too-long")["detail"]
    assert "1.5 s" in str(detail)
    assert "compile_seconds" in str(detail)
    assert client.put("/functions/f", content=ECHO, headers=CSHARP).status_code == 201
    assert 'deploys_total{outcome="CompilationTooLong"} 1' in client.get("/metrics").text
