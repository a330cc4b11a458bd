"""What a guest meets of the process around it, and what the process meets of the guest."""

from __future__ import annotations

import asyncio
import contextvars
import ctypes
import logging
import os
import subprocess
import sys
import traceback
from pathlib import Path

import numpy as np
import platformdirs
import pytest

import dotnet_wasm_host as dwh
from dotnet_wasm_host.artifacts.cache import ImageCache
from dotnet_wasm_host.memory import buffer_of
from dotnet_wasm_host.pool.cpus import usable_cpus

SOURCE = """
using System; using System.Text; using System.Threading; using System.Threading.Tasks;
using MinimalRuntime;
public sealed class Handler : IAsyncFunctionHandler {
    int Deeper(int n) => Deeper(n + 1) + 1;
    public async ValueTask<byte[]> ExecuteAsync(
        ReadOnlyMemory<byte> input, CancellationToken token) {
        var way = Encoding.UTF8.GetString(input.Span);
        if (way == "overflow") return new byte[Deeper(0)];
        if (way == "print") {
            Console.WriteLine("\\u001b[2J\\u009b31m\\ta\\u202eb\\0");
            return input.ToArray();
        }
        if (way.StartsWith("late ")) { await Task.Delay(20); way = way[5..]; }
        return way == "sync"
            ? Host.Call("plain", input.Span) : await Host.CallAsync(way, input.ToArray(), token);
    }
}
"""
COMMAND = "from dotnet_wasm_host.cli.main import main; main()"
VARIABLE: contextvars.ContextVar[bytes] = contextvars.ContextVar("variable", default=b"none")
WAYS = ["sync", "plain", "coroutine", "late sync", "late plain", "late coroutine"]


def plain(_: bytes) -> bytes:
    return VARIABLE.get()


async def coroutine(_: bytes) -> bytes:
    await asyncio.sleep(0)
    return VARIABLE.get()


FUNCTIONS = {"plain": plain, "coroutine": coroutine}


