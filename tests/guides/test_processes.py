"""The guides for Celery, gunicorn and pytest: processes of the real programs."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from tests.conftest import CompiledSources
from tests.guides.guide_files import run, write_guide
from tests.worker.test_operation import wait_until

pytestmark = pytest.mark.long

PARSE = """
using System; using System.Text;
public sealed class Parse : MinimalRuntime.IFunctionHandler {
    public byte[] Execute(ReadOnlySpan<byte> input) {
        var text = Encoding.UTF8.GetString(input);
        if (text == "throw") throw new FormatException("not a number");
        return Encoding.UTF8.GetBytes($"parsed {text}");
    }
}
"""
RESULTS = """
from tasks import failing, parse_text

results = [parse_text.delay(str(n)) for n in range(6)]
assert [result.get(timeout=120) for result in results] == [f"parsed {n}" for n in range(6)]
try:
    failing.delay().get(timeout=120)
except Exception as error:
    assert "not a number" in str(error), repr(error)
else:
    raise AssertionError("it did not fail")
"""


@contextmanager
def started(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A program of Python in a process group of its own, ended by SIGTERM."""
    with (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(folder), "C_FORCE_ROOT": "1"},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def test_celery(tmp_path: Path, compiled: CompiledSources) -> None:
    write_guide("celery", tmp_path, "tasks.py", "celeryconfig.py")
    (tmp_path / "parse.dll").write_bytes(compiled(PARSE, assembly_name="parse").data)
    for name in ("queue", "results"):
        (tmp_path / name).mkdir()
    with started(tmp_path, "-m", "celery", "-A", "tasks", "worker", "--loglevel=INFO"):
        wait_until(lambda: b"ready." in (tmp_path / "log.txt").read_bytes(), 120)
        run(tmp_path, "-c", RESULTS)


def test_gunicorn_forks_after_the_image_was_loaded(tmp_path: Path) -> None:
    write_guide("gunicorn", tmp_path, "app.py", "gunicorn.conf.py")
    port = free_port()
    configuration = tmp_path / "gunicorn.conf.py"
    text = configuration.read_text(encoding="utf-8")
    configuration.write_text(text.replace("127.0.0.1:8000", f"127.0.0.1:{port}"), encoding="utf-8")
    with started(tmp_path, "-m", "gunicorn", "app:app") as gunicorn:
        processes = answering(port)
        assert len(processes) == 2
        assert str(gunicorn.pid) not in processes
    assert "Traceback" not in (tmp_path / "log.txt").read_text(encoding="utf-8")


def answering(port: int) -> set[str]:
    """Ids of the processes that answer with .NET, until there are two."""
    processes: set[str] = set()
    end = time.monotonic() + 120
    while len(processes) < 2 and time.monotonic() < end:
        try:
            answer = httpx2.get(f"http://127.0.0.1:{port}/", timeout=30)
        except httpx2.TransportError:
            time.sleep(0.1)
            continue
        assert answer.status_code == 200
        assert answer.text.startswith("Hello from .NET 10.")
        processes.add(answer.headers["x-process"])
    return processes


def test_a_pool_of_the_parent_says_that_it_is_the_parents(tmp_path: Path) -> None:
    program = """
import os
import dotnet_wasm_host as dwh

pool = dwh.RuntimePool(size=1)
if os.fork() == 0:
    try:
        pool.invoke("hello", b"")
    except dwh.RuntimeClosed as error:
        assert "fork" in str(error), error
        os._exit(0)
    os._exit(1)
_, status = os.wait()
assert status == 0
pool.close()
"""
    run(tmp_path, "-c", program)


def test_pytest(tmp_path: Path) -> None:
    write_guide("pytest", tmp_path, "conftest.py", "test_prices.py")
    said = run(tmp_path, "-m", "pytest", "-W", "error", "-p", "no:cacheprovider", "-q", "-n", "2")
    assert "5 passed" in said


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
