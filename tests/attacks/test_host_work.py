"""What the host does for a guest has a limit: in time, in memory, in log records."""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import dotnet_wasm_host as dwh
from tests.attacks.attacks import CLEAR_REFS, MIB, PATIENCE, forget_peak, peak_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import CompiledSources

SOURCE = Path(__file__).with_name("host_work.cs")
LIMITS = dwh.Limits(timeout=0.5, memory_bytes=256 * MIB, files_bytes=8 * MIB, crash_limit=None)
#: CPU seconds beyond the deadline.
MOST_CPU = 1.0


@pytest.fixture(scope="module")
def worker(compiled: CompiledSources) -> dwh.Assembly:
    return compiled(SOURCE.read_text("utf-8"), assembly_name="HostWork")


@pytest.fixture
def victim(image: dwh.RuntimeImage, worker: dwh.Assembly) -> Iterator[dwh.Runtime]:
    ended = threading.Event()
    policy = dwh.HttpPolicy(allowed_hosts=("localhost",))
    functions = {"wait": lambda _: ended.wait(PATIENCE) and b""}
    with dwh.Runtime(image, limits=LIMITS, host_functions=functions, http=policy) as runtime:
        runtime.load_assembly("f", worker, handler_type="HostWork")
        runtime.invoke("f", b"fine")
        yield runtime
        ended.set()


TOO_MUCH = (dwh.LimitExceeded, dwh.InvocationTimeout)


@pytest.mark.skipif(not CLEAR_REFS.exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize(
    ("command", "errors"),
    [
        pytest.param("names 20000000 70", TOO_MUCH, id="endless names of host functions"),
        pytest.param("strings 40000000 1000", TOO_MUCH, id="1,000 arguments, one string"),
        pytest.param("stringarray 20000000 1000", TOO_MUCH, id="1,000 elements, one string"),
        pytest.param("array 3000000", TOO_MUCH, id="an array of 3 million slots"),
        pytest.param("properties 10000000 40", TOO_MUCH, id="properties that are kept"),
        pytest.param("lines 1000000", TOO_MUCH, id="a million lines in one write"),
        pytest.param("begin 1000000 4000 wait", TOO_MUCH, id="arguments that wait"),
        pytest.param("record", (dwh.GuestTrap,), id="a malformed log record"),
        pytest.param("entropy 90000000", TOO_MUCH, id="90 MB of entropy"),
        pytest.param("empty 65000", TOO_MUCH, id="65,000 empty files"),
    ],
)
def test_it_is_contained(
    victim: dwh.Runtime, command: str, errors: tuple[type[Exception], ...]
) -> None:
    forget_peak()
    before, cpu = peak_bytes(), time.process_time()
    try:
        answer = victim.invoke("f", command.encode())
    except errors as error:
        if isinstance(error, dwh.LimitExceeded):
            assert error.limit == "host_work"
    else:
        # Cheap enough to be done, or refused by the host in a way that a function may catch.
        assert answer.startswith((b"raised", b"full", b"filled", b"written"))
    cpu = time.process_time() - cpu
    grown = peak_bytes() - before

    assert cpu < 0.5 + MOST_CPU
    assert grown < 2 * LIMITS.memory_bytes
    assert victim.invoke("f", b"fine", timeout=PATIENCE) == b"fine"


def test_the_budget_ends_a_call_without_a_deadline(
    image: dwh.RuntimeImage, worker: dwh.Assembly, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "dotnet_wasm_host.guest")
    logged = dwh.WasiOptions(stdout="logging")
    with dwh.Runtime(image, limits=dwh.Limits(host_work=4 * MIB), wasi=logged) as runtime:
        runtime.load_assembly("f", worker, handler_type="HostWork")
        for command in (b"lines 2000", b"strings 100000 50"):
            with pytest.raises(dwh.LimitExceeded, match="host_work") as caught:
                runtime.invoke("f", command)
            assert caught.value.limit == "host_work"
            assert runtime.invoke("f", b"fine") == b"fine"
        assert runtime.stats().recycles == 2
        assert 8 * MIB <= runtime.stats().host_work < 64 * MIB
    assert 0 < len(caplog.records) <= 1024


def test_queued_arguments_are_let_go_with_the_instance(victim: dwh.Runtime) -> None:
    functions = victim._current.guest.host.calls._functions
    assert functions is not None
    with pytest.raises(dwh.LimitExceeded):
        victim.invoke("f", b"begin 1000000 4000 wait", timeout=PATIENCE)
    assert victim.invoke("f", b"fine") == b"fine"
    # What a thread has begun, it ends; what waits is gone.
    assert functions._held <= 16 * 1_000_000