@pytest.mark.skipif(
    sys.version_info >= (3, 13), reason="_xxsubinterpreters is of Python 3.8 to 3.12"
)
def test_subinterpreters_are_refused_and_do_not_hang() -> None:
    """As mod_wsgi makes them: with the main interpreter's lock."""
    code = """
import _xxsubinterpreters as interpreters
inner = interpreters.create(isolated=False)
interpreters.run_string(inner, \'\'\'
import dotnet_wasm_host as dwh
for make in (dwh.Runtime, dwh.RuntimePool, lambda: dwh.compile_csharp("")):
    try:
        make()
    except dwh.EngineUnavailable as error:
        print(error)
\'\'\')
import dotnet_wasm_host as dwh
dwh.Runtime("minimal").close()
print("and here it works")
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    *refused, last = done.stdout.splitlines()
    assert len(refused) == 3
    assert all("WSGIApplicationGroup" in line for line in refused)
    assert last == "and here it works"


def test_messages_of_errors_cannot_steer_a_terminal() -> None:
    hostile = "\x1b]0;title\x07\x9b31m\r\nnext\tline\u202e"
    shown = r"\x1b]0;title\x07\x9b31m" + "\nnext\tline" + r"\u202e"
    diagnostic = dwh.Diagnostic("CS1", "error", hostile)
    for error in (
        dwh.InvocationError("f", "T", hostile, hostile, dwh.InvocationError("f", "T", hostile)),
        dwh.FunctionNotLoaded("f", hostile),
        dwh.AssemblyLoadError("f", "T", hostile, hostile),
        dwh.GuestTerminated(1, hostile),
        dwh.GuestTrap(hostile, hostile),
        dwh.CompilationError([diagnostic, diagnostic]),
        dwh.HttpPolicyError(hostile),
        dwh.MissingApi(dwh.InvocationError("f", "T", hostile), hostile, "minimal", "full"),
    ):
        printed = "".join(traceback.format_exception(type(error), error, None))
        assert shown in printed, printed
        assert all(char.isprintable() or char in "\n\t" for char in printed)
    assert dwh.InvocationError("f", "T", hostile).dotnet_message == hostile


@pytest.mark.parametrize("way", WAYS)
def test_context_variables_reach_host_functions(way: str) -> None:
    function = dwh.compile_csharp(SOURCE)
    with dwh.Runtime(host_functions=FUNCTIONS) as runtime:
        runtime.load_assembly("f", function)

        def call(value: bytes) -> bytes:
            VARIABLE.set(value)
            return runtime.invoke("f", way.encode())

        for value in (b"one", b"two"):
            assert contextvars.copy_context().run(call, value) == value


@pytest.mark.parametrize("way", WAYS)
def test_context_variables_of_tasks_reach_host_functions(way: str) -> None:
    async def call(pool: dwh.RuntimePool, value: bytes) -> bytes:
        VARIABLE.set(value)
        await asyncio.sleep(0)
        return await pool.invoke_async("f", way.encode())

    async def call_all(pool: dwh.RuntimePool, values: list[bytes]) -> list[bytes]:
        return await asyncio.gather(*(call(pool, value) for value in values))

    with dwh.RuntimePool(size=2, host_functions=FUNCTIONS) as pool:
        pool.load_assembly("f", dwh.compile_csharp(SOURCE))
        values = [b"%d" % number for number in range(8)]
        assert asyncio.run(call_all(pool, values)) == values


def test_a_terminal_obeys_no_guest(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "dotnet_wasm_host.guest")
    with dwh.Runtime(wasi=dwh.WasiOptions(stdout="logging", stderr="logging")) as runtime:
        runtime.load_assembly("f", dwh.compile_csharp(SOURCE))
        runtime.invoke("f", b"print")
        assert caplog.messages == ["\\x1b[2J\\x9b31m\ta\\u202eb\\x00"]


def test_a_stack_overflow_is_no_flood(caplog: pytest.LogCaptureFixture) -> None:
    with dwh.Runtime(wasi=dwh.WasiOptions(stdout="logging", stderr="logging")) as runtime:
        runtime.load_assembly("f", dwh.compile_csharp(SOURCE))
        with pytest.raises(dwh.GuestTerminated, match="StackOverflow"):
            runtime.invoke("f", b"overflow")
        assert len(caplog.messages) < 20
        assert sum("Deeper" in message for message in caplog.messages) >= 5
        assert any("more frames" in message for message in caplog.messages)


class Pair(ctypes.Structure):
    _fields_ = (("Pointer", ctypes.c_int), ("Zero", ctypes.c_double))


@pytest.mark.parametrize(
    "payload",
    [
        np.array([object(), None], dtype=object),
        np.zeros(2, dtype=[("number", "i4"), ("thing", "O")]),
        (ctypes.c_void_p * 2)(),
        (ctypes.c_char_p * 2)(),
        (ctypes.c_wchar_p * 2)(),
        (ctypes.POINTER(ctypes.c_int) * 2)(),
    ],
)
def test_buffers_of_pointers_are_refused(payload: bytes) -> None:
    with dwh.Runtime() as runtime:
        runtime.load_assembly("f", dwh.compile_csharp(SOURCE))
        with pytest.raises(dwh.MarshallingTypeError, match=r"expected payload.*found.*; convert"):
            runtime.invoke("f", payload)


@pytest.mark.parametrize(
    "payload",
    [
        np.arange(3, dtype=np.complex64),
        np.zeros(2, dtype=[("Pointer", "i4"), ("OX", "f8")]),
        np.zeros((2, 2), order="F"),
        (Pair * 2)(),
    ],
)
def test_buffers_of_values_are_taken(payload: bytes) -> None:
    assert buffer_of(payload).tobytes() == memoryview(payload).tobytes()


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="Linux sets affinities")
def test_affinity_counts() -> None:
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))});"
        "from dotnet_wasm_host.pool.cpus import usable_cpus; print(usable_cpus())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"


@pytest.mark.parametrize(
    ("files", "membership", "count"),
    [
        ({"a/b/cpu.max": "50000 100000\n", "a/cpu.max": "max 100000\n"}, "0::/a/b\n", 1),
        ({"a/b/cpu.max": "max 100000\n", "a/cpu.max": "100000 100000\n"}, "0::/a/b\n", 1),
        ({"cpu.max": "80000 100000\n"}, "0::/\n", 1),
        ({"cpu/cpu.cfs_quota_us": "1\n", "cpu/cpu.cfs_period_us": "9\n"}, "2:cpu:/x\n", 1),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "9\n"}, "", None),
        ({"cpu.max": "nonsense\n"}, "0::/\n", None),
        ({}, "\n", None),
    ],
)
def test_quotas_count(
    tmp_path: Path, files: dict[str, str], membership: str, count: int | None
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "membership").write_text(membership)
    found = usable_cpus(tmp_path, tmp_path / "membership")
    assert found == (usable_cpus(tmp_path, tmp_path / "none") if count is None else count)


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "x.cs", "--timeout", "-1"],
        ["contract", "-o", "/no/such/folder/x.dll"],
    ],
)
def test_wrong_use_is_one_sentence(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode not in {0, 1}
    assert "Traceback" not in done.stderr
    assert "--timeout" in done.stderr or "/no/such/folder" in done.stderr


def test_a_user_without_a_home_has_no_cache(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def expand(_: str) -> str:
        raise RuntimeError("could not determine the home directory")

    for name in ("HOME", "XDG_CACHE_HOME", "DOTNET_WASM_HOST_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(platformdirs, "user_cache_dir", expand)
    assert ImageCache.locate() is None
    assert "images are not cached: could not determine the home directory" in caplog.text
