"""The admin listener: what supervisors ask, at an address of its own."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager, nullcontext
from typing import TYPE_CHECKING

import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from dotnet_wasm_host.overriding import override
from dotnet_wasm_host.worker.legacy_routes import HEALTH
from dotnet_wasm_host.worker.metrics import CONTENT_TYPE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractContextManager

    from starlette.requests import Request

    from dotnet_wasm_host.worker.service import FunctionService

__all__ = ["admin_app", "admin_listener"]


def admin_app(service: FunctionService) -> Starlette:
    """Health, readiness and metrics for every ``Host``, without a token, and nothing else."""

    async def health(_: Request) -> Response:
        return JSONResponse(HEALTH)

    async def ready(_: Request) -> Response:
        if service.ready:
            return JSONResponse({"status": "ready"})
        return PlainTextResponse(service.failure or "not serving", 503)

    async def metrics(_: Request) -> Response:
        service.update_gauges()
        content = await asyncio.to_thread(service.metrics.exposition)
        return Response(content, headers={"content-type": CONTENT_TYPE})

    routes = {"/health": health, "/ready": ready, "/metrics": metrics}
    return Starlette(routes=[Route(path, answer) for path, answer in routes.items()])


@asynccontextmanager
async def admin_listener(service: FunctionService, host: str, port: int) -> AsyncIterator[None]:
    """Listen while the worker serves. Processes of one server share the port (Linux, BSD)."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "SO_REUSEPORT"):
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listening.bind((host, port))
        config = uvicorn.Config(
            admin_app(service), log_config=None, access_log=False, server_header=False,
            lifespan="off",
        )  # fmt: skip
        server = _Server(config)
        serving = asyncio.create_task(server.serve([listening]))
        try:
            yield
        finally:
            server.should_exit = True
            await serving


class _Server(uvicorn.Server):
    """One that leaves signals to the server around it."""

    @override
    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]
        return nullcontext()
