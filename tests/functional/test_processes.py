"""Forks, spawned processes, and interpreters that end in the middle of things."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import warnings

import pytest

import dotnet_wasm_host as dwh
from tests.conftest import CompiledSources

LOOPER = """
    using System;
    public class Looper : MinimalRuntime.IFunctionHandler {
        static int calls;
        public byte[] Execute(ReadOnlySpan<byte> input) {
            if (input.Length == 1) while (true) calls++;
            if (input.Length == 2) while (true) calls += DateTime.UtcNow.Second;
            return [(byte)++calls];
        }
    }"""
HEAD = """
import asyncio, gc, os, sys, threading, time
import dotnet_wasm_host as dwh
from multiprocessing import get_context
from pathlib import Path
assembly = Path(sys.argv[1]).read_bytes()
def loaded(made):
    made.load_assembly("f", assembly)
    return made
def child(work):
    pid = os.fork()
    if pid == 0:
        try:
            work()
            os._exit(0)
        except BaseException:
            import traceback; traceback.print_exc()
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
def in_daemon(call):
    threading.Thread(target=call, daemon=True).start()
    time.sleep(0.2)
def refused(call):
    try:
        call()
    except dwh.RuntimeClosed as error:
        assert "forked" in str(error), error
    else:
        raise AssertionError("not refused")
"""


def run(program: str, tmp_path: object, compiled: CompiledSources) -> None:
    path = f"{tmp_path}/looper.dll"
    compiled(LOOPER).save(path)
    result = subprocess.run(
        [sys.executable, "-W", "error", "-W", "ignore::DeprecationWarning", "-c", HEAD + program,
         path],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


FORKS = {
    "a runtime is the parent's": """
with loaded(dwh.Runtime()) as runtime:
    function, image = runtime.functions["f"], runtime.image
    runtime.invoke("f")
    def work():
        for call in (lambda: runtime.invoke("f"), lambda: function.invoke(), runtime.stats,
                     lambda: runtime.load_assembly("g", assembly), lambda: runtime.memory):
            try:
                call()
            except dwh.FunctionNotLoaded:
                assert call is not runtime.stats
            except dwh.RuntimeClosed as error:
                assert "forked" in str(error)
            else:
                raise AssertionError
        refused(lambda: runtime.invoke("f"))
        assert runtime.closed and not runtime.functions and not function.is_alive
        runtime.close()
        for fresh in (dwh.Runtime(), dwh.Runtime(image)):
            with loaded(fresh):
                assert fresh.invoke("f") == b"\\1"
                try:
                    fresh.invoke("f", b"l", timeout=0.1)
                except dwh.InvocationTimeout:
                    pass
                threading.Timer(0.1, fresh.cancel).start()
                try:
                    fresh.invoke("f", b"l")
                except dwh.InvocationCancelled:
                    pass
    child(work)
    assert runtime.invoke("f") == b"\\2"
""",
    "in the middle of a call": """
runtime = loaded(dwh.Runtime())
def call():
    try:
        runtime.invoke("f", b"l")
    except dwh.InvocationCancelled:
        pass
in_daemon(call)
def work():
    global runtime
    refused(lambda: runtime.invoke("f"))
    runtime.close()
    runtime = None
    gc.collect()
    with loaded(dwh.Runtime()) as fresh:
        assert fresh.invoke("f") == b"\\1"
child(work)
runtime.cancel()
runtime.close()
""",
    "a pool is the parent's": """
with loaded(dwh.RuntimePool(size=2)) as pool:
    asyncio.run(pool.invoke_async("f"))
    def call():
        try:
            pool.invoke("f", b"l", timeout=0.6)
        except dwh.InvocationTimeout:
            pass
    in_daemon(call)
    def work():
        refused(lambda: pool.invoke("f"))
        assert pool.closed and not pool.functions
        pool.close()
        with loaded(dwh.RuntimePool(size=2)) as fresh:
            assert asyncio.run(fresh.invoke_async("f")) == b"\\1"
    child(work)
    assert pool.invoke("f")
""",
    "a child of a child": """
with loaded(dwh.Runtime()) as runtime:
    def work():
        with loaded(dwh.Runtime()) as mine:
            child(lambda: refused(lambda: mine.invoke("f")))
            assert mine.invoke("f") == b"\\1"
    child(work)
""",
}
EXITS = {
    "a call runs in a daemon thread": """
runtime = loaded(dwh.Runtime())
runtime.__class__.__del__ = lambda self: None
def forever():
    while True:
        try:
            runtime.invoke("f", b"l")
        except dwh.DotnetHostError:
            pass
in_daemon(forever)
""",
    "a call of the host runs in a daemon thread": """
runtime = loaded(dwh.Runtime())
runtime.__class__.__del__ = lambda self: None
def forever():
    while True:
        try:
            runtime.invoke("f", b"tt")
        except dwh.DotnetHostError:
            pass
in_daemon(forever)
""",
    "asyncio gave a call of a pool up": """
pool = loaded(dwh.RuntimePool(size=2))
async def main():
    call = asyncio.ensure_future(pool.invoke_async("f", b"l"))
    await asyncio.sleep(0.2)
asyncio.run(main())
pool.close()
""",
}


@pytest.mark.parametrize("program", FORKS.values(), ids=FORKS)
def test_forks(program: str, tmp_path: object, compiled: CompiledSources) -> None:
    run(program, tmp_path, compiled)


@pytest.mark.parametrize("program", EXITS.values(), ids=EXITS)
def test_the_interpreter_ends(program: str, tmp_path: object, compiled: CompiledSources) -> None:
    run(program, tmp_path, compiled)


def test_spawned_processes_start_their_own(tmp_path: object, compiled: CompiledSources) -> None:
    module = f"{tmp_path}/spawned.py"
    path = f"{tmp_path}/looper.dll"
    compiled(LOOPER).save(path)
    with open(module, "w", encoding="utf-8") as file:
        file.write("""
import sys
from multiprocessing import get_context
import dotnet_wasm_host as dwh
def work(path):
    with dwh.Runtime() as runtime:
        runtime.load_assembly("f", path)
        return runtime.invoke("f")
if __name__ == "__main__":
    with dwh.Runtime() as runtime, get_context(sys.argv[2]).Pool(2) as pool:
        runtime.load_assembly("f", sys.argv[1])
        assert pool.map(work, [sys.argv[1]] * 3) == [b"\\1"] * 3
        assert runtime.invoke("f") == b"\\1"
""")
    for method in ("spawn", "forkserver"):
        result = subprocess.run(
            [sys.executable, module, path, method],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert (result.returncode, result.stderr) == (0, "")


def test_a_forgotten_runtime_warns_and_gives_its_memory_back(
    image: dwh.RuntimeImage, moody: dwh.Assembly
) -> None:
    def forget() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            runtime = dwh.Runtime(image)
            runtime.load_assembly("f", moody)
            runtime.invoke("f", b"keep 20000000")
            # A function refers to its runtime and the runtime to it: the collector frees them.
            del runtime
            gc.collect()

    for _ in range(2):
        forget()
    before = _resident()
    for _ in range(10):
        forget()
    assert _resident() - before < 40 << 20

    runtimes = [dwh.Runtime(image)]

    def forget_that_one() -> None:
        runtimes.clear()
        gc.collect()

    with pytest.warns(ResourceWarning, match="never closed"):
        forget_that_one()


def _resident() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")
