"""What deployed functions take and are made of, for people and programs."""

from __future__ import annotations

import asyncio
from enum import Enum
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request
from starlette.responses import Response

from dotnet_wasm_host.errors import DotnetHostError, FunctionNotLoaded
from dotnet_wasm_host.worker.exchanges import EXCHANGE
from dotnet_wasm_host.worker.method_descriptions import ApiDocument, signature_of
from dotnet_wasm_host.worker.openapi import PROBLEMS
from dotnet_wasm_host.worker.paths import FunctionId
from dotnet_wasm_host.worker.typed_functions import SOURCE

if TYPE_CHECKING:
    from dotnet_wasm_host.worker.context import WorkerContext

__all__ = ["document_route", "signature_routes"]

TAGS: list[str | Enum] = ["functions"]
CSHARP = "text/x-csharp"


def signature_routes(app: FastAPI, context: WorkerContext) -> None:
    """``/functions/{id}/signature`` and ``/functions/{id}/source``."""
    service, guard = context.service, context.guard

    @app.get(
        "/functions/{function_id:dotnet_function}/signature",
        tags=TAGS,
        responses=PROBLEMS,
    )
    async def signature(request: Request, function_id: FunctionId) -> dict[str, Any]:
        """The methods of a function with JSON schemas; none for a function of bytes."""
        guard.check_call(request.scope)
        await context.ensure_started()
        request.scope[EXCHANGE].function = function_id
        served = service.find(function_id) or await service.look_again(function_id)
        return signature_of(served)

    @app.get(
        "/functions/{function_id:dotnet_function}/source",
        tags=TAGS,
        response_class=Response,
        responses=PROBLEMS
        | {200: {"description": "C#.", "content": {CSHARP: {"schema": {"type": "string"}}}}},
    )
    async def source(request: Request, function_id: FunctionId) -> Response:
        """The C# that a function was deployed as."""
        guard.check_change(request.scope)
        await context.ensure_started()
        request.scope[EXCHANGE].function = function_id
        stored = await service.read(function_id)
        if SOURCE not in stored.parts:
            raise FunctionNotLoaded(function_id, "was not deployed as C#; take the assembly")
        headers = {"etag": f'"{stored.record.sha256}"', "x-content-type-options": "nosniff"}
        return Response(stored.parts[SOURCE], 200, headers, f"{CSHARP}; charset=utf-8")


def document_route(app: FastAPI, context: WorkerContext) -> None:
    """``/openapi.json``: the API, and the methods of what is deployed for those who may list it."""
    service, document = context.service, ApiDocument(app.openapi())

    @app.get("/openapi.json", include_in_schema=False)
    async def openapi(request: Request) -> Response:
        try:
            context.guard.check_call(request.scope)
            await context.ensure_started()
            served = list(service.functions().values())
        except DotnetHostError:
            served = []
        root_path = request.scope.get("root_path", "")
        content = await asyncio.to_thread(document.text, served, root_path)
        return Response(content, media_type="application/json")
