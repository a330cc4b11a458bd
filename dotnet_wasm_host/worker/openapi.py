"""The description of the API: what FastAPI cannot see by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dotnet_wasm_host.runtime.registry import MAX_ID_BYTES
from dotnet_wasm_host.worker.problems import PROBLEM_JSON

if TYPE_CHECKING:
    from fastapi import FastAPI

__all__ = ["LOGGED_CALL", "PROBLEMS", "describe_calls"]

#: What a call is answered with that asks for the lines of its function, too.
LOGGED_CALL = "application/x-dotnet-call+ndjson"

_PROBLEM = {
    "type": "object",
    "description": "Problem details, RFC 9457.",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "dotnet_type": {"type": "string"},
        "dotnet_message": {"type": "string"},
        "parameter": {"type": "string"},
        "expected": {"type": "string"},
        "given": {"type": "string"},
        "methods": {"type": "array", "items": {"type": "string"}},
        "diagnostics": {"type": "array", "items": {"type": "object"}},
    },
}


def _problem(description: str) -> dict[str, Any]:
    return {"description": description, "content": {PROBLEM_JSON: {"schema": _PROBLEM}}}


#: Status to the response object of OpenAPI.
PROBLEMS: dict[int | str, dict[str, Any]] = {
    400: _problem("The request cannot be understood."),
    401: _problem("A token is needed."),
    403: _problem("Not for web pages of other origins."),
    404: _problem("There is no such function."),
    408: _problem("The body came too slowly."),
    412: _problem("Another version is deployed."),
    413: _problem("The body is too large."),
    415: _problem("The media type is not supported."),
    422: _problem("The assembly, source or parameters will not do."),
    429: _problem("Too many calls wait; Retry-After says when to try again."),
    500: _problem("The function failed."),
    501: _problem("The method is not implemented."),
    503: _problem("Not now."),
    504: _problem("The function took too long."),
    507: _problem("No room for another function."),
}
_BINARY = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
_INVOKE = {
    "tags": ["functions"],
    "summary": "Invoke",
    "description": "Call a function with bytes; the result is the bytes it returns.",
    "operationId": "invoke_functions__function_id__invoke_post",
    "parameters": [
        {
            "name": "function_id",
            "in": "path",
            "required": True,
            "schema": {"type": "string", "minLength": 1, "maxLength": MAX_ID_BYTES},
        },
        {
            "name": "logs",
            "in": "query",
            "description": "Answer with what the function prints, too, a JSON object a line.",
            "schema": {"type": "string", "enum": ["stream"]},
        },
    ],
    "requestBody": {"content": _BINARY},
    "responses": {
        "200": {
            "description": "What the function returned.",
            "content": {**_BINARY, LOGGED_CALL: {"schema": {"type": "string"}}},
        },
        **{str(s): PROBLEMS[s] for s in (400, 401, 403, 404, 408, 413, 429, 500, 503, 504)},
    },
}


def describe_calls(app: FastAPI) -> None:
    """Add the route for calls, which is not FastAPI's, to the description; seal it."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = generate()
            document["paths"]["/functions/{function_id}/invoke"] = {"post": _INVOKE}
            for path in document["paths"].values():
                for operation in path.values():
                    _drop_unused(operation)
        assert app.openapi_schema is not None
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign] # the way FastAPI documents


def _drop_unused(operation: dict[str, Any]) -> None:
    """FastAPI adds its own validation error, whose form is not ours."""
    for response in operation["responses"].values():
        content = response.get("content", {})
        if PROBLEM_JSON in content:
            content.pop("application/json", None)
