"""Threads that run guests give way to the event loop."""

from __future__ import annotations

import os
import sys
import threading

import pytest
from fastapi.testclient import TestClient

import dotnet_wasm_host as dwh
from dotnet_wasm_host.worker.priorities import NICENESS
from tests.worker.conftest import put
from tests.worker.test_operation import call


@pytest.mark.skipif(sys.platform != "linux", reason="priorities of threads are Linux's own")
def test_guests_have_less_weight_than_the_event_loop(
    client: TestClient, echo: dwh.Assembly
) -> None:
    put(client, "f", echo)
    assert call(client, "f", b"x") == b"x"
    own = os.getpriority(os.PRIO_PROCESS, 0)
    nice = {
        thread.name.partition("_host ")[2].partition("_")[0]: os.getpriority(
            os.PRIO_PROCESS, thread.native_id or 0
        )
        for thread in threading.enumerate()
    }
    assert nice["pool"] == nice["deploy"] == min(19, own + NICENESS)
    assert nice["store"] == own
