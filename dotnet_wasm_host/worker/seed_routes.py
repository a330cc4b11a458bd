"""The routes of the original Durable Object, with its JSON: bytes are arrays of numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pydantic_core
from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from dotnet_wasm_host.errors import DotnetHostError, MarshallingError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dotnet_wasm_host.worker.context import WorkerContext

__all__ = ["seed_routes"]

HEALTH = {"status": "ok", "runtime": "dotnet-minimal", "version": "10.0"}

_BYTES = {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 255}}
_FAILURE = {
    "type": "object",
    "required": ["success", "error"],
    "properties": {"success": {"const": False}, "error": {"type": "string"}},
}


def seed_routes(context: WorkerContext) -> APIRouter:
    """``/invoke``, ``/load`` and ``/health``."""
    router = APIRouter(tags=["seed"])
    service, options = context.service, context.options

    @router.post("/invoke", openapi_extra=_body("payload"), responses=_answers(_INVOKED))
    async def invoke(request: Request) -> Response:
        """Call a function with bytes as an array of numbers."""
        scope = request.scope
        try:
            context.guard.check_call(scope)
            with await context.body(scope, request.receive, options.json_bytes) as content:
                function_id, payload = _read(content, "payload", options.limits.payload_bytes)
                result = await context.invoke(scope, function_id, payload)
        except DotnetHostError as error:
            return context.seed_failure(scope, error)
        numbers = pydantic_core.to_json({"success": True, "result": list(result)})
        return Response(numbers, media_type="application/json")

    @router.post("/load", openapi_extra=_body("assembly"), responses=_answers(_LOADED))
    async def load(request: Request) -> Response:
        """Deploy a function from an assembly as an array of numbers."""
        scope = request.scope
        try:
            context.guard.check_change(scope)
            await context.ensure_started()
            with await context.body(scope, request.receive, options.json_bytes) as content:
                function_id, assembly = _read(content, "assembly", options.assembly_bytes)
                await service.deploy(function_id, lambda: assembly)
        except DotnetHostError as error:
            return context.seed_failure(scope, error)
        return JSONResponse({"success": True})

    @router.get("/health", responses={200: _json(_HEALTH, "It runs.")})
    async def health() -> Response:
        """Whether the process answers."""
        return JSONResponse(HEALTH)

    return router


def _read(content: bytes, name: str, most: int) -> tuple[str, bytes]:
    """``functionId`` and the bytes called ``name``, which may be left out."""
    try:
        value = pydantic_core.from_json(content, allow_inf_nan=False)
    except ValueError as error:
        raise MarshallingError(f"the body is not JSON: {error}") from None
    if not isinstance(value, dict) or not isinstance(value.get("functionId"), str):
        raise MarshallingError("the body is not an object with a string 'functionId'")
    numbers = value.get(name)
    if numbers is None:
        numbers = []
    # bytes() would take a number for a length, and true for 1.
    if not isinstance(numbers, list) or bool in map(type, numbers):
        raise MarshallingError(f"{name!r} is not an array of numbers")
    if len(numbers) > most:
        raise MarshallingError(f"{name!r} has {len(numbers)} bytes; at most {most} are accepted")
    try:
        return value["functionId"], bytes(numbers)
    except (TypeError, ValueError):
        raise MarshallingError(f"{name!r} has items that are no whole numbers 0..255") from None


def _object(**properties: object) -> dict[str, object]:
    return {"type": "object", "required": list(properties), "properties": properties}


_INVOKED = _object(success={"const": True}, result=_BYTES)
_LOADED = _object(success={"const": True})
_HEALTH = _object(**{name: {"const": value} for name, value in HEALTH.items()})


def _json(schema: Mapping[str, object], description: str) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _answers(success: Mapping[str, object]) -> dict[int | str, dict[str, Any]]:
    failures = {
        400: "The body cannot be understood.",
        401: "A token is needed.",
        403: "Not for web pages of other origins.",
        408: "The body came too slowly.",
        413: "The body is too large.",
        429: "Too many calls wait.",
        500: "The function, or loading it, failed.",
        503: "Not now.",
    }
    answers: dict[int | str, dict[str, Any]] = {200: _json(success, "Done.")}
    answers.update({status: _json(_FAILURE, text) for status, text in failures.items()})
    return answers


def _body(name: str) -> dict[str, Any]:
    schema = _object(functionId={"type": "string", "minLength": 1}, **{name: _BYTES})
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}
