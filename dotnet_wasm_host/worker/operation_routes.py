"""Routes for the operator of the worker."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from fastapi import FastAPI, Request
from pydantic import BaseModel
from starlette.responses import Response

from dotnet_wasm_host.errors import DotnetHostError, RuntimeClosed
from dotnet_wasm_host.worker.metrics import CONTENT_TYPE
from dotnet_wasm_host.worker.openapi import PROBLEMS
from dotnet_wasm_host.worker.store import StoreError

if TYPE_CHECKING:
    from dotnet_wasm_host.worker.context import WorkerContext

__all__ = ["operation_routes"]

TAGS: list[str | Enum] = ["operation"]


class Ready(BaseModel):
    """Everything deployed is served."""

    status: str = "ready"


class ReloadRequested(BaseModel):
    """Number of the reload; processes carry it out within moments."""

    reload: int


def operation_routes(app: FastAPI, context: WorkerContext) -> None:
    """``/ready``, ``/metrics`` and ``/admin/reload``."""
    service = context.service

    @app.get("/ready", tags=TAGS, responses=PROBLEMS)
    async def ready() -> Ready:
        """Whether calls should be sent here: 503 while it starts, ends or lost its store."""
        try:
            await context.ensure_started()
        except DotnetHostError as error:
            raise StoreError(str(error)) from error
        if service.failure is not None:
            raise StoreError(service.failure)
        if not service.ready:
            raise RuntimeClosed("the worker is not serving; try again later")
        return Ready()

    @app.get(
        "/metrics",
        tags=TAGS,
        response_class=Response,
        responses=PROBLEMS | {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    )
    async def metrics(request: Request) -> Response:
        """Counters, gauges and histograms for Prometheus."""
        context.guard.check_call(request.scope)
        await context.ensure_started()
        service.update_gauges()
        return Response(service.metrics.exposition(), headers={"content-type": CONTENT_TYPE})

    @app.post("/admin/reload", tags=TAGS, responses=PROBLEMS, status_code=202)
    async def reload(request: Request) -> ReloadRequested:
        """Open the image again and move every function to it; running calls end on the old one."""
        context.guard.check_change(request.scope)
        await context.ensure_started()
        return ReloadRequested(reload=await service.request_reload())
