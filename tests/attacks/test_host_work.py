"""What the host does for a guest has a limit: in time, in memory, in log records."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

import pytest

import dotnet_wasm_host as dwh
from tests.attacks.attacks import MIB, PATIENCE, ROOMY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def worker(attackers: Callable[[str], dwh.Assembly]) -> dwh.Assembly:
    return attackers("HostWork")


@pytest.fixture
def victim(image: dwh.RuntimeImage, worker: dwh.Assembly) -> Iterator[dwh.Runtime]:
    ended = threading.Event()
    policy = dwh.HttpPolicy(allowed_hosts=("localhost",))
    functions = {"wait": lambda _: ended.wait(PATIENCE) and b""}
    with dwh.Runtime(image, limits=ROOMY, host_functions=functions, http=policy) as runtime:
        runtime.load_assembly("f", worker, handler_type="HostWork")
        runtime.invoke("f", b"fine")
        yield runtime
        ended.set()


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
    assert functions.held <= 16 * 1_000_000
