"""A v3 feed on loopback, that can be told to misbehave."""

from __future__ import annotations

import base64
import json
import threading
import time
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Status, headers, body.
Answer = tuple[int, dict[str, str], bytes]


@final
class ServedFeed:
    """What it serves, and what it was asked.

    Attributes:
        packages: id in lower case and version to content.
        asked: paths, in order.
        special: path to an answer in place of the usual one.
        login: ``user:password`` that it wants.
    """

    def __init__(self, port: int) -> None:
        self.root = f"http://127.0.0.1:{port}"
        self.index = f"{self.root}/v3/index.json"
        self.packages: dict[tuple[str, str], bytes] = {}
        self.asked: list[str] = []
        self.authorizations: list[str | None] = []
        self.special: dict[str, Callable[[], Answer]] = {}
        self.login = ""
        self.content = "/flat/"

    def add(self, name: str, version: str, content: bytes) -> None:
        self.packages[name.lower(), version] = content

    def answer(self, path: str, authorization: str | None) -> Answer:
        self.asked.append(path)
        self.authorizations.append(authorization)
        wanted = "Basic " + base64.b64encode(self.login.encode()).decode()
        if self.login and authorization != wanted:
            return 401, {"WWW-Authenticate": "Basic"}, b""
        if path in self.special:
            return self.special[path]()
        if path == "/v3/index.json":
            kind = "PackageBaseAddress/3.0.0"
            resources = [{"@id": "/x", "@type": "Other"}, {"@id": self.content, "@type": kind}]
            return 200, {}, json.dumps({"version": "3.0.0", "resources": resources}).encode()
        parts = path.removeprefix("/flat/").split("/")
        if parts[1:] == ["index.json"]:
            versions = [version for name, version in self.packages if name == parts[0]]
            body = json.dumps({"versions": versions}).encode()
            return (200, {}, body) if versions else (404, {}, b"")
        found = self.packages.get((parts[0], parts[1])) if len(parts) == 3 else None
        return (404, {}, b"") if found is None else (200, {}, found)


@contextmanager
def serving() -> Iterator[ServedFeed]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            status, headers, body = feed.answer(self.path, self.headers.get("Authorization"))
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            with suppress(OSError):  # The client had enough.
                self.wfile.write(body)
            if headers.get("Content-Length"):
                self.close_connection = True  # It does not have what it says.

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    feed = ServedFeed(server.server_port)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield feed
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def slowly(seconds: float) -> Answer:
    time.sleep(seconds)
    return 200, {}, b"{}"
