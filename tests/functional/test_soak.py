"""A moment of the soak; ``python -m tests.soak`` is the whole of it."""

from __future__ import annotations

import logging

import pytest

from tests import soak


def test_mixed_calls_and_faults_for_a_moment(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.CRITICAL + 1, "dotnet_wasm_host")
    monkeypatch.setattr(soak, "FAULT_RATE", 40)
    run = soak.soak(calls=1500, seed=20261122)

    outcomes = {outcome for _, outcome in run.outcomes}
    assert {"fine", "InvocationError", "GuestTerminated", "InjectedFault"} <= outcomes
    assert run.outcomes["echo", "fine"] > 300
