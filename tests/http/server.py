"""HTTP servers on loopback: one that behaves, and one that says what it is told, byte by byte."""

from __future__ import annotations

import gzip
import json
import socket
import threading
import time
import zlib
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, final
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator

__all__ = ["Server", "raw_server"]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Small answers at once: the default of waiting for more costs 40 ms each.
    wbufsize = -1
    disable_nagle_algorithm = True
    server: _Listener

    def answer(self) -> None:
        parts = urlsplit(self.path)
        self.server.seen.append(f"{self.command} {self.path}")
        query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
        getattr(self, f"on_{parts.path.strip('/')}", self.on_missing)(query)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):
            return self.answer
        raise AttributeError(name)

    def body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        data = b""
        while size := int(self.rfile.readline(), 16):
            data += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return data

    def give(self, data: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def on_missing(self, query: dict[str, str]) -> None:
        self.give(b"nothing here", 404)

    def on_echo(self, query: dict[str, str]) -> None:
        """All that was asked, as JSON."""
        body = self.body()
        seen = {
            "method": self.command,
            "path": self.path,
            "headers": [list(item) for item in self.headers.items()],
            "size": len(body),
            "crc": zlib.crc32(body),
        }
        self.give(json.dumps(seen).encode(), Content_Type="application/json", X_Odd="a\xe9b")

    def on_bytes(self, query: dict[str, str]) -> None:
        self.give(pattern(int(query["size"])))

    def on_gzip(self, query: dict[str, str]) -> None:
        data = gzip.compress(pattern(int(query["size"])))
        self.give(data, Content_Encoding="gzip", Content_Type="text/plain")

    def on_bomb(self, query: dict[str, str]) -> None:
        self.give(gzip.compress(bytes(50_000_000), 9), Content_Encoding="gzip")

    def on_chunked(self, query: dict[str, str]) -> None:
        """``count`` chunks of ``size`` bytes, ``pause`` seconds apart."""
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        piece = pattern(int(query.get("size", 10)))
        try:
            for _ in range(int(query["count"])):
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                self.wfile.flush()
                time.sleep(float(query.get("pause", 0)))
            self.wfile.write(b"0\r\n\r\n")
        except OSError:
            self.server.broken.set()
            self.close_connection = True

    def on_slow(self, query: dict[str, str]) -> None:
        """An answer after some seconds, unless nobody waits for it."""
        self.body()
        self.connection.settimeout(float(query["seconds"]))
        try:
            gone = self.connection.recv(1) == b""
        except TimeoutError:
            gone = False
        self.connection.settimeout(None)
        if gone:
            self.server.broken.set()
            self.close_connection = True
        else:
            self.give(b"late")

    def on_redirect(self, query: dict[str, str]) -> None:
        self.body()
        self.give(b"elsewhere", int(query.get("status", 302)), Location=query["to"])

    def on_loop(self, query: dict[str, str]) -> None:
        left = int(query["left"])
        if left:
            self.give(b"", 302, Location=f"/loop?left={left - 1}")
        else:
            self.give(b"the end")

    def on_status(self, query: dict[str, str]) -> None:
        self.give(b"a body", int(query["code"]))

    def on_cookie(self, query: dict[str, str]) -> None:
        self.give((self.headers.get("Cookie") or "none").encode(), Set_Cookie="id=7; Path=/")

    def on_nothing(self, query: dict[str, str]) -> None:
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, tls: ssl.SSLContext | None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_side=True)
        self.seen: list[str] = []
        #: A client left before its answer.
        self.broken = threading.Event()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that leaves is no news."""
        self.broken.set()


@final
class Server:
    """A running server."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._listener = _Listener(tls)
        self.port = self._listener.server_port
        self.host = f"127.0.0.1:{self.port}"
        self.url = f"http://{self.host}"
        self._thread = threading.Thread(target=self._listener.serve_forever, args=(0.05,))
        self._thread.start()

    @property
    def seen(self) -> list[str]:
        """Method and path of every request, in order."""
        return self._listener.seen

    @property
    def broken(self) -> threading.Event:
        """Set when a client has left before its answer."""
        return self._listener.broken

    def close(self) -> None:
        self._listener.shutdown()
        self._thread.join()
        self._listener.server_close()


def pattern(size: int) -> bytes:
    """Bytes that show where they were cut or swapped."""
    block = b"".join(b"%08d\n" % index for index in range(1000))
    return (block * (size // len(block) + 1))[:size]


@contextmanager
def raw_server(behave: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server that reads a request's head and then does as it likes; gives its URL."""
    listener = socket.create_server(("127.0.0.1", 0))
    clients: list[socket.socket] = []

    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            clients.append(client)
            try:
                head = b""
                while b"\r\n\r\n" not in head and (more := client.recv(65536)):
                    head += more
                behave(client)
            except OSError:
                pass
            finally:
                client.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
    finally:
        # Closing a listener does not wake who waits in accept().
        listener.shutdown(socket.SHUT_RDWR)
        for client in clients:
            try:
                client.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        thread.join()
        listener.close()
