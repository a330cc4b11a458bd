"""What the functions of a pool do not get from each other, nor take away."""

from __future__ import annotations

import gc
import json
import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest

import dotnet_wasm_host as dwh
from dotnet_wasm_host.engines.process import descriptor_limit
from dotnet_wasm_host.fetch.access import HttpAccess
from dotnet_wasm_host.fetch.connections import Connections
from dotnet_wasm_host.fetch.tenant import HttpTenant

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import CompiledSources
    from tests.http.conftest import Fetcher
    from tests.http.server import Server

POLICY = dwh.HttpPolicy(allowed_hosts=("127.0.0.1",), allow_private_addresses=True, timeout=3.0)
SURPLUS = b"HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\nmallory's content"


class SlyServer:
    """Sends more than it was asked for, or nothing; remembers what each connection asked."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.connections: list[list[str]] = []
        self.closed = threading.Event()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        asked: list[str] = []
        self.connections.append(asked)
        with client:
            head = b""
            while more := client.recv(65536):
                head += more
                if b"\r\n\r\n" not in head:
                    continue
                path, head = head.split()[1].decode(), b""
                asked.append(path)
                if path == "/hang":
                    self.closed.wait(20)
                    return
                body = f"for {path}".encode()
                answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
                client.sendall(answer + (SURPLUS if path == "/more" else b""))

    def close(self) -> None:
        self.closed.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.fixture
def sly() -> Iterator[SlyServer]:
    server = SlyServer()
    yield server
    server.close()


def ask(pool: dwh.RuntimePool, name: str, *urls: str) -> list[str]:
    plans = json.dumps([{"url": url} for url in urls]).encode()
    answers = json.loads(pool.invoke(name, plans, timeout=30))
    return [answer.get("text") or answer["message"] for answer in answers]


@pytest.mark.parametrize("isolation", list(dwh.Isolation))
def test_what_a_server_sends_too_much_is_nobodys_answer(
    fetching: dwh.RuntimeImage,
    fetcher_assembly: dwh.Assembly,
    sly: SlyServer,
    isolation: dwh.Isolation,
) -> None:
    with dwh.RuntimePool(fetching, size=2, isolation=isolation, http=POLICY) as pool:
        for name in ("mallory", "victim"):
            pool.load_assembly(name, fetcher_assembly)
        for _ in range(3):
            assert ask(pool, "victim", f"{sly.url}/balance") == ["for /balance"]
            assert ask(pool, "mallory", f"{sly.url}/more") == ["for /more"]
            assert ask(pool, "mallory", f"{sly.url}/again") == ["for /again"]
            assert ask(pool, "victim", f"{sly.url}/balance") == ["for /balance"]
    for asked in sly.connections:
        # Nothing follows what left something behind, ...
        assert "/more" not in asked[:-1]
        # ... and strangers share no connection.
        if isolation is not dwh.Isolation.SHARED:
            assert not {"/balance"} < set(asked)


def test_connections_are_used_again(fetch: Fetcher, sly: SlyServer) -> None:
    for _ in range(4):
        assert fetch(f"{sly.url}/same")["text"] == "for /same"
    assert sly.connections == [["/same"] * 4]


def test_requests_that_hang_hold_up_nobody_else(
    fetching: dwh.RuntimeImage, fetcher_assembly: dwh.Assembly, sly: SlyServer
) -> None:
    isolation = dwh.Isolation.PER_FUNCTION
    with dwh.RuntimePool(fetching, size=2, isolation=isolation, http=POLICY) as pool:
        for name in ("mallory", "victim"):
            pool.load_assembly(name, fetcher_assembly)
        assert ask(pool, "victim", f"{sly.url}/first") == ["for /first"]
        hanging = threading.Thread(target=ask, args=(pool, "mallory", *[f"{sly.url}/hang"] * 60))
        hanging.start()
        while sum("/hang" in asked for asked in sly.connections) < POLICY.max_connections:
            time.sleep(0.01)
        before = time.monotonic()
        assert ask(pool, "victim", f"{sly.url}/second") == ["for /second"]
        assert time.monotonic() - before < 1
        hanging.join()


def test_connections_of_a_runtime_that_is_gone_are_closed(
    fetching: dwh.RuntimeImage, fetcher_assembly: dwh.Assembly, server: Server
) -> None:
    isolation = dwh.Isolation.PER_FUNCTION
    with dwh.RuntimePool(fetching, size=1, isolation=isolation, http=POLICY) as pool:
        gc.collect()
        gc.disable()
        try:
            for _ in range(3):
                pool.load_assembly("f", fetcher_assembly)
                ask(pool, "f", server.url + "/bytes?size=9")
            access = pool._http
            assert access is not None
            until = time.monotonic() + 5
            while access._connections > 1 and time.monotonic() < until:
                time.sleep(0.01)
            assert access._connections == 1
        finally:
            gc.enable()


# ---------------------------------------------------------------- shares


def test_nobody_takes_all_that_may_be_held() -> None:
    access = HttpAccess(dwh.HttpPolicy(max_held_bytes=1000), shared=True)
    greedy, other, third = (HttpTenant(access) for _ in range(3))
    greedy.hold(500)
    with pytest.raises(dwh.HttpPolicyError, match="max_held_bytes"):
        greedy.hold(1)
    other.hold(250)
    with pytest.raises(dwh.HttpPolicyError, match="half of what the others leave"):
        other.hold(1)
    third.hold(125)
    greedy.free(500)
    other.hold(180)
    other.free(430)
    third.free(125)
    assert access._held == 0
    alone = HttpTenant(HttpAccess(dwh.HttpPolicy(max_held_bytes=1000)))
    alone.hold(1000)


def test_connections_leave_descriptors_for_the_process() -> None:
    access = HttpAccess(dwh.HttpPolicy(max_connections=1), shared=True)
    greedy, other = Connections(access), Connections(access)
    share = descriptor_limit() // 8
    for _ in range(share):
        greedy.opened()
    with pytest.raises(dwh.HttpPolicyError, match="ulimit -n"):
        greedy.opened()
    other.opened()
    for _ in range(share):
        greedy.closed()
    other.closed()
    assert access._connections == 0


LIAR = """
using System; using System.Runtime.CompilerServices; using System.Runtime.InteropServices;
internal static partial class Interop { internal static unsafe class Runtime {
  [MethodImpl(MethodImplOptions.InternalCall)]
  public static extern void InvokeJSImportST(int number, IntPtr argument);
  [MethodImpl(MethodImplOptions.InternalCall)]
  public static extern nint BindJSImportST(void* signature); } }
