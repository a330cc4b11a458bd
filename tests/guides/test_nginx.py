"""The guide for nginx, with nginx in front of a worker."""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.guides.guide_files import files_of
from tests.guides.test_processes import free_port
from tests.installed_programs import require
from tests.worker.conftest import ECHO, TOKEN
from tests.worker.servers import Server
from tests.worker.test_operation import wait_until

pytestmark = pytest.mark.long

NAME = "functions.example.org"
HOSTS = ("--allow-host", NAME, "--allow-host", "127.0.0.1")
TALKATIVE = ECHO.replace("while (text", 'Console.WriteLine("began"); while (text').encode()
SOURCE = {"content-type": "text/x-csharp"}
AUTHORIZATION = {"authorization": f"Bearer {TOKEN}"}


def make_certificate(folder: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    now = dt.datetime.now(dt.timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    (folder / "functions.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "functions.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


def configure(folder: Path, worker: str, port: int) -> Path:
    """The file of the guide, with this machine's ports and paths, in a whole configuration."""
    [text] = files_of("nginx").values()
    for old, new in (
        ("127.0.0.1:8080", worker),
        ("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"),
        ("/etc/ssl/private/", f"{folder}/"),
        ("/etc/ssl/", f"{folder}/"),
    ):
        assert old in text
        text = text.replace(old, new)
    user = "user root;" if os.geteuid() == 0 else ""
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    path = folder / "nginx.conf"
    path.write_text(
        f"{user} pid {folder}/nginx.pid; error_log {folder}/error.log; events {{}}\n"
        f"http {{ access_log off; {temporary}\n{text}\n}}\n",
        encoding="utf-8",
    )
    return path


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    store = tmp_path_factory.mktemp("worker") / "functions.sqlite3"
    with Server(store, *HOSTS, token=TOKEN) as server:
        yield server


@pytest.fixture(scope="module")
def nginx(worker: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx2.Client]:
    """A client of the worker behind nginx."""
    program = require("nginx", "nginx-light", path="/usr/sbin")
    folder = tmp_path_factory.mktemp("nginx")
    make_certificate(folder)
    port = free_port()
    configuration = configure(folder, worker.url.removeprefix("http://"), port)
    process = subprocess.Popen(
        [program, "-c", str(configuration), "-g", "daemon off;"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        with httpx2.Client(
            base_url=f"https://127.0.0.1:{port}", verify=False, headers={"host": NAME}, timeout=60
        ) as client:
            wait_until(lambda: answers(client))
            deployed = client.put(
                "/functions/talkative", content=TALKATIVE, headers=SOURCE | AUTHORIZATION
            )
            assert deployed.status_code == 201, deployed.text
            yield client
    finally:
        process.terminate()
        process.wait(30)


def answers(client: httpx2.Client) -> bool:
    try:
        return client.get("/ready").status_code == 200
    except httpx2.TransportError:
        return False


CALL = "/functions/talkative/invoke"


def test_calls_and_large_bodies_pass(nginx: httpx2.Client) -> None:
    payload = b"0123456789abcdef" * (10 << 16)
    assert nginx.post(CALL, content=payload).content == payload
    chunks = (payload[start : start + 65536] for start in range(0, len(payload), 65536))
    assert nginx.post(CALL, content=chunks).content == payload
    assert all(nginx.post(CALL, content=b"%d" % n).content == b"%d" % n for n in range(200))


def test_what_is_refused_is_refused_behind_it(nginx: httpx2.Client) -> None:
    assert nginx.put("/functions/a", content=b"x").status_code == 401
    assert nginx.get("/metrics").status_code == 403
    assert nginx.get("/functions", headers={"host": "evil.example"}).status_code == 400
    assert nginx.post(CALL, content=b"x" * (33 << 20)).status_code == 413  # nginx itself
    too_large = nginx.post(CALL, content=b"x" * (17 << 20))
    assert (too_large.status_code, too_large.json()["title"]) == (413, "The body is too large")


def test_the_page_and_its_origin_pass(nginx: httpx2.Client) -> None:
    assert "<title>.NET functions</title>" in nginx.get("/").text
    own, foreign = (f"https://{name}" for name in (NAME, "evil.example"))
    for origin, status in ((own, 200), (foreign, 403)):
        headers = {"origin": origin, **SOURCE, **AUTHORIZATION}
        answer = nginx.put("/functions/talkative", content=TALKATIVE, headers=headers)
        assert answer.status_code == status, answer.text


def test_lines_come_while_the_function_runs(nginx: httpx2.Client) -> None:
    started = time.monotonic()
    path = f"{CALL}?logs=stream"
    with nginx.stream("POST", path, content=b"sleep 1500", headers=AUTHORIZATION) as answer:
        lines = answer.iter_lines()
        assert json.loads(next(lines))["log"]["text"] == "began"
        first = time.monotonic() - started
        assert json.loads(list(lines)[-1]) == {"end": True}
    assert time.monotonic() - started - first > 1


def test_a_client_who_leaves_ends_the_call(nginx: httpx2.Client, worker: Server) -> None:
    with pytest.raises(httpx2.ReadTimeout):
        nginx.post(CALL, content=b"loop", timeout=0.5)

    def running() -> int:
        [function] = worker.client.get("/functions").json()["functions"]
        return int(function["running"])

    wait_until(lambda: running() == 0)
