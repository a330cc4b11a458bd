"""What all routes of one app share."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from typing import TYPE_CHECKING, final

from starlette.responses import JSONResponse, Response

from dotnet_wasm_host.errors import FunctionSuspended, MarshallingError, TooManyCalls
from dotnet_wasm_host.worker.bodies import Body, BodyReader
from dotnet_wasm_host.worker.exchanges import EXCHANGE
from dotnet_wasm_host.worker.problems import problem_of
from dotnet_wasm_host.worker.security import Guard
from dotnet_wasm_host.worker.tracing import make_trace

if TYPE_CHECKING:
    from starlette.types import Receive, Scope

    from dotnet_wasm_host.errors import DotnetHostError
    from dotnet_wasm_host.pool.calls import Series
    from dotnet_wasm_host.worker.options import WorkerOptions
    from dotnet_wasm_host.worker.served_functions import ServedFunction
    from dotnet_wasm_host.worker.service import FunctionService

__all__ = ["WorkerContext", "client_of"]

#: Refused calls that wait for their answer at the same time.
MOST_PAUSED = 1000


def client_of(scope: Scope) -> str:
    """The address that a request came from; behind a proxy, what the server made of its headers."""
    client = scope.get("client")
    return str(client[0]) if client else ""


@final
class WorkerContext:
    """The service behind an app, and how requests are let through to it."""

    def __init__(self, options: WorkerOptions, service: FunctionService) -> None:
        self.options = options
        self.service = service
        self.guard: Guard = Guard(options)
        self.bodies: BodyReader = BodyReader(options)
        self._trace = make_trace()
        self._paused = 0

    async def ensure_started(self) -> None:
        """A mounted app does not notice that its host starts; then the first request starts it."""
        if not self.service.started:
            await asyncio.to_thread(self.service.start)

    async def body(self, scope: Scope, receive: Receive, most: int) -> Body:
        """A whole body of up to ``most`` bytes; a context manager."""
        body = await self.bodies.read(scope, receive, most)
        scope[EXCHANGE].bytes_in = len(body.content)
        return body

    async def invoke(
        self, scope: Scope, receive: Receive, function_id: str, payload: bytes
    ) -> bytes:
        """Call a function for a request, as long as its client waits for it."""
        scope[EXCHANGE].function = function_id
        if not self.service.started:
            await self.ensure_started()
        if self._trace is None:
            return await self.service.invoke(function_id, payload, receive)
        with self._trace(scope, function_id):
            return await self.service.invoke(function_id, payload, receive)

    async def run_series(self, scope: Scope, function_id: str, series: Series) -> None:
        """Have a function called several times in one instance, for a request."""
        scope[EXCHANGE].function = function_id
        with nullcontext() if self._trace is None else self._trace(scope, function_id):
            await self.service.run_series(function_id, series)

    async def look_again(self, scope: Scope, function_id: str) -> ServedFunction:
        """What another process deployed a moment ago; FunctionNotLoaded if none did."""
        scope[EXCHANGE].function = function_id
        await self.ensure_started()
        return self.service.find(function_id) or await self.service.look_again(function_id)

    def refuse_methods(self, function_id: str) -> None:
        """MarshallingError for a function that has methods, which bytes would mean nothing to."""
        served = self.service.find(function_id)
        if served is not None and served.methods is not None:
            raise MarshallingError(
                f"{function_id!r} has no handler for bytes; call its methods with JSON: POST "
                f"/functions/{{id}}/{served.methods.names[0]}"
            )

    async def pause(self, error: DotnetHostError) -> None:
        """Let a refused call wait for its answer.

        A client that asks again at once would keep the event loop, which all functions share,
        busy with nothing but refusals. So it gets a few of them a second on each connection.
        """
        if isinstance(error, (TooManyCalls, FunctionSuspended)) and self._paused < MOST_PAUSED:
            self._paused += 1
            try:
                await asyncio.sleep(self.options.refusal_seconds)
            finally:
                self._paused -= 1

    def problem(self, scope: Scope, error: DotnetHostError) -> Response:
        """The answer to a request that failed."""
        exchange = scope[EXCHANGE]
        exchange.error = type(error).__name__
        return problem_of(
            error,
            stack_traces=self.options.stack_traces,
            retry_after=self._retry_after(scope),
        ).response()

    def legacy_failure(self, scope: Scope, error: DotnetHostError) -> Response:
        """The same, as the original TypeScript host says it."""
        scope[EXCHANGE].error = type(error).__name__
        problem = problem_of(
            error,
            stack_traces=self.options.stack_traces,
            retry_after=self._retry_after(scope),
        )
        # What goes wrong in a function is 500 there, whatever it is.
        kept = problem.status in (400, 401, 403, 408, 413, 415, 429, 503)
        return JSONResponse(
            {"success": False, "error": problem.detail},
            problem.status if kept else 500,
            dict(problem.headers),
        )

    def _retry_after(self, scope: Scope) -> int:
        function_id = scope[EXCHANGE].function
        return 1 if function_id is None else self.service.retry_after(function_id)
