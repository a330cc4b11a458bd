"""The admin listener answers supervisors whatever the worker's own listener thinks of them."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import httpx2
import pytest

from tests.worker.servers import Server

if TYPE_CHECKING:
    from pathlib import Path

    import dotnet_wasm_host as dwh


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.mark.parametrize("workers", ["1", "2"])
def test_health_readiness_and_metrics(tmp_path: Path, echo: dwh.Assembly, workers: str) -> None:
    port = free_port()
    arguments = ("--admin-port", str(port), "--workers", workers)
    with Server(tmp_path / "store.sqlite3", *arguments) as server:
        assert server.put("f", echo.data).status_code == 201
        stranger = {"host": "10.1.2.3"}
        assert server.client.get("/ready", headers=stranger).status_code == 400
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}", headers=stranger) as admin:
            assert admin.get("/health").json()["status"] == "ok"
            assert admin.get("/ready").status_code == 200
            metrics = admin.get("/metrics").text
            assert "dotnet_worker_ready" in metrics
            assert "dotnet_worker_functions_suspended 0.0" in metrics
            assert admin.get("/functions").status_code == 404
            assert admin.post("/functions/f/invoke").status_code == 404
        assert server.terminate() == 0
