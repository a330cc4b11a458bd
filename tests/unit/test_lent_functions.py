"""Host functions that are lent to strangers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from dotnet_wasm_host.errors import LimitExceeded
from dotnet_wasm_host.imports import host_functions
from dotnet_wasm_host.imports.host_functions import HostFunctions


@pytest.fixture
def slow() -> Iterator[tuple[HostFunctions, threading.Event]]:
    """Functions for strangers: one that takes until the event, one that is done at once."""
    ended = threading.Event()
    functions = HostFunctions(
        {"slow": lambda _: ended.wait(60) and b"", "quick": lambda argument: argument}, shared=True
    )
    yield functions, ended
    ended.set()
    functions.close()


def function(functions: HostFunctions, name: str) -> Callable[[bytes], Any]:
    return functions.by_utf16[name.encode("utf-16-le")]


def test_nobody_takes_all_threads_for_host_functions(
    slow: tuple[HostFunctions, threading.Event],
) -> None:
    functions, ended = slow
    hogs = [functions.lend(1000) for _ in range(3)]
    begun = [hog.begin(function(functions, "slow"), b"x") for hog in hogs for _ in range(200)]
    neighbour = functions.lend(1000)
    results = [neighbour.begin(function(functions, "quick"), b"%d" % n) for n in range(100)]
    assert [result.result(60) for result in results] == [b"%d" % n for n in range(100)]
    assert [hog.running for hog in hogs] == [8, 4, 2]
    for future in begun[100:]:
        future.cancel()
    ended.set()
    for future in begun[:100]:
        assert future.result(60) == b""
    end = time.monotonic() + 60
    # A future tells those that wait for it first, and then whoever counts.
    while any(hog.calls or hog.held for hog in hogs) and time.monotonic() < end:
        time.sleep(0.001)
    assert [(hog.calls, hog.held) for hog in hogs] == [(0, 0)] * 3


def test_nobody_takes_all_memory_for_arguments(
    slow: tuple[HostFunctions, threading.Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_functions, "_MOST_HELD", 1000)
    functions, _ = slow
    hog, neighbour = functions.lend(10_000), functions.lend(200)
    hog.begin(function(functions, "slow"), bytes(500))
    with pytest.raises(LimitExceeded, match="500 bytes of arguments; one with 1 more"):
        hog.begin(function(functions, "slow"), b"x")
    assert neighbour.begin(function(functions, "quick"), bytes(200)).result(60) == bytes(200)
    with pytest.raises(LimitExceeded, match="one with 201 more"):  # more than an instance may
        neighbour.begin(function(functions, "quick"), bytes(201))


def test_what_waits_when_they_are_closed_is_cancelled(
    slow: tuple[HostFunctions, threading.Event],
) -> None:
    functions, ended = slow
    share = functions.lend(1000)
    begun = [share.begin(function(functions, "slow"), b"x") for _ in range(20)]
    functions.close()
    ended.set()
    assert [future.cancelled() for future in begun] == [False] * 8 + [True] * 12
    assert [future.result(60) for future in begun[:8]] == [b""] * 8
