"""Functions as resources: deploy, download, list and unload them."""

import base64
from email.utils import format_datetime
from enum import Enum
from typing import Annotated
from urllib.parse import quote

from fastapi import FastAPI, Header, Query, Request
from starlette.responses import JSONResponse, Response

from dotnet_wasm_host.errors import MarshallingError
from dotnet_wasm_host.worker.bundles import is_bundle
from dotnet_wasm_host.worker.compilations import Compiled
from dotnet_wasm_host.worker.context import WorkerContext, client_of
from dotnet_wasm_host.worker.descriptions import (
    FunctionDescription,
    FunctionList,
    describe_deployed,
    describe_served,
)
from dotnet_wasm_host.worker.exchanges import EXCHANGE
from dotnet_wasm_host.worker.openapi import PROBLEMS
from dotnet_wasm_host.worker.paths import FUNCTION_PATH, FunctionId
from dotnet_wasm_host.worker.problems import UnsupportedType
from dotnet_wasm_host.worker.store import Condition, FunctionRecord

__all__ = ["function_routes"]

#: Media types that a .dll is sent as; none at all counts as the first.
ASSEMBLY_TYPES = (
    "application/octet-stream",
    "application/vnd.microsoft.portable-executable",
    "application/x-msdownload",
)
TAGS: list[str | Enum] = ["functions"]
SOURCE_TYPES = ("text/x-csharp", "text/plain")
#: Zip archives: an assembly and what it depends on.
BUNDLE_TYPES = ("application/zip", "application/x-zip-compressed")


_BINARY = {"schema": {"type": "string", "format": "binary"}}
_UPLOAD = {
    "requestBody": {
        "required": True,
        "content": {
            ASSEMBLY_TYPES[0]: _BINARY,
            SOURCE_TYPES[0]: {"schema": {"type": "string"}},
            BUNDLE_TYPES[0]: _BINARY,
        },
    }
}
_Handler = Annotated[
    str | None, Query(min_length=1, max_length=1000, description="Full name of the handler type.")
]
_Library = Annotated[
    str | None, Query(min_length=1, max_length=1000, description="DLL of a bundle to call.")
]


def function_routes(app: FastAPI, context: WorkerContext) -> None:
    """The routes under ``/functions`` but for calls."""
    _list_route(app, context)
    _deploy_route(app, context)
    _download_route(app, context)
    _unload_route(app, context)


def _list_route(app: FastAPI, context: WorkerContext) -> None:
    service, guard = context.service, context.guard

    @app.get("/functions", tags=TAGS, responses=PROBLEMS)
    async def list_functions(request: Request) -> FunctionList:
        """What is deployed."""
        guard.check_call(request.scope)
        await context.ensure_started()
        served = service.functions().values()
        return FunctionList(functions=[describe_served(service, function) for function in served])


def _deploy_route(app: FastAPI, context: WorkerContext) -> None:
    service, options, guard = context.service, context.options, context.guard

    @app.put(
        FUNCTION_PATH,
        tags=TAGS,
        status_code=201,
        responses=PROBLEMS
        | {
            200: {"model": FunctionDescription, "description": "Replaced."},
            201: {"description": "Deployed; Location says where to call it."},
        },
        openapi_extra=_UPLOAD,
    )
    async def deploy(
        request: Request,
        function_id: FunctionId,
        handler: _Handler = None,
        assembly: _Library = None,
        timeout: Annotated[
            float | None,
            Query(gt=0, le=options.timeout, description="Seconds a call may take."),
        ] = None,
        concurrency: Annotated[
            int | None,
            Query(ge=1, le=options.concurrency, description="Calls at the same time."),
        ] = None,
        if_match: Annotated[str | None, Header()] = None,
        if_none_match: Annotated[str | None, Header()] = None,
    ) -> FunctionDescription:
        """Deploy or replace a function: an assembly, a zip of one and its dependencies, or C#.

        The old version serves until the new one is loaded, checked and on disk, and stays if
        that fails.
        """
        guard.check_change(request.scope)
        await context.ensure_started()
        request.scope[EXCHANGE].function = function_id
        condition = _condition(if_match, if_none_match)
        is_source = _is_source(request.headers.get("content-type"))
        body = await context.body(request.scope, request.receive, options.assembly_bytes)
        with body as content:
            made = await _compile(context, request, content) if is_source else Compiled(content)
            record, new = await service.deployer.deploy(
                function_id,
                made.content,
                parts=made.parts,
                client=client_of(request.scope),
                assembly=assembly,
                handler=handler,
                timeout=timeout,
                concurrency=concurrency,
                condition=condition,
            )
        described = describe_deployed(service, record).model_dump(exclude_none=True)
        headers = _version_headers(record)
        if new:
            headers["location"] = _location(request, function_id)
        # With headers, which a model has not.
        return JSONResponse(described, 201 if new else 200, headers)  # type: ignore[return-value]


