"""``POST /functions/{id}/invoke``: bytes in, bytes out. The one route that must be fast."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from starlette.routing import Route

from dotnet_wasm_host.errors import DotnetHostError
from dotnet_wasm_host.worker.paths import INVOKE_PATH

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from dotnet_wasm_host.worker.context import WorkerContext

__all__ = ["invoke_route"]


@final
class _Invoke:
    """An ASGI app of its own: FastAPI's argument handling costs several times what a call does."""

    def __init__(self, context: WorkerContext) -> None:
        self._context = context
        self._most = context.options.limits.payload_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        context = self._context
        try:
            context.guard.check_call(scope)
            with await context.body(scope, receive, self._most) as payload:
                result = await context.invoke(scope, scope["path_params"]["function_id"], payload)
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
                    (b"content-type", b"application/octet-stream"),
                    (b"x-content-type-options", b"nosniff"),
                ],
            }
        )
        await send({"type": "http.response.body", "body": result})


def invoke_route(context: WorkerContext) -> Route:
    """The route; it must come before those of functions."""
    return Route(INVOKE_PATH, _Invoke(context), methods=["POST"], name="invoke")
