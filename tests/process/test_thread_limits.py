"""A process that may have no more threads: it goes on without, or says so."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import dotnet_wasm_host as dwh
from dotnet_wasm_host.artifacts.cache import ENVIRONMENT_VARIABLE
from tests.conftest import CompiledSources

SETPRIV = shutil.which("setpriv")
#: Whoever has no other process.
USER = 64321
pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_NPROC counts threads on Linux"),
    pytest.mark.skipif(
        sys.platform == "linux" and os.geteuid() == 0 and SETPRIV is None,
        reason="no limit holds for root, and there is no setpriv to become somebody else",
    ),
]
LIMITED = """
import resource, sys
import dotnet_wasm_host as dwh
resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
image = dwh.RuntimeImage.open(sys.argv[1])
assembly = open(sys.argv[2], "rb").read()
def attempt(action):
    try:
        print(type(action()).__name__)
    except Exception as error:
        print(type(error).__name__, "one more thread" in str(error))
"""
SOURCE = """
using System; using System.Threading; using System.Threading.Tasks; using MinimalRuntime;
public sealed class Echo : IFunctionHandler {
    public byte[] Execute(ReadOnlySpan<byte> input) => input.ToArray();
}
public sealed class Later : IAsyncFunctionHandler {
    public async ValueTask<byte[]> ExecuteAsync(ReadOnlyMemory<byte> input, CancellationToken token) {
        await Task.Delay(1);
        return [];
    }
}
"""  # noqa: E501 - C#


@pytest.fixture(scope="module")
def files(
    tmp_path_factory: pytest.TempPathFactory, compiled: CompiledSources
) -> tuple[Path, Path, Path]:
    """A cache of that user's, an image, an assembly."""
    folder = tmp_path_factory.mktemp("limited")
    dwh.RuntimeImage.load("minimal").save(folder / "image")
    compiled(SOURCE).save(folder / "f.dll")
    cache = folder / "cache"
    cache.mkdir(mode=0o700)
    if os.geteuid() == 0:
        os.chown(cache, USER, USER)
    return cache, folder / "image", folder / "f.dll"


def run(files: tuple[Path, Path, Path], code: str) -> list[str]:
    done = _run_as_somebody(files, LIMITED + code)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stderr == ""
    return done.stdout.splitlines()


def _run_as_somebody(files: tuple[Path, Path, Path], code: str) -> subprocess.CompletedProcess[str]:
    cache, *arguments = files
    command = [sys.executable, "-c", code, *map(str, arguments)]
    if os.geteuid() == 0:
        capability = "-all,+dac_override"  # to read this checkout
        command = [
            str(SETPRIV), f"--reuid={USER}", "--clear-groups", f"--inh-caps={capability}",
            f"--ambient-caps={capability}", f"--bounding-set={capability}", *command,
        ]  # fmt: skip
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env={**os.environ, ENVIRONMENT_VARIABLE: str(cache)},
    )


def test_images_are_compiled_and_functions_called_without_threads(
    files: tuple[Path, Path, Path],
) -> None:
    """wasmtime's own threads would end the process; the second time the image is cached."""
    code = """
with dwh.Runtime(image) as runtime:
    runtime.load_assembly("f", assembly, handler_type="Echo")
    attempt(lambda: runtime.invoke("f", b"x"))
"""
    assert run(files, code) == ["bytes"]
    assert run(files, code) == ["bytes"]


def test_what_needs_a_thread_says_so_and_hinders_nobody(files: tuple[Path, Path, Path]) -> None:
    code = """
import asyncio, threading
with dwh.RuntimePool(size=1, image=image) as pool:
    pool.load_assembly("f", assembly, handler_type="Echo")
    pool.load_assembly("later", assembly, handler_type="Later")
    for _ in range(3):
        attempt(lambda: asyncio.run(pool.invoke_async("f", b"x")))
        attempt(lambda: pool.invoke("f", b"x"))
        attempt(lambda: pool.invoke("later", b"x"))
with dwh.Runtime(image, limits=dwh.Limits(timeout=1)) as runtime:
    runtime.load_assembly("f", assembly, handler_type="Echo")
    attempt(lambda: runtime.invoke("f", b"x"))
"""
    *first, last = run(files, code)
    assert first == ["LimitExceeded True", "bytes", "LimitExceeded True"] * 3
    assert last in {"bytes", "LimitExceeded True"}  # whether it runs long enough to be watched


@pytest.mark.parametrize("threads", [1, 3, 6])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_worker_that_could_serve_nothing_says_why(
    files: tuple[Path, Path, Path], threads: int, workers: int
) -> None:
    """It has neither a traceback nor, by libuv, SIGABRT."""
    code = f"""
import resource, sys
from dotnet_wasm_host.cli.main import main
resource.setrlimit(resource.RLIMIT_NPROC, ({threads}, {threads}))
sys.argv[1:] = ["serve", "--port=0", "--workers={workers}", "--image-file", sys.argv[1],
                "--store", {str(files[0] / "store")!r}]
main()
"""
    done = _run_as_somebody(files, code)
    assert done.returncode == 1, done.stderr[-2000:]
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: expected room for the ")
    assert "pids.max" in line


def test_compiling_alone_gives_the_same_code() -> None:
    from dotnet_wasm_host.engines.wasmtime.engine import WasmtimeEngine
    from dotnet_wasm_host.engines.wasmtime.probe import _PROBE

    native = WasmtimeEngine()._native
    before = threading.active_count()
    alone = native.compile_alone(_PROBE)
    assert threading.active_count() == before
    assert WasmtimeEngine().compile(_PROBE).serialize() == alone
