"""The worker as an ASGI application."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from http import HTTPStatus
from os import PathLike
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Match, Route

from dotnet_wasm_host import __version__
from dotnet_wasm_host.errors import DotnetHostError
from dotnet_wasm_host.worker.access_log import AccessLog
from dotnet_wasm_host.worker.context import WorkerContext
from dotnet_wasm_host.worker.exchanges import EXCHANGE
from dotnet_wasm_host.worker.function_routes import function_routes
from dotnet_wasm_host.worker.invoke_route import InvokeRoute
from dotnet_wasm_host.worker.leaving import Leaving
from dotnet_wasm_host.worker.legacy_routes import legacy_routes
from dotnet_wasm_host.worker.log_streams import LogStreams
from dotnet_wasm_host.worker.metrics import WorkerMetrics
from dotnet_wasm_host.worker.observer import Observer
from dotnet_wasm_host.worker.openapi import describe_calls
from dotnet_wasm_host.worker.operation_routes import operation_routes
from dotnet_wasm_host.worker.options import WorkerOptions
from dotnet_wasm_host.worker.page import page_routes
from dotnet_wasm_host.worker.paths import METHOD_PATH
from dotnet_wasm_host.worker.problems import Problem
from dotnet_wasm_host.worker.service import FunctionService
from dotnet_wasm_host.worker.signature_routes import document_route, signature_routes
from dotnet_wasm_host.worker.sqlite_store import SqliteStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from starlette.types import Scope

    from dotnet_wasm_host.worker.store import FunctionStore

__all__ = ["create_app"]


def create_app(
    options: WorkerOptions | None = None,
    *,
    store: FunctionStore | str | PathLike[str] | None = None,
    host_functions: Mapping[str, Callable[[bytes], Any]] | None = None,
) -> FastAPI:
    """.NET functions behind HTTP, as an application of its own or to mount into another one.

    Args:
        options: limits, security, isolation.
        store: where deployed functions are kept: the path of an SQLite file, or a store of your
            own. The app closes it. Without one, functions end with the process.
        host_functions: what every deployed function may call by name; see
            :class:`~dotnet_wasm_host.Runtime`. Plain ones run in the pool's threads, several at a
            time; coroutine functions on the event loop that serves.

    It answers whatever name a request has in ``Host``, unless the options have ``allowed_hosts``:
    set them where there is no token, or web pages could deploy by DNS rebinding.

    Mounted, an app is not told when its host starts and ends. It starts with the first request
    then; close it from the host's own lifespan::

        worker = create_app(store="functions.sqlite3")

        @asynccontextmanager
        async def lifespan(app):
            async with worker.router.lifespan_context(worker):
                yield

        service = FastAPI(lifespan=lifespan)
        service.mount("/dotnet", worker)
    """
    options = options or WorkerOptions()
    metrics = WorkerMetrics(options.labelled_functions)
    service = FunctionService(options, _open(store), metrics, host_functions)
    context = WorkerContext(options, service)
    calls = InvokeRoute(context)
    leaving = Leaving()
    log = AccessLog() if options.access_log else None

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        try:
            await asyncio.to_thread(service.start)
            yield
        finally:
            await asyncio.to_thread(service.close)
            if log is not None:
                await asyncio.to_thread(log.flush)

    app = FastAPI(
        title="dotnet_wasm_host worker",
        version=__version__,
        summary="Run C# functions in .NET 10, sandboxed in WebAssembly.",
        lifespan=lifespan,
        # Their pages come from a content delivery network.
        docs_url=None,
        redoc_url=None,
        openapi_url=None,  # the methods of what is deployed are in ours
        redirect_slashes=False,
        middleware=[
            Middleware(Observer, metrics=metrics, log=log, calls=calls, leaving=leaving),
            Middleware(TrustedHostMiddleware, allowed_hosts=list(options.allowed_hosts)),
            Middleware(LogStreams, context=context),
        ],
    )
    if options.allowed_hosts == ("*",):
        del app.user_middleware[1]
    app.state.worker = service
    app.state.guard = context.guard
    app.state.leaving = leaving
    app.router.routes[:0] = calls.routes()
    legacy_routes(app, context)
    operation_routes(app, context)
    signature_routes(app, context)
    function_routes(app, context)
    app.router.routes.extend(page_routes())
    _answer_errors(app, context)
    describe_calls(app)
    document_route(app, context)
    return app


def _open(store: FunctionStore | str | PathLike[str] | None) -> FunctionStore:
    if store is None:
        return SqliteStore(":memory:")
    return SqliteStore(store) if isinstance(store, (str, PathLike)) else store


def _methods(app: FastAPI, scope: Scope) -> list[str]:
    """What a path can be asked for: each of several routes of a path knows its own methods only."""
    methods: set[str] = set()
    for route in app.router.routes:
        # Any resource may be a method of another one.
        is_method = isinstance(route, Route) and route.path == METHOD_PATH
        if isinstance(route, Route) and not is_method and route.matches(scope)[0] is not Match.NONE:
            methods |= route.methods or set()
    return sorted(methods)


def _answer_errors(app: FastAPI, context: WorkerContext) -> None:
    @app.exception_handler(DotnetHostError)
    async def known(request: Request, error: DotnetHostError) -> Response:
        return context.problem(request.scope, error)

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        if error.status_code == HTTPStatus.NOT_FOUND:
            return PlainTextResponse("Not Found", 404)
        status = HTTPStatus(error.status_code)
        kind = status.phrase.lower().replace(" ", "-")
        headers = dict(error.headers or {})
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            headers = {"allow": ", ".join(_methods(app, request.scope))}
        return Problem(status, kind, status.phrase, str(error.detail), {}, headers).response()

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        request.scope[EXCHANGE].error = "RequestValidationError"
        errors: list[dict[str, Any]] = [
            {"where": ".".join(map(str, item["loc"])), "message": item["msg"]}
            for item in error.errors()
        ]
        detail = "; ".join(f"{item['where']}: {item['message']}" for item in errors)
        title = "The request's parameters are not valid"
        return Problem(422, "invalid-parameters", title, detail, {"errors": errors}, {}).response()

    @app.exception_handler(Exception)
    async def unexpected(request: Request, error: Exception) -> Response:
        request.scope[EXCHANGE].error = type(error).__name__
        # It is in the log; strangers are told nothing about it.
        return Problem(
            500, "internal-error", "The worker failed", "See its log.", {}, {}
        ).response()
