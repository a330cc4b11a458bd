"""``POST /functions/{id}/invoke``: bytes in, bytes out. The one route that must be fast.

Methods of functions without a handler are called by ``/functions/{id}/{method}``, with JSON.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, final

from starlette.routing import Route

from dotnet_wasm_host.errors import DotnetHostError, MarshallingError
from dotnet_wasm_host.worker.bodies import header
from dotnet_wasm_host.worker.paths import INVOKE_PATH, METHOD_NAME, METHOD_PATH, require_utf8
from dotnet_wasm_host.worker.typed_calls import call_method

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from dotnet_wasm_host.worker.context import WorkerContext

__all__ = ["InvokeRoute"]

_PREFIX, _INVOKE = "/functions/", "invoke"
_METHOD = re.compile(METHOD_NAME)
#: ``Host`` headers that are remembered. A worker is called by few names.
MOST_HOSTS = 64


@final
class InvokeRoute:
    """An ASGI app of its own: FastAPI's argument handling costs several times what a call does.

    Middleware and routing do as well. A request gets here past them if one with the same ``Host``
    came all the way before: that header is all they look at.
    """

    def __init__(self, context: WorkerContext) -> None:
        self._context = context
        self._most = context.options.limits.payload_bytes
        self._hosts: set[bytes | None] = set()
        self._any_host = context.options.allowed_hosts == ("*",)

    def routes(self) -> list[Route]:
        """The routes for requests that come all the way; they must be before those of functions."""
        arrival = _Arrival(self)
        return [
            Route(INVOKE_PATH, arrival, methods=["POST"], name="invoke"),
            Route(METHOD_PATH, arrival, methods=["POST"], name="call"),
        ]

    def remember(self, scope: Scope) -> None:
        """A request came all the way: others with its ``Host`` need not."""
        if len(self._hosts) < MOST_HOSTS:
            self._hosts.add(header(scope, b"host"))

    def is_near(self, scope: Scope) -> bool:
        """Whether to go straight to this app, and not through middleware and routes."""
        if scope["method"] != "POST" or scope["query_string"]:
            return False
        path: str = scope["path"]
        mounted_at = scope.get("root_path", "")
        if mounted_at:
            path = path.removeprefix(mounted_at)
        if not path.startswith(_PREFIX):
            return False
        function_id, _, method = path[len(_PREFIX) :].rpartition("/")
        if not function_id or not method:
            return False
        if not self._any_host and header(scope, b"host") not in self._hosts:
            return False
        parameters = {"function_id": function_id}
        if method != _INVOKE:
            if not _METHOD.fullmatch(method):
                return False
            parameters["method"] = method
        scope["path_params"] = parameters
        return True

    def refuse_unless_utf8(self, scope: Scope, app: ASGIApp) -> ASGIApp:
        """``app``, or what says that the path is not UTF-8."""
        try:
            require_utf8(scope)
        except MarshallingError as error:
            return self._context.problem(scope, error)
        return app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one call (ASGI 3)."""
        context = self._context
        try:
            context.guard.check_call(scope)
            with await context.body(scope, receive, self._most) as payload:
                parameters = scope["path_params"]
                function_id = parameters["function_id"]
                served = context.service.find(function_id)
                if served is None:
                    served = await context.look_again(scope, function_id)
                if served.methods is None and len(parameters) == 1:
                    result = await context.invoke(scope, receive, function_id, payload)
                    media_type = b"application/octet-stream"
                else:
                    answer = await call_method(context, scope, receive, send, served, payload)
                    if answer is None:
                        return
                    result, media_type = answer
        except DotnetHostError as error:
            await context.pause(error)
            await context.problem(scope, error)(scope, receive, send)
            return
        await send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [
                    (b"content-length", b"%d" % len(result)),
                    (b"content-type", media_type),
                    (b"x-content-type-options", b"nosniff"),
                ],
            }
        )
        await send({"type": "http.response.body", "body": result})


@final
class _Arrival:
    """Where requests arrive that came all the way."""

    def __init__(self, calls: InvokeRoute) -> None:
        self._calls = calls

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._calls.remember(scope)
        await self._calls(scope, receive, send)
