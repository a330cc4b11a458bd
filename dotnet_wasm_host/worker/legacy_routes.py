"""The routes of the original Durable Object, with its JSON: bytes are arrays of numbers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from fastapi import FastAPI, Request
from starlette.responses import JSONResponse, Response

from dotnet_wasm_host.errors import DotnetHostError
from dotnet_wasm_host.worker.context import client_of
from dotnet_wasm_host.worker.number_arrays import LARGE, read_request, write_answer

if TYPE_CHECKING:
    from dotnet_wasm_host.worker.context import WorkerContext

__all__ = ["legacy_routes"]

HEALTH = {"status": "ok", "runtime": "dotnet-minimal", "version": "10.0"}
_HEALTH = {
    "type": "object",
    "required": list(HEALTH),
    "properties": {name: {"const": value} for name, value in HEALTH.items()},
}


def legacy_routes(app: FastAPI, context: WorkerContext) -> None:
    """``/invoke``, ``/load`` and ``/health``.

    The first two say 500 also where the caller is wrong, as their original does. Tools that read
    the API's description would rightly call that an error, so they are not part of it.
    """
    service, options = context.service, context.options

    @app.post("/invoke", include_in_schema=False)
    async def invoke(request: Request) -> Response:
        """Call a function with bytes as an array of numbers."""
        scope = request.scope
        try:
            context.guard.check_call(scope)
            with await context.body(scope, request.receive, options.json_bytes) as content:
                function_id, payload = await _read(content, "payload", options.limits.payload_bytes)
                context.refuse_methods(function_id)
                result = await context.invoke(scope, request.receive, function_id, payload)
        except DotnetHostError as error:
            await context.pause(error)
            return context.legacy_failure(scope, error)
        small = len(result) <= LARGE
        answer = write_answer(result) if small else await asyncio.to_thread(write_answer, result)
        return Response(answer, media_type="application/json")

    @app.post("/load", include_in_schema=False)
    async def load(request: Request) -> Response:
        """Deploy a function from an assembly as an array of numbers."""
        scope = request.scope
        try:
            context.guard.check_change(scope)
            await context.ensure_started()
            with await context.body(scope, request.receive, options.json_bytes) as content:
                function_id, assembly = await _read(content, "assembly", options.assembly_bytes)
                await service.deployer.deploy(function_id, assembly, client=client_of(scope))
        except DotnetHostError as error:
            return context.legacy_failure(scope, error)
        return JSONResponse({"success": True})

    @app.get(
        "/health",
        tags=["operation"],
        responses={200: {"content": {"application/json": {"schema": _HEALTH}}}},
    )
    async def health() -> Response:
        """Whether the process answers."""
        return JSONResponse(HEALTH)


async def _read(content: bytes, name: str, most: int) -> tuple[str, bytes]:
    if len(content) <= LARGE:
        return read_request(content, name, most)
    return await asyncio.to_thread(read_request, content, name, most)