def _download_route(app: FastAPI, context: WorkerContext) -> None:
    service, guard = context.service, context.guard

    @app.head(
        FUNCTION_PATH,
        tags=TAGS,
        response_class=Response,
        responses=PROBLEMS
        | {
            200: {"description": "It is deployed."},
            304: {"description": "It is still the version of If-None-Match."},
        },
        operation_id="look_up",
    )
    @app.get(
        FUNCTION_PATH,
        tags=TAGS,
        response_class=Response,
        responses=PROBLEMS
        | {
            200: {
                "description": "The assembly, or the bundle.",
                "content": {ASSEMBLY_TYPES[0]: _BINARY, BUNDLE_TYPES[0]: _BINARY},
            },
            304: {"description": "It is still the version of If-None-Match."},
        },
        operation_id="download",
    )
    async def download(
        request: Request,
        function_id: FunctionId,
        if_none_match: Annotated[str | None, Header()] = None,
    ) -> Response:
        """The assembly or bundle that is deployed; its ETag is its SHA-256."""
        guard.check_change(request.scope)
        await context.ensure_started()
        request.scope[EXCHANGE].function = function_id
        condition = _condition(None, if_none_match)
        stored = await service.read(function_id)
        headers = _version_headers(stored.record)
        known = condition.none_match
        if known is not None and (known == {"*"} or stored.record.sha256 in known):
            return Response(None, 304, headers)
        headers["x-content-type-options"] = "nosniff"
        media_type = (BUNDLE_TYPES if is_bundle(stored.assembly) else ASSEMBLY_TYPES)[0]
        return Response(stored.assembly, 200, headers, media_type)


def _unload_route(app: FastAPI, context: WorkerContext) -> None:
    service, guard = context.service, context.guard

    @app.delete(
        FUNCTION_PATH,
        tags=TAGS,
        status_code=204,
        responses=PROBLEMS | {204: {"description": "Gone."}},
    )
    async def unload(
        request: Request,
        function_id: FunctionId,
        if_match: Annotated[str | None, Header()] = None,
    ) -> None:
        """Unload a function and forget it. Calls that run may end."""
        guard.check_change(request.scope)
        await context.ensure_started()
        request.scope[EXCHANGE].function = function_id
        if not await service.remove(function_id, _condition(if_match, None)):
            await service.read(function_id)  # raises what a missing function is


def _is_source(content_type: str | None) -> bool:
    media_type = (content_type or ASSEMBLY_TYPES[0]).partition(";")[0].strip().lower()
    # What is no source is told apart by its first bytes: clients send archives as bytes, too.
    if media_type in (*ASSEMBLY_TYPES, *BUNDLE_TYPES):
        return False
    if media_type in SOURCE_TYPES:
        return True
    raise UnsupportedType(
        f"{media_type!r} is not supported; send an assembly as {ASSEMBLY_TYPES[0]}, a zip of one "
        f"with its dependencies as {BUNDLE_TYPES[0]}, or C# source as {SOURCE_TYPES[0]}"
    )


def _location(request: Request, function_id: str) -> str:
    return f"{request.scope.get('root_path', '')}/functions/{quote(function_id, safe='')}"


async def _compile(context: WorkerContext, request: Request, source: bytes) -> Compiled:
    return await context.service.compile(
        source,
        request.receive,
        client=client_of(request.scope),
        function_id=request.path_params["function_id"],
    )


def _condition(if_match: str | None, if_none_match: str | None) -> Condition:
    return Condition(_versions(if_match, "If-Match"), _versions(if_none_match, "If-None-Match"))


def _versions(value: str | None, name: str) -> frozenset[str] | None:
    """SHA-256 values of a list of entity tags (RFC 9110, 8.8.3)."""
    if value is None:
        return None
    if value.strip() == "*":
        return frozenset({"*"})
    tags = [tag.strip() for tag in value.split(",")]
    versions = []
    for tag in tags:
        opaque = tag.removeprefix("W/") if name == "If-None-Match" else tag
        if len(opaque) < 2 or opaque[0] != '"' or opaque[-1] != '"':
            raise MarshallingError(
                f"{name} is neither '*' nor a list of quoted ETags; send one of these"
            )
        versions.append(opaque[1:-1])
    return frozenset(versions)


def _version_headers(record: FunctionRecord) -> dict[str, str]:
    digest = base64.b64encode(bytes.fromhex(record.sha256)).decode()
    return {
        "etag": f'"{record.sha256}"',
        "last-modified": format_datetime(record.deployed_at, usegmt=True),
        "repr-digest": f"sha-256=:{digest}:",  # RFC 9530
    }