public sealed unsafe class Liar : MinimalRuntime.IFunctionHandler {
  static void Bind(int handle, string name, int count, byte result) {
    byte* h = (byte*)NativeMemory.AllocZeroed(4096);
    *(int*)h = 2; *(int*)(h + 4) = count; *(int*)(h + 8) = handle;
    *(int*)(h + 16) = 256; *(int*)(h + 20) = 2 * name.Length; h[64] = result;
    for (int i = 0; i < name.Length; i++) ((char*)(h + 256))[i] = name[i];
    Interop.Runtime.BindJSImportST(h); }
  public byte[] Execute(ReadOnlySpan<byte> input) {
    int pointer = BitConverter.ToInt32(input), length = BitConverter.ToInt32(input[4..]);
    Bind(7000, "INTERNAL.http_wasm_create_controller", 0, 13);
    Bind(7001, "INTERNAL.http_wasm_transform_stream_write", 3, 20);
    byte* f = (byte*)NativeMemory.AllocZeroed(64);
    Interop.Runtime.InvokeJSImportST(7000, (IntPtr)f);
    byte* g = (byte*)NativeMemory.AllocZeroed(160); byte* a = g + 64;
    *(int*)(a + 4) = *(int*)(f + 36); a[12] = 13;
    *(int*)(a + 32) = pointer; a[44] = 12; *(int*)(a + 64) = length; a[76] = 7;
    Interop.Runtime.InvokeJSImportST(7001, (IntPtr)g);
    return new[] { g[12] }; } }
"""


def test_bodies_that_are_nowhere_are_not_counted(
    image: dwh.RuntimeImage, compiled: CompiledSources
) -> None:
    with dwh.Runtime(image, http=POLICY) as runtime:
        runtime.load_assembly("liar", compiled(LIAR))
        access = runtime._services._http
        assert access is not None
        for pointer, length in (
            (-16, 268_435_000), (-16, -2_000_000_000), (1024, -1), (-1, 2), (0, 2**31 - 1),
            # It is there, but the request was never sent.
            (1024, 1000),
        ):  # fmt: skip
            lie = pointer.to_bytes(4, "little", signed=True) + length.to_bytes(
                4, "little", signed=True
            )
            assert runtime.invoke("liar", lie) != b"\0"
            assert access._held == 0
